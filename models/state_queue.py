"""Theft that was always there: meters against the population, and against the loss of their feeder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.change_queue import MAD_TO_SIGMA, ChangeScores, nan_median, strangeness
from models.week_table import WeekTable
from models.weekly_features import Float

SIDE = np.array([-1, -1, -1, 1, 1, -1, 0, -1, 1, 0, 0, 0, -1, 1])
RIDGE = 0.05
"""Share of the mean squared load added to each meter's own: keeps the loss of look-alikes apart."""


@dataclass(frozen=True)
class StateScores:
    """Scores of m meters.

    Attributes:
        score: Higher is more suspicious, shape (m,).
        feeder_share: Share of its reported load that the feeder's loss asks of the meter, NaN without a
            feeder, shape (m,).
    """

    score: Float
    feeder_share: Float


def state_scores(
    table: WeekTable, change: ChangeScores, feeders: dict[str, Float], feeder_of: list[str | None]
) -> StateScores:
    """Score every meter.

    Args:
        table: Customer meters of the theft population, sorted by id.
        change: Their change scores.
        feeders: Daily energy through each feeder meter, (d,) on the table's days. [micro-kWh]
        feeder_of: Feeder of each meter.
    """
    static = _static(table)
    centred = static - np.median(static, axis=0) if len(static) else static
    spread = MAD_TO_SIGMA * np.median(np.abs(centred), axis=0) + 1e-9 if len(static) else 1.0
    z = np.clip(centred / spread, -8, 8)
    side = np.where(SIDE == 0, np.abs(z), np.maximum(z * SIDE, 0))
    score = _scaled(strangeness(side, side)) + _scaled(change.score) if len(static) else np.zeros(0)
    share = feeder_shares(table.days("day_total"), feeders, feeder_of)
    return StateScores(score + np.nan_to_num(share) * 4.0, share)


def _static(table: WeekTable) -> Float:
    """Fourteen features of the whole period: medians over the weeks, and how days differ."""
    columns = range(table.features.shape[2])
    medians = [nan_median(table.features[:, :, k].astype(np.float64), 1) for k in columns]
    days = np.maximum(table.days("day_total").astype(np.float64), 0)
    mean = np.maximum(days.mean(axis=1), 1.0)
    variation = days.std(axis=1) / mean
    spread = (
        (np.quantile(days, 0.9, axis=1) - np.quantile(days, 0.1, axis=1)) / mean if days.size else variation
    )
    return np.column_stack([*medians, np.log(mean), variation + 0.5 * spread])


def feeder_shares(
    days: NDArray[np.integer],
    feeders: dict[str, Float],
    feeder_of: list[str | None],
) -> Float:
    """Ridge-regularised non-negative least squares of each feeder's loss on the loads its meters report.

    Returns:
        Coefficient of each meter, NaN where its feeder has no meter; shape (m,).
    """
    from scipy.optimize import nnls  # slow to import: only who scores pays

    share = np.full(len(feeder_of), np.nan)
    for feeder, through in feeders.items():
        rows = np.array([i for i, name in enumerate(feeder_of) if name == feeder], np.int64)
        if not len(rows):
            continue
        load = np.maximum(days[rows].astype(np.float64), 0).T / 1e6
        loss = through / 1e6 - load.sum(axis=1)
        weight = np.sqrt(RIDGE * np.mean(load**2) * len(load))
        matrix = np.vstack([load, weight * np.eye(len(rows))])
        share[rows] = nnls(matrix, np.concatenate([loss, np.zeros(len(rows))]))[0]
    return share


def _scaled(values: Float) -> Float:
    spread = MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))) + 1e-6
    scaled: Float = np.clip((values - np.median(values)) / spread, -20, 20)
    return scaled
