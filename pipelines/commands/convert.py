"""``meterbeam convert``: other formats to Avro input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["convert"]


def convert(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="csv, parquet, nem12 or espi.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="IN…", help="Files, or folders of them.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the Avro files.")],
    lenient: Annotated[
        bool, typer.Option("--lenient", help="nem12, espi: mend irregular files and list what was mended.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=THEIRS",
            help="csv, parquet: their name of a column (meter_id, channel, start, interval_s, value, unit, "
            "quality, received_at); may be repeated.",
        ),
    ] = None,
    meter: Annotated[str | None, typer.Option(metavar="ID", help="csv, parquet: the one meter.")] = None,
    channel: Annotated[str, typer.Option(help="csv, parquet without such a column: the channel.")] = "import",
    unit: Annotated[
        str | None, typer.Option(help="csv, parquet likewise: the unit; default: the channel's billing unit.")
    ] = None,
    interval: Annotated[
        int | None,
        typer.Option(min=1, help="csv, parquet likewise: minutes; default: each series' commonest step."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="TZ", help="csv, parquet: zone of times without an offset.")
    ] = None,
    in_order: Annotated[
        bool,
        typer.Option(
            "--in-order",
            help="csv, parquet: a meter's rows follow each other, which tells the two passes of an hour "
            "apart that the clock repeats.",
        ),
    ] = False,
) -> dict[str, Any]:
    """Convert meter data of another format to Avro files that `meterbeam backfill` reads.

    CSV and Parquet have a row a reading. NEM12 and Green Button (ESPI) must be regular, or --lenient mends
    what is not and lists each irregularity in DIR/mended.csv.

    Example:
        meterbeam convert nem12 retailer/ --out avro --lenient
        meterbeam convert csv homes.csv --out avro --column value=kwh --timezone Europe/Zurich

    Raises:
        UsageError: The format, a column, the channel or the zone is none.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from pipelines.convert import FORMATS
    from pipelines.convert import convert as run
    from pipelines.exchange.table_read import COLUMNS, TableForm
    from schemas.channels import CHANNELS
    from schemas.errors import UsageError

    if form not in FORMATS:
        raise UsageError.unknown("FORMAT", form, list(FORMATS))
    if channel not in CHANNELS:
        raise UsageError.unknown("--channel", channel, list(CHANNELS))
    try:
        ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError("--timezone", repr(timezone), "an IANA name such as Europe/Zurich") from error
    names = {}
    for pair in column or ():
        ours, _, theirs = pair.partition("=")
        if ours not in COLUMNS or not theirs:
            raise UsageError("--column", repr(pair), f"NAME=THEIRS, NAME one of: {', '.join(COLUMNS)}")
        names[ours] = theirs
    seconds = None if interval is None else interval * 60
    table = TableForm(names, meter, channel, unit, seconds, timezone, in_order)
    return run(form, inputs, out, table, lenient=lenient)
