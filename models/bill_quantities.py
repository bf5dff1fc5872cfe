"""What a bill is charged for, from slots: energy by period and tier, and the highest demand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from models.calendar import DayGrid
from models.money import round_fraction
from models.series import Int
from models.tou import Periods
from schemas.tariff import Demand, Energy

__all__ = ["peak_kw", "tier_sums"]

MICRO = 1_000_000


def tier_sums(runs: Int, periods: Periods, priced: Sequence[str], charge: Energy, days: int) -> Int:
    """Energy by priced period and tier, exact.

    Args:
        runs: Energy of each run of ``periods``, shape (n, runs). [micro-kWh]
        periods: Periods of the slots.
        priced: Periods the charge prices, in the order of the result.
        charge: Its tiers.
        days: Days the limits per day count for.

    Returns:
        Shape (n, periods, tiers). [micro-kWh] The sum over tiers is the energy of the period.
    """
    wanted = np.array([periods.names.index(name) for name in priced], np.int64)
    mine = [np.flatnonzero(periods.run_period == code) for code in wanted]
    if charge.tiers is None:
        return np.stack([runs[:, at].sum(axis=1) for at in mine], axis=1)[:, :, None]
    caps = [
        round_fraction(Fraction(limit) * MICRO * (days if charge.tiers.unit == "kWh/day" else 1))
        for limit in charge.tiers.limits
    ]
    edges = [0, *caps, np.iinfo(np.int64).max]
    if charge.tiers.scope == "bill_total_chronological":
        at = np.sort(np.concatenate(mine))
        energy = runs[:, at]
        before = np.cumsum(energy, axis=1) - energy
        split = [
            np.clip(high - before, 0, energy) - np.clip(low - before, 0, energy)
            for low, high in _pairs(edges)
        ]
        return np.stack(
            [
                np.stack([part[:, periods.run_period[at] == code].sum(axis=1) for part in split], axis=1)
                for code in wanted
            ],
            axis=1,
        )
    sums = np.stack([runs[:, at].sum(axis=1) for at in mine], axis=1)
    if charge.tiers.scope == "per_period":
        return np.stack([np.clip(sums, low, high) - low for low, high in _pairs(edges)], axis=2).clip(0)
    return _prorata(sums, edges)


def _pairs(edges: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(edges))


def _prorata(sums: Int, edges: Sequence[int]) -> Int:
    """The bill's total by tier, each tier split over the periods by their share of the total.

    Each period's running share ⌊period · filled / total⌋ is exact; its tiers sum to the period.
    """
    total = sums.sum(axis=1)
    parts = []
    filled_before = np.zeros_like(sums)
    for _, high in _pairs(edges):
        filled = np.minimum(total, high)
        share = [
            [int(e) * int(f) // int(t) if t else 0 for e in row]
            for row, f, t in zip(sums.tolist(), filled.tolist(), total.tolist(), strict=True)
        ]
        upto = np.array(share, np.int64).reshape(sums.shape)
        parts.append(upto - filled_before)
        filled_before = upto
    return np.stack(parts, axis=2)


def peak_kw(load: Int, grid: DayGrid, periods: Periods, charge: Demand) -> Int:
    """Highest window of the priced periods [micro-kW]; (n,).

    A block starts on the clock, a sliding window at every slot; both belong to the period of their last
    slot and lie within the grid.
    """
    width = charge.window_min * 60 // grid.interval_s
    if width < 1:
        width = 1
    sums = np.zeros((len(load), grid.slots + 1), np.int64)
    np.cumsum(load, axis=1, out=sums[:, 1:])
    energy = sums[:, width:] - sums[:, :-width]
    last = np.arange(width - 1, grid.slots)
    counts = np.ones(len(last), np.bool_)
    if charge.method == "block":
        counts &= grid.starts[: len(last)] % (width * grid.interval_s) == 0
    if charge.periods is not None:
        codes = [periods.names.index(name) for name in charge.periods]
        counts &= np.isin(periods.of_slot[last], codes)
    if not counts.any():
        return np.zeros(len(load), np.int64)
    seconds = width * grid.interval_s
    peak: Int = energy[:, counts].max(axis=1) * 3600 // seconds
    return peak
