"""How it distributes: thin Beam transforms around the kernels of ``models``, and their coders.

The four packages have flat names, so that a class is pickled under one name in a checkout, in the
wheel and on a worker. A foreign package called ``models`` or ``schemas`` that stands earlier on the
path would be taken silently; that is noticed here, before anything runs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["check_neighbours"]


def check_neighbours(home: Path, names: tuple[str, ...] = ("schemas", "models", "pipelines")) -> None:
    """Check that the packages Python would import are the ones that belong to this one.

    Imports nothing itself: a foreign ``schemas`` could not even give us our own error class.

    Args:
        home: Folder that holds this project's four packages.
        names: Packages to look for.

    Raises:
        ImportError: Another package of the same name stands before ours on ``sys.path``.
    """
    for name in names:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).parent if spec and spec.origin else None
        if found is None or found.resolve() != (home / name).resolve():
            raise ImportError(
                f"Python's import path, package {name!r}: found {found or 'nothing that can be imported'}, "
                f"expected {home / name} (Meterbeam's own; take the other one off PYTHONPATH, "
                "or start in another folder)"
            )


check_neighbours(Path(__file__).resolve().parent.parent)
