"""Theft whatever its timing: three ways it can show, each by the meter's own days and by its feeder's loss.

*began*: a lasting change, as the change queue sees it. *comes and goes*: days unlike each other. *steady*: a
meter unlike the population, from the first day seen. Of each meter the strongest of the three counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.behaviour import Behaviour
from models.change_queue import ChangeScores
from models.feeder_fit import FeederFit
from models.series import Int
from models.standing import evidence, nan_median, one_sided, rarity, robust
from models.week_table import WeekTable
from models.weekly_features import Float

__all__ = ["WAYS", "StateScores", "state_scores"]

WAYS = ("began", "comes and goes", "steady")
WEIGHTS = (1.0, 0.7, 1.4)
"""Honest homes are restless, few are steadily strange: unrest counts for less than a lasting state."""
OWN_CHANGE = 2.0
"""A change against the own past says more than the feeder does."""
STATIC_SIDE = (-1, -1, -1, 1, 1, -1, 0, -1, 1, 0, 0, 0)
"""Suspicious side of ``weekly_features.NAMES``: −1 lower, 1 higher, 0 either."""
DAILY = 6
"""The first of ``behaviour.DAY_NAMES``; the last one is of weeks."""


@dataclass(frozen=True)
class StateScores:
    """Scores of m meters.

    Attributes:
        score: Higher is more suspicious, shape (m,).
        way: Index into ``WAYS`` of the strongest, shape (m,).
        ways: Robust distance of each way, shape (m, 3).
    """

    score: Float
    way: Int
    ways: Float


def state_scores(table: WeekTable, found: Behaviour, change: ChangeScores, fit: FeederFit) -> StateScores:
    """Score every meter; one whose feeder has no meter is judged by its own days alone.

    Args:
        table: Customer meters of the theft population, sorted by id.
        found: What their days are like.
        change: Their change scores.
        fit: What the feeders say of them.
    """
    unrest = [one_sided(found.unrest[:, k], 1) for k in range(3 * DAILY)]
    medians = [nan_median(table.features[:, :, k].astype(np.float64), 1) for k in range(len(STATIC_SIDE))]
    static = [one_sided(column, side) for column, side in zip(medians, STATIC_SIDE, strict=True)]
    static += [one_sided(found.centre[:, k], 1) for k in range(DAILY)]
    own = (
        OWN_CHANGE * evidence(change.score),
        evidence(rarity(np.column_stack(unrest))),
        evidence(rarity(np.column_stack(static))),
    )
    by_feeder = evidence(fit.moving), evidence(fit.moving), evidence(fit.steady)
    ways = np.column_stack(
        [weight * robust(mine + its) for weight, mine, its in zip(WEIGHTS, own, by_feeder, strict=True)]
    )
    way = ways.argmax(axis=1) if len(ways) else np.zeros(0, np.int64)
    score: Float = (np.maximum(ways, 0) ** 3).sum(axis=1) ** (1 / 3) + 0.01 * ways.max(axis=1, initial=-20)
    return StateScores(score, way, ways)
