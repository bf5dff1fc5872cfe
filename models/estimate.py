"""Estimates of absent slots before any register is looked at, in the order the pack names (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.beside import beside_channel
from models.class_profile import class_profile
from models.days import half_away
from models.flat import flat
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
        for step, any_length in _asked_for(forced, pack):
            here = gaps.wanted & (forced == Method[step.method.upper()])
            yield step, here if any_length else here & gaps.at_most(step.max_minutes)
    for step in pack.estimation.order:
        here = gaps.wanted & gaps.at_most(step.max_minutes)
        yield step, here if forced is None else here & (forced <= 0)


def _asked_for(forced: NDArray[np.int8], pack: RulePack) -> Iterator[tuple[AnyStep, bool]]:
    """Steps of the methods that edits name, and whether a step is for any length: the pack's own where it has
    the method, the last of them for any.
    """
    for code in np.unique(forced[forced > 0]).tolist():
        name = Method(code).name.lower()
        own = [step for step in pack.estimation.order if step.method == name] or [step_of(name)]
        for step in own:
            yield step, step is own[-1]


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


ESTIMATORS: dict[str, Callable[[Gaps, Int, Any, RulePack], tuple[Int, Bool]]] = {
    "check": beside_channel,
    "linear": linear,
    "similar": similar,
    "like_day": like_day,
    "two_week": two_week,
    "multi_week": multi_week,
    "class_profile": class_profile,
    "previous_year": beside_channel,
    "proxy_day": beside_channel,
    "flat": flat,
}
"""Each takes the gaps, the positions to estimate, its step and the pack; and gives values and where."""
