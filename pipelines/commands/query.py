"""``meterbeam query``: SQL over a lake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

FORMS = ("table", "csv", "json", "parquet")


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Any DuckDB query over the views.")],
    lake: Annotated[Path, typer.Option(help="Folder of the lake.")],
    as_of: Annotated[
        str | None, typer.Option(metavar="T", help="The lake as of a moment (ISO 8601) or a run number.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="table, csv, json or parquet.")] = "table",
) -> None:
    """Run SQL over the views of a lake; stdout gets the result and nothing else.

    Example:
        meterbeam query "SELECT meter_id, sum(value) FROM readings GROUP BY 1" --lake town --format csv
    """
    from pipelines.query import run_query, stdout
    from schemas.errors import UsageError

    if format_ not in FORMS:
        raise UsageError("--format", format_, " or ".join([", ".join(FORMS[:-1]), FORMS[-1]]))
    run_query(sql, lake, as_of=as_of_moment(as_of), form=format_, out=stdout())


def as_of_moment(text: str | None) -> datetime | int | None:
    """A moment (UTC where it has no offset) or a run number.

    Raises:
        UsageError: It is neither.
    """
    from schemas.errors import UsageError

    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError("--as-of", text, "a moment such as 2026-03-01T12:00:00Z, or a run number") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
