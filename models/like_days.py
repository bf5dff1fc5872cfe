"""Estimates from other days at the same wall clock: like days, the two-week table, the same weekday."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.days import half_away
from models.gaps import Gaps
from models.runs import REACH_BACK
from models.series import Bool, Int, SeriesFacts
from schemas.estimators import LikeDayStep, MultiWeekStep, TwoWeekStep
from schemas.rulepack import RulePack

SATURDAY, SUNDAY, HOLIDAY = 5, 6, 7
PAIR_CHUNK = 65_536
"""Days whose reference windows are searched at once: bounds the memory of a bad month."""
TWO_WEEK_TABLE = (
    (7, 14),
    (7, 6, 5),
    (7, 1, 8, 6),
    (7, 1, 8, 2, 9),
    (7,),
    (7,),
    (7,),
)
"""Days back of the references of Monday … Sunday, like-day weeks running from Sunday to Saturday.

Monday: Mondays of the two weeks before. Tuesday: Tuesday, Wednesday, Thursday of the prior week. Wednesday:
Wednesday prior, Tuesday current, Tuesday and Thursday prior. Thursday: Thursday prior, Wednesday current and
prior, Tuesday current and prior. Friday, Saturday, Sunday: the same day of the prior week.
"""


def like_day(gaps: Gaps, left: Int, step: LikeDayStep, pack: RulePack) -> tuple[Int, Bool]:
    """Mean of the latest eligible days of the same type; (k,) each."""
    return mean_at_wall(gaps.facts, like_days(gaps, left, step), gaps.series[left], gaps.column[left])


def like_days(gaps: Gaps, left: Int, step: LikeDayStep) -> Int:
    """Reference days of ``like_day``: day indexes, −1 where there are fewer; (k, days)."""
    grid, facts = gaps.facts.grid, gaps.facts
    pair, of_slot = _pairs(gaps, left)
    references = reference_days(
        gaps.checked.eligible, day_types(grid, facts.holidays), *np.divmod(pair, grid.days), step.days
    )
    return references[of_slot]


def two_week(gaps: Gaps, left: Int, step: TwoWeekStep, pack: RulePack) -> tuple[Int, Bool]:
    """Mean of the eligible days that the two-week table names, or a holiday's latest Sunday; (k,) each."""
    return mean_at_wall(gaps.facts, two_week_days(gaps, left, step), gaps.series[left], gaps.column[left])


def two_week_days(gaps: Gaps, left: Int, step: TwoWeekStep) -> Int:
    """Reference days of ``two_week``: day indexes, −1 where there are fewer; (k, 5)."""
    grid, facts = gaps.facts.grid, gaps.facts
    pair, of_slot = _pairs(gaps, left)
    series, day = np.divmod(pair, grid.days)
    width = max(map(len, TWO_WEEK_TABLE))
    table = np.array([row + (0,) * (width - len(row)) for row in TWO_WEEK_TABLE], np.int64)
    back = table[grid.weekdays[day]]
    references = _eligible(gaps, series, day, back)
    holiday = np.flatnonzero(day_types(grid, facts.holidays)[day] == HOLIDAY)
    sunday = (grid.weekdays[day[holiday]].astype(np.int64) + 1) % 7
    sundays = _eligible(gaps, series[holiday], day[holiday], np.stack([sunday, sunday + 7], axis=1))
    sundays[sundays[:, 0] >= 0, 1] = -1
    references[holiday] = -1
    references[holiday, :2] = sundays
    return references[of_slot]


def multi_week(gaps: Gaps, left: Int, step: MultiWeekStep, pack: RulePack) -> tuple[Int, Bool]:
    """Mean of the eligible days 1 … ``weeks`` weeks before; (k,) each."""
    return mean_at_wall(gaps.facts, multi_week_days(gaps, left, step), gaps.series[left], gaps.column[left])


