"""Theft that starts in view: weeks against the meter's own baseline, one-sided, plus the level drop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.series import Int
from models.week_table import Float, WeekTable

BASELINE_WEEKS = 4
WORST_WEEKS = 3
CANDIDATE_WEEKS = 6
"""Weeks of each meter that are scored: those farthest from its own baseline."""
METERS_AT_ONCE = 256
"""Meters whose intermediate numbers are held together: they stay small, whatever the fleet."""
TREES = 200
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for normal values."""
SEED = 0
NAMES = (
    "level", "peak", "base load", "zero share", "clipped share", "roughness", "autocorrelation",
    "likeness to its own profile", "distance to its own profile", "variation", "night share", "evening share",
)  # fmt: skip
SUSPICIOUS_SIDE = np.array([-1, -1, -1, 1, 1, -1, 0, -1, 1, 0, 0, 0])
"""−1: lower is suspicious, 1: higher is, 0: either."""


@dataclass(frozen=True)
class ChangeScores:
    """Scores of m meters.

    Attributes:
        score: Higher is more suspicious, shape (m,).
        first_week: Index of the first suspicious week, −1 where there is none, shape (m,).
        drop: Fall of the level against the own baseline and the population, as a share, shape (m,).
        lost: Energy the meter would have measured more at its own baseline. [kWh]
        deviation: One-sided deviations of each week; (m, w, features).
        features: What they deviate from; (m, w, features).
    """

    score: Float
    first_week: Int
    drop: Float
    lost: Float
    deviation: Float
    features: Float


def weekly_features(table: WeekTable) -> Float:
    """Twelve features a meter-week; (m, w, 12). NaN where the meter has no week."""
    count = len(table.meters)
    features = np.empty((count, len(table.weeks), len(NAMES)))
    for low in range(0, count, METERS_AT_ONCE):
        rows = np.arange(low, min(low + METERS_AT_ONCE, count))
        features[rows] = _weekly_features(table.chosen(rows))
    return features


