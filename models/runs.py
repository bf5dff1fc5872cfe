"""Rules about what does not change for days: zero runs, flat lines, prolonged estimation (docs/vee.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.days import to_slots
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from schemas.rules import FlatLineRule, Rules

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

    @staticmethod
    def none() -> DayHits:
        """No hit at all."""
        return DayHits(*np.zeros((6, 0), np.int64))

    def where(self, kept: Bool) -> DayHits:
        """Some of the hits; ``kept`` (k,)."""
        return DayHits(*(getattr(self, name)[kept] for name in DayHits.__dataclass_fields__))


NEVER = 1 << 40
"""A length no run reaches."""


def equal_runs(facts: SeriesFacts, checked: Screen, rules: Rules) -> dict[str, DayHits]:
    """Hits of ``zero_run`` and ``flat_line``, cut at midnight, each judged in the days d − 35 … d + 1."""
    zero, flat = rules.zero_run, rules.flat_line
    zero_slots = NEVER if zero is None else -(-zero.hours * 3600 // facts.grid.interval_s)
    flat_slots = NEVER if flat is None else flat.slots
    zero_runs, flat_lines = _equal_runs(facts, checked, zero_slots, flat_slots)
    if flat is not None and flat.min_steps > 1:
        flat_lines = flat_lines.where(_fine_or_long(facts, flat_lines, flat))
    return {"zero_run": zero_runs, "flat_line": flat_lines}


def _fine_or_long(facts: SeriesFacts, hits: DayHits, rule: FlatLineRule) -> Bool:
    """Flat lines whose value is many steps of the meter, or that are long; (k,).

    The step is the greatest common divisor of the values in the days d − 35 … d + 1.
    """
    kept = hits.seen >= rule.coarse_slots
    offsets, days = facts.grid.offsets, facts.grid.days
    for i in np.flatnonzero(~kept).tolist():
        row, day = int(hits.series[i]), int(hits.day[i])
        view = facts.value[row, offsets[max(day - REACH_BACK, 0)] : offsets[min(day + 2, days)]]
        value = abs(int(facts.value[row, hits.start[i]]))
        kept[i] = value >= rule.min_steps * int(np.gcd.reduce(view))
    return kept


def _equal_runs(
    facts: SeriesFacts, checked: Screen, zero_slots: int, flat_slots: int
) -> tuple[DayHits, DayHits]:
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
    """Series that may hold a run of the shortest length that counts; (n,).

    A run of N slots holds two neighbouring multiples of N // 2, and everything between them.
    """
    if shortest < 2:
        return ~facts.instantaneous
    if shortest > facts.grid.slots:
        return np.zeros(facts.count, np.bool_)
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