def multi_week_days(gaps: Gaps, left: Int, step: MultiWeekStep) -> Int:
    """Reference days of ``multi_week``: day indexes, −1 where there are fewer; (k, weeks)."""
    pair, of_slot = _pairs(gaps, left)
    series, day = np.divmod(pair, gaps.facts.grid.days)
    back = np.broadcast_to(7 * np.arange(1, step.weeks + 1), (len(day), step.weeks))
    return _eligible(gaps, series, day, back)[of_slot]


def _pairs(gaps: Gaps, left: Int) -> tuple[Int, Int]:
    """Distinct series · days + day of some slots, and which of them each slot has."""
    pair, of_slot = np.unique(gaps.series[left] * gaps.facts.grid.days + gaps.day[left], return_inverse=True)
    return pair, of_slot


def _eligible(gaps: Gaps, series: Int, day: Int, back: Int) -> Int:
    """Days so many days back where they are eligible, else −1 (0 back: no day); shape of ``back``."""
    there = day[:, None] - back
    usable = (back > 0) & (there >= 0)
    usable &= gaps.checked.eligible[series[:, None], np.maximum(there, 0)]
    return np.where(usable, there, -1)


def day_types(grid: DayGrid, holidays: frozenset[int]) -> NDArray[np.int8]:
    """0 weekday, 5 Saturday, 6 Sunday, 7 holiday; (days,)."""
    types = np.where(grid.weekdays < SATURDAY, np.int8(0), grid.weekdays)
    for day in holidays:
        if grid.first_day <= day <= grid.last_day:
            types[day - grid.first_day] = HOLIDAY
    return types


def reference_days(eligible: Bool, types: NDArray[np.int8], series: Int, day: Int, wanted: int) -> Int:
    """The latest eligible like days in d − 35 … d − 1.

    Args:
        eligible: Shape (n, days).
        types: Day types, shape (days,).
        series: Series of the days to find references for, shape (k,).
        day: Index of those days, shape (k,).
        wanted: References a day.

    Returns:
        Day indexes, latest first, −1 where there are fewer; shape (k, wanted).
    """
    result = np.full((len(series), wanted), -1, np.int64)
    back = np.arange(1, REACH_BACK + 1)
    for low in range(0, len(series), PAIR_CHUNK):
        chunk = slice(low, low + PAIR_CHUNK)
        window = day[chunk, None] - back
        usable = (window >= 0) & eligible[series[chunk, None], np.maximum(window, 0)]
        window_types = types[np.maximum(window, 0)]
        own = types[day[chunk, None]]
        like = usable & (window_types == own)
        stand_in = (own[:, 0] == HOLIDAY) & ~like.any(axis=1)
        like[stand_in] = (usable & (window_types == SUNDAY))[stand_in]
        row, offset = np.nonzero(like)
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        kept = rank < wanted
        result[low + row[kept], rank[kept]] = window[row[kept], offset[kept]]
    return result


def mean_at_wall(facts: SeriesFacts, references: Int, series: Int, column: Int) -> tuple[Int, Bool]:
    """Mean of the references at the slot's wall clock, half away, and whether there is one.

    Args:
        facts: The series.
        references: Day indexes, −1 for none, shape (k, r).
        series: Rows of the slots, shape (k,).
        column: Columns of the slots, shape (k,).
    """
    columns = columns_at_wall(facts.grid, references, column)
    there = columns >= 0
    values = np.where(there, facts.value[series[:, None], np.maximum(columns, 0)], 0)
    count = there.sum(axis=1)
    return half_away(values.sum(axis=1), np.maximum(count, 1)), count > 0


def columns_at_wall(grid: DayGrid, references: Int, column: Int) -> Int:
    """Columns of reference days at the wall clock of slots, −1 where there is none; (k, r)."""
    wall = grid.wall[column] // grid.interval_s
    columns: Int = np.where(references >= 0, grid.wall_columns[references, wall[:, None]], -1)
    return columns
