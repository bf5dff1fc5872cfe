"""Absent slots and the gaps they stand in: what every estimator is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.days import slot_runs
from models.runs import REACH_BACK
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts


@dataclass(frozen=True)
class Gaps:
    """Every absent slot, of expected days and others, shape (k,); columns are those of the grid.

    A gap is a maximal run of absent slots, over midnight too. What a slot of day d sees of its gap ends
    with the days d − 35 … d + 1. A gap whose beginning cannot be told, because the slot before it is not in
    view or never had a value, counts from midnight of d: so nothing depends on where the grid begins.
    """

    facts: SeriesFacts
    checked: Screen

    @cached_property
    def series(self) -> Int:
        """Row of each slot."""
        return self.checked.absent // self.facts.grid.slots

    @cached_property
    def column(self) -> Int:
        """Column of each slot."""
        return self.checked.absent % self.facts.grid.slots

    @cached_property
    def day(self) -> Int:
        """Index of the local day of each slot."""
        return self.facts.grid.day_of_slot[self.column].astype(np.int64)

    @cached_property
    def wanted(self) -> Bool:
        """Slots of expected days of channels that are estimated at all."""
        return self.facts.expected[self.series, self.day] & ~self.facts.instantaneous[self.series]

    @cached_property
    def low(self) -> Int:
        """First column each slot's day may look at."""
        return self.facts.grid.offsets[np.maximum(self.day - REACH_BACK, 0)]

    @cached_property
    def high(self) -> Int:
        """Column after the last one each slot's day may look at."""
        return self.facts.grid.offsets[np.minimum(self.day + 2, self.facts.grid.days)]

    @cached_property
    def _edges(self) -> tuple[Int, Int]:
        runs = slot_runs(self.checked.absent, self.facts.grid, by_day=False)
        return np.repeat(runs.start, runs.lengths), np.repeat(runs.end, runs.lengths)

    @cached_property
    def start(self) -> Int:
        """First column of each slot's gap, as its day sees it."""
        first = self._edges[0]
        told = (first > self.low) & self.facts.have[self.series, np.maximum(first - 1, 0)]
        return np.where(told, first, np.maximum(first, self.facts.grid.offsets[self.day]))

    @cached_property
    def end(self) -> Int:
        """Column after each slot's gap, as its day sees it."""
        return np.minimum(self._edges[1], self.high)

    def at_most(self, minutes: int | None) -> Bool:
        """Slots whose gap, as their day sees it, lasts no longer."""
        if minutes is None:
            return np.ones(len(self.column), np.bool_)
        return (self.end - self.start) * self.facts.grid.interval_s <= minutes * 60
