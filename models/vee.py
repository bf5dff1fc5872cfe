"""Validate and estimate whole series: the one function between raw slots and results (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.calendar import DAY_S
from models.days import to_slots
from models.estimate import Estimates, estimate
from models.leaks import leaks
from models.merge_packs import InForce, in_force, merge_estimates, merge_screens, merge_settled
from models.pack_days import PackDays
from models.registers import ReadIntervals, read_intervals
from models.runs import DayHits, equal_runs, prolonged
from models.scale import Settled, settle
from models.screen import PERMILLE, Screen, screen
from models.series import Findings, Int, SeriesFacts, SeriesResult
from models.tou_registers import tou_differences
from models.usage import SlotHits, unusual_slots, unusual_usage
from models.vee_findings import interval_findings, pack_findings
from schemas.quality import Flag, Method, Quality
from schemas.rulepack import RulePack

FLAG_OF = {"power_failure": "OUTAGE"}
"""Rules whose flag has another name."""


def validate_and_estimate(facts: SeriesFacts, rules: RulePack | PackDays) -> SeriesResult:
    """The result of every expected day of n series.

    A day's result depends on the days d − 35 … d + 1 and, where a usable read interval holds it, on
    the same for every day of that interval; on nothing else, and not on the other series. The facts
    must therefore reach that far around the days whose result is used.

    Args:
        facts: Dense facts, shape (n, slots).
        rules: The pack in force, or those of each series and day, whose holidays then count.

    Returns:
        Values, qualities, methods, flags and findings. Slots of days that are not expected have no
        meaning.
    """
    packs = PackDays.alone(rules, facts) if isinstance(rules, RulePack) else rules
    groups = same_packs(facts, packs)
    if len(groups) == 1:
        return _result(facts, packs.rows(groups[0]))
    results = [_result(facts.rows(rows), packs.rows(rows)) for rows in groups]
    return SeriesResult.join(results, groups)


def same_packs(facts: SeriesFacts, packs: PackDays) -> list[Int]:
    """Rows of the meters that have the same packs, whole meters, so that siblings stay together."""
    if packs.only is not None:
        return [np.arange(facts.count)]
    meter = np.arange(facts.count) if facts.meter is None else facts.meter
    first = np.append(np.flatnonzero(np.diff(meter, prepend=-1)), facts.count)
    kinds: dict[tuple[int, ...], list[int]] = {}
    for low, high in pairwise(first.tolist()):
        used = np.unique(packs.of_day[low:high]).tolist()
        kinds.setdefault(tuple(used), []).extend(range(low, high))
    return [np.array(rows, np.int64) for rows in kinds.values()]


@dataclass(frozen=True)
class Stages:
    """What every pack made of the series, stage by stage.

    Attributes:
        forces: The packs.
        screens: The screen of each, of its own days; ``checked``: of all days.
        estimates: Unscaled.
        intervals: Read intervals; ``of_interval``: number of the pack of each; ``own``: for each pack, those
            of other packs not usable.
        settled: What the registers made of it.
    """

    forces: list[InForce]
    screens: list[Screen]
    checked: Screen
    estimates: Estimates
    intervals: ReadIntervals
    of_interval: Int
    own: list[ReadIntervals]
    settled: Settled


def stages(facts: SeriesFacts, packs: PackDays) -> Stages:
    """Stage after stage, in each of them every pack for the days it is in force on."""
    forces = in_force(facts, packs)
    screens = [force.screen(screen(force.facts, force.pack)) for force in forces]
    checked = merge_screens(screens)
    made = [estimate(force.facts, checked, force.pack) for force in forces]
    estimates = merge_estimates(made, packs.of_day, facts.grid)
    intervals, of_interval = _intervals(facts, packs)
    own = [replace(intervals, usable=intervals.usable & (of_interval == i)) for i in range(len(forces))]
    settled = merge_settled(
        [
            settle(facts, checked, estimates, mine, force.pack)
            for mine, force in zip(own, forces, strict=True)
        ],
        packs.of_day,
        of_interval,
        intervals,
        facts.grid,
    )
    return Stages(forces, screens, checked, estimates, intervals, of_interval, own, settled)


def _result(facts: SeriesFacts, packs: PackDays) -> SeriesResult:
    """Values from the stages, with what the rules that judge them say."""
    made = stages(facts, packs)
    forces, checked, settled = made.forces, made.checked, made.settled
    intervals, of_interval = made.intervals, made.of_interval
    days = [force.days(_day_hits(force.facts, checked, force.pack)) for force in forces]
    slots = [force.slots(unusual_slots(facts, checked, force.pack)) for force in forces]
    marks = _marks(facts, checked)
    findings = [interval_findings(intervals, settled, _tou(facts, made.own, forces))]
    for number, (force, part) in enumerate(zip(forces, made.screens, strict=True)):
        marks.add(force, part, days[number], slots[number])
        rejected = settled.rejected_whole[of_interval[settled.rejected_whole] == number]
        marks.columns("sum_check", force.pack, intervals, rejected)
        findings.append(pack_findings(force, part, days[number], slots[number]))
    quality, method = _worth(facts, checked, settled, intervals, marks)
    return SeriesResult(settled.final, quality, method, marks.flags, Findings.join(findings))


def _intervals(facts: SeriesFacts, packs: PackDays) -> tuple[ReadIntervals, Int]:
    """Read intervals, and the number of the pack of each: that of its first expected day."""
    found = [
        read_intervals(facts, max_gap_s=pack.registers.max_read_gap_days * DAY_S) for pack in packs.packs
    ]
    of_interval = packs.of_day[found[0].series, np.maximum(found[0].day, 0)]
    usable = np.stack([intervals.usable for intervals in found])[of_interval, np.arange(len(of_interval))]
    return replace(found[0], usable=usable), of_interval


def _day_hits(facts: SeriesFacts, checked: Screen, pack: RulePack) -> dict[str, DayHits]:
    """Hits of the rules that judge whole days or runs, by rule."""
    rules = pack.rules
    hits = equal_runs(facts, checked, rules)
    hits |= unusual_usage(facts, checked, pack, standing=hits["zero_run"])
    if rules.leak is not None:
        hits["leak"] = leaks(facts, checked, rules.leak)
    hits["prolonged_estimation"] = prolonged(facts, checked, rules.prolonged_estimation.days)
    return hits


def _tou(facts: SeriesFacts, own: list[ReadIntervals], forces: list[InForce]) -> tuple[Int, Int]:
    """Intervals whose TOU registers disagree with the total, and the sum of their advances."""
    found = [
        tou_differences(intervals, facts.tou, int(rule.tolerance * PERMILLE))
        for intervals, force in zip(own, forces, strict=True)
        if (rule := force.pack.rules.tou_registers) is not None
    ]
    nothing = np.zeros(0, np.int64)
    return (
        np.concatenate([nothing, *(numbers for numbers, _ in found)]),
        np.concatenate([nothing, *(seen for _, seen in found)]),
    )


class _Marks:
    """Flag bits of the slots, and which slots a rule more severe than ``info`` doubts."""

    def __init__(self, facts: SeriesFacts) -> None:
        self.flags = np.zeros(facts.value.shape, np.int32)
        self.doubted: list[Int] = []
        self._slots = facts.grid.slots

    def slots(self, rule: str, pack: RulePack, flat: Int) -> None:
        """Mark single slots."""
        self.flags.ravel()[flat] |= Flag[FLAG_OF.get(rule, rule.upper())].value
        if pack.rules.severity(rule) != "info":
            self.doubted.append(flat)

    def runs(self, rule: str, pack: RulePack, hits: DayHits) -> None:
        """Mark the slots of each hit."""
        for series, start, end in zip(
            *(a.tolist() for a in (hits.series, hits.start, hits.end)), strict=True
        ):
            self.slots(rule, pack, series * self._slots + np.arange(start, end))

    def columns(self, rule: str, pack: RulePack, intervals: ReadIntervals, numbers: Int) -> None:
        """Mark the whole slots of some read intervals."""
        for n in numbers.tolist():
            whole = np.arange(intervals.first[n], intervals.last[n])
            self.slots(rule, pack, intervals.series[n] * self._slots + whole)

    def add(
        self, force: InForce, checked: Screen, days: Mapping[str, DayHits], slots: Mapping[str, SlotHits]
    ) -> None:
        """Mark what a pack holds against the slots of its days; ``checked`` is its own part of the screen."""
        pack, facts = force.pack, force.facts
        hits = {"negative": checked.negative, "spike": checked.spike, "over_capacity": checked.over_capacity}
        hits |= checked.marks | {name: hit.flat for name, hit in slots.items()}
        if facts.conflict is not None:
            conflict = np.flatnonzero(facts.conflict)
            hits["conflict"] = conflict[force.flat(conflict)]
        if checked.touched is not None:
            touched = np.flatnonzero(checked.touched)
            hits["power_failure"] = touched[~facts.instantaneous[touched // self._slots]]
        for name, flat in hits.items():
            self.slots(name, pack, flat)
        for name, runs in days.items():
            if name != "prolonged_estimation":
                self.runs(name, pack, runs)


def _marks(facts: SeriesFacts, checked: Screen) -> _Marks:
    """Marks of what explains slots, whatever the pack."""
    marks = _Marks(facts)
    if checked.touched is not None:
        marks.flags[checked.touched] |= Flag.OUTAGE
    if facts.disconnected is not None:
        marks.flags[to_slots(facts.disconnected, facts.grid)] |= Flag.DISCONNECTED
    if facts.external is not None:
        marks.flags[facts.external & facts.have] |= Flag.EXTERNAL
    return marks


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


__all__ = ["Stages", "stages", "validate_and_estimate"]
