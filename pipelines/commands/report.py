"""``meterbeam report``: one HTML page about a lake."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["report"]


def report(
    lake: Annotated[Path, typer.Option("--lake", metavar="DIR", help="The lake.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="T",
            help="The lake as it stood then: a moment (UTC if no offset is given), a run number or a run id.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="Heading of the page.")] = None,
    suspects: Annotated[int, typer.Option("--suspects", min=0, help="How many suspects get a card.")] = 12,
) -> dict[str, Any]:
    """Write one self-contained HTML page about the lake: plots first, opens offline, fetches nothing.

    Completeness, estimates, data quality, exceptions, load, bills with one explained line by line, losses,
    theft queues with each suspect before and after, faults, gaps, and where every reading went.

    Example:
        meterbeam report --lake lake --out report.html

    Returns:
        The summary: where the page is, its size and what moment it shows.

    Raises:
        UsageError: ``--as-of`` is no moment and no run.
    """
    from pipelines.query import parse_as_of
    from pipelines.report import report as page_of
    from pipelines.store.lake import Lake
    from pipelines.store.views import connect
    from transforms.storage import whole_file

    given = parse_as_of(as_of)
    opened = Lake.open(lake)
    moment = given if given is None or isinstance(given, datetime) else opened.at(given).finished
    connection = connect(opened, as_of=given)
    try:
        page = page_of(
            connection,
            title=title or f"Meter data report: {lake.resolve().name}",
            timezone=opened.config.timezone,
            as_of=moment,
            suspects=suspects,
        )
    finally:
        connection.close()
    data = page.encode()
    with whole_file(out) as file:
        file.write(data)
    return {"report": str(out), "bytes": len(data), "as of": moment.isoformat() if moment else "now"}
