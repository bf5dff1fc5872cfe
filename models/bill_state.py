"""What one bill hands to the next: past peaks, carried credit, energy fed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np

from models.series import Bool, Int

__all__ = ["BillState", "month_name", "month_number"]

MICRO_DP = 6
_Key = TypeVar("_Key")
NONE = -1
"""Peak of a month without a bill."""


@dataclass
class BillState:
    """What one bill hands to the next, of n service points; every array has shape (n,).

    Attributes:
        peaks_kw: Measured demand of past bills by month, (year · 12 + month − 1) → micro-kW, −1 = none.
        credit: Carried credit. [10^-money_dp]
        surplus: Energy fed in beyond what was drawn since the last true-up. [micro-unit]
        bank: Energy carried by period. [micro-unit]
        peaks_of: Measured demand by charge and month, of tariffs on which charges measure differently.
    """

    peaks_kw: dict[int, Int]
    credit: Int
    surplus: Int
    bank: dict[str, Int] = field(default_factory=dict)
    peaks_of: dict[tuple[str, int], Int] = field(default_factory=dict)

    @staticmethod
    def empty(count: int) -> BillState:
        """No past."""
        return BillState({}, np.zeros(count, np.int64), np.zeros(count, np.int64))

    def at(self, rows: Int) -> BillState:
        """The state of some service points."""
        return BillState(
            {month: peaks[rows] for month, peaks in self.peaks_kw.items()},
            self.credit[rows],
            self.surplus[rows],
            {period: energy[rows] for period, energy in self.bank.items()},
            {key: peaks[rows] for key, peaks in self.peaks_of.items()},
        )

    def put(self, rows: Int, own: BillState) -> None:
        """Take over the new state of some service points."""
        count = len(self.credit)
        _put(self.peaks_kw, own.peaks_kw, rows, count, NONE)
        _put(self.bank, own.bank, rows, count, 0)
        _put(self.peaks_of, own.peaks_of, rows, count, NONE)
        self.credit[rows], self.surplus[rows] = own.credit, own.surplus

    def past_peaks(self, charge: str, month: int, *, of_bill: bool = True) -> Int:
        """Peaks of a month that count for a charge: its own where known, else those of the bill."""
        none = np.full(len(self.credit), NONE, np.int64)
        own = self.peaks_of.get((charge, month), none)
        return np.where(own >= 0, own, self.peaks_kw.get(month, none)) if of_bill else own

    def months(self) -> list[int]:
        """Months with a peak, ascending."""
        return sorted({*self.peaks_kw, *(month for _, month in self.peaks_of)})

    def carried(self) -> Bool:
        """Service points that hand anything to their next bill; (n,)."""
        found: Bool = (self.credit != 0) | (self.surplus != 0)
        for peaks in (*self.peaks_kw.values(), *self.peaks_of.values()):
            found |= peaks >= 0
        for energy in self.bank.values():
            found |= energy != 0
        return found

    def fields(self, i: int, money_dp: int) -> dict[str, Any]:
        """State of one service point as decimal text by name; what is empty is left out, but credit."""
        peaks = {month_name(m): _text(p[i]) for m, p in sorted(self.peaks_kw.items()) if p[i] >= 0}
        own: dict[str, dict[str, str]] = {}
        for (charge, month), values in sorted(self.peaks_of.items()):
            if values[i] >= 0:
                own.setdefault(charge, {})[month_name(month)] = _text(values[i])
        bank = {period: _text(energy[i]) for period, energy in sorted(self.bank.items()) if energy[i]}
        known: dict[str, Any] = {"past_peaks_kw": peaks, "charge_peaks_kw": own, "rollover_kwh": bank}
        out = {name: value for name, value in known.items() if value}
        out["credit"] = str(Decimal(int(self.credit[i])).scaleb(-money_dp))
        if self.surplus[i]:
            out["surplus_kwh"] = _text(self.surplus[i])
        return out


def _put(mine: dict[_Key, Int], own: Mapping[_Key, Int], rows: Int, count: int, absent: int) -> None:
    for key, values in own.items():
        mine.setdefault(key, np.full(count, absent, np.int64))[rows] = values


def _text(micro: Any) -> str:
    """Micro-units as decimal text without trailing zeros."""
    text = f"{Decimal(int(micro)).scaleb(-MICRO_DP):f}"
    return text.rstrip("0").rstrip(".")


def month_name(month: int) -> str:
    """Year · 12 + month − 1 as ``2026-03``."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def month_number(name: str) -> int:
    """``2026-03`` as year · 12 + month − 1."""
    year, _, month = name.partition("-")
    return int(year) * 12 + int(month) - 1
