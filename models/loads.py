"""Final slots of many loads, ready to be priced; the energy of each run is summed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.series import Bool, Int
from models.tou import classify, run_sums
from schemas.tariff import Tariff

__all__ = ["Codes", "Loads", "contiguous"]

Codes = NDArray[np.int8]


@dataclass(frozen=True)
class Loads:
    """Final slots of n loads of one interval length.

    Attributes:
        grid: The days.
        names: Of the rows: meter ids, or names of loads that several meters make up.
        units: Of what is drawn: kWh or m3; (n,).
        imported: Shape (n, slots). [micro-unit]
        exported: Shape (n, slots), None where none exports. [micro-unit]
        exports: Days in the range of a row's export channel; (n, days).
        first_day: First epoch day of each row's range, shape (n,).
        quality: ``schemas.quality.Quality`` of each slot, the worse one where it is drawn and fed in;
            MISSING outside the range; (n, slots).
        reactive: Reactive energy by channel, and its quality; (n, slots) each. [micro-kvarh]
    """

    grid: DayGrid
    names: Sequence[str]
    units: Sequence[str]
    imported: Int
    exported: Int | None
    exports: Bool
    first_day: Int
    quality: Codes
    reactive: Mapping[str, tuple[Int, Codes]] = field(default_factory=dict)
    _runs: dict[tuple[Tariff, bool], tuple[Int, Bool]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each name."""
        return {name: row for row, name in enumerate(self.names)}

    def fed_in(self, *, netted: bool) -> Int | None:
        """Export of all rows, None where it can make no difference; (n, slots).

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
