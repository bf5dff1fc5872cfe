"""The validating half of the slow VEE (see ``reference_vee.py``): slots, screen, usage, runs.

Written from ``docs/vee.md`` with plain loops over Python integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from models.series import RULES, SeriesFacts
from schemas.quality import Flag, Method
from schemas.rulepack import RulePack
from schemas.rules import Rules

REACH = 35
"""Days looked back by like days, runs and prolonged estimation."""
HOUR_S = 3_600


@dataclass(eq=False)
class Slot:
    """One slot: its facts, and what is found out about it on the way. ``limit`` 0 = no capacity stated."""

    column: int
    start: int
    end: int
    day: int
    clock: int
    value: int | None
    external: bool
    conflict: bool
    expected: bool
    disconnected: bool
    limit: int
    served: bool = True
    inactive: bool = False
    marks: set[str] = field(default_factory=set)
    void: bool = False
    touched: bool = False
    whole_outage: bool = False
    high: bool = False
    failed: bool = False
    negative: bool = False
    over_capacity: bool = False
    spike: bool = False
    absent: bool = False
    zero: bool = False
    kept: bool = False
    verified: bool = False
    estimate: int | None = None
    method: Method = Method.NONE
    flags: int = 0

    @property
    def missing(self) -> bool:
        """No value, and nothing that explains it; means what it says on expected days only."""
        return self.value is None and self.served and not self.whole_outage and not self.disconnected

    @property
    def suspect(self) -> bool:
        """A value that only a register can save."""
        return self.high and not self.void

    @property
    def good(self) -> bool:
        """A value that others may lean on."""
        outlier = self.negative or self.spike or self.over_capacity
        doubtful = outlier or self.failed or self.external or self.touched
        return self.value is not None and not doubtful

    @property
    def final(self) -> int:
        """The value that results, 0 where there is none."""
        if self.estimate is not None and not self.kept:
            return self.estimate
        return 0 if self.value is None else self.value


@dataclass(eq=False)
class Interval:
    """Two reads adjacent in time, and the slots that overlap and that lie whole between them."""

    start: int
    end: int
    advance: int
    resolution: int
    usable: bool
    overlapping: list[Slot]
    whole: list[Slot]


@dataclass(eq=False)
class Series:
    """One series on its way through validation and estimation."""

    facts: SeriesFacts
    pack: RulePack
    row: int
    slots: list[Slot]
    days: list[list[Slot]]
    eligible: list[bool] = field(default_factory=list)
    third_peak: dict[int, int] = field(default_factory=dict)
    intervals: list[Interval] = field(default_factory=list)
    findings: list[tuple[int, ...]] = field(default_factory=list)

    def find(self, rule: str, day: int, start: int, end: int, seen: int, expected: int) -> None:
        """Note a finding, if its day is expected."""
        if any(slot.expected for slot in self.days[day]):
            self.findings.append((RULES.index(rule), self.row, day, start, end, seen, expected))

    def averaged(self, day: int) -> list[int]:
        """Eligible days among those the average of a day is made of."""
        first = max(0, day - self.pack.averages.days)
        return [other for other in range(first, day) if self.eligible[other]]


def half_away(numerator: int, denominator: int) -> int:
    """The quotient as the nearest integer, ties away from zero; the denominator is positive."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def total(slots: Iterable[Slot]) -> int:
    """Sum of the values as received."""
    return sum(slot.value for slot in slots if slot.value is not None)


def stretches(slots: list[Slot], hit: Callable[[Slot], bool]) -> list[list[Slot]]:
    """Maximal sequences of consecutive slots that are hit."""
    found: list[list[Slot]] = []
    for slot in slots:
        if not hit(slot):
            continue
        if found and found[-1][-1].column == slot.column - 1:
            found[-1].append(slot)
        else:
            found.append([slot])
    return found


# Facts ------------------------------------------------------------------------------------------------------


