"""Estimates without any shape: the average usage, spread evenly."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.calendar import DAY_S
from models.days import half_away, trailing_sum
from models.gaps import Gaps
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from schemas.rulepack import RulePack

__all__ = ["flat", "flat_sums"]


def flat(gaps: Gaps, left: Int, step: Any, pack: RulePack) -> tuple[Int, Bool]:
    """Average slot of the eligible days before, else of the day's own good slots; (k,) each."""
    grid = gaps.facts.grid
    pair, of_slot = np.unique(gaps.series[left] * grid.days + gaps.day[left], return_inverse=True)
    value, known = _flat_days(gaps.facts, gaps.checked, pack.averages.days, *np.divmod(pair, grid.days))
    return value[of_slot], known[of_slot]


def _flat_days(facts: SeriesFacts, checked: Screen, back: int, series: Int, day: Int) -> tuple[Int, Bool]:
    """The average slot of each (series, day), and whether there is one."""
    usage, slots, _ = flat_sums(facts, checked, back, series, day)
    return half_away(usage, np.maximum(slots, 1)), slots > 0


def flat_sums(facts: SeriesFacts, checked: Screen, back: int, series: Int, day: Int) -> tuple[Int, Int, Bool]:
    """What the average slot of each (series, day) is made of.

    Returns:
        Sum [micro-unit] and number of slots, 0 where there is no average, and whether they are those of the
        day itself; (k,) each.
    """
    grid = facts.grid
    rows, at = np.unique(series, return_inverse=True)
    eligible = checked.eligible[rows]
    usage = trailing_sum(np.where(eligible, checked.total[rows], 0), back)[at, day]
    slots = trailing_sum(eligible * grid.lengths, back)[at, day]
    itself = slots == 0
    alone = np.flatnonzero(itself)
    if len(alone):
        width = DAY_S * 2 // grid.interval_s
        columns = grid.offsets[day[alone], None] + np.arange(width)
        own = (columns < grid.offsets[day[alone] + 1, None]) & (columns < grid.slots)
        columns = np.minimum(columns, grid.slots - 1)
        good = own & checked.good[series[alone, None], columns]
        count = good.sum(axis=1)
        enough = 2 * count >= grid.lengths[day[alone]]
        own_usage = np.where(good, facts.value[series[alone, None], columns], 0).sum(axis=1)
        usage[alone] = np.where(enough, own_usage, 0)
        slots[alone] = np.where(enough, count, 0)
    return usage, slots, itself
