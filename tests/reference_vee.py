"""VEE as ``docs/vee.md`` words it: plain loops over Python integers, one slot at a time.

Slow and obvious on purpose: the vectorised kernels are compared with it bit by bit. It shares nothing with
them but the facts, the result and the calendar. ``reference_validation.py`` is its first half,
``reference_rules.py`` holds rules of events, siblings and history,
``reference_estimators.py`` the estimators.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np

from models.series import Findings, SeriesFacts, SeriesResult
from models.tou_registers import register_code
from schemas.quality import SCALED, Flag, Method, Quality
from schemas.rulepack import RulePack
from tests.reference_estimators import ESTIMATORS, Gap, lacks
from tests.reference_rules import judge_history, judge_leaks, judge_tou, mark_findings, mark_slots, tou_of
from tests.reference_validation import (
    Interval,
    Series,
    Slot,
    half_away,
    judge_prolonged,
    judge_runs,
    judge_usage,
    read_series,
    screen,
    screen_findings,
    stretches,
    total,
)

DAY_S = 86_400

# Reads ------------------------------------------------------------------------------------------------------


def read_intervals(series: Series) -> None:
    """Read intervals of the series, and which are usable."""
    reads = series.facts.reads
    valid = [
        k
        for k in range(len(reads.at))
        if reads.series[k] == series.row
        and reads.value[k] >= 0
        and not 0 < reads.modulus[k] <= reads.value[k]
    ]
    for first, last in pairwise(valid):
        start, end = int(reads.at[first]), int(reads.at[last])
        advance, modulus = int(reads.value[last]) - int(reads.value[first]), int(reads.modulus[last])
        if advance < 0 and 2 * (advance + modulus) < modulus:
            advance += modulus
        overlapping = [slot for slot in series.slots if slot.start < end and start < slot.end]
        in_grid = series.slots[0].start <= start and end <= series.slots[-1].end
        usable = (
            end - start <= series.pack.registers.max_read_gap_days * DAY_S
            and in_grid
            and all(slot.expected for slot in overlapping)
            and int(reads.version[first, 1]) == int(reads.version[last, 0])
            and bool(series.facts.one_directional[series.row])
            and advance >= 0
        )
        whole = [slot for slot in overlapping if start <= slot.start and slot.end <= end]
        resolution = max(int(reads.resolution[first]), int(reads.resolution[last]))
        series.intervals.append(Interval(start, end, advance, resolution, usable, overlapping, whole))
        expected = [slot for slot in overlapping if slot.expected]
        if not usable and expected:
            one_meter = int(reads.version[first, 1]) == int(reads.version[last, 0])
            rule = "register_decreased" if one_meter and advance < 0 else "read_interval"
            series.find(rule, expected[0].day, start, end, advance, 0)


# Estimates --------------------------------------------------------------------------------------------------


def estimate_all(series: Series) -> None:
    """Zeros, then the pack's estimators one after the other, then the register's mean."""
    for slot in series.slots:
        slot.absent = slot.expected and lacks(slot)
        slot.zero = slot.expected and slot.value is None and not slot.absent
    for step in series.pack.estimation.order:
        gaps: dict[tuple[int, int, int], list[Slot]] = {}
        for slot in series.slots:
            if slot.absent and slot.estimate is None:
                seen = Gap.of(series, slot)
                minutes = seen.length * series.facts.grid.interval_s / 60
                if step.max_minutes is None or minutes <= step.max_minutes:
                    gaps.setdefault((slot.day, seen.first, seen.last), []).append(slot)
        for (_, first, last), slots in gaps.items():
            for segment in stretches(slots, lambda slot: True):
                values = ESTIMATORS[step.method](series, segment, Gap(first, last), step)
                for slot, value in zip(segment, values, strict=True):
                    if value is not None:
                        slot.estimate, slot.method = value, Method[step.method.upper()]
    for slot in series.slots:
        if slot.absent and slot.estimate is None:
            value = register(series, slot)
            if value is not None:
                slot.estimate, slot.method = value, Method.REGISTER


def register(series: Series, slot: Slot) -> int | None:
    """Mean of the good slots of the usable read interval that holds the slot whole."""
    for interval in series.intervals:
        if interval.usable and slot in interval.whole:
            good = [other for other in interval.whole if other.good]
            return half_away(total(good), len(good)) if good else 0
    return None


# Registers --------------------------------------------------------------------------------------------------


def share(slot: Slot, interval: Interval) -> int:
    """What a shared slot gives to an interval that overlaps it."""
    known = 0 if slot.absent and slot.estimate is None else slot.final

    def until(at: int) -> int:
        return known * (at - slot.start) // (slot.end - slot.start)

    return until(min(interval.end, slot.end)) - until(max(interval.start, slot.start))


def settle(series: Series, interval: Interval) -> None:
    """Spike verdict, scaling and sum check of a usable read interval."""
    shared = [slot for slot in interval.overlapping if slot not in interval.whole]
    suspects = [slot for slot in interval.whole if slot.suspect]
    actual = [slot for slot in interval.whole if not slot.absent]
    others = [slot for slot in interval.whole if slot.absent and not slot.suspect]
    parts = sum(share(slot, interval) for slot in shared)
    fixed, doubted = total(actual) + parts, total(suspects)
    permille = int(series.pack.rules.sum_check.tolerance * 1000)
    tolerance = max(permille * interval.advance // 1000, 2 * interval.resolution)
    day = interval.overlapping[0].day

    if fixed + doubted + sum(slot.final for slot in others) > interval.advance + tolerance:
        others = [slot for slot in interval.whole if slot.absent]
        doubted = 0
    for slot in suspects:
        slot.kept = slot not in others

    externals = [slot for slot in actual if slot.external and slot.final >= 0]
    if series.pack.estimation.scale_external:
        fixed -= total(externals)
        others = sorted(others + externals, key=lambda slot: slot.column)
    if others:
        target = interval.advance - (fixed + doubted)
        if target < -interval.resolution:
            series.find("sum_check", day, interval.start, interval.end, fixed + doubted, interval.advance)
        else:
            for part, own in by_registers(series, interval, others, max(target, 0)):
                scale(part, own)
            scale(others, max(target, 0))
    elif not any(slot.external for slot in interval.whole) and all(measured(slot) for slot in shared):
        off = abs(fixed + doubted - interval.advance) > tolerance
        if off:
            series.find("sum_check", day, interval.start, interval.end, fixed + doubted, interval.advance)
        for slot in interval.whole:
            slot.verified = not off
            slot.flags |= Flag.SUM_CHECK if off else 0


def measured(slot: Slot) -> bool:
    """Whether a shared slot is neither estimated, external, failed nor missing."""
    return not slot.absent and not slot.external


def scale(slots: list[Slot], target: int) -> None:
    """Move estimates so that they sum to the target exactly."""
    estimates = [slot.final for slot in slots]
    whole = sum(estimates)
    exact = [Fraction(e * target, whole) if whole else Fraction(target, len(slots)) for e in estimates]
    moved = [e.numerator // e.denominator for e in exact]
    order = sorted(range(len(slots)), key=lambda k: (moved[k] - exact[k], k))
    for k in order[: target - sum(moved)]:
        moved[k] += 1
    for slot, value in zip(slots, moved, strict=True):
        slot.estimate = value
        if target != whole:
            slot.method = scaled(slot)


def scaled(slot: Slot) -> Method:
    """Method of an estimate that a register moved, once or again."""
    method = slot.method if slot.absent or slot.method is Method.EXTERNAL_SCALED else Method.EXTERNAL
    return method if method is Method.REGISTER or method > SCALED else Method(method + SCALED)


def by_registers(
    series: Series, interval: Interval, others: list[Slot], target: int
) -> list[tuple[list[Slot], int]]:
    """The estimates of each time-of-use register and what they have to sum to; none where they do not fit."""
    grid = series.facts.grid
    if (interval.start - grid.origin) % grid.interval_s or (interval.end - grid.origin) % grid.interval_s:
        return []
    told = tou_of(series, interval)
    counted = {slot.column: counted_by(series, slot) for slot in interval.whole}
    if told is None or any(counted[slot.column] not in told for slot in others):
        return []
    parts = []
    for code in sorted({counted[slot.column] for slot in others}):
        advance, step = told[code]
        mine = [slot for slot in others if counted[slot.column] == code]
        rest = [slot for slot in interval.whole if counted[slot.column] == code and slot not in mine]
        left = advance - total(rest_kept(rest))
        if left < -step:
            return []
        parts.append((mine, max(left, 0)))
    steps = sum(step for _, step in told.values()) + interval.resolution
    return parts if abs(sum(own for _, own in parts) - target) <= steps else []


def rest_kept(slots: list[Slot]) -> list[Slot]:
    """Those with a value that counts: measured, external, or a suspect that the register confirms."""
    return [slot for slot in slots if not slot.absent or slot.kept]


def counted_by(series: Series, slot: Slot) -> int:
    """Code of the time-of-use register that counts a slot, 0 for none."""
    grid = series.facts.grid
    day = grid.date(slot.day)
    kind = ["weekday"] * 5 + ["saturday", "sunday"]
    held = "holiday" if grid.first_day + slot.day in series.facts.holidays else kind[day.weekday()]
    minute = int(grid.wall[slot.column]) // 60
    for part in series.pack.registers.tou:
        low, high = part.at
        inside = low <= minute < high if low < high else minute >= low or minute < high
        if inside and held in part.days and day.month in part.months:
            return register_code(part.name)
    return 0


# Worth ------------------------------------------------------------------------------------------------------


def worth(series: Series, slot: Slot) -> tuple[Quality, Method]:
    """Quality and method of a slot's final value."""
    rules = series.pack.rules
    names = [str(flag.name).lower() for flag in Flag if slot.flags & flag]
    if not series.facts.instantaneous[series.row]:
        names = ["power_failure" if name == "outage" else name for name in names]
    judged = [getattr(rules, name) for name in names if name in type(rules).model_fields]
    if slot.zero:
        return Quality.VALIDATED, Method.ZERO
    if slot.absent and not slot.kept:
        if slot.value is None:
            return (Quality.MISSING if slot.estimate is None else Quality.ESTIMATED), slot.method
        return (Quality.FAILED if slot.estimate is None else Quality.SUBSTITUTED), slot.method
    if slot.value is None:
        return Quality.MISSING, Method.NONE
    if slot.external:
        scaled = slot.method is Method.EXTERNAL_SCALED
        return Quality.ESTIMATED, Method.EXTERNAL_SCALED if scaled else Method.EXTERNAL
    doubted = any(rule is not None and rule.severity != "info" for rule in judged)
    if slot.kept or doubted:
        return Quality.QUESTIONABLE, Method.NONE
    return (Quality.VERIFIED if slot.verified else Quality.VALIDATED), Method.NONE


