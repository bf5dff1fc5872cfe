"""Meter-week features: all that detection reads of the slots, from one pass over the measured values.

Integers throughout, so that a row has the same bits whatever is computed beside it, and is the same
however the slots were cut into grids. Few meters are measured at once, over all their days: what the
sums of a value need stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.hour_sums import HOUR_S, HOURS, hour_sums
from models.series import Bool, Int
from models.slot_signs import late_sums, lone_zeros
from schemas.features import FEATURES, LISTS, SCALARS

__all__ = ["feature_rows", "week_features"]

WEEK = 7
FEWEST_DAYS = 4
MICRO_A_THOUSANDTH = 1000
MOST_THOUSANDTHS = 30_000_000
"""Squares of more would overflow int64 over a week of minutes."""
NARROW = 1 << 27
"""Values below it [micro] are worked on as int32: half the memory traffic, the same results."""
CELLS_AT_ONCE = 1 << 18
MONDAY_OF_EPOCH = 3
"""1970-01-01 was a Thursday: three days after a Monday."""
ROW, WEEK_OF = "row", "week"
BY_HOUR = frozenset({"hours", "late"})
"""Lists that are of the whole week."""
NUMPY: dict[pa.DataType, type[np.signedinteger]] = {pa.int32(): np.int32, pa.int64(): np.int64}

Features = dict[str, NDArray[np.integer]]


def week_features(values: Int, have: Bool, grid: DayGrid, *, expected: Bool | None = None) -> Features:
    """Features of each series in each ISO week with at least ``FEWEST_DAYS`` local days in range.

    Args:
        values: As measured, whatever stands where there is none, shape (n, slots). [micro-unit]
        have: Whether there is a value, shape (n, slots).
        grid: The days.
        expected: Days in range, shape (n, days); None for all. Slots of other days do not exist.

    Returns:
        Arrays of one row a (series, week), sorted so: ``row`` (series), ``week`` (epoch day of the
        Monday), and the columns of :mod:`schemas.features` with their meaning, lists as (rows, length).
    """
    if expected is None:
        expected = np.ones((len(values), grid.days), np.bool_)
    calendar = _week_days(grid)
    in_range = calendar.placed(expected).sum(axis=2)
    rows, weeks = np.nonzero(in_range >= FEWEST_DAYS)
    at_once = max(CELLS_AT_ONCE // max(grid.slots, 1), 1)
    columns = _empty(len(rows))
    for low in range(0, len(values) if len(rows) else 0, at_once):
        chunk = slice(low, low + at_once)
        part = _Chunk(values[chunk], have[chunk], expected[chunk], grid, calendar).features()
        first, last = np.searchsorted(rows, [low, low + at_once]).tolist()
        for name, column in part.items():
            columns[name][first:last] = column[rows[first:last] - low, weeks[first:last]]
    return columns | {ROW: rows, WEEK_OF: calendar.monday + WEEK * weeks}


def _empty(rows: int) -> Features:
    columns: Features = {name: np.zeros(rows, NUMPY[type_]) for name, type_ in SCALARS.items()}
    for name, (length, type_) in LISTS.items():
        columns[name] = np.zeros((rows, length), NUMPY[type_.value_type])
    return columns


@dataclass(frozen=True)
class WeekDays:
    """The ISO weeks a grid touches.

    Attributes:
        monday: Epoch day of the first Monday.
        weeks: Number of weeks.
        first: Position of the grid's first day in the first week.
    """

    monday: int
    weeks: int
    first: int

    def placed(self, per_day: NDArray[Any]) -> NDArray[Any]:
        """Days as weeks from Monday to Sunday, 0 for days the grid does not have; (n, weeks, 7, …)."""
        n, days = per_day.shape[:2]
        result = np.zeros((n, self.weeks * WEEK, *per_day.shape[2:]), per_day.dtype)
        result[:, self.first : self.first + days] = per_day
        return result.reshape(n, self.weeks, WEEK, *per_day.shape[2:])


def _week_days(grid: DayGrid) -> WeekDays:
    first = (grid.first_day + MONDAY_OF_EPOCH) % WEEK
    return WeekDays(grid.first_day - first, -(-(first + grid.days) // WEEK), first)


class _Chunk:
    """Some meters, all their days.

    Every column is worked out as if no value were missing; the few days with gaps are then corrected.

    Attributes:
        value: Values, 0 where there is none, contiguous (n, slots); int32 where all are small.
        small: Values in whole thousandths, rounded down.
        gaps: Row and column of the slots without a value, in order.
    """

    def __init__(self, values: Int, have: Bool, days: Bool, grid: DayGrid, calendar: WeekDays) -> None:
        self.grid, self.days, self.calendar = grid, days, calendar
        self.have = have
        self.gaps = np.divmod(np.flatnonzero(~have), grid.slots)
        self.lengths: Int = np.diff(grid.offsets)
        self.starts: Int = grid.offsets[:-1][self.lengths > 0]
        value: NDArray[np.integer] = np.array(values)
        value[self.gaps] = 0
        least, most = int(value.min(initial=0)), int(value.max(initial=0))
        self.narrow = max(-least, most) < NARROW * 16 // max(3600 // grid.interval_s, 16)
        self.value = value.astype(np.int32) if self.narrow else value
        small = self.value // self.value.dtype.type(MICRO_A_THOUSANDTH)
        self.small = small if self.narrow else np.clip(small, -MOST_THOUSANDTHS, MOST_THOUSANDTHS)

    def features(self) -> Features:
        """Every column but the address; (n, weeks) and (n, weeks, length)."""
        days = self._extremes() | self._sums() | self._moments()
        self._correct(days)
        days |= self._signs(days["day_min"])
        result: Features = {}
        for name, per_day in days.items():
            inside = self.days if per_day.ndim == 2 else self.days[:, :, None]
            placed = self.calendar.placed(per_day * inside)
            result[name] = placed if name in LISTS and name not in BY_HOUR else placed.sum(axis=2)
        result["parts"] = result["parts"].reshape(*result["parts"].shape[:2], -1)
        result["near_peak"] = self._near_peak(result["day_max"])
        for name, of_day in (("slots", "day_slots"), ("missing", "day_missing")):
            result[name] = result[of_day].sum(axis=2)
        return result

    def _by_day(self, how: np.ufunc, slots: NDArray[np.generic], dtype: type | None = None) -> Int:
        reduced: Int = how.reduceat(slots, self.starts, axis=1, dtype=dtype)
        if len(self.starts) == self.grid.days:
            return reduced
        result = np.zeros((len(slots), self.grid.days), reduced.dtype)  # a zone may have skipped a day
        result[:, self.lengths > 0] = reduced
        return result

    def _count(self, mask: Bool) -> Int:
        return self._by_day(np.add, mask.view(np.uint8), np.int64)

    def _extremes(self) -> Features:
        """Number, highest and lowest of the slots of each day."""
        return {
            "day_slots": np.broadcast_to(self.lengths, self.days.shape),
            "day_missing": np.zeros(self.days.shape, np.int64),
            "day_max": self._by_day(np.maximum, self.value).astype(np.int64),
            "day_min": self._by_day(np.minimum, self.value).astype(np.int64),
        }

    def _signs(self, day_min: NDArray[np.integer]) -> Features:
        """How many values of each day are zero, and how many negative."""
        zeros, negatives = np.zeros((2, *self.days.shape), np.int64)
        low = np.flatnonzero((day_min <= 0).any(axis=1))
        if len(low):
            value, have = self.value[low], self.have[low]
            zeros[low], negatives[low] = self._count((value == 0) & have), self._count(value < 0)
        return {"day_zeros": zeros, "negatives": negatives}

    def _sums(self) -> Features:
        """Sums by wall-clock hour and by day, and what tells a day from every other."""
        hours = hour_sums(self.value, self.grid)
        return {
            "hours": hours,
            "late": late_sums(self.value, self.grid),
            "day_lone": self._count(lone_zeros(self.value, self.have, self.grid)),
            "parts": _parts(hours),
            "day_total": self._by_day(np.add, self.value, np.int64),
            "day_hash": _hash(hours, self.grid, *self.gaps),
        }

    def _moments(self) -> Features:
        """Second moments over the values and over neighbours within a day."""
        # Products of small values are whole numbers that float64 holds exactly: order does not matter.
        exact = self.small.astype(np.float64) if self.narrow else self.small
        lagged, step = np.zeros_like(exact), np.zeros_like(self.small)
        np.multiply(exact[:, 1:], exact[:, :-1], out=lagged[:, 1:])
        np.subtract(self.small[:, 1:], self.small[:, :-1], out=step[:, 1:])
        np.abs(step, out=step)
        lagged[:, self.starts] = 0
        step[:, self.starts] = 0
        return {
            "squares": self._by_day(np.add, exact * exact).astype(np.int64),
            "lagged": self._by_day(np.add, lagged).astype(np.int64),
            "variation": self._by_day(np.add, step, np.int64),
        }

    def _correct(self, columns: Features) -> None:
        """What a missing value was counted as zero in, once more without it; in place."""
        if not len(self.gaps[0]):
            return
        days = self.grid.days
        row, day = np.divmod(np.unique(self.gaps[0] * days + self.grid.day_of_slot[self.gaps[1]]), days)
        place, there = self._slots_of(row, day)
        there &= self.have[place]
        some, value, small = there.any(axis=1), self.value[place], self.small[place]
        limits = np.iinfo(value.dtype)
        steps = np.abs(np.diff(small, axis=1)) * (there[:, 1:] & there[:, :-1])
        columns["day_missing"][row, day] = self.lengths[day] - there.sum(axis=1)
        columns["day_max"][row, day] = np.where(there, value, limits.min).max(axis=1) * some
        columns["day_min"][row, day] = np.where(there, value, limits.max).min(axis=1) * some
        columns["variation"][row, day] = steps.sum(axis=1)

    def _near_peak(self, day_max: NDArray[np.integer]) -> Int:
        """Slots within 2 % of the week's highest; (n, weeks) from (n, weeks, 7)."""
        highest = day_max.max(axis=2, keepdims=True)
        least = highest - highest // 50
        counts = np.zeros(day_max.shape, np.int64)
        row, week, weekday = np.nonzero((day_max >= least) & (highest > 0))
        place, there = self._slots_of(row, WEEK * week + weekday - self.calendar.first)
        near = (self.value[place] >= least[row, week]) & there
        counts[row, week, weekday] = near.sum(axis=1)
        total: Int = counts.sum(axis=2)
        return total

    def _slots_of(self, row: Int, day: Int) -> tuple[tuple[Int, Int], Bool]:
        """Rows (k, 1) and columns (k, longest day) of the slots of k days, and which of these each has."""
        slots = self.grid.offsets[day, None] + np.arange(self.lengths.max())
        there = slots < self.grid.offsets[day + 1, None]
        return (row[:, None], np.minimum(slots, self.grid.slots - 1)), there


