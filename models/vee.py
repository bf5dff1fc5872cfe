"""Validate and estimate whole series: the one function between raw slots and results (docs/vee.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.days import SlotRuns, expected_only, slot_runs, to_slots
from models.estimate import estimate
from models.registers import ReadIntervals, read_intervals
from models.runs import DayHits, equal_runs, prolonged, unusual_usage
from models.scale import Settled, settle
from models.screen import MICRO, PERMILLE, Screen, screen
from models.series import RULES, Findings, Int, SeriesFacts, SeriesResult
from schemas.quality import Flag, Method, Quality
from schemas.rulepack import RulePack

DAY_S = 86_400


def validate_and_estimate(facts: SeriesFacts, pack: RulePack) -> SeriesResult:
    """The result of every expected day of n series.

    A day's result depends on the days d − 35 … d + 1 and, where a usable read interval holds it, on
    the same for every day of that interval; on nothing else, and not on the other series. The facts
    must therefore reach that far around the days whose result is used.

    Args:
        facts: Dense facts, shape (n, slots).
        pack: The rules in force.

    Returns:
        Values, qualities, methods, flags and findings. Slots of days that are not expected have no
        meaning.
    """
    rules = pack.rules
    checked = screen(facts, pack)
    zero_runs, flat_lines = equal_runs(
        facts,
        checked,
        zero_slots=-(-rules.zero_run.hours * 3600 // facts.grid.interval_s),
        flat_slots=rules.flat_line.slots,
    )
    high, low = unusual_usage(facts, checked, pack)
    estimates = estimate(facts, checked, pack)
    intervals = read_intervals(facts, max_gap_s=pack.registers.max_read_gap_days * DAY_S)
    settled = settle(facts, checked, estimates, intervals, pack)

    marks = _Marks(facts, pack)
    for name, slots in (
        ("negative", checked.negative),
        ("spike", checked.spike),
        ("over_capacity", checked.over_capacity),
    ):
        marks.slots(name, slots)
    if facts.conflict is not None:
        marks.slots("conflict", np.flatnonzero(facts.conflict))
    day_hits = {"zero_run": zero_runs, "flat_line": flat_lines, "high_usage": high, "low_usage": low}
    for name, hits in day_hits.items():
        marks.days(name, hits)
    for number in settled.rejected_whole.tolist():
        marks.columns("sum_check", *_whole(intervals, number))
    if checked.touched is not None:
        marks.flags[checked.touched] |= Flag.OUTAGE
    if facts.disconnected is not None:
        marks.flags[to_slots(facts.disconnected, facts.grid)] |= Flag.DISCONNECTED
    if facts.external is not None:
        marks.flags[facts.external & facts.have] |= Flag.EXTERNAL

    blind = prolonged(facts, checked, rules.prolonged_estimation.days)
    quality, method = _worth(facts, checked, settled, intervals, marks)
    findings = Findings.join(
        [
            *_slot_findings(facts, checked, pack),
            *(_day_findings(facts, name, hits) for name, hits in day_hits.items()),
            _day_findings(facts, "prolonged_estimation", blind),
            *_interval_findings(intervals, settled),
        ]
    )
    return SeriesResult(settled.final, quality, method, marks.flags, findings)


class _Marks:
    """Flag bits of the slots, and which slots a rule more severe than ``info`` doubts."""

    def __init__(self, facts: SeriesFacts, pack: RulePack) -> None:
        self.flags = np.zeros(facts.value.shape, np.int32)
        self.doubted: list[Int] = []
        self._slots = facts.grid.slots
        self._severity = {name: getattr(pack.rules, name).severity for name in RULES}

    def slots(self, rule: str, flat: Int) -> None:
        """Mark single slots."""
        self.flags.ravel()[flat] |= Flag[rule.upper()].value
        if self._severity[rule] != "info":
            self.doubted.append(flat)

    def columns(self, rule: str, series: int, start: int, end: int) -> None:
        """Mark consecutive slots of one series."""
        self.slots(rule, series * self._slots + np.arange(start, end))

    def days(self, rule: str, hits: DayHits) -> None:
        """Mark the slots of each hit."""
        for hit in zip(hits.series.tolist(), hits.start.tolist(), hits.end.tolist(), strict=True):
            self.columns(rule, *hit)


def _whole(intervals: ReadIntervals, number: int) -> tuple[int, int, int]:
    return int(intervals.series[number]), int(intervals.first[number]), int(intervals.last[number])


def _worth(
    facts: SeriesFacts, checked: Screen, settled: Settled, intervals: ReadIntervals, marks: _Marks
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Quality and method of every slot, the most particular case last."""
    edges = np.zeros(facts.value.size + 1, np.int8)
    verified = settled.verified[intervals.last[settled.verified] > intervals.first[settled.verified]]
    base = intervals.series[verified] * facts.grid.slots
    edges[base + intervals.first[verified]] += 1  # intervals do not overlap: no index stands twice
    edges[base + intervals.last[verified]] -= 1
    quality = np.cumsum(edges[:-1], dtype=np.int8)
    quality += Quality.VALIDATED
    method = np.zeros(facts.value.size, np.int8)

    for slots in marks.doubted:
        quality[slots] = Quality.QUESTIONABLE
    quality[settled.kept] = Quality.QUESTIONABLE
    if facts.external is not None:
        external = np.flatnonzero(facts.external & facts.have)
        quality[external], method[external] = Quality.ESTIMATED, Method.EXTERNAL
    snapshot = facts.instantaneous[checked.zeroed // facts.grid.slots]  # a voltage of zero would be invented
    quality[checked.zeroed] = np.where(snapshot, Quality.MISSING, Quality.VALIDATED)
    method[checked.zeroed] = np.where(snapshot, Method.NONE, Method.ZERO)

    lost = np.setdiff1d(checked.absent, settled.kept, assume_unique=True)
    had = facts.have.ravel()[lost]
    quality[lost], method[lost] = np.where(had, Quality.FAILED, Quality.MISSING), Method.NONE
    settled.final.ravel()[lost[had]] = facts.value.ravel()[lost[had]]
    slots = settled.estimates.slot
    quality[slots] = np.where(facts.have.ravel()[slots], Quality.SUBSTITUTED, Quality.ESTIMATED)
    own = np.isin(settled.estimates.method, (Method.EXTERNAL, Method.EXTERNAL_SCALED))
    quality[slots[own]] = Quality.ESTIMATED
    method[slots] = settled.estimates.method
    settled.final.ravel()[slots] = settled.estimates.value
    shape = facts.value.shape
    return quality.reshape(shape), method.reshape(shape)


def _slot_findings(facts: SeriesFacts, checked: Screen, pack: RulePack) -> list[Findings]:
    """Findings of the rules that hit single slots, one a run within a local day."""
    grid, value = facts.grid, facts.value.ravel()
    missing = expected_only(checked.absent, facts.expected, grid)
    missing = missing[~facts.have.ravel()[missing]]
    parts = [_of_runs(facts, "missing", slot_runs(missing, grid, by_day=True))]
    if facts.conflict is not None:
        conflict = expected_only(np.flatnonzero(facts.conflict), facts.expected, grid)
        runs = slot_runs(conflict, grid, by_day=True)
        parts.append(_of_runs(facts, "conflict", runs, seen=np.zeros(len(runs.first), np.int64)))

    negative = expected_only(checked.negative, facts.expected, grid)
    runs = slot_runs(negative, grid, by_day=True)
    parts.append(_of_runs(facts, "negative", runs, seen=_reduce(np.add, value[negative], runs)))

    over = expected_only(checked.over_capacity, facts.expected, grid)
    runs = slot_runs(over, grid, by_day=True)
    limit = np.zeros(0, np.int64) if facts.capacity is None else facts.capacity[runs.series, runs.day]
    parts.append(
        _of_runs(facts, "over_capacity", runs, seen=_reduce(np.maximum, value[over], runs), expected=limit)
    )

    third = dict(zip(checked.spike.tolist(), checked.third_peak.tolist(), strict=True))
    spike = expected_only(checked.spike, facts.expected, grid)
    runs = slot_runs(spike, grid, by_day=True)
    peaks = np.array([third[slot] for slot in spike[runs.first].tolist()], np.int64)
    allowed = peaks + peaks * int(pack.rules.spike.max_excess * PERMILLE) // PERMILLE
    highest = _reduce(np.maximum, value[spike], runs)
    parts.append(_of_runs(facts, "spike", runs, seen=highest, expected=allowed))
    return parts


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


def _day_findings(facts: SeriesFacts, rule: str, hits: DayHits) -> Findings:
    """Findings of the rules that judge days, of expected days."""
    kept = facts.expected[hits.series, hits.day]
    grid = facts.grid
    return Findings(
        rule=np.full(int(kept.sum()), RULES.index(rule), np.int64),
        series=hits.series[kept],
        day=hits.day[kept],
        start=_second(hits.start[kept], grid),
        end=_second(hits.end[kept], grid),
        seen=hits.seen[kept],
        expected=hits.expected[kept],
    )


def _interval_findings(intervals: ReadIntervals, settled: Settled) -> list[Findings]:
    """Unusable read intervals and failed sum checks, on the interval's first expected day."""
    unusable = np.flatnonzero(~intervals.usable & (intervals.day >= 0))
    advance = intervals.advance
    return [
        Findings(
            rule=np.full(len(numbers), RULES.index(rule), np.int64),
            series=intervals.series[numbers],
            day=intervals.day[numbers],
            start=intervals.start[numbers],
            end=intervals.end[numbers],
            seen=seen[numbers],
            expected=expected[numbers],
        )
        for rule, numbers, seen, expected in (
            ("read_interval", unusable, advance, np.zeros_like(advance)),
            ("sum_check", settled.rejected, settled.seen, advance),
        )
    ]


def _second(column: Int, grid: DayGrid) -> Int:
    return grid.origin + column * grid.interval_s


__all__ = ["MICRO", "validate_and_estimate"]
