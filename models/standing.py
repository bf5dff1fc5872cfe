"""How a meter stands among all the others: medians, robust distances and ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.weekly_features import Float

__all__ = [
    "evidence", "fleet_median", "nan_median", "nan_quantile", "nan_quantiles", "one_sided", "rarity",
    "robust",
]  # fmt: skip

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for normal values."""
COLUMNS_AT_ONCE = 28
"""Days of a fleet that are sorted together: what it takes is small beside the fleet's days."""


def nan_quantile(values: Float, share: float, axis: int) -> Float:
    """Quantile of what is not NaN, between its neighbours; 0 where there is nothing.

    Args:
        values: Numbers, any shape.
        share: 0 the least, 1 the greatest.
        axis: Along which; it is lost.
    """
    (result,) = nan_quantiles(values, (share,), axis)
    return result


def nan_quantiles(values: Float, shares: Sequence[float], axis: int) -> list[Float]:
    """Several quantiles of the same numbers, each as :func:`nan_quantile`; they are sorted once."""
    ordered = np.sort(values, axis=axis)  # NaN last
    counts = np.isfinite(values).sum(axis=axis)
    found = []
    for share in shares:
        place = np.maximum(counts - 1, 0) * share
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(counts - 1, 0))
        below = np.squeeze(np.take_along_axis(ordered, np.expand_dims(low, axis), axis), axis)
        above = np.squeeze(np.take_along_axis(ordered, np.expand_dims(high, axis), axis), axis)
        found.append(np.where(counts > 0, below + (place - low) * (above - below), 0.0))
    return found


def nan_median(values: Float, axis: int) -> Float:
    """Median of what is not NaN; 0 where there is nothing."""
    return nan_quantile(values, 0.5, axis)


def fleet_median(values: Float, less: Float | None = None) -> Float:
    """``nan_median`` over all meters, a few days at a time: little is held beside the values.

    Args:
        values: Shape (m, d).
        less: What is taken off each meter's values, shape (m,); None for nothing.

    Returns:
        Shape (d,).
    """
    median = np.zeros(values.shape[1])
    for low in range(0, len(median), COLUMNS_AT_ONCE):
        days = np.ascontiguousarray(values[:, low : low + COLUMNS_AT_ONCE].T)
        median[low : low + COLUMNS_AT_ONCE] = nan_median(days if less is None else days - less, 1)
    return median


def robust(values: Float, most: float = 20.0) -> Float:
    """Distance from the population's median in robust standard deviations, at most ``most``; (m,)."""
    if not len(values):
        return values
    middle = np.median(values)
    spread = MAD_TO_SIGMA * np.median(np.abs(values - middle))
    scaled: Float = np.clip((values - middle) / (spread + 1e-6), -most, most)
    return scaled


def one_sided(values: Float, side: int, most: float = 8.0) -> Float:
    """Robust distance to the suspicious side only: −1 lower, 1 higher, 0 either; (m,)."""
    scaled = robust(values, most)
    return np.abs(scaled) if side == 0 else np.maximum(scaled * side, 0)


def evidence(values: Float) -> Float:
    """−log of the share of meters that score as high: 1 on average, whatever the scale; (m,).

    NaN, a meter that was not looked at, stands at 1: neither for nor against.
    """
    result = np.ones(len(values))
    known = np.flatnonzero(np.isfinite(values))
    if len(known):
        _, place, ties = np.unique(values[known], return_inverse=True, return_counts=True)
        above = len(known) - np.cumsum(ties)
        result[known] = -np.log((above + ties / 2 + 0.5) / (len(known) + 1))[place]
    return result


def rarity(rows: NDArray[np.floating]) -> Float:
    """How rare a meter's suspicious sides are among all: the sum of each column's ``evidence``; (m,).

    The right-tail half of ECOD [1], on columns that are one-sided already. ``meterbeam evaluate theft
    --references`` prints an isolation forest over the same homes beside it.

    Args:
        rows: One-sided features, shape (m, k).

    References:
        [1] Li et al., ECOD: Unsupervised Outlier Detection Using Empirical Cumulative Distribution
            Functions, IEEE TKDE 2023.
    """
    total = np.zeros(len(rows))
    for column in range(rows.shape[1]):
        total += evidence(rows[:, column].astype(np.float64))
    return total
