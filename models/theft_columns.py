"""What a trained model is told of each meter: its days against the fleet's, and what its feeder says."""

from __future__ import annotations

import numpy as np

from models.behaviour import DAY_NAMES, Behaviour
from models.change_queue import ChangeScores
from models.feeder_fit import TOLD, FeederFit
from models.standing import evidence, nan_median, robust
from models.week_table import WeekTable
from models.weekly_features import NAMES, Float

__all__ = ["COLUMNS", "OWN", "in_ranks", "theft_columns"]

MOST = 8.0
"""Robust deviations beyond which a meter is as strange as can be."""
OWN = (
    *(f"{name}: sharpest change" for name in DAY_NAMES),
    *(f"{name}: size of the change" for name in DAY_NAMES),
    *(f"{name}: usual day" for name in DAY_NAMES),
    *(f"{name}: {how}" for name in DAY_NAMES for how in ("spread", "upper days", "day to day")),
    *(f"{name} of the week" for name in NAMES),
    "change score",
)
"""Columns that need no feeder meter."""
COLUMNS = (*OWN, *TOLD)
"""Names of :func:`theft_columns`: a model says with which it was taught."""


def theft_columns(table: WeekTable, found: Behaviour, change: ChangeScores, fit: FeederFit) -> Float:
    """Robust distances of each meter's own numbers from the population, then ``TOLD`` as it is.

    Args:
        table: Customer meters of the theft population, sorted by id.
        found: What their days are like.
        change: Their change scores.
        fit: What the feeders say of them.

    Returns:
        Shape (m, k), columns in the order of ``COLUMNS``; NaN only where no feeder meter tells.
    """
    weeks = (table.features[:, :, k].astype(np.float64) for k in range(len(NAMES)))
    weekly = np.column_stack([nan_median(week, 1) for week in weeks])
    raw = np.hstack([found.step, found.size, found.centre, found.unrest, weekly, change.score[:, None]])
    own = [robust(raw[:, column], MOST) for column in range(raw.shape[1])]
    return np.column_stack([*own, fit.told])


def in_ranks(rows: Float) -> Float:
    """``OWN`` as the share of meters that score lower, in place of a distance; the rest as it is; (m, k).

    How far a thief stands from the others depends on how alike they are; where he stands does so less.

    Args:
        rows: ``theft_columns`` of one population, shape (m, k).
    """
    own = [1 - np.exp(-evidence(rows[:, column])) for column in range(len(OWN))]
    return np.column_stack([*own, rows[:, len(OWN) :]])
