"""``meterbeam query``: SQL over a lake."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["query"]


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Any DuckDB query over the views.")],
    lake: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the lake.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="The lake as it stood then: a moment (ISO 8601, UTC if no offset is given), a run number "
            "or a run id.",
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="table, csv, json or parquet.")
    ] = "table",
) -> None:
    """Run SQL over the views of a lake; stdout gets the result and nothing else.

    Views: readings, days, raw, registers, events, service_points, prices, edits, findings, determinants,
    bills, bill_lines, change_queue, state_queue, faults, gaps, dead_letters, runs, dirty_days. Times are
    UTC, values exact decimals in the billing unit.

    Example:
        meterbeam query "SELECT meter_id, sum(value) FROM readings GROUP BY ALL" --lake town --format csv

    Raises:
        UsageError: The format or the moment is none.
    """
    from pipelines.query import FORMATS, parse_as_of, run_query
    from schemas.errors import UsageError

    if form not in FORMATS:
        raise UsageError("--format", repr(form), f"one of: {', '.join(FORMATS)}")
    run_query(sql, lake, as_of=parse_as_of(as_of), form=form, out=sys.stdout.buffer)
