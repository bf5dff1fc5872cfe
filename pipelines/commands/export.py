"""``meterbeam export``: a view for another system."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["export"]

DATE = ["%Y-%m-%d"]


def export(
    view: Annotated[
        str,
        typer.Argument(
            metavar="VIEW",
            help="readings, days, determinants, bills, bill_lines, findings, gaps, change_queue, state_queue "
            "or faults.",
        ),
    ],
    lake: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the lake.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the deliveries; or one file, by its ending.")
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, parquet, nem12 or espi (Green Button); default: by the ending of --out, else csv.",
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="T", help="The lake as it stood then: a moment, a run number or a run id."),
    ] = None,
    since_revision: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="RUN", help="Send what changed after this run; default: after the last one sent."
        ),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Send everything again.")] = False,
    meter: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this meter; may be repeated.")
    ] = None,
    from_: Annotated[datetime | None, typer.Option("--from", formats=DATE, help="First local day.")] = None,
    to: Annotated[datetime | None, typer.Option(formats=DATE, help="Last local day.")] = None,
) -> dict[str, Any]:
    """Write a view for another system; into the same folder again, only what changed since is sent.

    The folder's sent.json says what was sent. A row replaces the one with the same key and a lower revision;
    keys that hold nothing any more stand in a file of their own (.withdrawn). Queues, faults and gaps are
    sent whole, when they may have changed.

    Example:
        meterbeam export determinants --lake lake --out to-billing
        meterbeam export readings --lake lake --out nem12 --format nem12 --meter NMI1234567

    Raises:
        UsageError: The view, the format or the moment is none.
    """
    from pipelines.export import FORMATS, ExportOptions
    from pipelines.export import export as run
    from pipelines.query import parse_as_of
    from pipelines.store.changes import VIEWS, Selection
    from schemas.errors import UsageError

    if view not in VIEWS:
        raise UsageError.unknown("VIEW", view, VIEWS)
    if form is None:
        form = {".parquet": "parquet", ".xml": "espi"}.get(out.suffix.lower(), "csv")
    if form not in FORMATS:
        raise UsageError.unknown("--format", form, list(FORMATS))
    first, last = (None if day is None else day.date() for day in (from_, to))
    if first is not None and last is not None and last < first:
        raise UsageError("--to", str(last), f"a day not before {first}")
    options = ExportOptions(
        view=view,
        lake=lake,
        out=out,
        form=form,
        as_of=parse_as_of(as_of),
        since=since_revision,
        whole=whole,
        selection=Selection(tuple(meter or ()), first, last),
    )
    return run(options)
