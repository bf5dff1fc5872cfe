"""Estimates of absent slots before any register is looked at, in the order the pack names (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calendar import DAY_S
from models.days import half_away, trailing_sum
from models.gaps import Gaps
from models.like_days import like_day, multi_week, two_week
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from models.similar import similar
from schemas.estimators import AnyStep, LinearStep, step_of
from schemas.quality import Method
from schemas.rulepack import RulePack


@dataclass(frozen=True)
class Estimates:
    """Unscaled estimates of the absent slots of expected days.

    Attributes:
        slot: Flat slot numbers, increasing, shape (k,).
        value: 0 where no estimator applies, shape (k,). [micro-unit]
        method: schemas.quality.Method, NONE where no estimator applies, shape (k,).
    """

    slot: Int
    value: Int
    method: NDArray[np.int8]


def estimate(facts: SeriesFacts, checked: Screen, pack: RulePack) -> Estimates:
    """The first estimate of the pack's order that can be made for each absent slot of an expected day."""
    gaps = Gaps(facts, checked)
    value = np.zeros(len(gaps.column), np.int64)
    method = np.zeros(len(gaps.column), np.int8)
    for tried in attempts(gaps, pack):
        made = tried.left[tried.found]
        value[made], method[made] = tried.value[tried.found], Method[tried.step.method.upper()]
    wanted = gaps.wanted
    return Estimates(checked.absent[wanted], value[wanted], method[wanted])


@dataclass(frozen=True)
class Attempt:
    """What one estimator made of the slots that had no estimate when its turn came.

    Attributes:
        step: The estimator.
        left: The slots it was tried on, positions in the gaps, shape (k,).
        value, found: Estimates [micro-unit] and where there is one; (k,) each.
    """

    step: AnyStep
    left: Int
    value: Int
    found: Bool


def attempts(gaps: Gaps, pack: RulePack) -> Iterator[Attempt]:
    """Estimator after estimator, each on the slots that those before it left."""
    bare = np.ones(len(gaps.column), np.bool_)
    for step, chosen in _turns(gaps, pack):
        left = np.flatnonzero(chosen & bare)
        if len(left):
            value, found = ESTIMATORS[step.method](gaps, left, step, pack)
            bare[left[found]] = False
            yield Attempt(step, left, value, found)


def _turns(gaps: Gaps, pack: RulePack) -> Iterator[tuple[AnyStep, Bool]]:
    """The estimators in their order and the slots each may be tried on; first those that edits name."""
    facts = gaps.facts
    forced = None if facts.forced is None else facts.forced.ravel()[gaps.checked.absent]
    if forced is not None:
        for step in _asked_for(forced, pack):
            yield step, gaps.wanted & (forced == Method[step.method.upper()])
    for step in pack.estimation.order:
        here = gaps.wanted & gaps.at_most(step.max_minutes)
        yield step, here if forced is None else here & (forced <= 0)


def _asked_for(forced: NDArray[np.int8], pack: RulePack) -> list[AnyStep]:
    """Steps of the methods that edits name: with the pack's parameters where it has them, for any length."""
    own = {step.method: step for step in reversed(pack.estimation.order)}
    names = [Method(code).name.lower() for code in np.unique(forced[forced > 0]).tolist()]
    return [own[name] if name in own else step_of(name) for name in names]


def linear(gaps: Gaps, left: Int, step: LinearStep, pack: RulePack) -> tuple[Int, Bool]:
    """A straight line between the slots before and after the gap, both good.

    Args:
        gaps: All absent slots.
        left: Those to estimate, positions in ``gaps``, shape (k,).
        step: Its limit is applied by the caller, for every estimator alike.
        pack: Not used.

    Returns:
        Values [micro-unit] and where there is one; (k,) each.
    """
    facts, series, end = gaps.facts, gaps.series[left], gaps.end[left]
    found = (gaps.start[left] > 0) & (end < facts.grid.slots)
    before, after = beside(gaps, left)
    found &= gaps.checked.good[series, before] & gaps.checked.good[series, after]
    first, last = facts.value[series, before], facts.value[series, after]
    return first + half_away((last - first) * (gaps.column[left] - before), end - before), found


def beside(gaps: Gaps, left: Int) -> tuple[Int, Int]:
    """Columns of the slots before and after the gaps of some slots, kept on the grid; (k,) each."""
    return np.maximum(gaps.start[left] - 1, 0), np.minimum(gaps.end[left], gaps.facts.grid.slots - 1)


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


ESTIMATORS: dict[str, Callable[[Gaps, Int, Any, RulePack], tuple[Int, Bool]]] = {
    "linear": linear,
    "similar": similar,
    "like_day": like_day,
    "two_week": two_week,
    "multi_week": multi_week,
    "flat": flat,
}
"""Each takes the gaps, the positions to estimate, its step and the pack; and gives values and where."""