def read_series(facts: SeriesFacts, pack: RulePack, row: int) -> Series:
    """One row of the facts as slots."""
    grid = facts.grid
    slots = []
    for column in range(grid.slots):
        day, start = int(grid.day_of_slot[column]), int(grid.starts[column])
        served = facts.unserved is None or not facts.unserved[row, column]
        slot = Slot(
            column=column,
            start=start,
            end=start + grid.interval_s,
            day=day,
            clock=int(grid.wall[column]) // grid.interval_s,
            value=int(facts.value[row, column]) if facts.have[row, column] else None,
            external=facts.external is not None and bool(facts.external[row, column]),
            conflict=facts.conflict is not None and bool(facts.conflict[row, column]),
            expected=bool(facts.expected[row, day]) and served,
            served=served,
            disconnected=facts.disconnected is not None and bool(facts.disconnected[row, day]),
            limit=0 if facts.capacity is None else int(facts.capacity[row, day]),
            inactive=facts.inactive is not None and bool(facts.inactive[row, day]),
        )
        slots.append(slot)
    outages = facts.outages
    for series, begin, end in zip(outages.series, outages.start, outages.end, strict=True):
        for slot in slots if series == row else ():
            slot.touched |= bool(slot.start < end and begin < slot.end)
            slot.whole_outage |= bool(begin <= slot.start and slot.end <= end)
    days = [[slot for slot in slots if slot.day == day] for day in range(grid.days)]
    return Series(facts, pack, row, slots, days)


# Screen -----------------------------------------------------------------------------------------------------


def screen(series: Series) -> None:
    """Verdicts of each day from its own slots."""
    rule = series.pack.rules.spike
    permille = int(rule.max_excess * 1000)
    least = Fraction(rule.min_third_peak_kw) * 1_000_000 * series.facts.grid.interval_s / HOUR_S
    for day, slots in enumerate(series.days):
        for slot in slots:
            if slot.value is not None:
                slot.negative = slot.value < 0 and bool(series.facts.one_directional[series.row])
                slot.over_capacity = 0 < slot.limit < slot.value
        candidates = [
            slot.value for slot in slots if slot.value is not None and not slot.negative and not slot.external
        ]
        if len(candidates) < 3:
            continue
        third = sorted(candidates)[-3]
        if third < least:
            continue
        series.third_peak[day] = third * (1000 + permille) // 1000
        for slot in slots:
            if slot.value is not None and not slot.negative and not slot.external:
                slot.spike = (slot.value - third) * 1000 > permille * third
    fails = {
        name: getattr(series.pack.rules, name).severity == "fail"
        for name in ("negative", "spike", "over_capacity")
    }
    for slot in series.slots:
        slot.high = (slot.spike and fails["spike"]) or (slot.over_capacity and fails["over_capacity"])
        slot.failed = slot.high or slot.void or (slot.negative and fails["negative"])
    series.eligible = [all(slot.good and not slot.disconnected for slot in slots) for slots in series.days]


def screen_findings(series: Series) -> None:
    """Flags and findings of the screen."""
    for day, slots in enumerate(series.days):
        for run in stretches(slots, lambda slot: slot.missing):
            series.find("missing", day, run[0].start, run[-1].end, len(run), 0)
        for run in stretches(slots, lambda slot: slot.conflict):
            series.find("conflict", day, run[0].start, run[-1].end, 0, 0)
        for run in stretches(slots, lambda slot: slot.negative):
            series.find("negative", day, run[0].start, run[-1].end, total(run), 0)
        for run in stretches(slots, lambda slot: slot.over_capacity):
            highest = max(slot.value or 0 for slot in run)
            series.find("over_capacity", day, run[0].start, run[-1].end, highest, run[0].limit)
        for run in stretches(slots, lambda slot: slot.spike):
            highest = max(slot.value or 0 for slot in run)
            series.find("spike", day, run[0].start, run[-1].end, highest, series.third_peak[day])
    for slot in series.slots:
        hits = {
            Flag.CONFLICT: slot.conflict,
            Flag.NEGATIVE: slot.negative,
            Flag.SPIKE: slot.spike,
            Flag.OVER_CAPACITY: slot.over_capacity,
            Flag.OUTAGE: slot.touched,
            Flag.DISCONNECTED: slot.disconnected,
            Flag.EXTERNAL: slot.external,
        }
        slot.flags = sum(flag.value for flag, hit in hits.items() if hit)


