"""Write days of the past as readings that stand for days without them (docs/vee.md, Days of the past)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np

from models.calendar import DayGrid, day_date, day_grid, epoch_day
from models.like_days import day_types
from models.reference_days import (
    ABSOLUTE_ZERO,
    AVERAGE_BACK,
    History,
    ReferenceDay,
    last_year,
    like_temperature,
    stand_in,
)
from models.series import Int
from pipelines.exchange.blocks import Block, gapless, write_block_file
from pipelines.exchange.lake_days import SeriesDays, series_days
from pipelines.readings.day_temperatures import day_temperatures
from pipelines.store.changes import Selection
from pipelines.store.lake import Lake
from pipelines.store.parts import whole_file
from pipelines.store.rules_kept import rules_in_force
from pipelines.store.views import connect
from schemas.channels import BESIDE
from schemas.errors import MeterbeamError
from schemas.quality import Method, Quality

__all__ = ["METHODS", "ReferenceOptions", "write_references"]

METHODS = ("previous_year", "proxy_day")
BACK = 386 + AVERAGE_BACK
"""Days before the first one that may be looked at: a year, the days around it, and those of its average."""
MICROS = 1_000_000
ESTIMATED = 8
"""ESPI QualityOfReading: estimated by a reference day."""
HOLDS = (Quality.QUESTIONABLE, Quality.EDITED, Quality.MEASURED, Quality.VALIDATED, Quality.VERIFIED)
SHEET = (
    "meter_id", "channel", "local_day", "reference_day", "ratio_millionths",
    "sum_now_micro", "days_now", "sum_then_micro", "days_then", "temperature", "reference_temperature",
)  # fmt: skip


@dataclass(frozen=True)
class ReferenceOptions:
    """What to write.

    Attributes:
        method: One of ``METHODS``.
        out: Avro file of interval blocks; a sheet of the same name in CSV says where each day comes from.
        first, last: Local days.
        meters: Only these; all when empty.
        station: Whose temperatures, for ``proxy_day``.
        within: Most that the temperature may differ. [m°C]
        every_day: Also days that lack nothing.
        scaled: × the ratio of the averages.
    """

    method: str
    out: Path
    first: date
    last: date
    meters: tuple[str, ...] = ()
    station: str = ""
    within: int = 2000
    every_day: bool = False
    scaled: bool = True


@dataclass
class _Account:
    """What came of it: the sheet, the days written, and those without a reference."""

    sheet: Any
    days: int = 0
    without: Counter[str] = field(default_factory=Counter)


def write_references(lake: Lake, options: ReferenceOptions) -> dict[str, Any]:
    """Write the file and its sheet; returns the summary.

    The same lake gives the same file, byte for byte: readings count as received when its last run ended.

    Args:
        lake: The lake, at a run.
        options: What to write.

    Raises:
        MeterbeamError: The lake has no run, or no temperatures of the station.
    """
    if not lake.run_no:
        raise MeterbeamError(str(lake.path), "a lake without a run", "one with a backfill in it")
    low = epoch_day(options.first) - BACK
    temperature = None
    if options.method == "proxy_day":
        temperature = day_temperatures(lake, options.station, low, epoch_day(options.last))
    sheet = options.out.with_suffix(".csv")
    with connect(lake) as connection, whole_file(sheet) as file:
        rows = TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        account = _Account(csv.writer(rows))
        account.sheet.writerow(SHEET)
        series = series_days(
            connection,
            _source(options, low),
            since=lake.run_no,
            zone=lake.config.timezone,
            wanted=lambda channel: channel in BESIDE[options.method],
        )
        holidays = frozenset(
            epoch_day(day) for pack in rules_in_force(lake, None).packs for day in pack.holidays
        )
        blocks = _blocks(lake, options, series, account, holidays, temperature)
        readings = write_block_file(options.out, blocks, f"meterbeam readings reference, {options.method}")
        rows.detach()
    return {
        "out": str(options.out),
        "sheet": str(sheet),
        "days": account.days,
        "readings": readings,
        "without": dict(sorted(account.without.items())),
    }


def _source(options: ReferenceOptions, low: int) -> str:
    """SELECT of the days that may be looked at, of series that have a day to stand for."""
    rows = Selection(options.meters, day_date(low), options.last).where()
    lacking = "true"
    if not options.every_day:
        least = f"coalesce(quality, list_min(qualities)) <= {int(Quality.FAILED)}"
        lacking = f"(estimated_slots > 0 OR {least})"
    wanted = (
        f"{Selection(options.meters, options.first, options.last).where()} AND NOT withdrawn AND {lacking}"
    )
    series = f"SELECT meter_id, channel FROM stored.days_current WHERE {wanted}"
    return (
        f"SELECT d.* FROM stored.days_current d SEMI JOIN ({series}) USING (meter_id, channel) WHERE {rows}"
    )


def _blocks(
    lake: Lake,
    options: ReferenceOptions,
    series: Iterator[SeriesDays],
    account: _Account,
    holidays: frozenset[int],
    temperature: Int | None,
) -> Iterator[Block]:
    """What stands for each day, cut where the other day's clock skipped an hour."""
    low, last = epoch_day(options.first) - BACK, epoch_day(options.last)
    received = int(lake.finished.timestamp() * MICROS)
    for each in series:
        grid = day_grid(lake.config.timezone, each.interval_s, low, last - low + 1)
        history = _history(each, grid, day_types(grid, holidays).astype(np.int64))
        for day in _wanted(each, history, options):
            found = _reference(history, day, options, temperature)
            if isinstance(found, str):
                account.without[found] += 1
                continue
            account.sheet.writerow(_row(each, found, low, temperature))
            account.days += 1
            values = Block(
                each.meter_id,
                BESIDE[options.method][each.channel],
                int(grid.starts[grid.offsets[day]]),
                each.interval_s,
                each.unit,
                -6,
                found.value,
                np.full(len(found.value), ESTIMATED, np.int64),
                received,
            )
            yield from gapless(values, found.known)


