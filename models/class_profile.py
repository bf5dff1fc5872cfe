"""Estimates from the profile of a class: the meter's own average slot, spread by the hours of a shape."""

from __future__ import annotations

import numpy as np

from models.calendar import DAY_S, DayGrid
from models.days import half_away
from models.flat import flat
from models.gaps import Gaps
from models.series import Bool, Int
from models.some_days import some_days
from schemas.estimators import ClassProfileStep
from schemas.rulepack import RulePack

__all__ = ["class_profile"]

HOUR_S = 3600
HOURS = 24


def class_profile(gaps: Gaps, left: Int, step: ClassProfileStep, pack: RulePack) -> tuple[Int, Bool]:
    """The average slot of ``flat`` × the weight of the slot's hours ÷ the shape's mean weight; (k,) each.

    Days that no shape is for, and meters without an average, are left to the next estimator.
    """
    mean, known = flat(gaps, left, step, pack)
    grid = gaps.facts.grid
    shape = _shape_of_days(step, grid, gaps.facts.holidays)[gaps.day[left]]
    weights = np.array([each.weights for each in step.shapes], np.int64)
    own = _weight_of_slots(weights, grid)
    weight = own[shape, grid.wall[gaps.column[left]] // HOUR_S]
    value = half_away(mean * HOURS * weight, weights.sum(axis=1)[shape] * _hours(grid))
    return value, known & (shape >= 0)


def _hours(grid: DayGrid) -> int:
    """Hours whose weights a slot sums."""
    return max(grid.interval_s // HOUR_S, 1)


def _weight_of_slots(weights: Int, grid: DayGrid) -> Int:
    """Summed weights of the hours of a slot that starts in each hour; (shapes, 24)."""
    moved = [np.roll(weights, -hour, axis=1) for hour in range(min(_hours(grid), DAY_S // HOUR_S))]
    summed: Int = np.sum(moved, axis=0)
    return summed


def _shape_of_days(step: ClassProfileStep, grid: DayGrid, holidays: frozenset[int]) -> Int:
    """The first shape for each day, by its month and type; −1 where there is none; (days,)."""
    found = np.full(grid.days, -1, np.int64)
    for number, shape in reversed(list(enumerate(step.shapes))):
        found[some_days(shape, grid, holidays)] = number
    return found
