"""How a meter stands among all the others: medians, robust distances and ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.weekly_features import Float

__all__ = ["evidence", "nan_median", "nan_quantile", "one_sided", "rarity", "robust"]

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for normal values."""


def nan_quantile(values: Float, share: float, axis: int) -> Float:
    """Quantile of what is not NaN, between its neighbours; 0 where there is nothing.

    Args:
        values: Numbers, any shape.
        share: 0 the least, 1 the greatest.
        axis: Along which; it is lost.
    """
    ordered = np.sort(values, axis=axis)  # NaN last
    counts = np.isfinite(values).sum(axis=axis)
    place = np.maximum(counts - 1, 0) * share
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(counts - 1, 0))
    below = np.squeeze(np.take_along_axis(ordered, np.expand_dims(low, axis), axis), axis)
    above = np.squeeze(np.take_along_axis(ordered, np.expand_dims(high, axis), axis), axis)
    result: Float = np.where(counts > 0, below + (place - low) * (above - below), 0.0)
    return result


def nan_median(values: Float, axis: int) -> Float:
    """Median of what is not NaN; 0 where there is nothing."""
    return nan_quantile(values, 0.5, axis)


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
