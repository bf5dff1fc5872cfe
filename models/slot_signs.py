"""Signs that only slots show: which half of the hour energy falls in, and zeros amid use."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.hour_sums import HOUR_S, HOURS, hour_runs
from models.series import Bool, Int

__all__ = ["late_sums", "lone_zeros"]

HALF_HOUR_S = HOUR_S // 2


def late_sums(slots: NDArray[np.integer], grid: DayGrid) -> Int:
    """Sum of the slots that begin in the second half of each wall-clock hour of each day.

    Args:
        slots: Numbers, shape (n, slots); the sum of half an hour must fit their type.
        grid: The days.

    Returns:
        Shape (n, days, 24); all 0 where slots are an hour or longer.
    """
    result = np.zeros((len(slots), grid.days, HOURS), np.int64)
    if grid.interval_s >= HOUR_S:
        return result
    for run in hour_runs(grid.zone, grid.interval_s, grid.first_day, grid.days):
        part = slots[:, grid.offsets[run.from_day] : grid.offsets[run.to_day]]
        if run.step:
            late = range(-(-run.step // 2), run.step)
            total = sum((part[:, i :: run.step] for i in late), np.zeros((), slots.dtype))
            if len(late):
                result[:, run.from_day : run.to_day] = total.reshape(len(slots), -1, HOURS)
            continue
        wall = grid.wall[grid.offsets[run.from_day] : grid.offsets[run.to_day]]
        sums = np.add.reduceat(part * (wall % HOUR_S >= HALF_HOUR_S), run.first, axis=1, dtype=np.int64)
        for number, hour in enumerate(run.hour.tolist()):  # a repeated hour has two stretches
            result[:, run.from_day, hour] += sums[:, number]
    return result


def lone_zeros(value: NDArray[np.integer], have: Bool, grid: DayGrid) -> Bool:
    """Slots of zero between two of the same local day that are above zero.

    Args:
        value: Values, 0 where there is none, shape (n, slots).
        have: Whether there is one, shape (n, slots).
        grid: The days.

    Returns:
        Shape (n, slots).
    """
    lone = np.zeros(value.shape, np.bool_)
    rows = np.flatnonzero((value == 0).any(axis=1))
    if len(rows) and grid.slots > 2:
        some = value[rows]
        used = some > 0
        found = np.zeros(some.shape, np.bool_)
        found[:, 1:-1] = (some == 0)[:, 1:-1] & have[rows, 1:-1] & used[:, :-2] & used[:, 2:]
        found[:, _edges(grid)] = False
        lone[rows] = found
    return lone


@lru_cache(maxsize=8)
def _edges(grid: DayGrid) -> Int:
    """First and last slots of all days."""
    edges: Int = np.unique(np.concatenate([grid.offsets[:-1], grid.offsets[1:] - 1]).clip(0, grid.slots - 1))
    return edges
