"""Twelve numbers that describe a meter's week, from the sums and counts of the ``features`` table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.series import Bool

__all__ = ["BASELINE_WEEKS", "NAMES", "Float", "baseline_weeks", "weekly_features"]

Float = NDArray[np.float64]
BASELINE_WEEKS = 4
METERS_AT_ONCE = 256
"""Meters whose intermediate numbers are held together: they stay small, whatever the fleet."""
NAMES = (
    "level", "peak", "base load", "zero share", "clipped share", "roughness", "autocorrelation",
    "likeness to its own profile", "distance to its own profile", "variation", "night share", "evening share",
)  # fmt: skip


def baseline_weeks(weeks: int) -> int:
    """How many of the first weeks a meter is compared with."""
    return min(BASELINE_WEEKS, max(weeks // 2, 1))


def weekly_features(there: Bool, columns: Mapping[str, NDArray[np.integer]]) -> Float:
    """Features of m meters in w weeks.

    Args:
        there: Whether the meter has the week; (m, w).
        columns: Columns of the ``features`` table, (m, w) each or with the 7 or 24 of the lists, and
            ``have``, the slots with a value; (m, w).

    Returns:
        ``NAMES``, NaN where the meter has no such week; (m, w, 12).
    """
    features = np.empty((*there.shape, len(NAMES)))
    for low in range(0, len(there), METERS_AT_ONCE):
        some = slice(low, low + METERS_AT_ONCE)
        features[some] = _of_some(there[some], {name: part[some] for name, part in columns.items()})
    return features


def _of_some(there: Bool, n: Mapping[str, NDArray[np.integer]]) -> Float:
    have = np.maximum(n["have"], 1).astype(np.float64)
    total = n["day_total"].sum(axis=2).astype(np.float64)
    mean = np.maximum(total / have, 1.0)
    hours = n["hours"].astype(np.float64)
    hourly = hours / np.maximum(hours.sum(axis=2, keepdims=True), 1.0)
    own = _baseline(hourly, there)
    thousandths = np.maximum(mean / 1000, 1e-3)
    variance = np.maximum(n["squares"] / have / thousandths**2 - 1, 0)
    covariance = n["lagged"] / have / thousandths**2 - 1
    columns = [
        np.log(mean + 1000),
        np.log(np.maximum(n["day_max"].max(axis=2), 0) + 1000),
        np.log(np.maximum(hours.min(axis=2) / 7, 0) + 1000),
        n["day_zeros"].sum(axis=2) / have,
        n["near_peak"] / have,
        n["variation"] / have / thousandths,
        covariance / np.maximum(variance, 1e-3),
        _correlation(hourly, own[:, None, :]),
        np.abs(hourly - own[:, None, :]).sum(axis=2),
        np.sqrt(variance),
        hourly[:, :, :6].sum(axis=2),
        hourly[:, :, 17:22].sum(axis=2),
    ]
    features = np.stack(columns, axis=2)
    features[~there] = np.nan
    return features


def _baseline(values: Float, there: Bool) -> Float:
    weeks = baseline_weeks(values.shape[1])
    known = there[:, :weeks, None]
    counts = np.maximum(known.sum(axis=1), 1)
    mean: Float = np.where(known, values[:, :weeks], 0).sum(axis=1) / counts
    return mean


def _correlation(a: Float, b: Float) -> Float:
    a = a - a.mean(axis=2, keepdims=True)
    b = b - b.mean(axis=2, keepdims=True)
    product = (a * b).sum(axis=2)
    result: Float = product / np.sqrt((a**2).sum(axis=2) * (b**2).sum(axis=2) + 1e-12)
    return result
