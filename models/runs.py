"""Rules over several days: zero runs, flat lines, unusual usage, prolonged estimation (docs/vee.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.days import half_away, to_slots, trailing_sum
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from schemas.rulepack import Averages, RulePack

REACH_BACK = 35
"""Days before a day that its result may look at; one day after (SEMANTICS, The law)."""


@dataclass(frozen=True)
class DayHits:
    """Hits of a rule, one (series, day, columns) each, shape (k,)."""

    series: Int
    day: Int
    start: Int
    end: Int
    seen: Int
    expected: Int


def equal_runs(
    facts: SeriesFacts, checked: Screen, *, zero_slots: int, flat_slots: int
) -> tuple[DayHits, DayHits]:
    """Zero runs and flat lines, cut at midnight, each judged in the days d − 35 … d + 1.

    Args:
        facts: The series.
        checked: Their screen.
        zero_slots: Shortest run of zeros that counts. [slots]
        flat_slots: Shortest run of another value that counts. [slots]
    """
    rows = np.flatnonzero(_may_hold_run(facts, min(zero_slots, flat_slots)))
    value, valid = facts.value[rows], facts.have[rows].copy()
    if checked.touched is not None:
        valid &= ~checked.touched[rows]
    if facts.disconnected is not None:
        valid &= ~to_slots(facts.disconnected[rows], facts.grid)
    cut = np.ones((len(rows), facts.grid.slots + 1), np.bool_)
    cut[:, 1:-1] = (value[:, 1:] != value[:, :-1]) | ~valid[:, 1:] | ~valid[:, :-1]
    row, column = np.nonzero(cut)
    same = row[1:] == row[:-1]
    row, start, end = row[:-1][same], column[:-1][same], column[1:][same]
    long = (end - start) >= min(zero_slots, flat_slots)
    row, start, end = row[long], start[long], end[long]
    row, start, end = (part[valid[row, start]] for part in (row, start, end))
    zero = value[row, start] == 0
    return (
        _judge(rows[row[zero]], start[zero], end[zero], facts.grid, zero_slots),
        _judge(rows[row[~zero]], start[~zero], end[~zero], facts.grid, flat_slots),
    )


def _may_hold_run(facts: SeriesFacts, shortest: int) -> Bool:
    """Series that may hold a run.

    A run of N slots holds two neighbouring multiples of N // 2, and everything between them.
    """
    if shortest < 2:
        return ~facts.instantaneous
    step = shortest // 2
    samples = facts.value[:, ::step]
    row, index = np.nonzero((samples[:, 1:] == samples[:, :-1]) & facts.have[:, ::step][:, 1:])
    for part in (step // 2, step // 4):
        kept = facts.value[row, index * step + part] == facts.value[row, index * step]
        row, index = row[kept], index[kept]
    result = np.zeros(facts.count, np.bool_)
    result[row] = True
    return result & ~facts.instantaneous


def _judge(series: Int, start: Int, end: Int, grid: DayGrid, shortest: int) -> DayHits:
    """Cut runs at midnight; keep the days that see at least ``shortest`` slots of theirs."""
    first = grid.day_of_slot[start].astype(np.int64)
    spans = grid.day_of_slot[end - 1] - first + 1
    index = np.repeat(np.arange(len(series)), spans)
    day = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(spans) - spans, spans)
    low = grid.offsets[np.maximum(day - REACH_BACK, 0)]
    high = grid.offsets[np.minimum(day + 2, grid.days)]
    seen = np.minimum(end[index], high) - np.maximum(start[index], low)
    kept = seen >= shortest
    index, day, seen = index[kept], day[kept], seen[kept]
    return DayHits(
        series=series[index],
        day=day,
        start=np.maximum(start[index], grid.offsets[day]),
        end=np.minimum(end[index], grid.offsets[day + 1]),
        seen=seen,
        expected=np.full(len(seen), shortest, np.int64),
    )


def unusual_usage(facts: SeriesFacts, checked: Screen, pack: RulePack) -> tuple[DayHits, DayHits]:
    """Days far above and far below the average usage of the eligible days before them."""
    averages: Averages = pack.averages
    days = trailing_sum(checked.eligible.astype(np.int64), averages.days)
    usage = trailing_sum(np.where(checked.eligible, checked.total, 0), averages.days)
    judged = facts.expected & checked.complete & (days >= averages.min_days) & ~facts.instantaneous[:, None]
    high = judged & (checked.total * days > pack.rules.high_usage.factor * usage)
    low = judged & (checked.total * days * pack.rules.low_usage.divisor < usage)
    return tuple(_whole_days(hit, checked.total, usage, days, facts.grid) for hit in (high, low))  # type: ignore[return-value]


def _whole_days(hit: Bool, total: Int, usage: Int, days: Int, grid: DayGrid) -> DayHits:
    series, day = np.nonzero(hit)
    return DayHits(
        series,
        day,
        grid.offsets[day],
        grid.offsets[day + 1],
        total[series, day],
        half_away(usage[series, day], days[series, day]),
    )


def prolonged(facts: SeriesFacts, checked: Screen, limit: int) -> DayHits:
    """Days that end more than ``limit`` consecutive days without a good slot."""
    blind = ~checked.any_good & facts.expected
    if checked.dark is not None:
        blind &= ~checked.dark
    # Days since the last day that was not blind, by a running maximum of its index.
    index = np.arange(facts.grid.days)
    clear = np.maximum.accumulate(np.where(blind, -1, index), axis=1)
    row_length = np.minimum(index - clear, REACH_BACK + 1)
    series, day = np.nonzero(blind & (row_length > limit) & ~facts.instantaneous[:, None])
    grid = facts.grid
    return DayHits(
        series,
        day,
        grid.offsets[day],
        grid.offsets[day + 1],
        row_length[series, day],
        np.full(len(series), limit, np.int64),
    )
