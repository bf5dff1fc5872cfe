"""Exact money: rounding of integers and fractions, and products of quantities and rates."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np

from models.days import half_away
from models.series import Int

__all__ = ["Mode", "round_fraction", "rounded", "scaled", "times"]

Mode = Literal["half_up", "half_even"]
"""``half_up`` is half away from zero, ``half_even`` the banker's."""


def rounded(numerator: Int, denominator: int, mode: Mode = "half_up") -> Int:
    """Integer quotients rounded to nearest; the denominator is positive."""
    if mode == "half_up":
        return half_away(numerator, np.array([denominator]))
    quotient, rest = np.divmod(numerator, denominator)
    up = (2 * rest > denominator) | ((2 * rest == denominator) & (quotient % 2 == 1))
    result: Int = quotient + up
    return result


def round_fraction(value: Fraction, mode: Mode = "half_up") -> int:
    """Nearest integer."""
    if mode == "half_even":
        return round(value)
    magnitude = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return -magnitude if value < 0 else magnitude


def scaled(value: Decimal) -> tuple[int, int]:
    """A decimal as (integer, decimals): integer · 10^−decimals."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits))) * (-1 if sign else 1)
    return (number, -exponent) if exponent < 0 else (number * 10**exponent, 0)


def times(quantity: Int, quantity_dp: int, rate: Decimal, money_dp: int, mode: Mode = "half_up") -> Int:
    """Quantity × rate in units of 10^-money_dp, exact before its one rounding.

    Args:
        quantity: Shape (n,). [10^-quantity_dp]
        quantity_dp: Decimals of the quantity.
        rate: Price of a unit.
        money_dp: Decimals of the result.
        mode: How to round.
    """
    number, decimals = scaled(rate)
    power = money_dp - decimals - quantity_dp
    peak = int(np.abs(quantity).max(initial=0))
    if power >= 0:
        factor = number * 10**power
        if peak * abs(factor) < 1 << 62:
            grown: Int = quantity * factor
            return grown
        raise OverflowError(f"{peak} × {rate} does not fit an amount of money")
    if 2 * peak * abs(number) + 10**-power < 1 << 62:
        return rounded(quantity * number, 10**-power, mode)
    exact = [round_fraction(Fraction(int(q) * number, 10**-power), mode) for q in quantity.tolist()]
    return np.array(exact, np.int64)
