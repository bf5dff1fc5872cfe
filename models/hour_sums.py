"""Sums of slots by local day and wall-clock hour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid, day_grid
from models.series import Int

HOURS = 24
HOUR_S = 3600


@dataclass(frozen=True)
class HourRun:
    """Days [from_day, to_day) of a grid that are cut into hours alike.

    Attributes:
        step: Slots of every hour where all days are plain days of 24 hours, else 0.
        first: First slot of each stretch of slots in one hour, counted from the run's first slot.
        hour: The wall-clock hour of each stretch.
    """

    from_day: int
    to_day: int
    step: int
    first: Int
    hour: Int


def hour_sums(slots: NDArray[np.integer], grid: DayGrid) -> Int:
    """Sum of the slots that begin in each wall-clock hour of each day; 0 for hours that do not exist.

    Args:
        slots: Numbers, shape (n, slots); the sum of one hour must fit their type.
        grid: The days.

    Returns:
        Shape (n, days, 24).
    """
    result = np.zeros((len(slots), grid.days, HOURS), np.int64)
    for run in hour_runs(grid.zone, grid.interval_s, grid.first_day, grid.days):
        days = slice(run.from_day, run.to_day)
        part = slots[:, grid.offsets[run.from_day] : grid.offsets[run.to_day]]
        if run.step:
            total = part[:, :: run.step]
            for i in range(1, run.step):
                total = total + part[:, i :: run.step]
            result[:, days] = total.reshape(len(slots), -1, HOURS)
            continue
        sums = np.add.reduceat(part, run.first, axis=1, dtype=np.int64)
        for number, hour in enumerate(run.hour.tolist()):  # a repeated hour has two stretches
            result[:, run.from_day, hour] += sums[:, number]
    return result


@lru_cache(maxsize=64)
def hour_runs(zone: str, interval_s: int, first_day: int, days: int) -> list[HourRun]:
    """Runs of plain days, and every other day by itself."""
    grid = day_grid(zone, interval_s, first_day, days)
    step = HOUR_S // interval_s if HOUR_S % interval_s == 0 else 0
    usual = np.repeat(np.arange(HOURS), step)
    runs: list[HourRun] = []
    for day in range(days):
        hour = (grid.wall[grid.offsets[day] : grid.offsets[day + 1]] // HOUR_S).astype(np.int64)
        first = np.flatnonzero(np.diff(hour, prepend=-1))
        if np.array_equal(hour, usual) and runs and runs[-1].step and runs[-1].to_day == day:
            runs[-1] = HourRun(runs[-1].from_day, day + 1, step, first, hour[first])
        else:
            plain = np.array_equal(hour, usual)
            runs.append(HourRun(day, day + 1, step if plain else 0, first, hour[first]))
    return runs
