"""Own rules, estimators, features, detectors and charge types from a user's module or a package.

A plugin is a module whose import registers functions by the decorators of ``models``. It is named on
the command line (``--plugin my_rules`` or ``--plugin rules/my_rules.py``), in ``meterbeam.yaml``, or
by an installed package's entry point in the group ``meterbeam.plugins``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from schemas.errors import MeterbeamError

__all__ = ["ENTRY_POINT_GROUP", "load_plugins", "loaded_plugins"]

ENTRY_POINT_GROUP = "meterbeam.plugins"

_INSTALLED = "entry point "
_loaded: dict[str, ModuleType] = {}


def load_plugins(names: Sequence[str] = ()) -> None:
    """Import the installed plugins and the named ones. Again is harmless: a module is imported once.

    The folder of a named plugin is appended to ``sys.path``, never put before it, so a plugin cannot
    replace a package by having its name.

    Args:
        names: Module names, looked up on the path and then in the working folder, or ``.py`` files.

    Raises:
        MeterbeamError: A plugin is missing, fails at import, or has the name of another module.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP):
        key = _INSTALLED + point.value
        if key not in _loaded:
            _loaded[key] = _import(point.module, f"plugin {point.name} ({point.value})", None)
    for name in names:
        file = Path(name).resolve() if name.endswith(".py") else None
        key = str(file) if file else name
        if key in _loaded:
            continue
        folder = str(file.parent if file else Path.cwd())
        if folder not in sys.path:
            sys.path.append(folder)
        _loaded[key] = _import(file.stem if file else name, f"plugin {name}", file)


def loaded_plugins() -> tuple[str, ...]:
    """What a worker process gives to :func:`load_plugins` to have the same plugins as this one."""
    return tuple(name for name in _loaded if not name.startswith(_INSTALLED))


def _import(module: str, where: str, file: Path | None) -> ModuleType:
    if file is not None and not file.is_file():
        raise MeterbeamError(where, "no such file", f"a Python file at {file}")
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise MeterbeamError(
                where, f"its import of {error.name!r} failed", "an installed package"
            ) from error
        raise MeterbeamError(
            where, "no such module", f"{module}.py in {Path.cwd()} or an installed module"
        ) from error
    except Exception as error:
        raise MeterbeamError(
            where, f"{type(error).__name__} at import: {error}", "a module that imports cleanly"
        ) from error
    origin = Path(imported.__file__).resolve() if imported.__file__ else None
    if file is not None and origin != file:
        raise MeterbeamError(
            where, f"another module called {module!r} at {origin}", "a file name that no other module has"
        )
    return imported
