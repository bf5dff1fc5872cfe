"""Theft as the literature injects it: what a meter says when a known share of its true load is hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.series import Bool, Int
from models.weekly_features import Float

__all__ = ["ATTACKS", "HELD_OUT", "MIX", "TIMINGS", "stolen_days", "tamper"]

MIX = ("FDI1", "FDI2", "FDI3", "FDI4", "FDI5", "FDI6")
"""The attacks that a mixed population of thieves is drawn from."""
HELD_OUT = ("J5", "J6")
"""Attacks that nothing was designed on: they move energy within the day and hide none."""
TIMINGS = ("onset", "always", "half")
LEAST_SHARE, MOST_SHARE = 0.2, 0.8
ONSET = (0.35, 0.65)
WINDOW_S = 4 * 3600
"""Shortest daily window in which a meter is bypassed."""
DAY_S = 86_400


@dataclass(frozen=True)
class Way:
    """The parameters of one attack, drawn once for as long as it lasts.

    Attributes:
        share: Of the load that is still measured.
        level: Threshold of a clipped load, at most the meter's highest slot. [micro-unit]
        window: From and to, seconds of the wall clock.
    """

    share: float
    level: float
    window: tuple[float, float]

    @classmethod
    def draw(cls, most: int, rng: np.random.Generator) -> Way:
        """Draw every parameter, so that all attacks spend equally many random numbers."""
        length = rng.uniform(WINDOW_S, DAY_S)
        start = rng.uniform(0, DAY_S - length)
        share, level = rng.uniform(LEAST_SHARE, MOST_SHARE), rng.uniform(0, max(most, 0))
        return cls(share, level, (start, start + length))


Attack = Callable[[Float, Int, Way, np.random.Generator], Float]


def _random_share(x: Float, rng: np.random.Generator) -> Float:
    return rng.uniform(LEAST_SHARE, MOST_SHARE, len(x)) * x


ATTACKS: dict[str, Attack] = {
    "FDI1": lambda x, wall, way, rng: way.share * x,
    "FDI2": lambda x, wall, way, rng: np.minimum(x, way.level),
    "FDI3": lambda x, wall, way, rng: np.maximum(x - way.level, 0),
    "FDI4": lambda x, wall, way, rng: np.where((wall >= way.window[0]) & (wall < way.window[1]), 0, x),
    "FDI5": lambda x, wall, way, rng: _random_share(x, rng),
    "FDI6": lambda x, wall, way, rng: _random_share(np.full(len(x), x.mean()), rng),
    "J5": lambda x, wall, way, rng: np.full(len(x), x.mean()),
    "J6": lambda x, wall, way, rng: x[::-1],
}
"""One day's true load, its wall clock [s], the parameters, randomness → what the meter says."""


def stolen_days(timing: str, days: int, rng: np.random.Generator) -> Bool:
    """Days on which a thief steals; (days,).

    Args:
        timing: ``onset`` begins at 35 to 65 % of the period and stays, ``always``, ``half`` is a random
            half of the days.
        days: Length of the period.
        rng: Randomness.
    """
    if timing == "onset":
        return np.arange(days) >= int(days * rng.uniform(*ONSET))
    if timing == "always":
        return np.ones(days, np.bool_)
    if timing == "half":
        chosen = np.zeros(days, np.bool_)
        chosen[rng.permutation(days)[: days // 2]] = True
        return chosen
    raise ValueError(f"timing must be one of {', '.join(TIMINGS)}, got {timing!r}")


def tamper(
    load: Int, grid: DayGrid, days: Bool, kind: str, rng: np.random.Generator, *, fresh: bool = False
) -> Int:
    """What a tampered meter says.

    Args:
        load: True load, shape (slots,). [micro-unit]
        grid: The days.
        days: Days on which it steals, shape (days,).
        kind: One of ``ATTACKS``.
        rng: Randomness.
        fresh: Draw the parameters anew each day; else once.

    Returns:
        Shape (slots,), equal to the load on other days.

    References:
        Jokar et al., Electricity theft detection in AMI using customers' consumption patterns, 2016 (the
        day is the sample, means are of the day); the false-data families FDI1–6 are its h1–h6 as used since.
    """
    attack, said, most = ATTACKS[kind], load.copy(), int(load.max(initial=0))
    wall = grid.wall.astype(np.int64)
    way = Way.draw(most, rng)
    for day in np.flatnonzero(days).tolist():
        if fresh:
            way = Way.draw(most, rng)
        at = slice(int(grid.offsets[day]), int(grid.offsets[day + 1]))
        if at.start < at.stop:
            said[at] = np.rint(attack(load[at].astype(np.float64), wall[at], way, rng))
    return said
