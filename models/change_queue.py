"""Theft that starts in view: weeks against the meter's own baseline, one-sided, plus the level drop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.series import Int
from models.week_table import WeekTable
from models.weekly_features import NAMES, Float, baseline_weeks

WORST_WEEKS = 3
CANDIDATE_WEEKS = 6
"""Weeks of each meter that are scored: those farthest from its own baseline."""
MOST_LEARNT = 1 << 16
"""Weeks a forest learns from at most, evenly spread over the meters."""
TREES = 200
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for normal values."""
SEED = 0
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
    """

    score: Float
    first_week: Int
    drop: Float
    lost: Float
    deviation: NDArray[np.float32]


def change_scores(table: WeekTable) -> ChangeScores:
    """Score every meter; needs the population's other meters, at least a few weeks of each.

    Args:
        table: Customer meters of the theft population, sorted by id.
    """
    count, weeks = table.there.shape
    base_weeks = baseline_weeks(weeks)
    side, level_shift = _one_sided(table.features, base_weeks)
    after = side[:, base_weeks:] if weeks > base_weeks else side
    late = level_shift[:, base_weeks:] if weeks > base_weeks else level_shift
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
    return ChangeScores(_robust(worst) + 0.5 * drop_z, first, 1 - np.exp(-np.maximum(level, 0)), lost, side)


def _one_sided(features: NDArray[np.float32], base_weeks: int) -> tuple[NDArray[np.float32], Float]:
    """How far each week deviates to the suspicious side, and the shift of its level; (m, w, 12), (m, w).

    In robust standard deviations from the meter's own baseline, after the population's movement of the
    same week (weather, holidays) is taken out. One feature at a time: nothing else is held.
    """
    side = np.empty(features.shape, np.float32)
    level = np.zeros(features.shape[:2])
    for k, towards in enumerate(SUSPICIOUS_SIDE.tolist()):
        column = features[:, :, k].astype(np.float64)
        shift = column - nan_median(column[:, :base_weeks], 1)[:, None]
        shift -= nan_median(shift, 0)[None, :]
        pooled = MAD_TO_SIGMA * nan_median(np.abs(shift).ravel(), 0)
        own = MAD_TO_SIGMA * nan_median(np.abs(shift[:, :base_weeks]), 1)
        scale = np.sqrt(own**2 + pooled**2) + 1e-9
        z = np.clip(np.nan_to_num(shift / scale[:, None]), -8, 8)
        side[:, :, k] = np.abs(z) if towards == 0 else np.maximum(z * towards, 0)
        if NAMES[k] == "level":
            level = np.nan_to_num(shift)
    return side, level


def strangeness(known: NDArray[np.floating], rows: NDArray[np.floating]) -> Float:
    """Anomaly of rows by an isolation forest over known ones, higher is stranger; (n,)."""
    from sklearn.ensemble import IsolationForest  # seconds to import: only who scores pays

    if len(known) < 2:
        return np.zeros(len(rows))
    sample = known[:: -(-len(known) // MOST_LEARNT)]
    forest = IsolationForest(n_estimators=TREES, random_state=SEED, n_jobs=1).fit(sample)
    scores: Float = -forest.score_samples(rows)
    return scores


def _forest(side: NDArray[np.float32]) -> Float:
    """Anomaly of each meter's strangest weeks, −inf for its others; (m, w).

    The forest learns from weeks of all meters; only as many are scored as could be among the worst.
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


def nan_median(values: Float, axis: int) -> Float:
    """Median without NaN; 0 where there is nothing."""
    ordered = np.sort(values, axis=axis)  # NaN last
    counts = np.isfinite(values).sum(axis=axis)
    low = np.expand_dims(np.maximum(counts - 1, 0) // 2, axis)
    high = np.expand_dims(np.minimum(counts // 2, max(values.shape[axis] - 1, 0)), axis)
    middle = (np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)) / 2
    result: Float = np.where(counts > 0, np.squeeze(middle, axis), 0.0)
    return result
