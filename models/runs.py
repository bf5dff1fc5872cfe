"""Rules about what does not change for days: zero runs, flat lines, prolonged estimation (docs/vee.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
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
    row, low, high = _areas(facts, min(zero_slots, flat_slots))
    area = np.repeat(np.arange(len(row)), high - low)
    first = np.cumsum(high - low) - (high - low)
    column = np.arange(len(area)) - (first - low)[area]
    row = row[area]
    value, valid = facts.value[row, column], facts.have[row, column]
    if checked.touched is not None:
        valid &= ~checked.touched[row, column]
    if facts.disconnected is not None:
        valid &= ~facts.disconnected[row, facts.grid.day_of_slot[column]]
    cut = np.ones(len(area) + 1, np.bool_)
    cut[1:-1] = (value[1:] != value[:-1]) | ~valid[1:] | ~valid[:-1] | (area[1:] != area[:-1])
    edges = np.flatnonzero(cut)
    start, length = edges[:-1], np.diff(edges)
    runs = (length >= min(zero_slots, flat_slots)) & valid[start]
    start, length = start[runs], length[runs]
    zero = value[start] == 0
    row, start = row[start], column[start]
    return (
        _judge(row[zero], start[zero], (start + length)[zero], facts.grid, zero_slots),
        _judge(row[~zero], start[~zero], (start + length)[~zero], facts.grid, flat_slots),
    )


def _areas(facts: SeriesFacts, shortest: int) -> tuple[Int, Int, Int]:
    """Where a run of the shortest length that counts may lie: row, first column, column after the last; (k,).

    A run of N slots holds two neighbouring multiples of N // 2, and everything between them: few slots are
    looked at to find these, and a run that holds them lies wholly in their area, whose neighbours hold no
    part of it that would count.
    """
    rows = np.flatnonzero(~facts.instantaneous)
    step, slots = shortest // 2, facts.grid.slots
    if shortest > slots:
        rows = rows[:0]
    if step < 1:
        return rows, np.zeros(len(rows), np.int64), np.full(len(rows), slots)
    samples, have = facts.value[:, ::step], facts.have[:, ::step]
    alike = (samples[:, 1:] == samples[:, :-1]) & have[:, 1:] & have[:, :-1]
    row, index = np.divmod(np.flatnonzero(alike[rows]), max(alike.shape[1], 1))
    row = rows[row]
    for part in (step // 2, step // 4, step - step // 4):
        kept = facts.value[row, index * step + part] == facts.value[row, index * step]
        row, index = row[kept], index[kept]
    begins = (np.diff(row, prepend=-1) != 0) | (np.diff(index, prepend=-1) != 1)
    ends = np.append(begins[1:], True)[: len(begins)]
    low, high = (index[begins] - 1) * step, (index[ends] + 2) * step
    return row[begins], np.maximum(low, 0), np.minimum(high, slots)


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
