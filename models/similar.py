"""Estimates from similar stretches: what the meter did before when its surroundings looked like these.

Nearest neighbours in the series itself. A household's load is on and off, not noise around a mean: the hours
beside a gap tell which of its habits it was in, and the days on which they looked alike tell what followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from models.calendar import DAY_S
from models.days import half_away
from models.gaps import Gaps
from models.like_days import day_types
from models.runs import REACH_BACK
from models.series import Bool, Int
from models.stretches import BACK, MOST_APART, ClockStretches, ShiftedStretches, Stretches, View
from schemas.estimators import SimilarStep
from schemas.rulepack import RulePack

CONTEXT_GAPS = 4
"""Surroundings on each side, in lengths of the gap …"""
CONTEXT_MIN_S, CONTEXT_MAX_S = 3_600, DAY_S
"""… but no less and no more than these. [s]"""
SHIFT_STEP_S = 1_800
"""Stretches are tried at steps of this, or of one slot where slots are longer. [s]"""
NEAREST_WEIGHT = 10_000
"""Weight of the slots beside the gap; those i slots away weigh ⌊this / i⌋."""
FARTHEST = 32 * MOST_APART
"""Beyond the distance of any candidate."""
CELLS = 1 << 21
"""Slots compared at once: bounds memory."""


def similar(gaps: Gaps, left: Int, step: SimilarStep, pack: RulePack) -> tuple[Int, Bool]:
    """Middle mean of the stretches most like the gap, moved half way to the gap's own neighbours; (k,) each.

    Works on segments: slots to estimate that follow each other in one local day. docs/vee.md states the rule.
    """
    value, found = np.zeros(len(left), np.int64), np.zeros(len(left), np.bool_)
    first, length = segments(gaps, left)
    offsets = offsets_of(step, gaps.facts.grid.interval_s)
    at = left[first]
    context = context_of(gaps, at)
    view = View.of(gaps)
    plain = view.plain(gaps.day[at])
    for chunk in _alike(length, context, plain, REACH_BACK * len(offsets)):
        kind = ShiftedStretches if plain[chunk[0]] else ClockStretches
        stretches = kind(view, at[chunk], offsets, length[chunk])
        values, made = _estimate(stretches, int(context[chunk[0]]), step)
        filled = stretches.own & made[:, None]
        row, place = np.nonzero(filled)
        where = first[chunk][row] + place
        value[where], found[where] = values[filled], True
    return value, found


def segments(gaps: Gaps, left: Int) -> tuple[Int, Int]:
    """First position in ``left`` and length of each run of slots of one gap and local day; (s,) each."""
    new = np.ones(len(left), np.bool_)
    new[1:] = (np.diff(gaps.checked.absent[left]) != 1) | (np.diff(gaps.day[left]) != 0)
    new[1:] |= np.diff(gaps.series[left]) != 0
    first = np.flatnonzero(new)
    return first, np.diff(np.append(first, len(left)))


def context_of(gaps: Gaps, at: Int) -> Int:
    """Slots of surroundings on each side of the gaps of some slots; (k,)."""
    interval_s = gaps.facts.grid.interval_s
    least = max(CONTEXT_MIN_S // interval_s, 1)
    most = max(CONTEXT_MAX_S // interval_s, least)
    context: Int = np.clip(CONTEXT_GAPS * (gaps.end[at] - gaps.start[at]), least, most)
    return context


def offsets_of(step: SimilarStep, interval_s: int) -> Int:
    """Columns a stretch may begin off its wall clock, nearest first."""
    pitch = max(SHIFT_STEP_S // interval_s, 1)
    most = step.shift_minutes * 60 // (pitch * interval_s)
    return np.array(sorted(range(-most, most + 1), key=lambda i: (abs(i), i)), np.int64) * pitch


def _alike(length: Int, context: Int, plain: Bool, candidates: int) -> Iterator[Int]:
    """Segments of one context and kind, of about the same length, few enough to be compared at once."""
    shape = context * 2 + plain
    order = np.lexsort((length, shape))
    edges = np.flatnonzero(np.diff(shape[order], prepend=-1, append=-1))
    for low, high in pairwise(edges.tolist()):
        one = candidates * int(2 * context[order[low]] + length[order[high - 1]])
        size = max(1, CELLS // one)
        for start in range(low, high, size):
            yield order[start : min(start + size, high)]


def _estimate(stretches: Stretches, context: int, step: SimilarStep) -> tuple[Int, Bool]:
    """Values of each segment and whether there are enough candidates; (k, longest) and (k,)."""
    nearest, _, made = nearest_of(stretches, context, step)
    gaps, at = stretches.view.gaps, stretches.at
    taken = np.sort(pulled(stretches, nearest)[2], axis=1)
    cut = step.windows // 4
    middle = taken[:, cut : step.windows - cut]
    mean = half_away(middle.sum(axis=1), np.array(max(middle.shape[1], 1)))
    one_way = gaps.facts.one_directional[gaps.series[at], None]
    return np.where(one_way, np.maximum(mean, 0), mean), made


def nearest_of(stretches: Stretches, context: int, step: SimilarStep) -> tuple[Int, Int, Bool]:
    """The candidates most like each segment, in no order.

    Returns:
        Their positions and distances [micro-unit], (k, windows) each, and whether there are enough; (k,).
    """
    apart, compared, own = stretches.distance(context, NEAREST_WEIGHT // np.arange(1, context + 1))
    there = stretches.there & (compared > 0) & (2 * compared >= own[:, None])
    made = there.sum(axis=1) >= step.windows
    candidates = there.shape[1]
    far = apart // np.maximum(compared, 1)
    if step.other_days:
        far = np.where(_other_days(stretches), far * (100 + step.other_days) // 100, far)
    far = np.where(there, far, FARTHEST)
    key = far * candidates + np.arange(candidates)
    most = min(step.windows, candidates)
    nearest = np.argpartition(key, most - 1, axis=1)[:, :most]  # keys differ: the same set, however found
    return nearest, np.take_along_axis(far, nearest, axis=1), made


def _other_days(stretches: Stretches) -> Bool:
    """Candidates on days of another type than the segment's; (k, c)."""
    facts = stretches.view.gaps.facts
    types = day_types(facts.grid, facts.holidays)
    day = stretches.view.gaps.day[stretches.at, None]
    others: Bool = types[np.maximum(day - BACK, 0)] != types[day]
    return np.repeat(others, len(stretches.offsets), axis=1)


def pulled(stretches: Stretches, nearest: Int) -> tuple[Int, Int, Int]:
    """Values of chosen candidates, how much the gap's two neighbours differ, and the values moved there.

    Half way; three quarters of it where one slot is missing, which its neighbours tell most about.

    Returns:
        Shapes (k, w, m), (k, w, 2) and (k, w, m). [micro-unit]
    """
    gaps, at = stretches.view.gaps, stretches.at
    taken, edges = stretches.chosen(nearest)
    span = (gaps.end[at] - gaps.start[at] + 1)[:, None, None]
    position = (gaps.column[at] - gaps.start[at] + 1)[:, None, None] + np.arange(taken.shape[2])
    pull = edges[:, :, [0]] * (span - position) + edges[:, :, [1]] * position
    single = span == 2
    return taken, edges, taken + half_away(np.where(single, 3, 2) * pull, 4 * span)
