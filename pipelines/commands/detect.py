"""``meterbeam detect``: rank suspects and name faults over a lake; take in what inspectors found."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup


class _RunsWithoutName(TyperGroup):
    """``meterbeam detect --lake L`` is ``meterbeam detect run --lake L``."""

    default = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = [self.default, *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(cls=_RunsWithoutName)
_Lake = Annotated[Path, typer.Option(help="Folder of the lake.")]


@app.command("run")
def run(
    lake: _Lake,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="From meterbeam train; else the lake's own, else the default."),
    ] = None,
) -> dict[str, Any]:
    """Rank suspects and name meter faults over the features of a lake; publishes new queues.

    "run" may be left out.

    Example:
        meterbeam detect --lake town
        meterbeam detect run --lake town --model model.skops
    """
    from pipelines.batch.detect_run import detect_lake

    return detect_lake(lake, model)


@app.command("feedback")
def feedback(
    lake: _Lake,
    meter: Annotated[str, typer.Option(help="Meter id.")],
    outcome: Annotated[str, typer.Option(help="theft, clean or fault.")],
    user: Annotated[str, typer.Option(help="Who found it.")],
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of the inspection; today if left out.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Some words on it.")] = None,
) -> dict[str, Any]:
    """Keep what an inspection found; meterbeam train --method feedback learns from it.

    A second word on the same meter and day revises the first.

    Example:
        meterbeam detect feedback --lake town --meter M000017 --outcome theft --user ann --on 2026-03-20
    """
    from pipelines.backfill import code_version
    from pipelines.batch.outcomes import keep_outcome

    day = date.today() if on is None else on.date()  # noqa: DTZ011 the inspector's own day
    return keep_outcome(lake, meter, outcome, day, user, note, code_version())