# Average usage, runs, prolonged estimation ------------------------------------------------------------------


def judge_usage(series: Series) -> None:
    """High and low usage of each day against the average of the days before."""
    rules, averages = series.pack.rules, series.pack.averages
    for day, slots in enumerate(series.days):
        before = series.averaged(day)
        if len(before) < averages.min_days or any(slot.value is None for slot in slots):
            continue
        usual, used = sum(total(series.days[other]) for other in before), total(slots)
        high = rules.high_usage is not None and used * len(before) > rules.high_usage.factor * usual
        low = rules.low_usage is not None and used * len(before) * rules.low_usage.divisor < usual
        for hit, rule, flag in ((high, "high_usage", Flag.HIGH_USAGE), (low, "low_usage", Flag.LOW_USAGE)):
            if hit:
                average = half_away(usual, len(before))
                series.find(rule, day, slots[0].start, slots[-1].end, used, average)
                for slot in slots:
                    slot.flags |= flag


def run_length(rules: Rules, *, zero: bool, interval_s: int) -> int | None:
    """Shortest run that counts, in slots; None where the pack has no such rule."""
    if zero:
        return None if rules.zero_run is None else -(-rules.zero_run.hours * HOUR_S // interval_s)
    return None if rules.flat_line is None else rules.flat_line.slots


def judge_runs(series: Series) -> None:
    """Zero runs and flat lines, as each day sees them."""
    interval, rules = series.facts.grid.interval_s, series.pack.rules
    for day in range(len(series.days)):
        seen = [slot for slots in series.days[max(0, day - REACH) : day + 2] for slot in slots]
        runs: list[list[Slot]] = []
        for slot in seen:
            if slot.value is None or slot.touched or slot.disconnected:
                continue
            last = runs[-1][-1] if runs else None
            if last is not None and last.column == slot.column - 1 and last.value == slot.value:
                runs[-1].append(slot)
            else:
                runs.append([slot])
        for run in runs:
            zero = run[0].value == 0
            least = run_length(rules, zero=zero, interval_s=interval)
            if least is None:
                continue
            flat = rules.flat_line
            if not zero and flat is not None and len(run) < flat.coarse_slots:
                step = math.gcd(*(slot.value or 0 for slot in seen))
                if abs(run[0].value or 0) < flat.min_steps * step:
                    continue
            today = [slot for slot in run if slot.day == day]
            if len(run) < least or not today:
                continue
            rule = "zero_run" if zero else "flat_line"
            series.find(rule, day, today[0].start, today[-1].end, len(run), least)
            for slot in today:
                slot.flags |= Flag.ZERO_RUN if zero else Flag.FLAT_LINE


def judge_prolonged(series: Series) -> None:
    """Days without a good slot in a row."""

    def in_row(day: int) -> bool:
        slots = series.days[day]
        explained = slots[0].disconnected or all(slot.whole_outage for slot in slots)
        expected = any(slot.expected for slot in slots)
        return expected and not explained and not any(slot.good for slot in slots)

    allowed = series.pack.rules.prolonged_estimation.days
    for day, slots in enumerate(series.days):
        first = day + 1
        while first > max(0, day - REACH) and in_row(first - 1):
            first -= 1
        row = day + 1 - first
        if row > allowed:
            series.find("prolonged_estimation", day, slots[0].start, slots[-1].end, row, allowed)
