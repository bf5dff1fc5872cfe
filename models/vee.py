"""Validate and estimate whole series: the one function between raw slots and results (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.calendar import DAY_S
from models.days import to_slots
from models.estimate import estimate
from models.leaks import leaks
from models.registers import ReadIntervals, read_intervals
from models.runs import DayHits, equal_runs, prolonged
from models.scale import Settled, settle
from models.screen import PERMILLE, Screen, screen
from models.series import RULES, Int, SeriesFacts, SeriesResult
from models.tou_registers import tou_differences
from models.usage import SlotHits, unusual_slots, unusual_usage
from models.vee_findings import all_findings
from schemas.quality import Flag, Method, Quality
from schemas.rulepack import RulePack

FLAG_OF = {"power_failure": "OUTAGE"}
"""Rules whose flag has another name."""


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
    checked = screen(facts, pack)
    days = _day_hits(facts, checked, pack)
    slots = unusual_slots(facts, checked, pack)
    estimates = estimate(facts, checked, pack)
    intervals = read_intervals(facts, max_gap_s=pack.registers.max_read_gap_days * DAY_S)
    settled = settle(facts, checked, estimates, intervals, pack)
    tou = _tou(facts, intervals, pack)
    marks = _marks(facts, checked, pack, days, slots, intervals, settled)
    quality, method = _worth(facts, checked, settled, intervals, marks)
    findings = all_findings(facts, checked, pack, days, slots, intervals, settled, tou)
    return SeriesResult(settled.final, quality, method, marks.flags, findings)


def _day_hits(facts: SeriesFacts, checked: Screen, pack: RulePack) -> dict[str, DayHits]:
    """Hits of the rules that judge whole days or runs, by rule."""
    rules = pack.rules
    hits = equal_runs(facts, checked, rules) | unusual_usage(facts, checked, pack)
    if rules.leak is not None:
        hits["leak"] = leaks(facts, checked, rules.leak)
    hits["prolonged_estimation"] = prolonged(facts, checked, rules.prolonged_estimation.days)
    return hits


def _tou(facts: SeriesFacts, intervals: ReadIntervals, pack: RulePack) -> tuple[Int, Int]:
    """Intervals whose TOU registers disagree with the total, and the sum of their advances."""
    rule = pack.rules.tou_registers
    if rule is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return tou_differences(intervals, facts.tou, int(rule.tolerance * PERMILLE))


class _Marks:
    """Flag bits of the slots, and which slots a rule more severe than ``info`` doubts."""

    def __init__(self, facts: SeriesFacts, pack: RulePack) -> None:
        self.flags = np.zeros(facts.value.shape, np.int32)
        self.doubted: list[Int] = []
        self._slots = facts.grid.slots
        self._severity = {name: pack.rules.severity(name) for name in RULES}

    def slots(self, rule: str, flat: Int) -> None:
        """Mark single slots."""
        self.flags.ravel()[flat] |= Flag[FLAG_OF.get(rule, rule.upper())].value
        if self._severity[rule] != "info":
            self.doubted.append(flat)

    def columns(self, rule: str, series: int, start: int, end: int) -> None:
        """Mark consecutive slots of one series."""
        self.slots(rule, series * self._slots + np.arange(start, end))

    def days(self, rule: str, hits: DayHits) -> None:
        """Mark the slots of each hit."""
        for hit in zip(hits.series.tolist(), hits.start.tolist(), hits.end.tolist(), strict=True):
            self.columns(rule, *hit)


def _marks(
    facts: SeriesFacts,
    checked: Screen,
    pack: RulePack,
    days: Mapping[str, DayHits],
    slots: Mapping[str, SlotHits],
    intervals: ReadIntervals,
    settled: Settled,
) -> _Marks:
    """Flags of every slot, and which slots are doubted."""
    marks = _Marks(facts, pack)
    marks.slots("negative", checked.negative)
    marks.slots("spike", checked.spike)
    marks.slots("over_capacity", checked.over_capacity)
    if facts.conflict is not None:
        marks.slots("conflict", np.flatnonzero(facts.conflict))
    for name, flat in checked.marks.items():
        marks.slots(name, flat)
    for name, hits in days.items():
        if name != "prolonged_estimation":
            marks.days(name, hits)
    for name, hit in slots.items():
        marks.slots(name, hit.flat)
    for number in settled.rejected_whole.tolist():
        marks.columns("sum_check", *_whole(intervals, number))
    if checked.touched is not None:
        touched = np.flatnonzero(checked.touched)
        metered = ~facts.instantaneous[touched // facts.grid.slots]
        marks.flags.ravel()[touched] |= Flag.OUTAGE
        marks.slots("power_failure", touched[metered])
    if facts.disconnected is not None:
        marks.flags[to_slots(facts.disconnected, facts.grid)] |= Flag.DISCONNECTED
    if facts.external is not None:
        marks.flags[facts.external & facts.have] |= Flag.EXTERNAL
    return marks


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


__all__ = ["validate_and_estimate"]
