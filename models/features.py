"""Meter-week features: everything detection needs later, from one pass over the measured slots.

Integers throughout, so that a row has the same bits whatever is computed beside it, and is the same
however the slots were cut into grids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.calendar import DayGrid, day_grid
from models.longest_runs import longest_runs
from models.series import Bool, Int
from schemas.features import BLOCKS_A_DAY, FEATURES, LISTS, QUANTILES, SCALARS

__all__ = ["feature_arrays", "feature_rows", "week_features"]

WEEK = 7
HOURS = 24
FEWEST_DAYS = 4
MICRO_A_THOUSANDTH = 1000
MOST_THOUSANDTHS = 30_000_000
"""Squares of more would overflow int64 over a week of minutes."""
NARROW = 1 << 27
"""Values below it [micro] are worked on as int32: half the memory traffic, the same results."""
ROWS_AT_ONCE = 96
"""Meters measured together, so that a week of them stays in the processor's cache."""
SHORTEST_RUN = 8
ROW, WEEK_OF = "row", "week"
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
    parts = [_week(values, have, span, expected) for span in _weeks(grid)]
    if not parts:
        return _empty()
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((joined[WEEK_OF], joined[ROW]))
    return {name: column[order] for name, column in joined.items()}


@dataclass(frozen=True)
class WeekSpan:
    """The days [from_day, to_day) of a grid that lie in the ISO week of ``monday``."""

    grid: DayGrid
    monday: int
    from_day: int
    to_day: int

    @property
    def columns(self) -> slice:
        """Slots of the week in the grid."""
        return slice(int(self.grid.offsets[self.from_day]), int(self.grid.offsets[self.to_day]))

    @cached_property
    def weekdays(self) -> Int:
        """Day of the week of each day, 0 = Monday."""
        return self.grid.first_day + np.arange(self.from_day, self.to_day) - self.monday

    @cached_property
    def offsets(self) -> Int:
        """First slot of each day, and the end; counted from the first slot here."""
        offsets = self.grid.offsets[self.from_day : self.to_day + 1]
        counted: Int = offsets - offsets[0]
        return counted

    @cached_property
    def first_slot(self) -> int:
        """Number of the first slot here, counted from the first slot of Monday."""
        whole = day_grid(self.grid.zone, self.grid.interval_s, self.monday, WEEK)
        return int(whole.offsets[self.weekdays[0]])

    @cached_property
    def hour_cuts(self) -> tuple[Int, Int]:
        """First slot and cell (day · 24 + wall-clock hour) of each stretch of slots in one hour."""
        wall = self.grid.wall[self.columns] // 3600
        day = np.repeat(np.arange(self.to_day - self.from_day), np.diff(self.offsets))
        cell = day * HOURS + wall
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        return first, cell[first].astype(np.int64)

    @cached_property
    def slots_an_hour(self) -> int:
        """Slots of every hour where all days are plain days of 24 hours, else 0."""
        a_day = HOURS * 3600 // self.grid.interval_s
        first, cell = self.hour_cuts
        days = self.to_day - self.from_day
        plain = len(first) == days * HOURS and bool((np.diff(self.offsets) == a_day).all())
        plain = plain and 3600 % self.grid.interval_s == 0
        return a_day // HOURS if plain and bool((cell == np.arange(days * HOURS)).all()) else 0


def _weeks(grid: DayGrid) -> list[WeekSpan]:
    return _spans(grid.zone, grid.interval_s, grid.first_day, grid.days)


@lru_cache(maxsize=256)
def _spans(zone: str, interval_s: int, first_day: int, days: int) -> list[WeekSpan]:
    grid = day_grid(zone, interval_s, first_day, days)
    monday = first_day + np.arange(days)
    monday -= (monday + 3) % WEEK  # 1970-01-01 was a Thursday
    weeks, first, count = np.unique(monday, return_index=True, return_counts=True)
    return [
        WeekSpan(grid, week, start, start + n)
        for week, start, n in zip(weeks.tolist(), first.tolist(), count.tolist(), strict=True)
        if n >= FEWEST_DAYS
    ]


