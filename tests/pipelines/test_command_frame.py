"""What every command gets beside its own options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from pipelines.command_frame import framed, help_text, settings_defaults
from schemas.errors import MeterbeamError


def _command(
    inputs: Annotated[list[str], typer.Argument()],
    timezone: Annotated[str, typer.Option()],
    from_: Annotated[str | None, typer.Option("--from")] = None,
    workers: int = 1,
) -> dict[str, object]:
    """Do the work [all of it].

    Example:
        meterbeam work in.avro

    Args:
        inputs: Not for users.
    """
    return {"inputs": inputs, "timezone": timezone, "from": from_, "workers": workers}


def _run(*arguments: str, settings: Path | None = None) -> dict[str, object]:
    app = typer.Typer()
    app.command(context_settings=settings_defaults(_command, settings))(framed(_command))
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert isinstance(shown, dict)
    return shown


def test_help_shows_the_example_and_hides_what_is_for_readers_of_the_code() -> None:
    """The example keeps its lines; brackets are text, not markup."""
    assert help_text(_command) == ("Do the work \\[all of it].\n\n\b\nExample:\n    meterbeam work in.avro")


def test_a_returned_mapping_is_the_summary() -> None:
    """Any command that returns a mapping has ``--json`` for it."""
    assert _run("a", "--timezone", "UTC") == {"inputs": ["a"], "timezone": "UTC", "from": None, "workers": 1}


def test_settings_fill_what_no_flag_gives_and_a_flag_wins(tmp_path: Path) -> None:
    """Mandatory options, arguments and options whose name is a Python keyword are filled too."""
    file = tmp_path / "meterbeam.yaml"
    file.write_text("timezone: Europe/Zurich\nfrom: 2024-01-02\nworkers: 3\ninputs: [x]\nlake: unused\n")
    assert _run("--workers", "5", settings=file) == {
        "inputs": [str(tmp_path / "x")],
        "timezone": "Europe/Zurich",
        "from": "2024-01-02",
        "workers": 5,
    }


def test_a_plugin_is_loaded_before_the_command_runs(tmp_path: Path) -> None:
    """A missing plugin stops the command before any work."""
    app = typer.Typer()
    app.command()(framed(_command))
    with pytest.raises(MeterbeamError, match="no such module"):
        CliRunner().invoke(
            app, ["a", "--timezone", "UTC", "--plugin", "absent_plugin_module"], catch_exceptions=False
        )
