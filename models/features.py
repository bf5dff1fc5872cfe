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
from models.hour_sums import HOURS, hour_counts, hour_sums
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
CELLS_AT_ONCE = 1 << 17
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

    Attributes:
        value: Values, 0 where there is none, contiguous (n, slots); int32 where all are small.
        have: Whether there is one; ``full`` if all have.
        small: Values in whole thousandths, rounded down.
    """

    def __init__(self, values: Int, have: Bool, days: Bool, grid: DayGrid, calendar: WeekDays) -> None:
        self.grid, self.days, self.calendar = grid, days, calendar
        self.have, self.full = have, bool(have.all())
        self.lengths: Int = np.diff(grid.offsets)
        self.starts: Int = grid.offsets[:-1][self.lengths > 0]
        value: NDArray[np.integer] = np.ascontiguousarray(values)
        if not self.full:
            value = value * have
        least, most = int(value.min(initial=0)), int(value.max(initial=0))
        self.narrow = max(-least, most) < NARROW * 16 // max(3600 // grid.interval_s, 16)
        self.value = value.astype(np.int32) if self.narrow else value
        small = self.value // self.value.dtype.type(MICRO_A_THOUSANDTH)
        self.small = small if self.narrow else np.clip(small, -MOST_THOUSANDTHS, MOST_THOUSANDTHS)

    def features(self) -> Features:
        """Every column but the address; (n, weeks) and (n, weeks, length)."""
        days = self._extremes() | self._sums() | self._moments()
        result: Features = {}
        for name, per_day in days.items():
            inside = self.days if per_day.ndim == 2 else self.days[:, :, None]
            placed = self.calendar.placed(per_day * inside)
            result[name] = placed if name in LISTS and name not in BY_HOUR else placed.sum(axis=2)
        result["parts"] = result["parts"].reshape(*result["parts"].shape[:2], -1)
        result["near_peak"] = self._near_peak(result["day_max"].max(axis=2))
        for name, of_day in (("slots", "day_slots"), ("missing", "day_missing")):
            result[name] = result[of_day].sum(axis=2)
        return result

    def _by_day(self, how: np.ufunc, slots: NDArray[np.generic], dtype: type | None = None) -> Int:
        reduced: Int = how.reduceat(slots, self.starts, axis=1, dtype=dtype)
        if len(self.starts) == self.grid.days:
            return reduced
        result = np.zeros(self.days.shape, reduced.dtype)  # a zone may have skipped a day
        result[:, self.lengths > 0] = reduced
        return result

    def _count(self, mask: Bool) -> Int:
        return self._by_day(np.add, mask.view(np.uint8), np.int64)

    def _extremes(self) -> Features:
        """Highest, lowest, zero and negative values of each day, and how many there are."""
        shape = self.days.shape
        slots = np.broadcast_to(self.lengths, shape)
        have = slots if self.full else self._count(self.have)
        low, high = self.value, self.value
        if not self.full:
            limits = np.iinfo(self.value.dtype)
            low = np.where(self.have, self.value, limits.max)
            high = np.where(self.have, self.value, limits.min)
        any_ = have > 0
        day_min = np.where(any_, self._by_day(np.minimum, low), 0).astype(np.int64)
        zeros = np.zeros(shape, np.int64)
        if (any_ & (day_min <= 0)).any():
            zero = self.value == 0
            zeros = self._count(zero if self.full else zero & self.have)
        negatives = np.zeros(shape, np.int64)
        below = np.flatnonzero((day_min < 0).any(axis=1))
        if len(below):
            negatives[below] = self._count(self.value[below] < 0)
        return {
            "day_slots": slots,
            "day_missing": slots - have,
            "day_max": np.where(any_, self._by_day(np.maximum, high), 0).astype(np.int64),
            "day_min": day_min,
            "day_zeros": zeros,
            "negatives": negatives,
        }

    def _sums(self) -> Features:
        """Sums by wall-clock hour and by day, and what tells a day from every other."""
        hours = hour_sums(self.value, self.grid)
        missing = None
        if not self.full:
            row, slot = np.nonzero(~self.have)
            missing = hour_counts(row, slot, len(hours), self.grid)
        total = self._by_day(np.add, self.value, np.int64)
        return {
            "hours": hours,
            "late": late_sums(self.value, self.grid),
            "day_lone": self._count(lone_zeros(self.value, self.have, self.grid)),
            "parts": _parts(hours),
            "day_total": total,
            "day_hash": _hash(hours, missing),
        }

    def _moments(self) -> Features:
        """Second moments over the values and over neighbours within a day."""
        # Products of small values are whole numbers that float64 holds exactly: order does not matter.
        exact = self.small.astype(np.float64) if self.narrow else self.small
        lagged, step = np.zeros_like(exact), np.zeros_like(self.small)
        np.multiply(exact[:, 1:], exact[:, :-1], out=lagged[:, 1:])
        np.subtract(self.small[:, 1:], self.small[:, :-1], out=step[:, 1:])
        np.abs(step, out=step)
        if not self.full:
            step[:, 1:] *= self.have[:, 1:] & self.have[:, :-1]
        lagged[:, self.starts] = 0
        step[:, self.starts] = 0
        return {
            "squares": self._by_day(np.add, exact * exact).astype(np.int64),
            "lagged": self._by_day(np.add, lagged).astype(np.int64),
            "variation": self._by_day(np.add, step, np.int64),
        }

    def _near_peak(self, week_max: NDArray[np.integer]) -> Int:
        """Slots within 2 % of the week's highest; (n, weeks)."""
        least = np.repeat(week_max - week_max // 50, WEEK, axis=1)
        least = least[:, self.calendar.first : self.calendar.first + self.grid.days]
        least = np.where(least > 0, least, np.iinfo(self.value.dtype).max).astype(self.value.dtype)
        near = self._count(self.value >= np.repeat(least, self.lengths, axis=1))
        counts: Int = self.calendar.placed(near * self.days).sum(axis=2)
        return counts


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


def _hash(hours: Int, missing: Int | None) -> Int:
    """Sum modulo 2^64 that tells days apart; (n, days)."""
    sums, gaps = _weights()
    with np.errstate(over="ignore"):
        result: Int = np.einsum("ijk,k->ij", hours, sums)
        if missing is not None:
            result = result + np.einsum("ijk,k->ij", missing, gaps) * (result != 0)
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
