"""Local days on the UTC slot grid: 92, 96 or 100 slots of 15 minutes, whatever the clock does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
DAY_S = 86_400


def epoch_day(day: date) -> int:
    """Days from 1970-01-01 to ``day``: the integer that stands for a local day everywhere."""
    return day.toordinal() - EPOCH_ORDINAL


def day_date(day: int) -> date:
    """The calendar date of an epoch day."""
    return date.fromordinal(int(day) + EPOCH_ORDINAL)


@lru_cache(maxsize=100_000)
def local_midnight(zone: str, day: int) -> int:
    """UTC second at which a local day begins.

    Where the clock jumps over midnight the day begins at the jump; where midnight is repeated it
    begins at the first one.
    """
    wall = datetime.fromordinal(day + EPOCH_ORDINAL)
    tz = ZoneInfo(zone)
    naive = day * DAY_S
    before, after = (
        int(wall.replace(tzinfo=tz, fold=fold).utcoffset().total_seconds())  # type: ignore[union-attr]
        for fold in (0, 1)
    )
    if after <= before:  # plain or repeated midnight: fold 0 is the first one
        return naive - before
    # Skipped midnight: the day begins where the offset changes; bisect for that second.
    low, high = naive - after, naive - before
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, tz).date() < wall.date():
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=100_000)
def standard_offset(zone: str, day: int) -> int:
    """Seconds east of UTC of the zone's standard time (daylight saving taken off) on a day."""
    noon = datetime.fromtimestamp(local_midnight(zone, day) + DAY_S // 2, ZoneInfo(zone))
    offset, saving = noon.utcoffset(), noon.dst()
    assert offset is not None
    return int((offset - (saving or timedelta())).total_seconds())


def local_day(zone: str, second: int) -> int:
    """Local day (epoch day) of one UTC second."""
    day = second // DAY_S + 1
    while local_midnight(zone, day) > second:
        day -= 1
    return day


def local_days(zone: str, seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Local day (epoch day) of each UTC second; any shape, any order."""
    if seconds.size == 0:
        return np.zeros(seconds.shape, np.int64)
    low = int(seconds.min()) // DAY_S - 2
    high = int(seconds.max()) // DAY_S + 3
    midnights = np.array([local_midnight(zone, day) for day in range(low, high + 1)], np.int64)
    days: NDArray[np.int64] = low - 1 + np.searchsorted(midnights, seconds, side="right")
    return days


def aligned(zone: str, seconds: NDArray[np.int64], interval_s: NDArray[np.int64] | int) -> NDArray[np.bool_]:
    """Whether each start lies on the slot grid: midnight of the zone's standard offset."""
    days = local_days(zone, seconds)
    first = int(days.min()) if days.size else 0
    span = range(first, int(days.max()) + 1) if days.size else range(0)
    offsets = np.array([standard_offset(zone, day) for day in span], np.int64)
    on_grid: NDArray[np.bool_] = (seconds + offsets[days - first]) % interval_s == 0
    return on_grid


def slot_from(zone: str, second: int, interval_s: int) -> int:
    """First UTC second at or after this one at which a slot starts."""
    offset = standard_offset(zone, local_day(zone, second))
    return second + -(second + offset) % max(interval_s, 1)


@dataclass(frozen=True)
class DayGrid:
    """The slots of consecutive local days at one interval length.

    Attributes:
        zone: IANA name of the lake's one time zone.
        interval_s: Slot length. [s]
        first_day: Epoch day of the first local day.
        days: Number of local days.
    """

    zone: str
    interval_s: int
    first_day: int
    days: int

    def __post_init__(self) -> None:
        if self.interval_s <= 0 or DAY_S % self.interval_s:
            raise ValueError(f"interval_s must divide a day of 86400 s, got {self.interval_s}")
        if self.days < 1:
            raise ValueError(f"a grid needs at least one day, got {self.days}")

    @cached_property
    def day_starts(self) -> NDArray[np.int64]:
        """UTC second of each day's first slot, and of the first slot after the last day; (days + 1,)."""
        starts = np.empty(self.days + 1, np.int64)
        for i in range(self.days + 1):
            day = self.first_day + i
            midnight, offset = local_midnight(self.zone, day), standard_offset(self.zone, day)
            starts[i] = midnight + (-(midnight + offset)) % self.interval_s
        return starts

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Column of each day's first slot, and the number of columns at the end; (days + 1,)."""
        offsets: NDArray[np.int64] = (self.day_starts - self.day_starts[0]) // self.interval_s
        return offsets

    @property
    def origin(self) -> int:
        """UTC second of column 0."""
        return int(self.day_starts[0])

    @property
    def slots(self) -> int:
        """Number of columns."""
        return int(self.offsets[-1])

    @property
    def last_day(self) -> int:
        """Epoch day of the last local day."""
        return self.first_day + self.days - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Slots of each day; (days,)."""
        return np.diff(self.offsets)

    @cached_property
    def day_of_slot(self) -> NDArray[np.int32]:
        """Index of the local day (0 … days − 1) each column belongs to; (slots,)."""
        return np.repeat(np.arange(self.days, dtype=np.int32), self.lengths)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """UTC second of each column; (slots,)."""
        return self.origin + np.arange(self.slots, dtype=np.int64) * self.interval_s

    @cached_property
    def wall(self) -> NDArray[np.int32]:
        """Local wall clock at each slot's start, in seconds since local midnight; (slots,)."""
        tz = ZoneInfo(self.zone)
        wall = np.empty(self.slots, np.int32)
        for i in range(self.days):
            a, b = int(self.offsets[i]), int(self.offsets[i + 1])
            first = datetime.fromtimestamp(int(self.day_starts[i]), tz)
            last = datetime.fromtimestamp(int(self.day_starts[i]) + (b - a - 1) * self.interval_s, tz)
            base = first.hour * 3600 + first.minute * 60 + first.second
            if first.utcoffset() == last.utcoffset():
                wall[a:b] = base + np.arange(b - a, dtype=np.int32) * self.interval_s
                continue
            for column in range(a, b):
                at = datetime.fromtimestamp(int(self.day_starts[0]) + column * self.interval_s, tz)
                wall[column] = at.hour * 3600 + at.minute * 60 + at.second
        return wall

    @cached_property
    def wall_columns(self) -> NDArray[np.int32]:
        """Column of each (day, wall-clock slot); (days, 86400 / interval_s).

        −1 where the clock skips it, the first one in a repeated hour.
        """
        per_day = DAY_S // self.interval_s
        columns = np.full((self.days, per_day), self.slots, np.int32)
        every = np.arange(self.slots, dtype=np.int32)
        np.minimum.at(columns, (self.day_of_slot, self.wall // self.interval_s), every)
        return np.where(columns == self.slots, np.int32(-1), columns)

    @cached_property
    def weekdays(self) -> NDArray[np.int8]:
        """0 Monday … 6 Sunday of each local day; (days,)."""
        return ((np.arange(self.days) + self.first_day + 3) % 7).astype(np.int8)

    @cached_property
    def regular_runs(self) -> list[tuple[int, int]]:
        """Runs [from, to) of consecutive days of equal length: each is one cheap reshape."""
        cuts = np.flatnonzero(np.diff(self.lengths)) + 1
        edges = [0, *cuts.tolist(), self.days]
        return list(pairwise(edges))

    def date(self, index: int) -> date:
        """Calendar date of the day at an index."""
        return day_date(self.first_day + index)


@lru_cache(maxsize=256)
def day_grid(zone: str, interval_s: int, first_day: int, days: int) -> DayGrid:
    """A grid with its calendar worked out once a process."""
    return DayGrid(zone, interval_s, first_day, days)


def utc_text(second: int) -> str:
    """A UTC second as ISO 8601 text with a Z, for messages and findings."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
