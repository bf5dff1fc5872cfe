"""Raw numbers to micro-units: exact for integers, one rounding for doubles (SEMANTICS, Values)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from models.series import Bool, Int

MICRO = 1_000_000
LIMIT = 10**18
"""Largest magnitude a register may have in micro-units; leaves room for sums of a few."""
SLOT_LIMIT = 10**13
"""Largest magnitude of one slot in micro-units (10 GWh): a year of minutes sums, and one value times a
thousand fits, in 63 bits."""


def micro_factor(unit_factor: Fraction, scaler: int, multiplier: Fraction) -> Fraction:
    """Micro-units of one raw count: unit · 10^scaler · multiplier · 10^6, exactly."""
    return unit_factor * Fraction(10) ** scaler * multiplier * MICRO


def integers_to_micro(values: Int, factor: Fraction) -> tuple[Int, Bool]:
    """Exact rational product, half away from zero.

    Args:
        values: Raw integers, any shape.
        factor: Micro-units of one count, > 0.

    Returns:
        Micro-units, and whether each fits (±``LIMIT`` where it does not).
    """
    up, down = factor.numerator, factor.denominator
    if values.size == 0:
        return values.astype(np.int64), np.ones(values.shape, np.bool_)
    peak = max(int(values.max()), -int(values.min()))
    if peak == 0:
        return np.zeros(values.shape, np.int64), np.ones(values.shape, np.bool_)
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
    micro = np.array([min(max(v, -LIMIT), LIMIT) for v in exact], np.int64).reshape(values.shape)
    return micro, fits


def doubles_to_micro(values: NDArray[np.float64], factor: Fraction) -> tuple[Int, Bool]:
    """One float64 product, then rint; False where it does not fit: ±``LIMIT`` there, 0 for NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        product = np.rint(values * float(factor))
        fits = np.abs(product) <= float(LIMIT)
    if not fits.all():
        product = np.clip(np.nan_to_num(product, nan=0.0), -float(LIMIT), float(LIMIT))
    return product.astype(np.int64), fits


def _half_away(numerator: int, denominator: int) -> int:
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -magnitude if numerator < 0 else magnitude
