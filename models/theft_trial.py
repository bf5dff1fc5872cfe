"""One paired draw of an evaluation: who steals, how, from when, and what feeder meters see of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.attacks import MIX, stolen_days, tamper
from models.calendar import DayGrid
from models.series import Bool, Int
from models.weekly_features import Float

__all__ = ["Trial", "TrialPlan", "draw_trial"]

TECHNICAL_LOSS = (0.01, 0.03)
FEEDER_NOISE = 0.003
"""Standard deviation of a feeder meter's error, of each slot's reading."""


@dataclass(frozen=True)
class TrialPlan:
    """What is drawn.

    Attributes:
        seed: Everything follows from it.
        timing: One of ``models.attacks.TIMINGS``.
        prevalence: Share of the homes that steal.
        kinds: Attacks, each thief has one of them.
        feeders: Number of feeders the homes are spread over at random.
    """

    seed: int
    timing: str = "onset"
    prevalence: float = 0.08
    kinds: tuple[str, ...] = MIX
    feeders: int = 10


@dataclass(frozen=True)
class Trial:
    """The draw; n homes, f feeders.

    Attributes:
        said: What the meters say, shape (n, slots). [micro-unit]
        guilty: Who steals, shape (n,).
        kind: Name of each home's attack, empty for the honest, length n.
        first_day: Index of the first stolen day, −1 for the honest, shape (n,).
        stolen: Energy used but not measured, shape (n,). [micro-unit]
        feeder_of: Feeder of each home, shape (n,).
        through: What the feeder meters say, shape (f, slots). [micro-unit]
    """

    said: Int
    guilty: Bool
    kind: list[str]
    first_day: Int
    stolen: Float
    feeder_of: Int
    through: Int


def draw_trial(load: Int, grid: DayGrid, plan: TrialPlan, *, able: Bool | None = None) -> Trial:
    """Draw thieves and feeders.

    Args:
        load: True load of the homes, shape (n, slots). [micro-unit]
        grid: The days.
        plan: What to draw. Homes, feeders and thieves depend on the seed and the prevalence alone, so that
            timings can be compared.
        able: Homes that could steal, shape (n,); None for all.
    """
    n = len(load)
    rng = np.random.default_rng([plan.seed, 1])
    feeder_of = rng.permutation(np.arange(n) % plan.feeders)
    who = rng.permutation(n)  # all, so that one home more or less that is able leaves the others as they were
    who = who if able is None else who[able[who]]
    thieves = np.sort(who[: max(round(plan.prevalence * n), 1)])
    said, kind, first_day = load.copy(), [""] * n, np.full(n, -1)
    for home in thieves.tolist():
        own = np.random.default_rng([plan.seed, 2, home])
        kind[home] = plan.kinds[int(own.integers(len(plan.kinds)))]
        days = stolen_days(plan.timing, grid.days, own)
        first_day[home] = int(days.argmax())
        said[home] = tamper(load[home], grid, days, kind[home], own, fresh=plan.timing == "half")
    guilty = np.zeros(n, np.bool_)
    guilty[thieves] = True
    through = _through(load, feeder_of, plan)
    return Trial(said, guilty, kind, first_day, _sum(load) - _sum(said), feeder_of, through)


def _through(load: Int, feeder_of: Int, plan: TrialPlan) -> Int:
    """Feeder meters: the true sum, a technical loss of their own, noise of each slot."""
    rng = np.random.default_rng([plan.seed, 3])
    through = np.zeros((plan.feeders, load.shape[1]), np.int64)
    for feeder in range(plan.feeders):
        true = load[feeder_of == feeder].sum(axis=0)
        factor = (1 + rng.uniform(*TECHNICAL_LOSS)) * (1 + FEEDER_NOISE * rng.standard_normal(len(true)))
        through[feeder] = np.rint(true * factor)
    return through


def _sum(load: Int) -> Float:
    total: Float = load.sum(axis=1).astype(np.float64)
    return total
