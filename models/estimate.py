"""Estimates of absent slots before any register is looked at: linear, like day, flat (docs/vee.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calendar import DAY_S, DayGrid
from models.days import half_away, slot_runs, trailing_sum
from models.runs import REACH_BACK
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from schemas.quality import Method
from schemas.rulepack import RulePack

SATURDAY, SUNDAY, HOLIDAY = 5, 6, 7
PAIR_CHUNK = 65_536
"""Days whose reference windows are searched at once: bounds the memory of a bad month."""


@dataclass(frozen=True)
class Estimates:
    """Unscaled estimates of the absent slots of expected days.

    Attributes:
        slot: Flat slot numbers, increasing, shape (k,).
        value: 0 where no estimator applies, shape (k,). [micro-unit]
        method: schemas.quality.Method, NONE where no estimator applies, shape (k,).
    """

    slot: Int
    value: Int
    method: NDArray[np.int8]


def estimate(facts: SeriesFacts, checked: Screen, pack: RulePack) -> Estimates:
    """The first estimate that can be made for each absent slot of an expected day."""
    grid = facts.grid
    absent = checked.absent
    series, column = np.divmod(absent, grid.slots)
    wanted = facts.expected[series, grid.day_of_slot[column]] & ~facts.instantaneous[series]
    value = np.zeros(len(absent), np.int64)
    method = np.zeros(len(absent), np.int8)
    if wanted.any():
        _linear(facts, checked, pack.estimation.linear_max_minutes * 60, value, method)
        value, method, absent = value[wanted], method[wanted], absent[wanted]
        _by_day(facts, checked, pack, absent, value, method)
        return Estimates(absent, value, method)
    return Estimates(absent[wanted], value[wanted], method[wanted])


def _linear(
    facts: SeriesFacts, checked: Screen, longest_s: int, value: Int, method: NDArray[np.int8]
) -> None:
    """Fill gaps of at most ``longest_s`` seconds between two good neighbours; in place."""
    grid = facts.grid
    gaps = slot_runs(checked.absent, grid, by_day=False)
    short = (gaps.lengths * grid.interval_s <= longest_s) & (gaps.start > 0) & (gaps.end < grid.slots)
    series, start, end, first = (part[short] for part in (gaps.series, gaps.start, gaps.end, gaps.first))
    between = checked.good[series, start - 1] & checked.good[series, end]
    series, start, end, first = (part[between] for part in (series, start, end, first))
    length = end - start
    gap = np.repeat(np.arange(len(length)), length)
    step = np.arange(len(gap)) - np.repeat(np.cumsum(length) - length, length) + 1
    left, right = facts.value[series, start - 1], facts.value[series, end]
    at = first[gap] + step - 1
    value[at] = left[gap] + half_away((right - left)[gap] * step, length[gap] + 1)
    method[at] = Method.LINEAR


def _by_day(
    facts: SeriesFacts, checked: Screen, pack: RulePack, absent: Int, value: Int, method: NDArray[np.int8]
) -> None:
    """Like day, then flat, for the slots that linear left; in place."""
    grid = facts.grid
    left = np.flatnonzero(method == Method.NONE)
    series, column = np.divmod(absent[left], grid.slots)
    pair, pair_of_slot = np.unique(series * grid.days + grid.day_of_slot[column], return_inverse=True)
    if not len(pair):
        return
    pair_series, pair_day = np.divmod(pair, grid.days)
    references = reference_days(
        checked.eligible, day_types(grid, facts.holidays), pair_series, pair_day, pack.estimation.like_days
    )
    mean, found = _like_day(facts, references[pair_of_slot], series, column)
    value[left[found]], method[left[found]] = mean[found], Method.LIKE_DAY

    average, known = _flat(facts, checked, pack.averages.days, pair_series, pair_day)
    flat = ~found & known[pair_of_slot]
    value[left[flat]], method[left[flat]] = average[pair_of_slot[flat]], Method.FLAT


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


def _like_day(facts: SeriesFacts, references: Int, series: Int, column: Int) -> tuple[Int, Bool]:
    """Mean of the references at the slot's wall clock, and whether there is one; (k,) each."""
    grid = facts.grid
    wall = grid.wall[column] // grid.interval_s
    columns = np.where(references >= 0, grid.wall_columns[references, wall[:, None]], -1)
    there = columns >= 0
    values = np.where(there, facts.value[series[:, None], np.maximum(columns, 0)], 0)
    count = there.sum(axis=1)
    return half_away(values.sum(axis=1), np.maximum(count, 1)), count > 0


def _flat(facts: SeriesFacts, checked: Screen, back: int, series: Int, day: Int) -> tuple[Int, Bool]:
    """Average slot of the eligible days before, else of the day's own good slots; (k,) each."""
    grid = facts.grid
    rows, at = np.unique(series, return_inverse=True)
    eligible = checked.eligible[rows]
    usage = trailing_sum(np.where(eligible, checked.total[rows], 0), back)[at, day]
    slots = trailing_sum(eligible * grid.lengths, back)[at, day]
    alone = np.flatnonzero(slots == 0)
    if len(alone):
        width = DAY_S * 2 // grid.interval_s
        columns = grid.offsets[day[alone], None] + np.arange(width)
        own = (columns < grid.offsets[day[alone] + 1, None]) & (columns < grid.slots)
        columns = np.minimum(columns, grid.slots - 1)
        good = own & checked.good[series[alone, None], columns]
        count = good.sum(axis=1)
        enough = 2 * count >= grid.lengths[day[alone]]
        own_usage = np.where(good, facts.value[series[alone, None], columns], 0).sum(axis=1)
        usage[alone] = np.where(enough, own_usage, 0)
        slots[alone] = np.where(enough, count, 0)
    return half_away(usage, np.maximum(slots, 1)), slots > 0
