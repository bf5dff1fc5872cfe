"""Towns of ``models.town`` to teach theft with, half of them lived in with less regularity than it makes.

In a calm town every home has its habits each day. In a restless one people leave, stay longer, move, heat at
night and own meters that count in coarse steps: honest homes that look a little like thieves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from models.calendar import DayGrid, epoch_day
from models.series import Int
from models.theft_bench import Homes
from models.town import TownPlan, make_meter
from models.weekly_features import Float

__all__ = ["TaughtTown", "taught_town"]

DAYS = 49
ZONE = "Europe/Zurich"
FIRST = date(2024, 1, 1)
WH = 1000
"""Micro-units of a town's watt-hour."""
LENGTHS = (900, 1800, 3600)
STEPS = (1, 1, 1, 10, 50, 100)
"""What a meter counts in, in Wh; one is drawn for each home."""


@dataclass(frozen=True)
class TaughtTown:
    """Honest homes, and how thieves and feeders are to be drawn among them.

    Attributes:
        homes: Their true import.
        prevalence: Share that steals.
        homes_a_feeder: Homes behind one feeder meter.
    """

    homes: Homes
    prevalence: float
    homes_a_feeder: int


def taught_town(number: int, *, restless: bool) -> TaughtTown:
    """A town of its own size, interval length, season, prevalence and feeders; all follow from its number."""
    rng = np.random.default_rng([number, 99])
    meters = int(rng.integers(200, 401))
    prevalence, homes_a_feeder = float(rng.uniform(0.03, 0.15)), int(rng.integers(15, 70))
    first = epoch_day(FIRST) + 7 * int(rng.integers(52))
    grid = DayGrid(ZONE, LENGTHS[number % len(LENGTHS)], first, DAYS)
    plan = TownPlan(meters, number, theft=0, faults=0, defects=0)
    load = np.stack([make_meter(plan, home, grid).used for home in range(meters)])
    if restless:
        for home in range(meters):
            load[home] = _lived_in(load[home], grid, np.random.default_rng([number, 7, home]))
    names = [f"M{home:06d}" for home in range(meters)]
    have = np.ones(load.shape, np.bool_)
    return TaughtTown(Homes(names, load * WH, have, grid), prevalence, homes_a_feeder)


def _lived_in(used: Int, grid: DayGrid, rng: np.random.Generator) -> Int:
    """Load of a home with a life of its own, in Wh as its meter counts it; (slots,)."""
    load = used.astype(np.float64) * np.repeat(_days(grid.days, rng), grid.lengths)
    if rng.random() < 0.6:  # few appliances, long pauses
        shape = rng.uniform(0.5, 4)
        load *= rng.gamma(shape, 1 / shape, grid.slots)
    if rng.random() < 0.25:
        load += _night_heater(grid, rng)
    step = STEPS[int(rng.integers(len(STEPS)))]
    counted = np.floor(np.cumsum(load * rng.lognormal(0, 0.4)) / step).astype(np.int64)
    return np.diff(counted, prepend=0) * step


def _days(days: int, rng: np.random.Generator) -> Float:
    """How much of its usual load a home uses each day: whims that last, moves, absences; (days,)."""
    spread, memory = rng.uniform(0.05, 0.5), rng.uniform(0, 0.7)
    whim = rng.normal(0, spread, days)
    for day in range(1, days):
        whim[day] = memory * whim[day - 1] + np.sqrt(1 - memory**2) * whim[day]
    use: Float = np.exp(whim)
    if rng.random() < 0.15:  # somebody moves in or out
        use[int(rng.integers(days)) :] *= rng.lognormal(0, 0.4)
    for _ in range(rng.poisson(0.6)):
        gone = int(rng.integers(-5, days))
        use[max(gone, 0) : max(gone + int(rng.integers(2, 22)), 0)] *= rng.uniform(0.03, 0.4)
    if rng.random() < 0.04:  # hardly used at all
        use *= rng.uniform(0, 0.15)
    return use


def _night_heater(grid: DayGrid, rng: np.random.Generator) -> Float:
    """A block of some hours, its power by the day, in Wh; (slots,)."""
    hour = grid.wall / 3600
    start, length = rng.uniform(0, 5), rng.uniform(1, 4)
    watt = rng.uniform(500, 3000) * rng.uniform(0.5, 1.3, grid.days)
    on = (hour >= start) & (hour < start + length)
    heat: Float = np.where(on, np.repeat(watt, grid.lengths) * grid.interval_s / 3600, 0.0)
    return heat
