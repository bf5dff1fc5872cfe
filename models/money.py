"""Exact money: rounding of integers and fractions, and products of quantities and rates."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import numpy as np

from models.series import Int

__all__ = ["Mode", "dot", "round_fraction", "rounded", "times"]

Mode = Literal["half_up", "half_even", "down", "up"]
"""``half_up`` is half away from zero, ``half_even`` the banker's, ``down`` toward zero, ``up`` away."""
FITS = 1 << 62


def rounded(numerator: Int, denominator: int, mode: Mode = "half_up") -> Int:
    """Integer quotients rounded; the denominator is positive."""
    if denominator == 1:
        return numerator
    quotient, rest = np.divmod(np.abs(numerator), denominator)
    if mode == "half_up":
        up = 2 * rest >= denominator
    elif mode == "half_even":
        up = (2 * rest > denominator) | ((2 * rest == denominator) & (quotient % 2 == 1))
    else:
        up = (rest > 0) & (mode == "up")
    magnitude = quotient + up
    result: Int = np.where(numerator < 0, -magnitude, magnitude)
    return result


def round_fraction(value: Fraction, mode: Mode = "half_up") -> int:
    """A fraction rounded to an integer."""
    if mode == "half_even":
        return round(value)
    above, below = abs(value.numerator), value.denominator
    if mode == "half_up":
        magnitude = (2 * above + below) // (2 * below)
    else:
        magnitude = above // below if mode == "down" else -(-above // below)
    return -magnitude if value < 0 else magnitude


@lru_cache(maxsize=4096)
def _factor(rate: Decimal, share: Fraction, power: int) -> Fraction:
    return Fraction(rate) * share * Fraction(10) ** power


def times(
    quantity: Int,
    quantity_dp: int,
    rate: Decimal,
    money_dp: int,
    mode: Mode = "half_up",
    *,
    share: Fraction = Fraction(1),
) -> Int:
    """Quantity × rate × share in units of 10^-money_dp, exact before its one rounding.

    Args:
        quantity: Shape (n,). [10^-quantity_dp]
        quantity_dp: Decimals of the quantity.
        rate: Price of a unit.
        money_dp: Decimals of the result.
        mode: How to round.
        share: Part of it that is due.
    """
    factor = _factor(rate, share, money_dp - quantity_dp)
    peak = max(int(quantity.max(initial=0)), -int(quantity.min(initial=0)))
    if 2 * (peak * abs(factor.numerator) + factor.denominator) < FITS:
        return rounded(quantity * factor.numerator, factor.denominator, mode)
    exact = [round_fraction(q * factor, mode) for q in quantity.tolist()]
    return np.array(exact, np.int64)


def dot(
    quantities: Int, quantity_dp: int, rates: Sequence[Decimal], money_dp: int, mode: Mode = "half_up"
) -> Int:
    """Σ quantity × rate in units of 10^-money_dp, exact before its one rounding.

    Args:
        quantities: Shape (n, k). [10^-quantity_dp]
        quantity_dp: Decimals of the quantities.
        rates: Price of a unit of each, k of them.
        money_dp: Decimals of the result.
        mode: How to round.
    """
    factors = [_factor(rate, Fraction(1), money_dp - quantity_dp) for rate in rates]
    below = 1
    for factor in factors:
        below = below * factor.denominator // np.gcd(below, factor.denominator)
    below = int(below)
    weights = [int(factor * below) for factor in factors]
    peak = max(int(quantities.max(initial=0)), -int(quantities.min(initial=0)))
    if 2 * (peak * sum(map(abs, weights)) + below) < FITS:
        return rounded(quantities @ np.array(weights, np.int64), below, mode)
    exact = [sum(q * w for q, w in zip(row, weights, strict=True)) for row in quantities.tolist()]
    return np.array([round_fraction(Fraction(e, below), mode) for e in exact], np.int64)