def run_series(facts: SeriesFacts, pack: RulePack, row: int) -> Series:
    """Every step for one series."""
    series = read_series(facts, pack, row)
    mark_slots(series)
    screen(series)
    screen_findings(series)
    mark_findings(series)
    if facts.instantaneous[row]:
        for slot in series.slots:
            slot.absent = slot.expected and (slot.value is None or slot.failed)
        return series
    judge_history(series)
    judge_leaks(series)
    judge_runs(series)
    judge_usage(series)
    judge_prolonged(series)
    read_intervals(series)
    estimate_all(series)
    for interval in series.intervals:
        if interval.usable:
            settle(series, interval)
            judge_tou(series, interval)
    return series


def reference_vee(facts: SeriesFacts, pack: RulePack) -> SeriesResult:
    """Validate and estimate; only slots of expected days have a meaning in the result."""
    shape = facts.value.shape
    value, flags = np.zeros(shape, np.int64), np.zeros(shape, np.int32)
    quality, method = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
    rows: list[tuple[int, ...]] = []
    for row in range(facts.count):
        series = run_series(facts, pack, row)
        for slot in series.slots:
            at = row, slot.column
            value[at], flags[at] = slot.final, slot.flags
            quality[at], method[at] = worth(series, slot)
        rows += series.findings
    rows.sort(key=lambda found: (found[1], found[2], found[0], found[3]))
    columns = np.array(rows, np.int64).reshape(len(rows), 7).T
    return SeriesResult(value, quality, method, flags, Findings(*columns))
