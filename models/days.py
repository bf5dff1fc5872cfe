"""Reductions of slots to local days, and runs of slots within them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.series import Bool, Int

RARE = 16
"""Hits are counted one by one where at most one slot in so many is hit."""


def per_day(reduce: Callable[..., Any], slots: NDArray[Any], grid: DayGrid) -> NDArray[Any]:
    """Reduce slots to days with a numpy reduction that takes ``axis``.

    Args:
        reduce: For example ``np.add.reduce``.
        slots: Shape (n, slots).
        grid: The days; those of equal length are one reshape each.

    Returns:
        Shape (n, days).
    """
    parts = []
    for a, b in grid.regular_runs:
        block = slots[:, grid.offsets[a] : grid.offsets[b]]
        parts.append(reduce(block.reshape(len(slots), b - a, -1), axis=2))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def slots_per_day(hit: Bool, grid: DayGrid) -> Int:
    """Slots of each day that are hit; quick where few are.

    Args:
        hit: Shape (n, slots).
        grid: The days.

    Returns:
        Shape (n, days).
    """
    if np.count_nonzero(hit) * RARE > hit.size:
        return per_day(np.add.reduce, hit.view(np.int8), grid).astype(np.int64)
    row, column = np.divmod(np.flatnonzero(hit), grid.slots)
    cells = len(hit) * grid.days
    return np.bincount(row * grid.days + grid.day_of_slot[column], minlength=cells).reshape(-1, grid.days)


def to_slots(days: NDArray[Any], grid: DayGrid) -> NDArray[Any]:
    """Repeat a value a day over the day's slots; (n, days) to (n, slots)."""
    return np.repeat(days, grid.lengths, axis=1)


@dataclass(frozen=True)
class SlotRuns:
    """Runs of consecutive slots of one series, shape (k,).

    ``first`` indexes the run's first slot in the list it was made from.
    """

    series: Int
    day: Int
    start: Int
    end: Int
    first: Int

    @property
    def lengths(self) -> Int:
        """Slots of each run."""
        return self.end - self.start


def slot_runs(flat: Int, grid: DayGrid, *, by_day: bool) -> SlotRuns:
    """Group sorted flat slot numbers (series · slots + column) into maximal runs.

    Args:
        flat: Strictly increasing, shape (k,).
        grid: Gives the row length and the days.
        by_day: Cut runs at local midnight.
    """
    series, column = np.divmod(flat, grid.slots)
    day = grid.day_of_slot[column].astype(np.int64)
    new = np.empty(len(flat), np.bool_)
    new[:1] = True
    new[1:] = (np.diff(flat) != 1) | (np.diff(series) != 0)
    if by_day:
        new[1:] |= np.diff(day) != 0
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(flat)) - 1 if len(flat) else first
    return SlotRuns(series[first], day[first], column[first], column[last] + 1, first)


def half_away(numerator: Int, denominator: Int) -> Int:
    """Integer quotient rounded to nearest, ties away from zero; denominators positive."""
    magnitude = (2 * np.abs(numerator) + denominator) // (2 * denominator)
    result: Int = np.where(numerator < 0, -magnitude, magnitude)
    return result


def trailing_sum(days: Int, back: int) -> Int:
    """Sum over the ``back`` days before each day, itself excluded; (n, days)."""
    total = np.zeros((days.shape[0], days.shape[1] + 1), np.int64)
    np.cumsum(days, axis=1, out=total[:, 1:])
    low = np.maximum(np.arange(days.shape[1]) - back, 0)
    result: Int = total[:, :-1] - total[:, low]
    return result


def trailing_max(days: Int, back: int) -> Int:
    """Greatest of the ``back`` days before each day, itself excluded, at least 0; (n, days)."""
    result = np.zeros_like(days)
    for step in range(1, min(back, days.shape[1] - 1) + 1):
        np.maximum(result[:, step:], days[:, :-step], out=result[:, step:])
    return result


def expected_only(flat: Int, expected: Bool, grid: DayGrid) -> Int:
    """The slots among ``flat`` whose local day is expected."""
    if expected.all():
        return flat
    series, column = np.divmod(flat, grid.slots)
    return flat[expected[series, grid.day_of_slot[column]]]
