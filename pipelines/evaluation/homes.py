"""Meters for an evaluation: the import channel of a lake, or a Parquet file of readings in kWh."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.calendar import DAY_S, DayGrid, day_date, epoch_day
from models.feature_run import monday
from models.sharding import shard_of_id
from models.theft_bench import WINDOW, Homes
from models.week_table import WEEK
from pipelines.batch.lake_master import lake_master
from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError, UsageError
from schemas.quality import Method

__all__ = ["homes_of_file", "homes_of_lake"]

FEWEST_HOMES = 20
FEWEST_DAYS = 28
MICRO = 1_000_000
LACKING = 0.03
"""Share of a window's slots that may be missing."""


def homes_of_file(path: Path, timezone: str, cut: int | None = None) -> Homes:
    """Meters of a Parquet file.

    Args:
        path: Columns meter_id, day and kwh (a list of the day's slots), or meter_id, local_time and kwh.
        timezone: IANA name of the zone whose local days they are.
        cut: Days of a window; each whole window of a meter is then a meter of its own, all over the same
            days, so that a few homes over years make a population.

    Raises:
        MeterbeamError: The file is not that, or holds too little.
        UsageError: There is no such time zone.
    """
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError("--timezone", repr(timezone), "an IANA name such as Europe/Zurich") from error
    if not path.is_file():
        raise MeterbeamError(str(path), "no such file", "readings as Parquet")
    try:
        rows = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise MeterbeamError(str(path), "no Parquet file", "readings as Parquet") from error
    names = set(rows.schema.names)
    if {"meter_id", "day", "kwh"} <= names:
        meters, days, lists = (rows[name].to_pylist() for name in ("meter_id", "day", "kwh"))
    elif {"meter_id", "local_time", "kwh"} <= names:
        meters, days, lists = _by_day(path, rows)
    else:
        expected = "columns meter_id, day and kwh (lists), or meter_id, local_time and kwh"
        raise MeterbeamError(str(path), f"columns {', '.join(rows.schema.names)}", expected)
    micro = [_micro(values) for values in lists]
    if cut is not None:
        meters, days, micro = _windows(meters, days, micro, cut)
    return _dense(str(path), timezone, meters, days, micro)


def _windows(
    meters: list[str], days: list[date], values: list[list[int | None]], cut: int
) -> tuple[list[str], list[date], list[list[int | None]]]:
    """Days of whole windows moved into the first one, and the meters' names with the window's number.

    A window is whole weeks long; it is whole where it lacks no more than ``LACKING`` of its slots.
    """
    first = monday(epoch_day(min(days, default=date(1970, 1, 1))))
    number = [epoch_day(day) - first for day in days]
    length = cut // WEEK * WEEK
    names = [f"{m}{WINDOW}{n // length:03d}" for m, n in zip(meters, number, strict=True)]
    have: dict[str, int] = {}
    for name, slots in zip(names, values, strict=True):
        have[name] = have.get(name, 0) + sum(value is not None for value in slots)
    least = (1 - LACKING) * length * max((len(slots) for slots in values), default=0)
    kept = [row for row, name in enumerate(names) if have[name] >= least]
    return (
        [names[row] for row in kept],
        [day_date(first + number[row] % length) for row in kept],
        [values[row] for row in kept],
    )


def _micro(values: list[float | None]) -> list[int | None]:
    known = (None if value is None or value != value else round(value * MICRO) for value in values)
    return list(known)


