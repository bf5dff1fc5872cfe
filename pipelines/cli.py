"""The ``meterbeam`` command: finds the command's module, reads the settings, ends with an exit code.

Exit codes: 0 done, 1 input or data error (said on stderr), 2 wrong usage, 130 interrupted. An exception
that is none of these is a fault of the program and keeps its traceback.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines import console
from pipelines.command_frame import framed, settings_defaults
from schemas.errors import MeterbeamError

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, str] = {
    "demo": "Simulate a town, backfill it and write its report: the whole pipeline in one command.",
    "simulate": "Write Avro files of a simulated town, with faults and theft, and the truth beside them.",
    "convert": "Turn CSV, Parquet, NEM12 or Green Button files into Avro input.",
    "backfill": "Read Avro files into the lake; validate, estimate, price and bill what changed.",
    "stream": "Keep a lake up to date from Kafka, on Flink: days as they close, late data as revisions.",
    "detect": "Rank meters by how much they look like theft, and list faults.",
    "train": "Teach a model that orders the theft queue, on a lake's own meters.",
    "evaluate": "Measure the theft queues and the fault rules on injected truth.",
    "query": "Run SQL over the lake's views; the result, and nothing else, goes to stdout.",
    "readings": "Explain a slot: what was received and how its value was made; say what a register shows; "
    "write days of the past.",
    "edit": "Set, estimate, accept or reject a range of slots, or revoke that; with user and reason.",
    "rules": "List, check and explain rule packs.",
    "export": "Write a view as CSV, Parquet, NEM12 or Green Button; sends again only what changed.",
    "lake": "Maintain a lake: pack and clean up files, remove what need not be kept.",
    "push": "Bring PostgreSQL or Kafka to the lake's last run.",
    "api": "Serve a lake over HTTP, read only, to tokens with scopes.",
    "customer": "Join customers to accounts; export or erase what is theirs.",
    "tariff": "Check a tariff, price a load under one or several, import US rates.",
    "bill": "Explain a bill: every line back to its slots, and what changed since its last revision.",
    "report": "Write one self-contained HTML page about the lake.",
}
"""Every command with its line in ``meterbeam --help``, in the order shown."""

EPILOG = "Start with: meterbeam demo"
SETTINGS_FILE = "meterbeam.yaml"


def _of_use(record: logging.LogRecord) -> bool:
    """All but what Beam says, when it is imported, of a cloud's parts that nothing here needs."""
    return "apitools not found" not in record.getMessage()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; never raises for anything a user can cause.

    Args:
        argv: Arguments without the program's name; ``sys.argv[1:]`` when None.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.getLogger().addFilter(_of_use)
    try:
        _check_packages()
        app = _build_app(*_command_and_settings(arguments))
        app(args=arguments, prog_name="meterbeam")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except MeterbeamError as error:
        console.show_error(error)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (``| head``) has left; that is its right, and nothing is lost.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        console.show_error(console.from_os_error(error))
        return 1
    except KeyboardInterrupt:
        console.note("stopped; what was published stays, and the same command run again finishes the job")
        return 130
    return 0


def _check_packages() -> None:
    """Import ``transforms``, which refuses to run beside foreign ``schemas`` or ``models``."""
    try:
        importlib.import_module("transforms")
    except ImportError as error:
        raise MeterbeamError("start", str(error), "Meterbeam's own four packages") from error


def _command_and_settings(arguments: Sequence[str]) -> tuple[str | None, Path | None]:
    """The command named and the settings file in force, looked up before typer parses anything."""
    settings: Path | None = None
    words = iter(arguments)
    for word in words:
        if word == "--settings":
            settings = Path(next(words, ""))
        elif word.startswith("--settings="):
            settings = Path(word.partition("=")[2])
        elif not word.startswith("-"):
            break
    else:
        word = ""
    if settings is None and Path(SETTINGS_FILE).is_file():
        settings = Path(SETTINGS_FILE)
    return (word if word in COMMANDS else None), settings


def _build_app(wanted: str | None, settings: Path | None) -> typer.Typer:
    """The app with the wanted command mounted and every other one present by name only.

    So ``meterbeam --help`` imports no command, and a command imports no other.
    """
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, line in COMMANDS.items():
        if name != wanted:
            app.command(name, help=line)(_placeholder)
        else:
            _mount(app, name, settings)
    return app


def _mount(app: typer.Typer, name: str, settings: Path | None) -> None:
    module = importlib.import_module(f"pipelines.commands.{name}")
    group = getattr(module, "app", None)
    if isinstance(group, typer.Typer):
        mounted = typer.Typer(cls=group.info.cls)
        for info in group.registered_commands:
            if info.callback is not None:
                defaults = settings_defaults(info.callback, settings)
                mounted.command(info.name, context_settings=defaults)(framed(info.callback))
        app.add_typer(mounted, name=name, help=COMMANDS[name], no_args_is_help=True)
        return
    function: Callable[..., Any] = getattr(module, name)
    app.command(name, context_settings=settings_defaults(function, settings))(framed(function))


def _placeholder() -> None:
    """Stand in for a command that was not given."""


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"meterbeam {version('meterbeam')}")
    except PackageNotFoundError:
        typer.echo("meterbeam (a checkout that is not installed)")
    raise typer.Exit


def _root(
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help=f"Settings; else {SETTINGS_FILE} here."),
    ] = None,
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Open meter data management: meter events in, validated intervals, bills and queues out."""


if __name__ == "__main__":
    sys.exit(main())