def _week(values: Int, have: Bool, span: WeekSpan, expected: Bool) -> Features:
    days = expected[:, span.from_day : span.to_day]
    rows = np.flatnonzero(days.sum(axis=1) >= FEWEST_DAYS)
    everyone = len(rows) == len(values)
    parts = [_empty()]
    for low in range(0, len(rows), ROWS_AT_ONCE):
        chosen = slice(low, low + ROWS_AT_ONCE) if everyone else rows[low : low + ROWS_AT_ONCE]
        part = _Chunk(values[chosen, span.columns], have[chosen, span.columns], days[chosen], span).features()
        part[ROW] = rows[low : low + ROWS_AT_ONCE]
        part[WEEK_OF] = np.full(len(part[ROW]), span.monday)
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _empty() -> Features:
    nothing: Features = {name: np.zeros(0, NUMPY[type_]) for name, type_ in SCALARS.items()}
    for name, (length, type_) in LISTS.items():
        nothing[name] = np.zeros((0, length), NUMPY[type_.value_type])
    return nothing | {ROW: np.zeros(0, np.int64), WEEK_OF: np.zeros(0, np.int64)}


class _Chunk:
    """Some meters in one week.

    Attributes:
        value: Values, 0 where there is none, contiguous (n, slots); int32 where all are small.
        have: Whether there is one; ``full`` if all have.
    """

    def __init__(self, values: Int, have: Bool, days: Bool, span: WeekSpan) -> None:
        self.span, self.days = span, days
        have = np.ascontiguousarray(have)
        if not days.all():
            have = have & np.repeat(days, np.diff(span.offsets), axis=1)
        self.have, self.full = have, bool(have.all())
        a_slot = max(span.slots_an_hour, 16)
        with np.errstate(over="ignore"):  # what does not fit comes back different
            narrow = values.astype(np.int32)
        fits = max(abs(int(narrow.max(initial=0))), abs(int(narrow.min(initial=0)))) < NARROW * 16 // a_slot
        wide = not fits or not np.array_equal(narrow, values)
        value: NDArray[np.integer] = np.ascontiguousarray(values) if wide else narrow
        self.value = value if self.full else value * have
        small = self.value // value.dtype.type(MICRO_A_THOUSANDTH)
        self.small = np.clip(small, -MOST_THOUSANDTHS, MOST_THOUSANDTHS) if wide else small
        self.zero = (self.value == 0) & have if not self.full else self.value == 0

    def features(self) -> Features:
        """Every column but the address."""
        result = self._days() | self._hours() | self._moments() | self._runs() | self._peak() | self._dips()
        for name, type_ in SCALARS.items():
            result[name] = result[name].astype(NUMPY[type_], copy=False)
        for name, (_, type_) in LISTS.items():
            result[name] = result[name].astype(NUMPY[type_.value_type], copy=False)
        return result

    def _placed(self, per_day: NDArray[np.integer]) -> Int:
        """Monday to Sunday, 0 for days that are not here; (n, 7)."""
        result = np.zeros((len(per_day), WEEK), np.int64)
        result[:, self.span.weekdays] = per_day
        return result

    def _count(self, mask: Bool) -> Int:
        """True slots a day; (n, days)."""
        length = np.diff(self.span.offsets)
        if length.min() == length.max() and length[0] % 8 == 0 and length[0] < 2040:
            # Eight slots at once: the bytes of a word count without carry up to 255.
            words = np.add.reduce(mask.view(np.uint64).reshape(len(mask), len(length), -1), axis=2)
            bytes_ = words.view(np.uint8).reshape(len(mask), len(length), 8)
            return np.asarray(np.add.reduce(bytes_, axis=2, dtype=np.int64))
        counts: Int = np.add.reduceat(mask.view(np.uint8), self.span.offsets[:-1], axis=1, dtype=np.int64)
        return counts

    def _reduced(self, how: np.ufunc, values: NDArray[np.integer]) -> NDArray[np.integer]:
        length = np.diff(self.span.offsets)
        result: NDArray[np.integer]
        if length.min() == length.max():
            result = how.reduce(values.reshape(len(values), len(length), -1), axis=2)
        else:
            result = how.reduceat(values, self.span.offsets[:-1], axis=1)
        return result

    def _days(self) -> Features:
        slots = np.diff(self.span.offsets) * self.days
        missing = (
            slots if not len(self.have) else slots - self._count(self.have) if not self.full else 0 * slots
        )
        zeros = self._count(self.zero)
        low, high = self.value, self.value
        if not self.full:
            limits = np.iinfo(self.value.dtype)
            low = np.where(self.have, self.value, limits.max)
            high = np.where(self.have, self.value, limits.min)
        any_ = missing < slots
        day_min = np.where(any_, self._reduced(np.minimum, low), 0)
        self.day_max = np.where(any_, self._reduced(np.maximum, high), 0).astype(np.int64)
        negative = np.flatnonzero((day_min < 0).any(axis=1))
        counts, sums = np.zeros((2, len(slots)), np.int64)
        below = np.minimum(self.value[negative].astype(np.int64), 0)
        counts[negative], sums[negative] = np.count_nonzero(below, axis=1), below.sum(axis=1)
        return {
            "slots": slots.sum(axis=1),
            "missing": missing.sum(axis=1),
            "zeros": zeros.sum(axis=1),
            "negatives": counts,
            "negative_sum": sums,
            "day_max": self._placed(self.day_max),
            "day_min": self._placed(day_min),
            "day_slots": self._placed(slots),
            "day_missing": self._placed(missing),
            "day_zeros": self._placed(zeros),
        }

    def _by_hour(self, slots: NDArray[np.integer]) -> Int:
        """Sums by day and wall-clock hour; (n, days · 24)."""
        step = self.span.slots_an_hour
        if step:
            total = slots[:, ::step] if step == 1 else slots[:, ::step] + slots[:, 1::step]
            for i in range(2, step):
                total += slots[:, i::step]
            return total.astype(np.int64)
        first, cell = self.span.hour_cuts
        result = np.zeros((len(slots), self.days.shape[1] * HOURS), np.int64)
        sums = np.add.reduceat(slots, first, axis=1, dtype=np.int64)
        for number, place in enumerate(cell.tolist()):  # Lord Howe repeats half an hour
            result[:, place] += sums[:, number]
        return result

    def _slots_by_hour(self) -> Int:
        """Slots in range by day and wall-clock hour; (n, days · 24)."""
        first, cell = self.span.hour_cuts
        count = np.zeros(self.days.shape[1] * HOURS, np.int64)
        np.add.at(count, cell, np.diff(first, append=self.span.offsets[-1]))
        return count * np.repeat(self.days, HOURS, axis=1)

    def _hours(self) -> Features:
        n, days = self.days.shape
        hours, there = self._by_hour(self.value), self._slots_by_hour()
        held = there if self.full else self._by_hour(self.have.view(np.uint8).astype(np.int16))
        by_day = hours.reshape(n, days, HOURS)
        whole = (held == there) & (there > 0)
        blocks = np.zeros((n, WEEK, BLOCKS_A_DAY), np.int64)
        pairs = by_day[:, :, ::2] + by_day[:, :, 1::2]
        blocks[:, self.span.weekdays] = np.clip(pairs // MICRO_A_THOUSANDTH, -(2**31), 2**31 - 1)
        return {
            "day_total": self._placed(np.add.reduce(by_day, axis=2)),
            "day_hash": self._placed(_hash(by_day, (there - held).reshape(n, days, HOURS))),
            "hours": np.add.reduce(by_day, axis=1),
            "hour_slots": np.add.reduce(held.reshape(n, days, HOURS), axis=1),
            "blocks": blocks.reshape(n, -1),
            "quantiles": _quantiles(hours, whole),
        }

    def _moments(self) -> Features:
        small, have = self.small, self.have
        step = np.abs(small[:, 1:] - small[:, :-1])
        pairs = np.full(len(small), small.shape[1] - 1)
        if not self.full:
            both = have[:, 1:] & have[:, :-1]
            pairs = np.count_nonzero(both, axis=1)
            step *= both
        # Products of small values are whole numbers that float64 holds exactly, so order does not matter.
        exact = small.astype(np.float64) if small.dtype == np.int32 else small
        self.week_max = self.day_max.max(axis=1)
        near = self.value >= (self.week_max - self.week_max // 50).astype(self.value.dtype)[:, None]
        near &= (self.week_max > 0)[:, None]
        return {
            "pairs": pairs,
            "squares": np.einsum("ij,ij->i", exact, exact),
            "lagged": np.einsum("ij,ij->i", exact[:, 1:], exact[:, :-1]),
            "variation": np.add.reduce(step, axis=1, dtype=step.dtype),
            "near_peak": self._count(near).sum(axis=1),
        }

    def _runs(self) -> Features:
        span = self.span
        equal = self.value[:, 1:] == self.value[:, :-1]
        if not self.full:
            equal &= self.have[:, 1:] & self.have[:, :-1]
        zero_run, zero_start = longest_runs(self.zero, shortest=SHORTEST_RUN)
        flat_run, flat_start = longest_runs(equal & ~self.zero[:, 1:], shortest=SHORTEST_RUN)
        monday = self.have[:, 0] & (span.weekdays[0] == 0)
        sunday = self.have[:, -1] & (span.weekdays[-1] == WEEK - 1)
        rows = np.arange(len(equal))
        return {
            "zero_run": zero_run,
            "zero_run_start": np.where(zero_run > 0, zero_start + span.first_slot, -1),
            "flat_run": np.where(flat_run > 0, flat_run + 1, 0),
            "flat_run_start": np.where(flat_run > 0, flat_start + span.first_slot, -1),
            "flat_value": np.where(flat_run > 0, self.value[rows, np.maximum(flat_start, 0)], 0),
            "first": np.where(monday, self.value[:, 0], 0),
            "last": np.where(sunday, self.value[:, -1], 0),
            "head": np.where(monday, _leading(equal) + 1, 0),
            "tail": np.where(sunday, _leading(equal[:, ::-1]) + 1, 0),
        }

    def _peak(self) -> Features:
        value, rows = self.value, np.arange(len(self.value))
        at = value.argmax(axis=1)
        gap = np.zeros(len(value), np.int64)
        after = np.flatnonzero((at > 0) & (value[rows, at - 1] == 0))
        for row in after.tolist():
            active = np.flatnonzero(value[row, : at[row]])
            gap[row] = at[row] - 1 - active[-1] if len(active) else at[row]
        return {"peak_slot": np.where(value[rows, at] > 0, at + self.span.first_slot, -1), "peak_gap": gap}

    def _dips(self) -> Features:
        value, zero = self.value, self.zero
        dip = zero[:, 1:-1] & ~zero[:, :-2] & ~zero[:, 2:]
        if not self.full:
            dip &= self.have[:, :-2] & self.have[:, 2:]
        n, slots = value.shape
        row, column = np.divmod(np.flatnonzero(dip), max(slots - 2, 1))
        lesser = np.minimum(self.small[row, column], self.small[row, column + 2]).astype(np.float64)
        return {
            "dips": np.bincount(row, minlength=n),
            "dip_depth": np.bincount(row, weights=lesser, minlength=n).astype(np.int64),
        }


def _leading(equal: Bool) -> Int:
    """Length of the run of True at the start of each row."""
    if not equal.shape[1]:
        return np.zeros(len(equal), np.int64)
    first = equal.argmin(axis=1)
    leading: Int = np.where(equal.all(axis=1), equal.shape[1], first)
    return leading


@lru_cache(maxsize=1)
def _weights() -> NDArray[np.int64]:
    odd = np.arange(1, 2 * HOURS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    return odd.view(np.int64).reshape(2, HOURS)


def _hash(hours: Int, missing: Int) -> Int:
    """Sum modulo 2^64 that tells days apart; (n, days)."""
    sums, gaps = _weights()
    with np.errstate(over="ignore"):
        result: Int = np.add.reduce(hours * sums, axis=2)
        if missing.any():
            result = result + np.add.reduce(missing * gaps, axis=2) * (result != 0)
    return result ^ (result >> 29)


def _quantiles(hours: Int, whole: Bool) -> Int:
    """The least hour that at least each share of whole hours does not exceed, 0 without any; (n, 5)."""
    count = whole.sum(axis=1)
    small = bool(np.abs(hours).max(initial=0) < 1 << 31)
    narrow = np.int32 if small else np.int64
    ordered = hours.astype(narrow)
    if not whole.all():
        ordered[~whole] = np.iinfo(narrow).max
    ordered.sort(axis=1)
    thousandths = np.array([round(1000 * share) for share in QUANTILES])
    at = np.maximum((count[:, None] * thousandths + 999) // 1000 - 1, 0)
    return np.where(count[:, None] > 0, np.take_along_axis(ordered, at, axis=1), 0)


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


def feature_arrays(table: pa.Table) -> Features:
    """The number columns of ``features`` rows as arrays, lists as (rows, length)."""
    arrays: Features = {name: table[name].to_numpy() for name in ("interval_s", *SCALARS)}
    for name, (length, _) in LISTS.items():
        column = table[name].combine_chunks()
        flat = column.flatten() if not isinstance(column, pa.ChunkedArray) else pa.array([], pa.int64())
        arrays[name] = flat.to_numpy(zero_copy_only=False).reshape(table.num_rows, length)
    arrays[WEEK_OF] = table["week"].cast(pa.int32()).to_numpy().astype(np.int64)
    return arrays
