"""Where an unscaled estimate comes from: its references, as the estimator itself chose them (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.beside import rows_beside
from models.estimate import Attempt, attempts, beside
from models.flat import flat_sums
from models.gaps import Gaps
from models.like_days import columns_at_wall, like_days, multi_week_days, two_week_days
from models.screen import Screen
from models.series import Int, SeriesFacts
from models.similar import context_of, nearest_of, offsets_of, pulled, segments
from models.stretches import ClockStretches, ShiftedStretches, View
from schemas.rulepack import RulePack

__all__ = ["Origin", "Reference", "origin"]


@dataclass(frozen=True)
class Reference:
    """A value that an estimate was made of.

    Attributes:
        start: Second of its slot, or of the first of its slots, UTC. [s]
        slots: How many they are.
        value: Of the slot, or the sum. [micro-unit]
        distance: Of a similar stretch, from the gap's surroundings. [micro-unit]
        before, after: The gap's neighbour less the stretch's, on each side. [micro-unit]
        moved: The value moved towards the gap's neighbours. [micro-unit]
        counted: Whether it is among the middle ones.
    """

    start: int
    slots: int
    value: int
    distance: int | None = None
    before: int | None = None
    after: int | None = None
    moved: int | None = None
    counted: bool = True


@dataclass(frozen=True)
class Origin:
    """How an estimate came about, before any register was looked at.

    Attributes:
        method: Name of the estimator.
        value: The estimate. [micro-unit]
        number, length: The slot is number 1 … length of its gap, as its day sees it.
        references: In time order; of ``similar`` the nearest first.
    """

    method: str
    value: int
    number: int
    length: int
    references: tuple[Reference, ...]


def origin(facts: SeriesFacts, checked: Screen, pack: RulePack, slot: int) -> Origin | None:
    """Where the estimate of one slot comes from; None where no estimator of the pack made one.

    Args:
        facts: As edits left them, with the pack's holidays.
        checked: The screen of all days.
        pack: In force on the slot's day.
        slot: Flat.
    """
    gaps = Gaps(facts, checked)
    at = int(np.searchsorted(checked.absent, slot))
    if at == len(checked.absent) or checked.absent[at] != slot:
        return None
    for tried in attempts(gaps, pack):
        place = int(np.searchsorted(tried.left, at))
        if place < len(tried.left) and tried.left[place] == at and tried.found[place]:
            length = int(gaps.end[at] - gaps.start[at])
            number = int(gaps.column[at] - gaps.start[at]) + 1
            found = REFERENCES[tried.step.method](gaps, tried, place, pack)
            return Origin(tried.step.method, int(tried.value[place]), number, length, tuple(found))
    return None


def _slots(gaps: Gaps, series: int, columns: list[int]) -> list[Reference]:
    """Single slots as references."""
    facts, starts = gaps.facts, gaps.facts.grid.starts
    return [Reference(int(starts[column]), 1, int(facts.value[series, column])) for column in columns]


def _neighbours(gaps: Gaps, tried: Attempt, place: int, pack: RulePack) -> list[Reference]:
    """The good slots before and after the gap."""
    left = tried.left[[place]]
    columns = [int(side[0]) for side in beside(gaps, left)]
    return _slots(gaps, int(gaps.series[left[0]]), columns)


def _beside(gaps: Gaps, tried: Attempt, place: int, pack: RulePack) -> list[Reference]:
    """The slot of the channel beside."""
    at = tried.left[place]
    row = int(rows_beside(gaps.facts, tried.step.method)[gaps.series[at]])
    return _slots(gaps, row, [int(gaps.column[at])])


def _days(choose: Callable[[Gaps, Int, Any], Int]) -> Callable[..., list[Reference]]:
    """The slots at the same wall clock of the days that an estimator chooses."""

    def found(gaps: Gaps, tried: Attempt, place: int, pack: RulePack) -> list[Reference]:
        left = tried.left[[place]]
        columns = columns_at_wall(gaps.facts.grid, choose(gaps, left, tried.step), gaps.column[left])[0]
        return _slots(gaps, int(gaps.series[left[0]]), sorted(columns[columns >= 0].tolist()))

    return found


def _flat_days(gaps: Gaps, tried: Attempt, place: int, pack: RulePack) -> list[Reference]:
    """The eligible days before as a whole, or the good slots of the day itself."""
    grid, facts, checked = gaps.facts.grid, gaps.facts, gaps.checked
    at = tried.left[place]
    series, day = int(gaps.series[at]), int(gaps.day[at])
    back = pack.averages.days
    _, _, itself = flat_sums(facts, checked, back, np.array([series]), np.array([day]))
    if itself[0]:
        own = np.arange(grid.offsets[day], grid.offsets[day + 1])
        return _slots(gaps, series, own[checked.good[series, own]].tolist())
    first = max(day - back, 0)
    days = first + np.flatnonzero(checked.eligible[series, first:day])
    return [
        Reference(int(grid.starts[grid.offsets[d]]), int(grid.lengths[d]), int(checked.total[series, d]))
        for d in days.tolist()
    ]


def _stretches(gaps: Gaps, tried: Attempt, place: int, pack: RulePack) -> list[Reference]:
    """The slots of the similar stretches, what their neighbours differ by, and which are the middle ones."""
    step: Any = tried.step
    first, length = segments(gaps, tried.left)
    segment = int(np.searchsorted(first, place, side="right")) - 1
    at = tried.left[first[[segment]]]
    view, offsets = View.of(gaps), offsets_of(step, gaps.facts.grid.interval_s)
    kind = ShiftedStretches if view.plain(gaps.day[at])[0] else ClockStretches
    stretches = kind(view, at, offsets, length[[segment]])
    nearest, distance, _ = nearest_of(stretches, int(context_of(gaps, at)[0]), step)
    value, edges, moved = pulled(stretches, nearest)
    within = place - int(first[segment])
    cut, rank = step.windows // 4, np.argsort(np.argsort(moved[0, :, within], kind="stable"))
    starts = gaps.facts.grid.starts[stretches.likes(0, nearest[0], within)]
    return [
        Reference(
            start=int(starts[i]),
            slots=1,
            value=int(value[0, i, within]),
            distance=int(distance[0, i]),
            before=int(edges[0, i, 0]),
            after=int(edges[0, i, 1]),
            moved=int(moved[0, i, within]),
            counted=bool(cut <= rank[i] < step.windows - cut),
        )
        for i in np.lexsort((nearest[0], distance[0])).tolist()
    ]


REFERENCES: dict[str, Callable[[Gaps, Attempt, int, RulePack], list[Reference]]] = {
    "check": _beside,
    "linear": _neighbours,
    "similar": _stretches,
    "like_day": _days(like_days),
    "two_week": _days(two_week_days),
    "multi_week": _days(multi_week_days),
    "class_profile": _flat_days,
    "previous_year": _beside,
    "proxy_day": _beside,
    "flat": _flat_days,
}
"""Beside ``ESTIMATORS``: what each made a slot's estimate of."""
