"""How good a ranking is: area under the curve, average precision, precision and energy at the top."""

from __future__ import annotations

import numpy as np

from models.series import Bool, Int
from models.weekly_features import Float

__all__ = ["auc", "average_precision", "precision_at", "recovered_at"]


def auc(score: Float, guilty: Bool) -> float:
    """Chance that a guilty meter scores above an innocent one, ties counting half; NaN without both.

    Args:
        score: Higher is more suspicious, shape (n,).
        guilty: The truth, shape (n,).
    """
    both = int(guilty.sum()), int((~guilty).sum())
    if not all(both):
        return float("nan")
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]
    return float((rank[guilty].sum() - both[0] * (both[0] + 1) / 2) / (both[0] * both[1]))


def average_precision(score: Float, guilty: Bool) -> float:
    """Mean of the precision at each guilty meter, from the top; NaN without guilty ones."""
    hit = guilty[_order(score)]
    if not hit.any():
        return float("nan")
    places = np.flatnonzero(hit) + 1
    return float((np.arange(1, len(places) + 1) / places).mean())


def precision_at(score: Float, guilty: Bool, top: int) -> float:
    """Share of guilty meters among the first ``top``."""
    return float(guilty[_order(score)[:top]].mean())


def recovered_at(score: Float, stolen: Float, top: int) -> float:
    """Share of all stolen energy that inspecting the first ``top`` meters finds; NaN where none is stolen."""
    whole = float(stolen.sum())
    return float(stolen[_order(score)[:top]].sum()) / whole if whole > 0 else float("nan")


def _order(score: Float) -> Int:
    """Highest first, the earlier of equals first."""
    return np.argsort(-score, kind="stable")
