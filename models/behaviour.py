"""What each meter's days are like, and when they changed, after the population's own days are taken out.

Seven numbers of each day, each turned so that higher is more suspicious: a thief's use is lower, flatter,
and more of it is zero. Taken from the daily columns of the ``features`` table, one number at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.series import Bool, Int
from models.standing import fleet_median, nan_median, nan_quantiles
from models.week_table import WEEK, WeekTable, some_meters
from models.weekly_features import NAMES, Float

__all__ = ["DAY_NAMES", "Behaviour", "behaviour", "step", "steps"]

DAY_NAMES = (
    "use", "daily peak", "base load", "share of zeros", "peak against use", "base load against use",
    "time at the week's highest",
)  # fmt: skip
LEAST_KW, LEAST_BASE_KW = 0.04, 0.02
"""Loads below these are alike: a router, a meter's own noise."""
BEFORE, AFTER = 14, 14
"""Fewest known days before and after a change."""
PART_OF_POPULATION = 0.25
"""Share of a usual meter's variance that is added to each meter's own: a calm meter is no proof."""

Step = tuple[Float, Float, Int]
"""t statistic of a change, its size, and the first day after it; (m,) each."""


@dataclass(frozen=True)
class Behaviour:
    """Numbers of m meters; columns in the order of ``DAY_NAMES``.

    Attributes:
        step: How sharply it rose and stayed: the t statistic of the sharpest change, shape (m, 7).
        size: Mean after less mean before that change, shape (m, 7).
        at: Index of the first day after it, −1 where too few days are known, shape (m, 7).
        centre: Median day, shape (m, 7).
        unrest: How unlike each other its days are: standard deviation, distance from the median to the
            ninth decile, median difference of neighbouring days; shape (m, 21).
    """

    step: Float
    size: Float
    at: Int
    centre: Float
    unrest: Float


def behaviour(table: WeekTable) -> Behaviour:
    """Measure every meter.

    Args:
        table: Meters that can be compared with each other, sorted by id.
    """
    count = len(table.meters)
    found = Behaviour(
        np.zeros((count, 7)),
        np.zeros((count, 7)),
        np.full((count, 7), -1, np.int64),
        np.zeros((count, 7)),
        np.zeros((count, 21)),
    )
    days = np.empty((count, WEEK * len(table.weeks)))
    for column in range(len(DAY_NAMES) if count else 0):
        for rows in some_meters(count):
            days[rows] = _numbers(table, rows, column)
        fleet, variance = fleet_median(days), np.empty(count)
        for rows in some_meters(count):
            days[rows] -= fleet
            variance[rows] = _variance(days[rows])
        usual = float(np.median(variance))
        for rows in some_meters(count):
            some = days[rows]
            found.step[rows, column], found.size[rows, column], found.at[rows, column] = step(some, usual)
            middle, upper = nan_quantiles(some, (0.5, 0.9), 1)
            found.centre[rows, column] = middle
            found.unrest[rows, 3 * column] = np.sqrt(variance[rows])
            found.unrest[rows, 3 * column + 1] = upper - middle
            found.unrest[rows, 3 * column + 2] = nan_median(np.abs(np.diff(some, axis=1)), 1)
    return found


def _numbers(table: WeekTable, rows: slice, column: int) -> Float:
    """One of ``DAY_NAMES`` for some meters, NaN on days without a value; (n, d)."""
    have = table.days("day_have")[rows]
    kw = have.max(axis=1, initial=1)[:, None] / 24 / 1e6  # micro-kWh a slot to kW

    def mean() -> Float:
        load: Float = table.days("day_total")[rows] / np.maximum(have, 1) * kw
        return load

    def peak() -> Float:
        load: Float = table.days("day_max")[rows] * kw
        return load

    def base() -> Float:
        load: Float = table.days("day_min")[rows] * kw
        return load

    def at_highest() -> Float:
        share = table.features[rows, :, NAMES.index("clipped share")].astype(np.float64)
        return np.repeat(share, WEEK, axis=1)

    numbers: tuple[Callable[[], Float], ...] = (
        lambda: -_log(mean(), LEAST_KW),
        lambda: -_log(peak(), LEAST_KW),
        lambda: -_log(base(), LEAST_BASE_KW),
        lambda: table.days("day_zeros")[rows] / np.maximum(have, 1),
        lambda: _log(mean(), LEAST_KW) - _log(peak(), LEAST_KW),
        lambda: _log(mean(), LEAST_BASE_KW) - _log(base(), LEAST_BASE_KW),
        at_highest,
    )
    return np.where(have > 0, numbers[column](), np.nan)


def _log(load: Float, least: float) -> Float:
    return np.log(np.maximum(load, 0) + least)


def _variance(days: Float) -> Float:
    """Of the known days; 0 where there are none; (m,)."""
    known = np.isfinite(days)
    count = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, days, 0)
    mean = filled.sum(axis=1) / count
    variance: Float = np.maximum((filled**2).sum(axis=1) / count - mean**2, 0)
    return variance


def step(days: Float, usual: float) -> Step:
    """The sharpest lasting rise of each series.

    Of all days that have at least ``BEFORE`` known ones before and ``AFTER`` from them on, the one with the
    highest t = (m₂ − m₁) / √(s² + usual/4) · √(n₁ n₂ / (n₁ + n₂)), where s² is the variance that stays
    around the two means.

    Args:
        days: Shape (m, d), NaN where unknown.
        usual: Variance of a usual meter's days.

    Returns:
        t, m₂ − m₁ and the index of the day; (m,) each; 0, 0 and −1 where no day qualifies.
    """
    return _sharpest(*_splits(days, usual))


def steps(days: Float, usual: float) -> tuple[Step, Step]:
    """The sharpest lasting rise of each series, and that of its negative, the sharpest fall."""
    t, moved, able = _splits(days, usual)
    return _sharpest(t, moved, able), _sharpest(-t, -moved, able)


def _splits(days: Float, usual: float) -> tuple[Float, Float, Bool]:
    """T and m₂ − m₁ at each day but the first, and whether it has enough days on both sides; (m, d − 1)."""
    known = np.isfinite(days)
    filled = np.where(known, days, 0)
    number, total = known.cumsum(axis=1), filled.cumsum(axis=1)
    n1, s1 = number[:, :-1], total[:, :-1]
    n2, s2 = number[:, -1:] - n1, total[:, -1:] - s1
    able = (n1 >= BEFORE) & (n2 >= AFTER)
    m1, m2 = s1 / np.maximum(n1, 1), s2 / np.maximum(n2, 1)
    rest = (filled**2).sum(axis=1, keepdims=True) - n1 * m1**2 - n2 * m2**2
    noise = np.maximum(rest, 0) / np.maximum(n1 + n2 - 2, 1) + PART_OF_POPULATION * usual + 1e-9
    moved = m2 - m1
    return moved / np.sqrt(noise) * np.sqrt(n1 * n2 / np.maximum(n1 + n2, 1)), moved, able


def _sharpest(t: Float, moved: Float, able: Bool) -> Step:
    """The first of the days with the highest t, of those that are able."""
    if not t.shape[1]:
        return np.zeros(len(t)), np.zeros(len(t)), np.full(len(t), -1, np.int64)
    best, row = np.where(able, t, -np.inf).argmax(axis=1), np.arange(len(t))
    found = able[row, best]
    size = np.where(found, moved[row, best], 0.0)
    return np.where(found, t[row, best], 0.0), size, np.where(found, best + 1, -1)