def _by_day(path: Path, rows: pa.Table) -> tuple[list[str], list[date], list[list[float | None]]]:
    """Single readings as days; the slot length is the most common distance in time."""
    times: list[datetime] = rows["local_time"].to_pylist()
    if not times or not isinstance(times[0], datetime):
        raise MeterbeamError(str(path), "local_time is no timestamp", "the local time of each reading")
    second = np.array([at.replace(tzinfo=UTC).timestamp() for at in times]).astype(np.int64)
    steps = np.diff(np.unique(second))
    step = int(np.bincount(steps[steps <= DAY_S]).argmax()) if len(steps) else 0
    if step <= 0 or DAY_S % step:
        raise MeterbeamError(str(path), f"readings {step} s apart", "a slot length that divides a day")
    held: dict[tuple[str, date], list[float | None]] = {}
    for meter, at, value in zip(rows["meter_id"].to_pylist(), times, rows["kwh"].to_pylist(), strict=True):
        slots = held.setdefault((meter, at.date()), [None] * (DAY_S // step))
        slots[(at.hour * 3600 + at.minute * 60 + at.second) // step] = value
    return [meter for meter, _ in held], [day for _, day in held], list(held.values())


def homes_of_lake(lake: Lake, *, meters: int | None = None, weeks: int | None = None) -> Homes:
    """The customers' import as measured; with the commonest interval length where there are several.

    Args:
        lake: As of some run.
        meters: Most of them; a fixed sample where there are more.
        weeks: Only the last ones.

    Raises:
        MeterbeamError: There is too little in it.
    """
    columns = ["meter_id", "local_day", "interval_s", "values", "methods", "measured", "withdrawn"]
    chosen = None if meters is None else _sample(lake, meters)
    span = None if weeks is None else _last_days(lake, weeks * WEEK)
    rows = lake.current("days", channel="import", columns=columns, meters=chosen, days=span)
    rows = rows.filter(pa.compute.invert(rows["withdrawn"]))
    if rows.num_rows:
        lengths = rows["interval_s"].value_counts().to_pylist()
        usual = max(lengths, key=lambda entry: (entry["counts"], -entry["values"]))["values"]
        rows = rows.filter(pa.compute.equal(rows["interval_s"], usual))
    others = _not_customers(lake)
    rows = rows.filter(pa.compute.invert(pa.compute.is_in(rows["meter_id"], pa.array(others, pa.string()))))
    values = [
        _measured(final, methods, measured)
        for final, methods, measured in zip(
            *(rows[name].to_pylist() for name in ("values", "methods", "measured")), strict=True
        )
    ]
    names, on = rows["meter_id"].to_pylist(), rows["local_day"].to_pylist()
    return _dense(str(lake.path), lake.config.timezone, names, on, values)


def _last_days(lake: Lake, count: int) -> tuple[int, int]:
    """The last closed days, from a Monday on."""
    runs = lake.runs()
    closed = runs["last_closed"][-1].as_py() if runs.num_rows else None
    last = 0 if closed is None else epoch_day(closed)
    return max(monday(last - count + 1), 0), last


def _sample(lake: Lake, most: int) -> list[str]:
    """Some customers of a lake, as good as drawn at random, and the same ones each time."""
    series = lake.table("series", ["meter_id", "channel"])
    others = set(_not_customers(lake))
    named = series.filter(pa.compute.equal(series["channel"], "import"))["meter_id"].to_pylist()
    known = sorted(set(named) - others, key=lambda meter: (shard_of_id(meter, 1 << 30), meter))
    return known[:most]


def _not_customers(lake: Lake) -> list[str]:
    return [meter for meter, spans in lake_master(lake).spans.items() if spans[-1].version.role != "customer"]


def _measured(
    final: list[int | None], methods: list[int] | None, measured: list[int | None] | None
) -> list[int | None]:
    """Values as measured: ``measured`` where the day has it, else the result, head-end estimates left out."""
    known = final if measured is None else measured
    if methods is None:
        return known
    outside = Method.EXTERNAL
    return [None if method == outside else value for value, method in zip(known, methods, strict=True)]


def _dense(
    where: str, timezone: str, meters: list[str], days: list[date], values: list[list[int | None]]
) -> Homes:
    """Rows of days as arrays over the days from the first to the last."""
    names = sorted(set(meters))
    numbers = [epoch_day(day) for day in days]
    first, count = (min(numbers), max(numbers) - min(numbers) + 1) if numbers else (0, 0)
    if len(names) < FEWEST_HOMES or count < FEWEST_DAYS:
        found = f"{len(names)} meters over {count} days"
        expected = f"at least {FEWEST_HOMES} meters over {FEWEST_DAYS} days of import"
        raise MeterbeamError(where, found, expected)
    usual = max(len(slots) for slots in values)
    per_day = max((n for n in (24, 48, 96, 144, 288) if n <= usual), default=24)
    grid = DayGrid(timezone, DAY_S // per_day, first, count)
    load = np.zeros((len(names), grid.slots), np.int64)
    have = np.zeros(load.shape, np.bool_)
    place = {name: row for row, name in enumerate(names)}
    for meter, number, slots in zip(meters, numbers, values, strict=True):
        start, end = grid.offsets[number - first : number - first + 2].tolist()
        row, some = place[meter], slots[: end - start]
        load[row, start : start + len(some)] = [value or 0 for value in some]
        have[row, start : start + len(some)] = [value is not None for value in some]
    return Homes(names, load, have, grid)
