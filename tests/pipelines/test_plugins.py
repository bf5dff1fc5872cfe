"""Plugins: found, loaded once, and never in the way of what is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import plugins
from schemas.errors import MeterbeamError


@pytest.fixture(autouse=True)
def _path_restored() -> Iterator[None]:
    before, modules = list(sys.path), set(sys.modules)
    loaded = dict(plugins._loaded)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    plugins._loaded.clear()
    plugins._loaded.update(loaded)


def _module(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_plugin_file_is_imported_once_and_its_folder_is_appended(tmp_path: Path) -> None:
    """The folder stands last on the path, and a second load changes nothing."""
    file = _module(tmp_path, "once_plugin", "import sys\nsys.loads = getattr(sys, 'loads', 0) + 1\n")
    plugins.load_plugins([str(file)])
    plugins.load_plugins([str(file)])
    assert vars(sys).pop("loads") == 1
    assert sys.path[-1] == str(tmp_path)


def test_a_plugin_by_name_comes_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--plugin my_rules`` finds my_rules.py beside the user."""
    _module(tmp_path, "named_plugin", "x = 1\n")
    monkeypatch.chdir(tmp_path)
    plugins.load_plugins(["named_plugin"])
    assert sys.modules["named_plugin"].x == 1
    assert "named_plugin" in plugins.loaded_plugins()


def test_a_worker_can_load_what_its_parent_has(tmp_path: Path) -> None:
    """The names handed to a worker hold from any working folder."""
    file = _module(tmp_path, "worker_plugin", "")
    plugins.load_plugins([str(file)])
    assert plugins.loaded_plugins() == (str(file),)


def test_a_plugin_cannot_replace_a_package_by_its_name(tmp_path: Path) -> None:
    """A file called like a module of ours is refused, and ours stays."""
    file = _module(tmp_path, "models", "x = 1\n")
    with pytest.raises(MeterbeamError, match="another module called 'models'"):
        plugins.load_plugins([str(file)])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("import absent_dependency", "its import of 'absent_dependency' failed", id="dependency"),
        pytest.param("1 / 0", "ZeroDivisionError at import", id="fault"),
        pytest.param("def f(:", "SyntaxError at import", id="syntax"),
    ],
)
def test_a_plugin_that_fails_at_import_is_said_by_name(tmp_path: Path, text: str, found: str) -> None:
    """The user learns which plugin failed and how."""
    file = _module(tmp_path, "failing_plugin", text)
    with pytest.raises(MeterbeamError) as caught:
        plugins.load_plugins([str(file)])
    assert caught.value.where == f"plugin {file}"
    assert found in caught.value.found


def test_a_missing_plugin_file_is_said(tmp_path: Path) -> None:
    """A path that is not there is no silent skip."""
    with pytest.raises(MeterbeamError, match="no such file"):
        plugins.load_plugins([str(tmp_path / "absent.py")])
