"""Raw numbers to micro-units: exact for integers, one rounding for doubles (SEMANTICS, Values)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from models.series import Bool, Int

MICRO = 1_000_000
LIMIT = 1 << 62
"""Largest magnitude a value may have in micro-units; leaves room for sums of two."""


def micro_factor(unit_factor: Fraction, scaler: int, multiplier: Fraction) -> Fraction:
    """Micro-units of one raw count: unit · 10^scaler · multiplier · 10^6, exactly."""
    return unit_factor * Fraction(10) ** scaler * multiplier * MICRO


def integers_to_micro(values: Int, factor: Fraction) -> tuple[Int, Bool]:
    """Exact rational product, half away from zero.

    Args:
        values: Raw integers, any shape.
        factor: Micro-units of one count, > 0.

    Returns:
        Micro-units, and whether each fits (0 where it does not).
    """
    up, down = factor.numerator, factor.denominator
    if values.size == 0:
        return values.astype(np.int64), np.ones(values.shape, np.bool_)
    peak = max(int(values.max()), -int(values.min()))
    if peak * up + down // 2 <= LIMIT:
        if down == 1:
            return values * np.int64(up), np.ones(values.shape, np.bool_)
        magnitude = (
            (np.abs(values) * np.int64(2 * up) + down) // (2 * down)
            if 2 * peak * up + down <= LIMIT
            else None
        )
        if magnitude is not None:
            return np.where(values < 0, -magnitude, magnitude), np.ones(values.shape, np.bool_)
    exact = [_half_away(int(v) * up, down) for v in values.ravel().tolist()]
    fits = np.array([abs(v) <= LIMIT for v in exact], np.bool_).reshape(values.shape)
    micro = np.array([v if abs(v) <= LIMIT else 0 for v in exact], np.int64).reshape(values.shape)
    return micro, fits


def doubles_to_micro(values: NDArray[np.float64], factor: Fraction) -> tuple[Int, Bool]:
    """One float64 product, then rint; NaN and what does not fit become 0 with False."""
    product = np.rint(values * float(factor))
    with np.errstate(invalid="ignore"):
        fits = np.abs(product) <= float(LIMIT)
    return np.where(fits, product, 0.0).astype(np.int64), fits


def _half_away(numerator: int, denominator: int) -> int:
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -magnitude if numerator < 0 else magnitude
