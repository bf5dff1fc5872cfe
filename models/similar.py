"""Estimates from similar stretches: what the meter did before when its surroundings looked like these.

Nearest neighbours in the series itself. A household's load is on and off, not noise around a mean: the hours
beside a gap tell which of its habits it was in, and the days on which they looked alike tell what followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from models.calendar import DAY_S
from models.days import half_away, to_slots
from models.gaps import Gaps
from models.runs import REACH_BACK
from models.series import Bool, Int
from schemas.estimators import SimilarStep
from schemas.rulepack import RulePack

CONTEXT_GAPS = 4
"""Surroundings on each side, in lengths of the gap …"""
CONTEXT_MIN_S, CONTEXT_MAX_S = 3_600, DAY_S
"""… but no less and no more than these. [s]"""
SHIFT_STEP_S = 900
"""Stretches are tried at steps of this, or of one slot where slots are longer. [s]"""
NEAREST_WEIGHT = 10_000
"""Weight of the slots beside the gap; those i slots away weigh ⌊this / i⌋."""
MOST_APART = 1 << 40
"""A difference between two slots counts for no more. [micro-unit]"""
CELLS = 1 << 21
"""Slots compared at once: bounds memory."""


def similar(gaps: Gaps, left: Int, step: SimilarStep, pack: RulePack) -> tuple[Int, Bool]:
    """Middle mean of the stretches most like the gap, moved half way to the gap's own neighbours; (k,) each.

    Works on segments: slots to estimate that follow each other in one local day. docs/vee.md states the rule.
    """
    value, found = np.zeros(len(left), np.int64), np.zeros(len(left), np.bool_)
    new = np.ones(len(left), np.bool_)
    new[1:] = (np.diff(gaps.checked.absent[left]) != 1) | (np.diff(gaps.day[left]) != 0)
    new[1:] |= np.diff(gaps.series[left]) != 0
    first = np.flatnonzero(new)
    length = np.diff(np.append(first, len(left)))
    interval_s = gaps.facts.grid.interval_s
    offsets = _offsets(step, interval_s)
    least = max(CONTEXT_MIN_S // interval_s, 1)
    at = left[first]
    context = np.clip(
        CONTEXT_GAPS * (gaps.end[at] - gaps.start[at]), least, max(CONTEXT_MAX_S // interval_s, least)
    )
    usable = _usable(gaps)
    for chunk in _alike(length, context, REACH_BACK * len(offsets)):
        size = int(length[chunk[0]])
        stretches = _Stretches(gaps, at[chunk], usable, offsets, size)
        values, made = _estimate(stretches, int(context[chunk[0]]), step.windows)
        where = first[chunk][made][:, None] + np.arange(size)
        value[where], found[where] = values[made], True
    return value, found


def _offsets(step: SimilarStep, interval_s: int) -> Int:
    """Columns a stretch may begin off its wall clock, nearest first."""
    pitch = max(SHIFT_STEP_S // interval_s, 1)
    most = step.shift_minutes * 60 // (pitch * interval_s)
    return np.array(sorted(range(-most, most + 1), key=lambda i: (abs(i), i)), np.int64) * pitch


def _usable(gaps: Gaps) -> Bool:
    """Good slots of days on which the service is connected; (n, slots)."""
    if gaps.facts.disconnected is None:
        return gaps.checked.good
    result: Bool = gaps.checked.good & ~to_slots(gaps.facts.disconnected, gaps.facts.grid)
    return result


def _alike(length: Int, context: Int, candidates: int) -> Iterator[Int]:
    """Segments of equal length and context, few enough to be compared at once."""
    shape = length * (int(context.max(initial=0)) + 1) + context
    order = np.argsort(shape, kind="stable")
    edges = np.flatnonzero(np.diff(shape[order], prepend=-1, append=-1))
    for low, high in pairwise(edges.tolist()):
        one = candidates * int(2 * context[order[low]] + length[order[low]])
        size = max(1, CELLS // one)
        for start in range(low, high, size):
            yield order[start : min(start + size, high)]


class _Stretches:
    """Segments of one length, and the stretches of the days before that begin near the same wall clock.

    Attributes:
        gaps: All absent slots.
        at: First slot of each segment, positions in ``gaps``, shape (k,).
        columns: Columns of each candidate's stretch, the latest day first; (k, c, length).
        there: Whether all of it lies in view and is usable; (k, c).
    """

    def __init__(self, gaps: Gaps, at: Int, usable: Bool, offsets: Int, length: int) -> None:
        self.gaps, self.at, self.usable, self.offsets = gaps, at, usable, offsets
        self.row, self.low, self.high = gaps.series[at], gaps.low[at, None], gaps.high[at, None]
        own = gaps.column[at, None] + np.arange(length)
        self.columns, good = self._moved(own, np.ones(own.shape, np.bool_))
        self.there: Bool = np.logical_and.reduce(good, axis=2)

    def _moved(self, columns: Int, among: Bool) -> tuple[Int, Bool]:
        """Where each candidate has the like of some slots of the gap's time, and whether it can be used.

        So many days before at the same wall clock, then the candidate's offset.

        Args:
            columns: Shape (k, m); within the grid where ``among``.
            among: Those that matter, shape (k, m).
        """
        grid = self.gaps.facts.grid
        columns = np.where(among, columns, 0)
        day = grid.day_of_slot[columns][:, None, :] - np.arange(1, REACH_BACK + 1)[:, None]
        same = grid.wall_columns[np.maximum(day, 0), (grid.wall[columns] // grid.interval_s)[:, None, :]]
        there = among[:, None, :] & (day >= 0) & (same >= 0)
        # Days without any reading count as if they were not on the grid, wherever that begins.
        there &= self.gaps.checked.any_good[self.row[:, None, None], np.maximum(day, 0)]
        moved = same[:, :, None, :].astype(np.int64) + self.offsets[:, None]
        seen = (
            there[:, :, None, :]
            & (moved >= self.low[:, :, None, None])
            & (moved < self.high[:, :, None, None])
        )
        shape = len(columns), REACH_BACK * len(self.offsets), columns.shape[1]
        moved = np.where(seen, moved, 0).reshape(shape)
        good = seen.reshape(shape)
        good &= self.usable[self.row[:, None, None], moved]
        return moved, good

    def values(self, columns: Int) -> Int:
        """Values at columns; (k, c, m)."""
        result: Int = self.gaps.facts.value[self.row[:, None, None], columns]
        return result

    def surroundings(self, context: int) -> tuple[Int, Bool, Bool]:
        """How far each candidate's surroundings are from the gap's own, slot by slot.

        Returns:
            The gap's slot less the candidate's, 0 where not both are usable, (k, c, 2 · context): those
            before the gap first, from the nearest to the farthest; whether both are usable; and whether the
            gap's own is, (k, 2 · context).
        """
        away = np.arange(1, context + 1)
        start, end = self.gaps.start[self.at, None], self.gaps.end[self.at, None]
        around = np.concatenate([start - away, end + away - 1], axis=1)
        own = (around >= self.low) & (around < self.high)
        around = np.where(own, around, 0)
        own &= self.usable[self.row[:, None], around]
        other, both = self._moved(around, own)
        both &= self.there[:, :, None]
        mine = self.gaps.facts.value[self.row[:, None], around]
        return np.where(both, mine[:, None, :] - self.values(other), 0), both, own


def _estimate(stretches: _Stretches, context: int, windows: int) -> tuple[Int, Bool]:
    """Values of each segment and whether there are enough candidates; (k, length) and (k,)."""
    apart, both, own = stretches.surroundings(context)
    weight = np.tile(NEAREST_WEIGHT // np.arange(1, context + 1), 2)
    compared = (both * weight).sum(axis=2)
    there = stretches.there & (compared > 0) & (2 * compared >= (own * weight).sum(axis=1)[:, None])
    distance = (np.minimum(np.abs(apart), MOST_APART) * weight).sum(axis=2) // np.maximum(compared, 1)
    distance[~there] = np.iinfo(np.int64).max
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :windows]
    made = there.sum(axis=1) >= windows

    pick = np.arange(len(made))[:, None]
    gaps, at = stretches.gaps, stretches.at
    columns = stretches.columns[pick, nearest]
    taken = stretches.values(columns)
    before, after = apart[pick, nearest][:, :, [0]], apart[pick, nearest][:, :, [context]]
    span = (gaps.end[at] - gaps.start[at] + 1)[:, None, None]
    position = (gaps.column[at] - gaps.start[at] + 1)[:, None, None] + np.arange(columns.shape[2])
    pull = before * (span - position) + after * position
    taken = np.sort(taken + half_away(pull, 2 * span), axis=1)
    cut = windows // 4
    middle = taken[:, cut : windows - cut]
    mean = half_away(middle.sum(axis=1), np.array(middle.shape[1]))
    one_way = gaps.facts.one_directional[stretches.row, None]
    return np.where(one_way, np.maximum(mean, 0), mean), made