def _weekly_features(table: WeekTable) -> Float:
    n = table.numbers
    have = np.maximum(n["have"], 1).astype(np.float64)
    total = table.lists["day_total"].sum(axis=2).astype(np.float64)
    mean = np.maximum(total / have, 1.0)
    hours = table.lists["hours"].astype(np.float64)
    hourly = hours / np.maximum(hours.sum(axis=2, keepdims=True), 1.0)
    own = _baseline(hourly, table)
    thousandths = np.maximum(mean / 1000, 1e-3)
    variance = np.maximum(n["squares"] / have / thousandths**2 - 1, 0)
    covariance = n["lagged"] / have / thousandths**2 - 1
    columns = [
        np.log(mean + 1000),
        np.log(np.maximum(table.lists["day_max"].max(axis=2), 0) + 1000),
        np.log(np.maximum(_positive_min(table), 0) + 1000),
        table.lists["day_zeros"].sum(axis=2) / have,
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
    features[~table.there] = np.nan
    return features


def change_scores(table: WeekTable) -> ChangeScores:
    """Score every meter; needs the population's other meters, at least a few weeks of each.

    Args:
        table: Customer meters of the theft population, sorted by id.
    """
    features = weekly_features(table)
    count, weeks = features.shape[:2]
    base_weeks = min(BASELINE_WEEKS, max(weeks // 2, 1))
    shift = features - nan_median(features[:, :base_weeks], 1)[:, None, :]
    shift -= nan_median(shift, 0)[None, :, :]  # the population's movement: weather, holidays
    pooled = MAD_TO_SIGMA * nan_median(np.abs(shift).reshape(count * weeks, -1), 0)
    own = MAD_TO_SIGMA * nan_median(np.abs(shift[:, :base_weeks]), 1)
    scale = np.sqrt(own**2 + pooled**2) + 1e-9
    z = np.clip(np.nan_to_num(shift / scale[:, None, :]), -8, 8)
    side = np.where(SUSPICIOUS_SIDE == 0, np.abs(z), np.maximum(z * SUSPICIOUS_SIDE, 0))
    after = side[:, base_weeks:] if weeks > base_weeks else side
    late = np.nan_to_num(shift[:, base_weeks:, 0] if weeks > base_weeks else shift[:, :, 0])
    worst = _worst(_forest(after))
    level = (
        -np.sort(late, axis=1)[:, : max(WORST_WEEKS, late.shape[1] // 2)].mean(axis=1)
        if count
        else late[:, :0].sum(axis=1)
    )
    drop_z = _robust(level)
    offset = base_weeks if weeks > base_weeks else 0
    first = _first_week(late)
    first = np.where(first >= 0, first + offset, first)
    lost = _lost(table, late, first, offset)
    return ChangeScores(
        _robust(worst) + 0.5 * drop_z, first, 1 - np.exp(-np.maximum(level, 0)), lost, side, features
    )


def strangeness(known: Float, rows: Float) -> Float:
    """Anomaly of rows by an isolation forest over known ones, higher is stranger; (n,)."""
    from sklearn.ensemble import IsolationForest  # seconds to import: only who scores pays

    if len(known) < 2:
        return np.zeros(len(rows))
    forest = IsolationForest(n_estimators=TREES, random_state=SEED, n_jobs=1).fit(known)
    scores: Float = -forest.score_samples(rows)
    return scores


def _forest(side: Float) -> Float:
    """Anomaly of each meter's strangest weeks, −inf for its others; (m, w).

    The forest learns from all weeks; only as many are scored as could be among the worst.
    """
    meters, weeks, width = side.shape
    flat = side.reshape(-1, width)
    strength = (side**2).sum(axis=2)
    chosen = np.argsort(-strength, axis=1, kind="stable")[:, :CANDIDATE_WEEKS]
    at = (np.arange(meters)[:, None] * weeks + chosen).ravel()
    scores = np.full(meters * weeks, -np.inf)
    scores[at] = strangeness(flat, flat[at])
    return scores.reshape(meters, weeks)


def _worst(scores: Float) -> Float:
    worst: Float = np.sort(scores, axis=1)[:, -WORST_WEEKS:].mean(axis=1)
    return worst


def _robust(values: Float) -> Float:
    """Distance from the median in robust standard deviations."""
    if not len(values):
        return values
    middle = np.median(values)
    spread = MAD_TO_SIGMA * np.median(np.abs(values - middle))
    scaled: Float = np.clip((values - middle) / (spread + 1e-6), -20, 20)
    return scaled


def _first_week(late: Float) -> Int:
    """First week from which most weeks are low; −1 where the level never falls."""
    low = late < -0.15
    first = np.full(len(low), -1, np.int64)
    for row in np.flatnonzero(low.any(axis=1)).tolist():
        for week in np.flatnonzero(low[row]).tolist():
            if low[row, week:].mean() >= 0.6:
                first[row] = week
                break
    return first


def _lost(table: WeekTable, late: Float, first: Int, offset: int) -> Float:
    """Energy missing against the own baseline moved with the population, from the first week on [kWh]."""
    total = table.lists["day_total"].sum(axis=2)[:, offset:] / 1e6
    missing = np.maximum(total * (np.exp(np.maximum(-late, 0)) - 1), 0)
    weeks = np.arange(missing.shape[1]) + offset
    counted = (first[:, None] >= 0) & (weeks[None, :] >= first[:, None])
    lost: Float = np.where(counted, missing, 0).sum(axis=1)
    return lost


def _baseline(values: Float, table: WeekTable) -> Float:
    weeks = min(BASELINE_WEEKS, max(values.shape[1] // 2, 1))
    known = table.there[:, :weeks, None]
    counts = np.maximum(known.sum(axis=1), 1)
    mean: Float = np.where(known, values[:, :weeks], 0).sum(axis=1) / counts
    return mean


def _positive_min(table: WeekTable) -> Float:
    hours = table.lists["hours"].astype(np.float64)
    lowest: Float = hours.min(axis=2) / 7
    return lowest


def _correlation(a: Float, b: Float) -> Float:
    a = a - a.mean(axis=2, keepdims=True)
    b = b - b.mean(axis=2, keepdims=True)
    product = (a * b).sum(axis=2)
    result: Float = product / np.sqrt((a**2).sum(axis=2) * (b**2).sum(axis=2) + 1e-12)
    return result


def nan_median(values: Float, axis: int) -> Float:
    """Median without NaN; 0 where there is nothing."""
    ordered = np.sort(values, axis=axis)  # NaN last
    counts = np.isfinite(values).sum(axis=axis)
    low = np.expand_dims(np.maximum(counts - 1, 0) // 2, axis)
    high = np.expand_dims(np.minimum(counts // 2, max(values.shape[axis] - 1, 0)), axis)
    middle = (np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)) / 2
    result: Float = np.where(counts > 0, np.squeeze(middle, axis), 0.0)
    return result
