"""``meterbeam simulate``: a town from a seed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer


def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    meters: Annotated[int, typer.Option(min=1, help="Customer meters.")] = 100,
    days: Annotated[int, typer.Option(min=1, help="Local days.")] = 91,
    start: Annotated[str, typer.Option(help="First local day, YYYY-MM-DD.")] = "2026-01-05",
    timezone: Annotated[str, typer.Option(help="IANA time zone.")] = "Europe/Zurich",
    interval: Annotated[int, typer.Option(help="Slot length in minutes: 5, 10, 15, 30 or 60.")] = 15,
    form: Annotated[
        str, typer.Option(help="blocks (a record a day) or rows (a record a reading).")
    ] = "blocks",
    codec: Annotated[str, typer.Option(help="null, deflate, snappy or zstandard.")] = "deflate",
    theft: Annotated[float, typer.Option(min=0, max=1, help="Share of meters that start to steal.")] = 0.04,
    faults: Annotated[float, typer.Option(min=0, max=1, help="Share of meters with a fault.")] = 0.03,
    defects: Annotated[float, typer.Option(min=0, max=1, help="Share of meter-days hurt on the way.")] = 0.01,
    files: Annotated[int, typer.Option(min=1, help="Files of readings.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Everything follows from it.")] = 0,
) -> dict[str, Any]:
    """Simulate a town: readings, registers, events, service points, a tariff, and the truth beside them.

    Example:
        meterbeam simulate --meters 200 --days 91 --out town
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from models.calendar import DayGrid, epoch_day
    from models.town import TownPlan
    from pipelines.town import simulate as simulator
    from pipelines.town.avro_write import CODECS
    from schemas.errors import UsageError

    if form not in ("blocks", "rows"):
        raise UsageError("--form", form, "blocks or rows")
    if codec not in CODECS:
        raise UsageError("--codec", codec, " or ".join([", ".join(CODECS[:-1]), CODECS[-1]]))
    if interval not in (5, 10, 15, 30, 60):
        raise UsageError("--interval", str(interval), "5, 10, 15, 30 or 60")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError("--timezone", timezone, "an IANA name such as Europe/Zurich") from error
    try:
        first = date.fromisoformat(start)
    except ValueError as error:
        raise UsageError("--start", start, "a day such as 2026-01-05") from error
    return simulator.simulate(
        simulator.SimulateOptions(
            out=out,
            town=TownPlan(meters, seed, theft, faults, defects),
            grid=DayGrid(timezone, interval * 60, epoch_day(first), days),
            form=form,
            codec=codec,
            files=files,
        )
    )
