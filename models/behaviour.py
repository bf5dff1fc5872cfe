"""What each meter's days are like, and when they changed, after the population's own days are taken out.

Seven numbers of each day, each turned so that higher is more suspicious: a thief's use is lower, flatter,
and more of it is zero. Taken from the daily columns of the ``features`` table, one number at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.series import Int
from models.standing import nan_median, nan_quantile
from models.week_table import WEEK, WeekTable
from models.weekly_features import NAMES, Float

__all__ = ["DAY_NAMES", "Behaviour", "behaviour", "step"]

DAY_NAMES = (
    "use", "daily peak", "base load", "share of zeros", "peak against use", "base load against use",
    "time at the week's highest",
)  # fmt: skip
LEAST_KW, LEAST_BASE_KW = 0.04, 0.02
"""Loads below these are alike: a router, a meter's own noise."""
BEFORE, AFTER = 14, 14
"""Fewest known days before and after a change."""
METERS_AT_ONCE = 512
PART_OF_POPULATION = 0.25
"""Share of a usual meter's variance that is added to each meter's own: a calm meter is no proof."""


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
    for column, days in enumerate(_days(table) if count else ()):
        days -= nan_median(days, 0)[None, :]
        usual = float(np.median(_variance(days)))
        for low in range(0, count, METERS_AT_ONCE):
            rows = slice(low, low + METERS_AT_ONCE)
            some = days[rows]
            found.step[rows, column], found.size[rows, column], found.at[rows, column] = step(some, usual)
            found.centre[rows, column] = middle = nan_median(some, 1)
            found.unrest[rows, 3 * column] = np.sqrt(_variance(some))
            found.unrest[rows, 3 * column + 1] = nan_quantile(some, 0.9, 1) - middle
            found.unrest[rows, 3 * column + 2] = nan_median(np.abs(np.diff(some, axis=1)), 1)
    return found


def _days(table: WeekTable) -> Iterator[Float]:
    """``DAY_NAMES``, one after the other, NaN on days without a value; (m, d) each."""
    have = table.days("day_have")
    known = have > 0
    kw = have.max(axis=1, initial=1)[:, None] / 24 / 1e6  # micro-kWh a slot to kW

    def log(column: Float, least: float) -> Float:
        return np.log(np.maximum(column, 0) + least)

    mean = table.days("day_total") / np.maximum(have, 1) * kw
    peak, base = table.days("day_max") * kw, table.days("day_min") * kw
    week = NAMES.index("clipped share")
    for make in (
        lambda: -log(mean, LEAST_KW),
        lambda: -log(peak, LEAST_KW),
        lambda: -log(base, LEAST_BASE_KW),
        lambda: table.days("day_zeros") / np.maximum(have, 1),
        lambda: log(mean, LEAST_KW) - log(peak, LEAST_KW),
        lambda: log(mean, LEAST_BASE_KW) - log(base, LEAST_BASE_KW),
        lambda: np.repeat(table.features[:, :, week].astype(np.float64), WEEK, axis=1),
    ):
        yield np.where(known, make(), np.nan)


def _variance(days: Float) -> Float:
    """Of the known days; 0 where there are none; (m,)."""
    known = np.isfinite(days)
    count = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, days, 0)
    mean = filled.sum(axis=1) / count
    variance: Float = np.maximum((filled**2).sum(axis=1) / count - mean**2, 0)
    return variance


def step(days: Float, usual: float) -> tuple[Float, Float, Int]:
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
    known = np.isfinite(days)
    filled = np.where(known, days, 0)
    number, total = known.cumsum(axis=1), filled.cumsum(axis=1)
    n1, s1 = number[:, :-1], total[:, :-1]
    n2, s2 = number[:, -1:] - n1, total[:, -1:] - s1
    able = (n1 >= BEFORE) & (n2 >= AFTER)
    m1, m2 = s1 / np.maximum(n1, 1), s2 / np.maximum(n2, 1)
    rest = (filled**2).sum(axis=1, keepdims=True) - n1 * m1**2 - n2 * m2**2
    noise = np.maximum(rest, 0) / np.maximum(n1 + n2 - 2, 1) + PART_OF_POPULATION * usual + 1e-9
    t = np.where(able, (m2 - m1) / np.sqrt(noise) * np.sqrt(n1 * n2 / np.maximum(n1 + n2, 1)), -np.inf)
    if not t.shape[1]:
        return np.zeros(len(days)), np.zeros(len(days)), np.full(len(days), -1, np.int64)
    best, row = t.argmax(axis=1), np.arange(len(days))
    found = able[row, best]
    size = np.where(found, (m2 - m1)[row, best], 0.0)
    return np.where(found, t[row, best], 0.0), size, np.where(found, best + 1, -1)
