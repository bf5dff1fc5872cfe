"""Final slots of many meters, ready to be priced; the energy of each run is summed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from models.calendar import DayGrid
from models.days import per_day
from models.series import Bool, Int
from models.tou import classify, run_sums
from schemas.tariff import Tariff

__all__ = ["Loads", "contiguous"]


@dataclass(frozen=True)
class Loads:
    """Final slots of n meters of one interval length.

    Attributes:
        grid: The days.
        meters: Meter ids, shape (n,).
        imported: Shape (n, slots). [micro-unit]
        exported: Shape (n, slots), None where no meter exports. [micro-unit]
        exports: Days in the range of a meter's export channel; (n, days).
        first_day: First epoch day of each meter's range, shape (n,).
        lost: Slots without a value that can be billed; (n, slots).
        made: Estimated and substituted slots; (n, slots).
        outside: Slots that are not to be billed at all; (n, slots), None where there are none.
    """

    grid: DayGrid
    meters: Sequence[str]
    imported: Int
    exported: Int | None
    exports: Bool
    first_day: Int
    lost: Bool
    made: Bool
    outside: Bool | None = None
    _runs: dict[tuple[Tariff, bool], tuple[Int, Bool]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def missing(self) -> Int:
        """Slots without a value by day; (n, days)."""
        counts: Int = per_day(np.add.reduce, self.lost.view(np.int8), self.grid).astype(np.int64)
        return counts

    @cached_property
    def estimated(self) -> Int:
        """Estimated and substituted slots by day; (n, days)."""
        counts: Int = per_day(np.add.reduce, self.made.view(np.int8), self.grid).astype(np.int64)
        return counts

    def due(self, rows: Int, days: slice) -> Int:
        """Slots of some days that are to be billed; (k,)."""
        slots = np.full(len(rows), int(self.grid.lengths[days].sum()), np.int64)
        if self.outside is None:
            return slots
        columns = slice(int(self.grid.offsets[days.start]), int(self.grid.offsets[days.stop]))
        outside: Int = self.outside[rows, columns].sum(axis=1)
        return slots - outside

    def fed_in(self, *, netted: bool) -> Int | None:
        """Export of all meters, None where it can make no difference; (n, slots).

        Where import and export are set off, a negative import (failed, or set by an edit) is export, also of
        a meter that has no export channel and whoever is priced beside it.
        """
        if self.exported is not None or not netted or not self._some_negative:
            return self.exported
        return self._no_export

    @cached_property
    def _some_negative(self) -> bool:
        return bool(self.imported.min(initial=0) < 0)

    @cached_property
    def _no_export(self) -> Int:
        return np.zeros_like(self.imported)

    def runs(self, tariff: Tariff, rows: Int, *, exported: bool = False) -> Int:
        """Energy of each run of one period within a day (``classify`` over the grid); (k, runs).

        Each row is summed once a tariff, whatever asks for it.
        """
        load = self.exported if exported else self.imported
        assert load is not None
        periods = classify(tariff, self.grid)
        if (tariff, exported) not in self._runs:
            known = np.zeros(len(load), np.bool_)
            self._runs[tariff, exported] = np.empty((len(load), len(periods.edges)), np.int64), known
        sums, known = self._runs[tariff, exported]
        new = np.unique(rows[~known[rows]])
        if len(new):
            sums[new] = run_sums(load[contiguous(new)], periods)
            known[new] = True
        return sums[contiguous(rows)]


def contiguous(rows: Int) -> Int | slice:
    """Rows as a slice where they follow each other: indexing with it copies nothing."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
