"""Findings of every rule: the address of what it hit, what it saw and what it expected (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.calendar import DayGrid
from models.days import SlotRuns, expected_only, slot_runs
from models.registers import ReadIntervals
from models.runs import DayHits
from models.scale import Settled
from models.screen import PERMILLE, Screen
from models.series import RULES, Findings, Int, SeriesFacts
from models.slot_marks import MICRO, micro_rate, missing_beside_others
from models.usage import SlotHits
from schemas.rulepack import RulePack
from schemas.rules import RateRule, Rule, UsageRule

__all__ = ["all_findings"]


def all_findings(
    facts: SeriesFacts,
    checked: Screen,
    pack: RulePack,
    days: Mapping[str, DayHits],
    slots: Mapping[str, SlotHits],
    intervals: ReadIntervals,
    settled: Settled,
    tou: tuple[Int, Int],
) -> Findings:
    """Findings of expected days.

    Args:
        facts: The series.
        checked: Their screen.
        pack: The rules in force.
        days: Hits of the rules that judge days.
        slots: Hits of the rules that judge slots by the days before.
        intervals: The read intervals.
        settled: Their verdicts.
        tou: Intervals that disagree with their TOU registers, and the sum of these.
    """
    parts = [*_screen_findings(facts, checked, pack), *_interval_findings(intervals, settled, tou)]
    parts += [_of_days(facts, name, hits) for name, hits in days.items()]
    for name, hit in slots.items():
        kept = facts.expected[
            hit.flat // facts.grid.slots, facts.grid.day_of_slot[hit.flat % facts.grid.slots]
        ]
        runs = slot_runs(hit.flat[kept], facts.grid, by_day=True)
        seen = _reduce(np.maximum, facts.value.ravel()[hit.flat[kept]], runs)
        parts.append(_of_runs(facts, name, runs, seen=seen, expected=hit.limit[kept][runs.first]))
    return Findings.join(parts)


def _screen_findings(facts: SeriesFacts, checked: Screen, pack: RulePack) -> list[Findings]:
    """Findings of the rules that hit single slots."""
    grid, value, rules = facts.grid, facts.value.ravel(), pack.rules

    def runs_of(flat: Int) -> tuple[Int, SlotRuns]:
        flat = expected_only(flat, facts.expected, grid)
        return flat, slot_runs(flat, grid, by_day=True)

    absent = checked.absent[~facts.have.ravel()[checked.absent]]
    missing, runs = runs_of(absent)
    parts = [_of_runs(facts, "missing", runs)]
    if rules.sibling_missing is not None:
        parts.append(_of_runs(facts, "sibling_missing", runs_of(missing_beside_others(facts, missing))[1]))
    if facts.conflict is not None:
        _, runs = runs_of(np.flatnonzero(facts.conflict))
        parts.append(_of_runs(facts, "conflict", runs, seen=np.zeros(len(runs.first), np.int64)))
    if checked.touched is not None and rules.power_failure is not None:
        _, runs = runs_of(np.flatnonzero(checked.touched & ~facts.instantaneous[:, None]))
        parts.append(_of_runs(facts, "power_failure", runs))

    negative, runs = runs_of(checked.negative)
    parts.append(_of_runs(facts, "negative", runs, seen=_reduce(np.add, value[negative], runs)))
    over, runs = runs_of(checked.over_capacity)
    limit = np.zeros(0, np.int64) if facts.capacity is None else facts.capacity[runs.series, runs.day]
    highest = _reduce(np.maximum, value[over], runs)
    parts.append(_of_runs(facts, "over_capacity", runs, seen=highest, expected=limit))

    spike, runs = runs_of(checked.spike)
    peaks = checked.third_peak[np.searchsorted(checked.spike, spike[runs.first])]
    allowed = peaks + peaks * int(rules.spike.max_excess * PERMILLE) // PERMILLE
    highest = _reduce(np.maximum, value[spike], runs)
    parts.append(_of_runs(facts, "spike", runs, seen=highest, expected=allowed))
    return parts + [_a_day(facts, name, flat, pack) for name, flat in checked.marks.items()]


def _a_day(facts: SeriesFacts, rule: str, flat: Int, pack: RulePack) -> Findings:
    """One finding a day, from its first slot that was hit to its last, with the sum of those hit."""
    grid = facts.grid
    flat = expected_only(flat, facts.expected, grid)
    series, column = np.divmod(flat, grid.slots)
    day = grid.day_of_slot[column].astype(np.int64)
    new = np.ones(len(flat), np.bool_)
    new[1:] = (np.diff(series) != 0) | (np.diff(day) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(flat))[: len(first)] - 1
    runs = SlotRuns(series[first], day[first], column[first], column[last] + 1, first)
    expected = np.full(len(first), _allowed(getattr(pack.rules, rule), grid.interval_s), np.int64)
    seen = _reduce(np.add, facts.value.ravel()[flat], runs)
    return _of_runs(facts, rule, runs, seen=seen, expected=expected)


def _allowed(rule: Rule, interval_s: int) -> int:
    """What a rule of single slots tolerates [micro-unit]: flow in a slot, usage a day, or nothing."""
    if isinstance(rule, RateRule):
        return micro_rate(rule.min_rate, interval_s)
    return int(rule.min_usage * MICRO) if isinstance(rule, UsageRule) else 0


def _reduce(how: np.ufunc, value: Int, runs: SlotRuns) -> Int:
    result: Int = how.reduceat(value, runs.first) if len(runs.first) else value
    return result


def _of_runs(
    facts: SeriesFacts, rule: str, runs: SlotRuns, *, seen: Int | None = None, expected: Int | None = None
) -> Findings:
    grid, count = facts.grid, len(runs.first)
    return Findings(
        rule=np.full(count, RULES.index(rule), np.int64),
        series=runs.series,
        day=runs.day,
        start=_second(runs.start, grid),
        end=_second(runs.end, grid),
        seen=runs.lengths if seen is None else seen,
        expected=np.zeros(count, np.int64) if expected is None else expected,
    )


def _of_days(facts: SeriesFacts, rule: str, hits: DayHits) -> Findings:
    """Findings of the rules that judge days, of expected days."""
    grid, hits = facts.grid, hits.where(facts.expected[hits.series, hits.day])
    return Findings(
        rule=np.full(len(hits.day), RULES.index(rule), np.int64),
        series=hits.series,
        day=hits.day,
        start=_second(hits.start, grid),
        end=_second(hits.end, grid),
        seen=hits.seen,
        expected=hits.expected,
    )


def _interval_findings(intervals: ReadIntervals, settled: Settled, tou: tuple[Int, Int]) -> list[Findings]:
    """Unusable read intervals and failed sum checks, on the interval's first expected day."""
    unusable = ~intervals.usable & (intervals.day >= 0)
    advance = intervals.advance
    wrong, nothing = np.flatnonzero(unusable), np.zeros_like(advance)
    back = intervals.decreased[wrong]
    parts = (
        ("read_interval", wrong[~back], advance[wrong[~back]], nothing),
        ("register_decreased", wrong[back], advance[wrong[back]], nothing),
        ("sum_check", settled.rejected, settled.seen[settled.rejected], advance),
        ("tou_registers", *tou, advance),
    )
    return [
        Findings(
            rule=np.full(len(numbers), RULES.index(rule), np.int64),
            series=intervals.series[numbers],
            day=intervals.day[numbers],
            start=intervals.start[numbers],
            end=intervals.end[numbers],
            seen=seen,
            expected=expected[numbers],
        )
        for rule, numbers, seen, expected in parts
    ]


def _second(column: Int, grid: DayGrid) -> Int:
    return grid.origin + column * grid.interval_s
