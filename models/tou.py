"""Time of use: which period of a tariff each slot belongs to, and energy sums by day and period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from models.calendar import DAY_S, DayGrid, day_date, local_days, standard_offset
from models.series import Bool, Int
from schemas.tariff import Holidays, Tariff

MONDAY, SATURDAY, SUNDAY = 0, 5, 6


@dataclass(frozen=True)
class Periods:
    """Periods of the slots of a grid.

    Attributes:
        names: Period ids; a slot's code is a position here.
        of_slot: Shape (slots,).
        edges: First column of each run of one period within one local day, shape (r,).
        run_period, run_day: Period code and day index of each run, shape (r,).
    """

    names: tuple[str, ...]
    of_slot: NDArray[np.int16]
    edges: Int
    run_period: Int
    run_day: Int


@lru_cache(maxsize=256)
def classify(tariff: Tariff, grid: DayGrid, *, demand: bool = False) -> Periods:
    """Period of every slot, by the tariff's local clock at its start.

    Args:
        tariff: Gives the periods and the clock.
        grid: The slots.
        demand: By the periods that demand charges count by, where the tariff has other ones for them.

    Raises:
        ValueError: A slot has no period (``meterbeam tariff check`` says so for the whole calendar).
    """
    clock = local_clock(tariff, grid)
    periods = tariff.calendar.of_demand() if demand else tariff.calendar.periods
    names = tuple(period.id for period in periods)
    tables = np.stack([day_table(tariff, day_date(day), demand=demand) for day in clock.days.tolist()])
    codes = tables[clock.day_of_slot, clock.minute]
    if (codes < 0).any():
        bad = int(np.flatnonzero(codes < 0)[0])
        raise ValueError(f"tariff {tariff.id}: no period covers the slot at {int(grid.starts[bad])} s UTC")
    new = np.ones(grid.slots, np.bool_)
    new[1:] = (codes[1:] != codes[:-1]) | (grid.day_of_slot[1:] != grid.day_of_slot[:-1])
    edges = np.flatnonzero(new)
    return Periods(
        names, codes, edges, codes[edges].astype(np.int64), grid.day_of_slot[edges].astype(np.int64)
    )


@dataclass(frozen=True)
class LocalClock:
    """Day and minute at each slot's start by a tariff's own clock.

    Attributes:
        days: Epoch days that occur.
        day_of_slot: Position in ``days`` of each slot; (slots,).
        minute: Minutes since that day's 00:00 on the clock; (slots,).
    """

    days: Int
    day_of_slot: Int
    minute: Int


@lru_cache(maxsize=256)
def local_clock(tariff: Tariff, grid: DayGrid) -> LocalClock:
    """The tariff's clock over a grid: prevailing local time, or standard time all year."""
    if tariff.clock == "prevailing" and tariff.timezone == grid.zone:
        days = grid.first_day + np.arange(grid.days, dtype=np.int64)
        return LocalClock(days, grid.day_of_slot.astype(np.int64), grid.wall.astype(np.int64) // 60)
    if tariff.clock == "standard":
        here = local_days(tariff.timezone, grid.starts)
        offsets = np.array([standard_offset(tariff.timezone, day) for day in np.unique(here).tolist()])
        seconds = grid.starts + offsets[here - here[0]]
    else:
        zone = ZoneInfo(tariff.timezone)
        moments = (datetime.fromtimestamp(start, zone) for start in grid.starts.tolist())
        shifts = (moment.utcoffset() or timedelta() for moment in moments)
        seconds = grid.starts + np.fromiter((s.total_seconds() for s in shifts), np.int64)
    days_of_slot, second = np.divmod(seconds, DAY_S)
    minute = second // 60
    days = np.unique(days_of_slot)
    return LocalClock(days, days_of_slot - days[0], minute)


@lru_cache(maxsize=8192)
def _table(tariff: Tariff, season: str | None, weekday: int, demand: bool) -> NDArray[np.int16]:
    """Period code of each minute of a day of one season and day of the week, −1 where none matches."""
    return np.array(tariff.calendar.minutes(season, weekday, demand=demand), np.int16)


def day_table(tariff: Tariff, day: date, *, demand: bool = False) -> NDArray[np.int16]:
    """Period code of each minute of a local day."""
    weekday = day.weekday()
    if day in holidays_of(tariff.calendar.holidays, day.year):
        weekday = SATURDAY if tariff.calendar.holidays.as_ == "saturday" else SUNDAY
    return _table(tariff, tariff.calendar.season_of(day), weekday, demand)


@lru_cache(maxsize=1024)
def holidays_of(holidays: Holidays, year: int) -> frozenset[date]:
    """Holidays that fall into a year, shifted as the tariff says."""
    found = set(holidays.dates)
    for y in (year - 1, year, year + 1):
        found |= {_named(name, y) for name in holidays.named}
    moved = set()
    for day in found:
        rule = holidays.shift.get({SATURDAY: "sat", SUNDAY: "sun"}.get(day.weekday(), "none"), "none")  # type: ignore[call-overload]
        if rule == "mon":
            day += timedelta(days=7 - day.weekday())
        elif rule == "fri":
            day -= timedelta(days=day.weekday() - 4)
        moved.add(day)
    return frozenset(day for day in moved if day.year == year)


_FIXED = {
    "new_year": (1, 1),
    "juneteenth": (6, 19),
    "independence": (7, 4),
    "veterans": (11, 11),
    "christmas": (12, 25),
}
_NTH = {
    "mlk": (1, MONDAY, 3),
    "presidents": (2, MONDAY, 3),
    "labor": (9, MONDAY, 1),
    "columbus": (10, MONDAY, 2),
    "thanksgiving": (11, 3, 4),
}


def _named(name: str, year: int) -> date:
    """Date of a US federal holiday (5 U.S.C. 6103), before any shift."""
    if name in _FIXED:
        return date(year, *_FIXED[name])
    if name == "memorial":
        last = date(year, 5, 31)
        return last - timedelta(days=last.weekday())
    month, weekday, nth = _NTH[name]
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def run_sums(load: Int, periods: Periods) -> Int:
    """Energy of each run; (n, slots) to (n, r)."""
    result: Int = np.add.reduceat(load, periods.edges, axis=1)
    return result


def daily_sums(runs: Int, periods: Periods, days: int) -> Int:
    """Energy by local day and period; (n, r) to (n, days, P)."""
    width = len(periods.names)
    key = periods.run_day * width + periods.run_period
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    sums = np.zeros((len(runs), days * width), np.int64)
    sums[:, key[order][first]] = np.add.reduceat(runs[:, order], first, axis=1)
    return sums.reshape(len(runs), days, width)


def event_slots(tariff: Tariff, event: str, event_days: frozenset[int], grid: DayGrid) -> Bool:
    """Slots in the event's hours on its days; (slots,). Hours over midnight end on the day after."""
    at = tariff.calendar.events[event].at
    if at is None or not event_days:
        return np.zeros(grid.slots, np.bool_)
    clock, (low, high) = local_clock(tariff, grid), at
    today, yesterday = (
        np.isin(clock.days - back, np.fromiter(event_days, np.int64))[clock.day_of_slot] for back in (0, 1)
    )
    if low < high:
        chosen: Bool = today & (clock.minute >= low) & (clock.minute < high)
    else:
        chosen = (today & (clock.minute >= low)) | (yesterday & (clock.minute < high))
    return chosen
