"""What a user sees: errors with both sides, summaries, and progress that is quiet off a terminal."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from schemas.errors import MeterbeamError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Advance", "from_os_error", "note", "progress", "show_error", "show_summary"]


class Advance(Protocol):
    """Says that work was done."""

    def __call__(self, done: int = 1, /) -> None:
        """Add ``done`` units to the progress."""


def show_error(error: MeterbeamError) -> None:
    """Write an error to stderr, both sides on lines of their own."""
    typer.secho(f"error: {error.where}", fg="red", err=True)
    typer.echo(f"  found:    {error.found}", err=True)
    typer.echo(f"  expected: {error.expected}", err=True)


def note(text: str) -> None:
    """Write one line to stderr, where it disturbs no result."""
    typer.echo(text, err=True)


def from_os_error(error: OSError) -> MeterbeamError:
    """A missing file, a folder that cannot be written, a lost network and the like, in the words of users."""
    found = (error.strerror or str(error) or type(error).__name__).lower()
    if error.filename is not None:
        return MeterbeamError(str(error.filename), found, "a path that can be used")
    if error.errno is not None and error.strerror:
        found += f" (errno {error.errno})"
    return MeterbeamError(
        "the system, which names no file",
        found,
        "a disk and a network that stay in reach; what was published stays, "
        "and the same command run again finishes the job",
    )


def show_summary(summary: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Write a command's summary to stdout: two columns, or one JSON object.

    Args:
        summary: Names and values; a nested mapping is indented under its name.
        as_json: JSON with decimals as text, days and times in ISO 8601.
    """
    if as_json:
        typer.echo(json.dumps(summary, default=_json_value, ensure_ascii=False, indent=2))
        return
    for line in _lines(summary, indent=0):
        typer.echo(line)


@contextmanager
def progress(label: str, *, total: int | None = None, unit: str = "readings") -> Iterator[Advance]:
    """Show the rate and the remaining time of long work on stderr; nothing when it is no terminal.

    Args:
        label: What is done: ``"Ingest"``.
        total: Units of work in all; None when unknown (no remaining time then).
        unit: What is counted.

    Yields:
        A function to call with the units done since the last call.
    """
    if not sys.stderr.isatty():
        yield _quiet
        return
    bar, task = _bar(label, total=total, unit=unit)
    with bar:
        yield lambda done=1: bar.advance(task, done)


def _quiet(done: int = 1, /) -> None:
    """Off a terminal there is nobody to watch."""


def _bar(label: str, *, total: int | None, unit: str) -> tuple[Progress, TaskID]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second."""

        def render(self, task: Task) -> Text:
            """The rate with a short scale: ``12.3 M readings/s``."""
            return Text(f"{_short(task.speed or 0.0)} {unit}/s", style="dim")

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %" if total else ""),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    return bar, bar.add_task(label, total=total)


def _short(number: float) -> str:
    for factor, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.1f}{letter}"
    return f"{number:.0f}"


def _lines(summary: Mapping[str, Any], *, indent: int) -> Iterator[str]:
    width = max((len(str(name)) for name in summary), default=0)
    for name, value in summary.items():
        head = " " * indent + str(name).replace("_", " ")
        if isinstance(value, Mapping):
            yield head
            yield from _lines(value, indent=indent + 2)
        else:
            yield f"{head.ljust(indent + width)}  {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _json_value(value: Any) -> Any:
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, (Decimal, Path)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    item = getattr(value, "item", None)  # numpy scalars
    if callable(item):
        return item()
    raise TypeError(f"a summary holds numbers, text, days, decimals and paths, got {type(value).__name__}")
