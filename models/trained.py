"""Trained models of suspicion: learned from injected theft, from inspected outcomes, or from nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.series import Bool
from models.standing import evidence
from models.theft_columns import OWN, in_ranks
from models.trees import Trees, isolating, voting
from models.weekly_features import Float

__all__ = ["METHODS", "Model", "taught", "untaught"]

METHODS = ("injected", "feedback", "isolation")
"""Taught with theft injected into real meters, with what inspectors found, or without any label."""
TREES = 150
SEED = 0
TIES = 1e-6
"""Weight of the untaught order beside a model: it parts equals."""
LEAST_IN_LEAF, MOST_LEAVES, SHARE_OF_COLUMNS = 3, 96, 0.3


@dataclass(frozen=True)
class Model:
    """Two forests over ``theft_columns``.

    Attributes:
        method: One of ``METHODS``.
        blind: Judges by ``OWN`` meters whose feeder has no meter.
        sighted: Judges by all columns those whose feeder has one; None for a model that is always blind.
        own: Weight of the change score beside them: 0 where they were taught with the lake's own meters.
        ranked: Whether it was taught with ``in_ranks``, which carry from one population to another.
        name: What the queues call it.
    """

    method: str
    blind: Trees
    sighted: Trees | None
    own: float = 0.0
    ranked: bool = False
    name: str = "untitled"

    def suspicion(self, rows: Float) -> Float:
        """Higher is more suspicious; each row by itself, whatever stands beside it; (m, k) → (m,).

        Args:
            rows: ``theft_columns`` as it was taught with them, NaN where no feeder meter tells.
        """
        if self.sighted is None:
            return self.blind.mean(rows[:, : len(OWN)])
        told = np.isfinite(rows).all(axis=1)
        scores = np.zeros(len(rows))
        scores[told] = self.sighted.mean(rows[told])
        scores[~told] = self.blind.mean(rows[~told, : len(OWN)])
        return scores

    def scores(self, state: Float, change: Float, rows: Float) -> Float:
        """Scores of the state queue as the model orders it, its equals as they stood without it; (m,).

        Args:
            state: Scores of the state queue without a model, shape (m,).
            change: Change scores, shape (m,).
            rows: ``theft_columns``, shape (m, k).
        """
        known = self.suspicion(in_ranks(rows) if self.ranked else rows)
        return evidence(known) + self.own * evidence(change) + TIES * evidence(state)


def taught(method: str, rows: Float, guilty: Bool, *, least_in_leaf: int = LEAST_IN_LEAF) -> Model:
    """Extremely randomised trees taught with labels.

    Args:
        method: ``injected`` or ``feedback``.
        rows: ``theft_columns`` of each lesson, shape (n, k).
        guilty: Shape (n,); both must occur.
        least_in_leaf: Fewest lessons that a leaf speaks for.

    References:
        Geurts, Ernst and Wehenkel, Extremely randomized trees, Machine Learning 2006.
    """
    told = np.isfinite(rows).all(axis=1)
    able = guilty[told].any() and not guilty[told].all()
    sighted = _grown(rows[told], guilty[told], least_in_leaf) if able else None
    return Model(method, _grown(rows[:, : len(OWN)], guilty, least_in_leaf), sighted)


def _grown(rows: Float, guilty: Bool, least_in_leaf: int) -> Trees:
    from sklearn.ensemble import ExtraTreesClassifier  # slow to import: only who trains pays

    forest = ExtraTreesClassifier(
        TREES,
        min_samples_leaf=least_in_leaf,
        max_leaf_nodes=MOST_LEAVES,
        max_features=SHARE_OF_COLUMNS,
        random_state=SEED,
        n_jobs=1,
    )
    return voting(forest.fit(rows, guilty))


def untaught(rows: Float) -> Model:
    """An isolation forest over what needs no feeder meter, without any label; (n, k)."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=TREES, random_state=SEED, n_jobs=1)
    return Model("isolation", isolating(forest.fit(rows[:, : len(OWN)])), None)