def _history(series: SeriesDays, grid: DayGrid, types: Int) -> History:
    column = (series.starts - grid.origin) // grid.interval_s
    inside = (column >= 0) & (column < grid.slots)
    value, measured = np.zeros(grid.slots, np.int64), np.zeros(grid.slots, np.bool_)
    holds = np.isin(series.quality, HOLDS) & (series.method == Method.NONE)
    value[column[inside]], measured[column[inside]] = series.values[inside], holds[inside]
    return History(grid, value, measured, types)


def _wanted(series: SeriesDays, history: History, options: ReferenceOptions) -> Sequence[int]:
    """Indexes of the days to stand for."""
    days = np.unique(series.day[(series.day >= epoch_day(options.first))]) - history.grid.first_day
    if not options.every_day:
        days = days[~history.complete[days]]
    wanted: list[int] = days.tolist()
    return wanted


def _reference(
    history: History, day: int, options: ReferenceOptions, temperature: Int | None
) -> ReferenceDay | str:
    """What stands for a day, or why nothing does."""
    if temperature is None:
        source, none = last_year(history, day), "no complete day of its kind a year before"
    elif temperature[day] < ABSOLUTE_ZERO:
        return "no temperature"
    else:
        source = like_temperature(history, day, temperature, options.within)
        none = "no complete day of its kind and temperature"
    if source is None:
        return none
    found = stand_in(history, day, source, scaled=options.scaled)
    return found or "averages unknown or not of one customer"


def _row(series: SeriesDays, found: ReferenceDay, low: int, temperature: Int | None) -> tuple[Any, ...]:
    told: list[Any] = ["", ""]
    if temperature is not None:
        told = [f"{temperature[day - low] / 1000:.3f}" for day in (found.day, found.source)]
    return (
        series.meter_id,
        series.channel,
        day_date(found.day),
        day_date(found.source),
        found.ratio,
        *found.now,
        *found.then,
        *told,
    )
