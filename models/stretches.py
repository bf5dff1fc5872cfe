"""Stretches of the days before that may stand for a segment of a gap, and how far their surroundings differ.

Two ways to the same numbers. Where no clock changes in view, the like of every slot lies a fixed number of
columns before it: runs of slots are compared as wholes. Elsewhere each slot is looked up by its wall clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calendar import DAY_S
from models.days import to_slots
from models.gaps import Gaps
from models.runs import REACH_BACK
from models.series import Bool, Int

MOST_APART = 1 << 40
"""A difference between two slots counts for no more. [micro-unit]"""
BACK = np.arange(1, REACH_BACK + 1)


@dataclass(frozen=True)
class View:
    """What segments may look at.

    Attributes:
        gaps: All absent slots.
        usable: Good slots of days on which the service is connected; (n, slots).
        count: Usable slots before each column of the affected series; (n', slots + 1).
        row: Position in ``count`` of each series, shape (n,).
        first: Index of the first day with a good slot in each absent slot's view; ``days`` where none has.
    """

    gaps: Gaps
    usable: Bool
    count: NDArray[np.int32]
    row: Int
    first: Int

    @classmethod
    def of(cls, gaps: Gaps) -> View:
        """What the segments of these gaps may look at."""
        facts, grid = gaps.facts, gaps.facts.grid
        usable = gaps.checked.good
        if facts.disconnected is not None:
            usable = usable & ~to_slots(facts.disconnected, grid)
        rows, at = np.unique(gaps.series, return_inverse=True)
        row = np.zeros(facts.count, np.int64)
        row[rows] = np.arange(len(rows))
        count = np.zeros((len(rows), grid.slots + 1), np.int32)
        np.cumsum(usable[rows], axis=1, out=count[:, 1:])
        following = np.where(gaps.checked.any_good[rows], np.arange(grid.days), grid.days)
        following = np.minimum.accumulate(following[:, ::-1], axis=1)[:, ::-1]
        first = following[at, np.maximum(gaps.day - REACH_BACK, 0)]
        return cls(gaps, usable, count, row, first)

    def plain(self, day: Int) -> Bool:
        """Days in whose view every local day has 24 hours and the same clock."""
        grid = self.gaps.facts.grid
        odd = (grid.lengths != DAY_S // grid.interval_s) | (grid.wall[grid.offsets[:-1]] != 0)
        before = np.concatenate([[0], np.cumsum(odd)])
        low, high = np.maximum(day - REACH_BACK, 0), np.minimum(day + 2, grid.days)
        result: Bool = before[high] == before[low]
        return result


class Stretches(ABC):
    """Segments with their candidates: one a day back and offset, in that order.

    Attributes:
        view: What may be looked at.
        at: First slot of each segment, positions in the gaps, shape (k,).
        own: Slots that a segment has, the longest of them long; (k, m).
        there: Candidates that lie in view and are usable throughout; (k, c).
    """

    there: Bool

    def __init__(self, view: View, at: Int, offsets: Int, length: Int) -> None:
        gaps = view.gaps
        self.view, self.at, self.offsets = view, at, offsets
        self.own: Bool = np.arange(length.max()) < length[:, None]
        self.series, self.row = gaps.series[at], view.row[gaps.series[at]]
        self.low, self.high = gaps.low[at, None], gaps.high[at, None]
        self.start, self.end, self.column = gaps.start[at, None], gaps.end[at, None], gaps.column[at, None]

    @abstractmethod
    def distance(self, context: int, weight: Int) -> tuple[Int, Int, Int]:
        """How far the surroundings of the candidates are from the gap's own.

        Args:
            context: Slots on each side of the gap.
            weight: Of the slot beside the gap, of the next one, …; (context,).

        Returns:
            Weighted sum of differences and of the weights of compared slots, (k, c) each; sum of the weights
            of the gap's own usable slots, (k,).
        """

    @abstractmethod
    def chosen(self, nearest: Int) -> tuple[Int, Int]:
        """Values of chosen candidates, and the slots beside the gap less those beside them.

        Args:
            nearest: Positions of candidates, (k, w).

        Returns:
            Shapes (k, w, m) and (k, w, 2), the latter 0 where not both can be used.
        """

    @abstractmethod
    def likes(self, segment: int, nearest: Int, within: int) -> Int:
        """Columns of the like of a segment's slot ``within`` in chosen candidates; (w,) from (w,)."""

    def around(self, context: int) -> tuple[Int, Bool, Int]:
        """Slots beside the gap, those before it first, the nearest first on each side; (k, 2 · context) each.

        Returns:
            Columns (0 where they cannot be used), where they can be, and their values.
        """
        away = np.arange(1, context + 1)
        columns = np.concatenate([self.start - away, self.end + away - 1], axis=1)
        own = (columns >= self.low) & (columns < self.high)
        columns = np.where(own, columns, 0)
        own &= self.view.usable[self.series[:, None], columns]
        return columns, own, self.view.gaps.facts.value[self.series[:, None], columns]


class ClockStretches(Stretches):
    """Each slot's like is looked up by its wall clock."""

    def __init__(self, view: View, at: Int, offsets: Int, length: Int) -> None:
        super().__init__(view, at, offsets, length)
        self.columns, good = self._moved(self.column + np.arange(self.own.shape[1]), self.own)
        self.there = np.logical_and.reduce(good | ~self.own[:, None, :], axis=2)

    def _moved(self, columns: Int, among: Bool) -> tuple[Int, Bool]:
        """Column of each slot's like in each candidate, and whether it can be used; (k, c, m) from (k, m)."""
        grid = self.view.gaps.facts.grid
        columns = np.where(among, columns, 0)
        day = grid.day_of_slot[columns][:, None, :] - BACK[:, None]
        same = grid.wall_columns[np.maximum(day, 0), (grid.wall[columns] // grid.interval_s)[:, None, :]]
        # Days before the first good slot count as if they were not on the grid, wherever that begins.
        there = among[:, None, :] & (day >= self.view.first[self.at, None, None]) & (same >= 0)
        moved = same[:, :, None, :].astype(np.int64) + self.offsets[:, None]
        low, high = self.low[:, :, None, None], self.high[:, :, None, None]
        seen = there[:, :, None, :] & (moved >= low) & (moved < high)
        shape = len(columns), REACH_BACK * len(self.offsets), columns.shape[1]
        moved = np.where(seen, moved, 0).reshape(shape)
        good = seen.reshape(shape)
        good &= self.view.usable[self.series[:, None, None], moved]
        return moved, good

    def _apart(self, context: int) -> tuple[Int, Bool, Bool]:
        """The gap's slots less the candidates', 0 where not both are usable; which are; the own."""
        columns, own, mine = self.around(context)
        other, both = self._moved(columns, own)
        theirs = self.view.gaps.facts.value[self.series[:, None, None], other]
        return np.where(both, mine[:, None, :] - theirs, 0), both, own

    def distance(self, context: int, weight: Int) -> tuple[Int, Int, Int]:
        """See :meth:`Stretches.distance`."""
        apart, both, own = self._apart(context)
        weights = np.tile(weight, 2)
        far = (np.minimum(np.abs(apart), MOST_APART) * weights).sum(axis=2)
        return far, (both * weights).sum(axis=2), (own * weights).sum(axis=1)

    def chosen(self, nearest: Int) -> tuple[Int, Int]:
        """See :meth:`Stretches.chosen`."""
        pick = np.arange(len(nearest))[:, None]
        values = self.view.gaps.facts.value[self.series[:, None, None], self.columns[pick, nearest]]
        return values, self._apart(1)[0][pick, nearest]

    def likes(self, segment: int, nearest: Int, within: int) -> Int:
        """See :meth:`Stretches.likes`."""
        columns: Int = self.columns[segment, nearest, within]
        return columns


class ShiftedStretches(Stretches):
    """Each slot's like lies a fixed number of columns before it."""

    def __init__(self, view: View, at: Int, offsets: Int, length: Int) -> None:
        super().__init__(view, at, offsets, length)
        grid = view.gaps.facts.grid
        back = BACK * (DAY_S // grid.interval_s)
        self.back = np.repeat(back, len(offsets))
        self.shift = (offsets - back[:, None]).ravel()
        begin = np.minimum(view.first[at], grid.days)
        self.floor = grid.offsets[begin][:, None]
        self.there = self._whole(self.column, length[:, None])

    def _whole(self, column: Int, length: Int | int) -> Bool:
        """Candidates whose likes of ``length`` slots from a column on can all be used; (k, c) from (k, 1)."""
        first = column + self.shift
        inside = (column - self.back >= self.floor) & (first >= self.low) & (first + length <= self.high)
        first = np.where(inside, first, 0)
        row = self.row[:, None]
        end = np.minimum(first + length, self.view.count.shape[1] - 1)
        whole: Bool = inside & (self.view.count[row, end] - self.view.count[row, first] == length)
        return whole

    def distance(self, context: int, weight: Int) -> tuple[Int, Int, Int]:
        """See :meth:`Stretches.distance`."""
        columns, own, mine = self.around(context)
        far, compared = np.zeros(self.there.shape, np.int64), np.zeros(self.there.shape, np.int64)
        sides = (slice(0, context), self.start - context, True), (slice(context, None), self.end, False)
        for part, first, backwards in sides:
            complete = np.logical_and.reduce(own[:, part], axis=1)[:, None]
            whole: Bool = complete & self.there & self._whole(first, context)
            k, c = np.nonzero(whole)
            if len(k):
                runs = np.lib.stride_tricks.sliding_window_view(self.view.gaps.facts.value, context, axis=1)
                apart = runs[self.series[k], first[k, 0] + self.shift[c]]
                apart -= (mine[:, part][:, ::-1] if backwards else mine[:, part])[k]
                far[k, c] += _weighted(apart, weight[::-1] if backwards else weight)
                compared[k, c] += int(weight.sum())
            some = np.logical_or.reduce(own[:, part], axis=1)[:, None]
            k, c = np.nonzero(self.there & ~whole & some)
            if len(k):
                apart, both = self._apart(k, c, columns[:, part], own[:, part], mine[:, part])
                far[k, c] += _weighted(apart, weight)
                compared[k, c] += both @ weight
        return far, compared, (own * np.tile(weight, 2)).sum(axis=1)

    def _apart(self, k: Int, c: Int, columns: Int, own: Bool, mine: Int) -> tuple[Int, Bool]:
        """Differences slot by slot of chosen (segment, candidate) pairs, 0 where not both can be used."""
        base = columns[k] - self.back[c, None]
        other = columns[k] + self.shift[c, None]
        both = own[k] & (base >= self.floor[k]) & (other >= self.low[k]) & (other < self.high[k])
        other = np.where(both, other, 0)
        both &= self.view.usable[self.series[k, None], other]
        theirs = self.view.gaps.facts.value[self.series[k, None], other]
        return np.where(both, mine[k] - theirs, 0), both

    def chosen(self, nearest: Int) -> tuple[Int, Int]:
        """See :meth:`Stretches.chosen`."""
        pick = np.arange(len(nearest))[:, None]
        taken = self.there[pick, nearest]
        columns = np.where(taken, self.column + self.shift[nearest], 0)[:, :, None] + np.arange(
            self.own.shape[1]
        )
        columns = np.minimum(columns, self.view.gaps.facts.grid.slots - 1)
        values = self.view.gaps.facts.value[self.series[:, None, None], columns]
        k, c = np.broadcast_to(pick, nearest.shape).ravel(), nearest.ravel()
        edges, _ = self._apart(k, c, *self.around(1))
        return values, edges.reshape(*nearest.shape, 2)

    def likes(self, segment: int, nearest: Int, within: int) -> Int:
        """See :meth:`Stretches.likes`."""
        columns: Int = self.column[segment, 0] + self.shift[nearest] + within
        return columns


def _weighted(apart: Int, weight: Int) -> Int:
    """Weighted sum of absolute differences, each at most ``MOST_APART``; (m,) from (m, context)."""
    np.abs(apart, out=apart)
    if apart.max(initial=0) > MOST_APART:
        np.minimum(apart, MOST_APART, out=apart)
    result: Int = np.einsum("mc,c->m", apart, weight)
    return result
