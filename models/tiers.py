"""Tiers: how much of a bill's energy lies in which tier of which period."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np

from models.money import FITS, Mode, round_fraction, rounded
from models.series import Int

__all__ = ["by_code", "chronological", "per_period", "prorata"]


def by_code(runs: Int, codes: Int, width: int) -> Int:
    """Sum of the runs of each code; (n, k) to (n, width)."""
    return np.stack([runs.compress(codes == code, axis=1).sum(axis=1) for code in range(width)], axis=1)


def chronological(runs: Int, codes: Int, width: int, caps: Int) -> Int:
    """Tiers filled in time order.

    Args:
        runs: Energy of each run in time order, not negative, shape (n, k). [micro-unit]
        codes: Period of each run, 0 … width − 1, shape (k,).
        width: Periods.
        caps: Rising upper edges of all tiers but the last, shape (n, L) or (1, L). [micro-unit]

    Returns:
        Shape (n, width, L + 1). The sum over tiers is the energy of the period.
    """
    until = np.cumsum(runs, axis=1)
    below = [np.zeros((len(runs), width), np.int64)]
    for edge in range(caps.shape[1]):
        filled = np.minimum(until, caps[:, edge, None])
        below.append(by_code(np.diff(filled, axis=1, prepend=0), codes, width))
    below.append(by_code(runs, codes, width))
    edges: Int = np.stack(below, axis=2)
    tiers: Int = edges[..., 1:] - edges[..., :-1]
    return tiers


def per_period(sums: Int, caps: Int) -> Int:
    """A ladder for each period; sums (n, P) [micro-unit], caps as above, to (n, P, L + 1)."""
    below = [np.zeros_like(sums)]
    below += [np.minimum(sums, caps[:, edge, None]) for edge in range(caps.shape[1])]
    edges: Int = np.stack([*below, sums], axis=2)
    tiers: Int = edges[..., 1:] - edges[..., :-1]
    return tiers


def prorata(sums: Int, caps: Int, unit: int, mode: Mode) -> Int:
    """The total by tier, each tier split over the periods by their share of the total, rounded once.

    Args:
        sums: Energy by period, shape (n, P). [micro-unit]
        caps: As above.
        unit: Micro-units in a unit of the result.
        mode: How to round.

    Returns:
        Shape (n, P, L + 1): period · tier / total.
    """
    total = sums.sum(axis=1)
    tiers = per_period(total[:, None], caps)[:, 0]
    result = np.zeros((*sums.shape, tiers.shape[1]), np.int64)
    # Two factors up to the total, doubled in rounding: 64 bits hold a bill of some 1,500 kWh.
    small = total < isqrt(FITS // 2)
    for row in np.flatnonzero(~small & (total > 0)).tolist():
        whole = int(total[row]) * unit
        for p, energy in enumerate(sums[row].tolist()):
            for t, tier in enumerate(tiers[row].tolist()):
                result[row, p, t] = round_fraction(Fraction(energy * tier, whole), mode)
    fine = np.flatnonzero(small & (total > 0))
    if len(fine):
        product = sums[fine][:, :, None] * tiers[fine][:, None, :]
        result[fine] = _divided(product, total[fine] * unit, mode)
    return result


def _divided(product: Int, below: Int, mode: Mode) -> Int:
    """Quotients by a denominator a row, rounded."""
    parts = [rounded(row, int(whole), mode) for row, whole in zip(product, below.tolist(), strict=True)]
    return np.stack(parts)
