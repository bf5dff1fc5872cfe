"""The command line as a whole: help, exit codes, settings."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import COMMANDS, main

COMMAND_FOLDER = Path(__file__).resolve().parents[2] / "pipelines" / "commands"
HEAVY = {"apache_beam", "duckdb", "deltalake", "sklearn", "plotly", "polars", "pyarrow", "numpy"}


def test_every_command_module_is_mounted_and_every_mounted_command_exists() -> None:
    """The table of commands and the folder of commands name the same things."""
    files = {path.stem for path in COMMAND_FOLDER.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert files - {"__init__", "__pycache__"} == set(COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command, and every subcommand, shows a command line that can be copied."""
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    subcommands = _subcommands(command)
    for name in subcommands:
        assert main([command, name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"meterbeam {command} {name}" in shown.split("Example:")[1], f"{command} {name}"
    if not subcommands:
        assert f"meterbeam {command}" in shown.split("Example:")[1]


def _subcommands(command: str) -> list[str]:
    import importlib

    app = getattr(importlib.import_module(f"pipelines.commands.{command}"), "app", None)
    if app is None:
        return []
    return [info.name or info.callback.__name__.replace("_", "-") for info in app.registered_commands]


def test_help_lists_every_command_and_imports_none(repo: Path) -> None:
    """``meterbeam --help`` is quick because nothing heavy is imported for it."""
    code = (
        "import sys\nfrom pipelines.cli import main\nassert main(['--help']) == 0\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repo, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert [name for name in COMMANDS if f" {name} " not in done.stdout] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["nonsense"], "No such command 'nonsense'", id="command"),
        pytest.param(["query", "--nonsense"], "--nonsense", id="option"),
        pytest.param(["backfill"], "Missing", id="missing"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was wrong is said on stderr, and stdout is empty."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_wrong_settings_end_with_1_and_name_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The settings of the working folder are read, and a mistake in them is a data error."""
    (tmp_path / "meterbeam.yaml").write_text("workers: many\n")
    monkeypatch.chdir(tmp_path)
    assert main(["backfill", "x.avro"]) == 1
    assert "meterbeam.yaml, line 1: workers" in capsys.readouterr().err


def test_settings_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--settings FILE`` must be there."""
    assert main(["--settings", str(tmp_path / "absent.yaml"), "query", "select 1"]) == 1
    assert "absent.yaml" in capsys.readouterr().err


def test_a_lake_that_is_not_there_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing input is said with its path."""
    assert main(["query", "--lake", str(tmp_path / "absent"), "select 1"]) == 1
    shown = capsys.readouterr()
    assert "absent" in shown.err
    assert shown.out == ""


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` needs no command."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("meterbeam ")


def test_an_error_of_the_system_without_a_file_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network lost in mid run ends with code 1 and both sides on stderr, not with a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

    def lost() -> None:
        socket.create_connection(address)

    monkeypatch.setattr("pipelines.cli._check_packages", lost)
    assert main(["rules", "list"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(
        "error: the system, which names no file\n  found:    connection refused (errno "
    )
    assert "run again finishes the job" in shown.err