def _parts(hours: Int) -> NDArray[np.int32]:
    """Two hours each, in whole thousandths; (n, days, 12)."""
    limits = np.iinfo(np.int32)
    pairs = (hours[:, :, ::2] + hours[:, :, 1::2]) // MICRO_A_THOUSANDTH
    parts: NDArray[np.int32] = np.clip(pairs, limits.min, limits.max).astype(np.int32)
    return parts


@lru_cache(maxsize=1)
def _weights() -> NDArray[np.int64]:
    odd = np.arange(1, 2 * HOURS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    return odd.view(np.int64).reshape(2, HOURS)


def _hash(hours: Int, grid: DayGrid, row: Int, slot: Int) -> Int:
    """Sum modulo 2^64 that tells days apart, by hours and the slots without a value; (n, days)."""
    sums, gaps = _weights()
    with np.errstate(over="ignore"):
        result: Int = np.einsum("ijk,k->ij", hours, sums)
        if len(slot):
            day = row * grid.days + grid.day_of_slot[slot]
            first = np.flatnonzero(np.diff(day, prepend=-1))
            missing = np.zeros(result.size, np.int64)
            missing[day[first]] = np.add.reduceat(gaps[grid.wall[slot] // HOUR_S], first)
            result = result + missing.reshape(result.shape) * (result != 0)
    return result ^ (result >> 29)


def feature_rows(features: Features, names: Sequence[tuple[str, str]], interval_s: int) -> pa.Table:
    """Features as rows of the ``features`` table, without revision.

    Args:
        features: From :func:`week_features`.
        names: (meter, channel) of each series.
        interval_s: Slot length. [s]
    """
    series = pa.array(features[ROW])
    columns: dict[str, pa.Array] = {
        "meter_id": pa.array([meter for meter, _ in names], pa.string()).take(series),
        "channel": pa.array([channel for _, channel in names], pa.string()).take(series),
        "week": pa.array(features[WEEK_OF].astype(np.int32), pa.int32()).cast(pa.date32()),
        "interval_s": pa.array(np.full(len(series), interval_s, np.int32)),
    }
    columns |= {name: pa.array(features[name], type_) for name, type_ in SCALARS.items()}
    for name, (length, type_) in LISTS.items():
        offsets = pa.array(np.arange(len(series) + 1, dtype=np.int32) * length)
        flat = pa.array(features[name].ravel(), type_.value_type)
        columns[name] = pa.ListArray.from_arrays(offsets, flat)
    return pa.table([columns[name] for name in FEATURES.content.names], schema=FEATURES.content)
