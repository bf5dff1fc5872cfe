"""Days of the past that can stand for one without readings: last year's, or one of like temperature.

Both are × the ratio of average daily usage, then and now. They reach further back than a result may look, so
they come as readings of channels of their own (docs/vee.md, Days of the past).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.calendar import DayGrid
from models.days import half_away, per_day, slots_per_day
from models.series import Bool, Int

__all__ = ["History", "ReferenceDay", "last_year", "like_temperature", "stand_in"]

YEAR = 364
"""The same weekday a year before lies so many days back."""
AROUND = 21
"""Days to either side of it in which the nearest complete day of the same type is taken."""
PROXY_BACK = 366
"""A day of like temperature lies at most so many days back."""
AVERAGE_DAYS, AVERAGE_LEAST, AVERAGE_BACK = 28, 7, 92
"""An average is that of the latest complete days, so many or at least so many, of so many days before."""
PPM = 1_000_000
MOST_RATIO = 10
"""A usage that changed by more than this factor says that the day of the past is another customer's."""
ABSOLUTE_ZERO = -273_150
"""What is below it is no temperature. [m°C]"""


@dataclass(frozen=True)
class History:
    """One series over the days that may be looked at.

    Attributes:
        grid: The days.
        value: Shape (slots,), 0 where there is none. [micro-unit]
        measured: Slots with a measured value that holds, shape (slots,).
        types: Kind of each day (``models.like_days.day_types``), shape (days,).
    """

    grid: DayGrid
    value: Int
    measured: Bool
    types: Int

    @cached_property
    def complete(self) -> Bool:
        """Days whose every slot was measured; (days,)."""
        complete: Bool = slots_per_day(~self.measured[None], self.grid)[0] == 0
        return complete

    @cached_property
    def total(self) -> Int:
        """Sum of the values of each day [micro-unit]; (days,)."""
        total: Int = per_day(np.add.reduce, self.value[None], self.grid)[0]
        return total

    def average(self, day: int) -> tuple[int, int]:
        """Sum of the complete days that the average before a day is made of, and how many they are."""
        low = max(day - AVERAGE_BACK, 0)
        days = (low + np.flatnonzero(self.complete[low:day]))[-AVERAGE_DAYS:]
        return int(self.total[days].sum()), len(days)


@dataclass(frozen=True)
class ReferenceDay:
    """What stands for a day.

    Attributes:
        day, source: Epoch days: for which, and of which.
        now, then: Sum [micro-unit] and number of the days before each that its average is of.
        ratio: Of the averages, now ÷ then, in millionths, half away.
        value: Of the day's slots, shape (k,). [micro-unit]
        known: Slots at whose wall clock the other day has one; (k,).
    """

    day: int
    source: int
    now: tuple[int, int]
    then: tuple[int, int]
    ratio: int
    value: Int
    known: Bool


def last_year(history: History, day: int) -> int | None:
    """Index of the complete day of the same type nearest to the same weekday a year before.

    Args:
        history: The series.
        day: Index of the day to stand for.

    Returns:
        The earlier of two equally near; None where none is near enough.
    """
    return _nearest(history, day, day - YEAR - AROUND, np.abs(np.arange(-AROUND, AROUND + 1)))


def like_temperature(history: History, day: int, temperature: Int, within: int) -> int | None:
    """Index of the complete day of the same type of the last year whose mean temperature is nearest.

    Args:
        history: The series.
        day: Index of the day to stand for.
        temperature: Mean of each day, below ``ABSOLUTE_ZERO`` where it is not known, shape (days,). [m°C]
        within: Most that it may differ. [m°C]

    Returns:
        The latest of those equally near; None where none is near enough.
    """
    if temperature[day] < ABSOLUTE_ZERO:
        return None
    low = max(day - PROXY_BACK, 0)
    apart = np.abs(temperature[low:day] - temperature[day])
    apart = np.where((temperature[low:day] >= ABSOLUTE_ZERO) & (apart <= within), apart, -1)
    return _nearest(history, day, day - 1, apart[::-1], step=-1)


def _nearest(history: History, day: int, first: int, apart: Int, *, step: int = 1) -> int | None:
    """The complete day of a day's type that is least apart, the first of several.

    Args:
        history: The series.
        day: Index of the day.
        first: Index of the first candidate.
        apart: Of each candidate, −1: none, shape (k,).
        step: From one candidate to the next. [days]
    """
    days = first + step * np.arange(len(apart))
    inside = (days >= 0) & (days < history.grid.days) & (apart >= 0)
    at = np.where(inside, days, 0)
    usable = inside & history.complete[at] & (history.types[at] == history.types[day])
    if not usable.any():
        return None
    chosen = np.flatnonzero(usable)
    return int(days[chosen[np.argmin(apart[chosen])]])


def stand_in(history: History, day: int, source: int, *, scaled: bool = True) -> ReferenceDay | None:
    """The values of a day of the past at the wall clock of another, × the ratio of the averages before both.

    Args:
        history: The series.
        day: Index of the day to stand for.
        source: Index of that which stands for it.
        scaled: False: as they were.

    Returns:
        None where an average has too few days, or they differ too much to be those of one customer.
    """
    grid = history.grid
    now, then, ratio = history.average(day), history.average(source), PPM
    if scaled:
        if min(now[1], then[1]) < AVERAGE_LEAST or then[0] <= 0 or now[0] < 0:
            return None
        over = now[1] * then[0]
        ratio = (2 * PPM * now[0] * then[1] + over) // (2 * over)
        if not PPM <= ratio * MOST_RATIO <= PPM * MOST_RATIO * MOST_RATIO:
            return None
    columns = np.arange(grid.offsets[day], grid.offsets[day + 1])
    there = grid.wall_columns[source, grid.wall[columns] // grid.interval_s]
    known = there >= 0
    whole, rest = np.divmod(np.where(known, history.value[np.maximum(there, 0)], 0), PPM)
    value = whole * ratio + half_away(rest * ratio, np.full(len(rest), PPM))
    return ReferenceDay(grid.first_day + day, grid.first_day + source, now, then, ratio, value, known)
