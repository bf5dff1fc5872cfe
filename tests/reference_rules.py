"""Rules of events, repeated reads, sibling channels and status, history and leaks in the slow VEE.

Written from ``docs/vee.md`` with plain loops over Python integers; see ``reference_vee.py``.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from models.series import EVENT_RULES
from schemas.channels import CHANNELS
from schemas.quality import Flag
from tests.reference_validation import HOUR_S, Interval, Series, Slot, read_series, stretches, total

NEEDS_VALUE = (
    *EVENT_RULES,
    "stale_snapshot",
    "reactive_without_active",
    "disconnected_usage",
    "inactive_usage",
)


def rate(series: Series, units_an_hour: object) -> int:
    """Micro-units a slot, rounded down."""
    return int(Fraction(str(units_an_hour)) * 1_000_000 * series.facts.grid.interval_s / HOUR_S)


def mates(series: Series) -> list[Series]:
    """The other channels of the meter, as received."""
    facts = series.facts
    if facts.meter is None:
        return []
    rows = [row for row in range(facts.count) if row != series.row]
    return [
        read_series(facts, series.pack, row) for row in rows if facts.meter[row] == facts.meter[series.row]
    ]


def mark_slots(series: Series) -> None:
    """Which of the rules of single slots hit each slot."""
    rules = series.pack.rules
    if series.facts.instantaneous[series.row]:
        return
    for slot in series.slots:
        slot.marks = set()
    of_events(series)
    of_repeats(series)
    of_siblings(series)
    of_status(series)
    for slot in series.slots:
        wanted = {name for name in slot.marks if getattr(rules, name) is not None}
        slot.marks = wanted if slot.value is not None and not slot.external else set()
        slot.void = any(getattr(rules, name).severity == "fail" for name in slot.marks)


def of_events(series: Series) -> None:
    """Slots that the span of an event overlaps."""
    events = series.facts.events
    for k in range(len(events.rule)):
        for slot in series.slots:
            if events.series[k] == series.row and slot.start < events.end[k] and events.start[k] < slot.end:
                slot.marks.add(EVENT_RULES[events.rule[k]])


def of_repeats(series: Series) -> None:
    """A slot of zero that begins when a repeated read says, and a positive one after it, on one day."""
    repeats = series.facts.repeats
    moments = {int(at) for row, at in zip(repeats.series, repeats.at, strict=True) if row == series.row}
    for first, second in pairwise(series.slots):
        still = first.start in moments and first.day == second.day and first.value == 0
        if still and second.value is not None and second.value > 0:
            first.marks.add("stale_snapshot")
            second.marks.add("stale_snapshot")


def of_siblings(series: Series) -> None:
    """Reactive energy while every active channel of the meter reads zero."""
    channels, rule = series.facts.channels, series.pack.rules.reactive_without_active
    if rule is None or not channels or CHANNELS[channels[series.row]].quantity != "reactive energy":
        return
    active = [mate for mate in mates(series) if CHANNELS[channels[mate.row]].quantity == "active energy"]
    for slot in series.slots:
        others = [mate.slots[slot.column].value for mate in active]
        if others and all(value == 0 for value in others) and (slot.value or 0) > rate(series, rule.min_rate):
            slot.marks.add("reactive_without_active")


def of_status(series: Series) -> None:
    """Usage on days on which the service is disconnected, or inactive."""
    rules = series.pack.rules
    for slots in series.days:
        if not slots[0].disconnected:
            continue
        name = "inactive_usage" if slots[0].inactive else "disconnected_usage"
        rule = getattr(rules, name)
        used = [slot for slot in slots if slot.value is not None and slot.value > 0]
        if rule is not None and total(used) > int(rule.min_usage * 1_000_000):
            for slot in used:
                slot.marks.add(name)


def mark_findings(series: Series) -> None:
    """Flags and findings of the marks, of outages and of slots that sibling channels have."""
    rules = series.pack.rules
    for day, slots in enumerate(series.days):
        for name in NEEDS_VALUE:
            hit = [slot for slot in slots if name in slot.marks]
            if hit:
                least = int(getattr(getattr(rules, name), "min_usage", 0) * 1_000_000)
                if name == "reactive_without_active" and rules.reactive_without_active is not None:
                    least = rate(series, rules.reactive_without_active.min_rate)
                series.find(name, day, hit[0].start, hit[-1].end, total(hit), least)
                for slot in hit:
                    slot.flags |= Flag[name.upper()]
        if rules.power_failure is not None and not series.facts.instantaneous[series.row]:
            for run in stretches(slots, lambda slot: slot.touched):
                series.find("power_failure", day, run[0].start, run[-1].end, len(run), 0)
    if rules.sibling_missing is None:
        return
    others = mates(series)

    def lacking(slot: Slot) -> bool:
        return slot.missing and any(mate.slots[slot.column].value is not None for mate in others)

    for day, slots in enumerate(series.days):
        for run in stretches(slots, lacking):
            series.find("sibling_missing", day, run[0].start, run[-1].end, len(run), 0)


def judge_history(series: Series) -> None:
    """Slots above the highest, and far above the average, of the days before."""
    rules, averages = series.pack.rules, series.pack.averages
    for day, slots in enumerate(series.days):
        before = [slot for other in series.averaged(day) for slot in series.days[other]]
        if len(series.averaged(day)) < averages.min_days or not any(slot.expected for slot in slots):
            continue
        limits = {}
        if rules.historical_max is not None:
            highest = max(0, *(slot.value or 0 for slot in before))
            permille = int(rules.historical_max.max_excess * 1000)
            least = rate(series, rules.historical_max.min_rate)
            limits["historical_max"] = max(highest + highest * permille // 1000, least)
        if rules.high_slot is not None:
            average = rules.high_slot.factor * total(before) // len(before)
            limits["high_slot"] = max(average, rate(series, rules.high_slot.min_rate))
        for name, limit in limits.items():
            above = {slot.column for slot in slots if slot.good and (slot.value or 0) > limit}
            for run in stretches([slot for slot in slots if slot.column in above], lambda slot: True):
                highest = max(slot.value or 0 for slot in run)
                series.find(name, day, run[0].start, run[-1].end, highest, limit)
                for slot in run:
                    slot.flags |= Flag[name.upper()]


def judge_leaks(series: Series) -> None:
    """Nights in a row none of whose hours the flow stood still."""
    rule, channels, grid = series.pack.rules.leak, series.facts.channels, series.facts.grid
    if rule is None or not channels or CHANNELS[channels[series.row]].quantity != "volume":
        return
    if grid.interval_s > HOUR_S:
        return
    lowest: list[int | None] = []
    for slots in series.days:
        hours: dict[int, list[Slot]] = {hour: [] for hour in range(rule.from_hour, rule.to_hour)}
        for slot in slots:
            hours.get(slot.clock * grid.interval_s // HOUR_S, []).append(slot)
        known = all(night and all(slot.good for slot in night) for night in hours.values())
        lowest.append(min(total(night) for night in hours.values()) if known else None)
    allowed = int(rule.min_rate * 1_000_000)
    for day in range(rule.days - 1, len(series.days)):
        nights = range(day - rule.days + 1, day + 1)
        flows = [lowest[night] for night in nights if any(slot.expected for slot in series.days[night])]
        if len(flows) == rule.days and all(flow is not None and flow > allowed for flow in flows):
            slots = series.days[day]
            series.find("leak", day, slots[0].start, slots[-1].end, min(flow or 0 for flow in flows), allowed)
            for slot in slots:
                slot.flags |= Flag.LEAK


def tou_of(series: Series, interval: Interval) -> dict[int, tuple[int, int]] | None:
    """Advance and step of each TOU register by its code, None where they cannot be judged."""
    tou = series.facts.tou
    mine = [k for k in range(len(tou.at)) if tou.series[k] == series.row]
    first = {int(tou.register[k]): k for k in mine if tou.at[k] == interval.start}
    last = {int(tou.register[k]): k for k in mine if tou.at[k] == interval.end}
    if not first or set(first) != set(last):
        return None
    told = {}
    for register, k in first.items():
        n = last[register]
        between = [j for j in mine if tou.register[j] == register and tou.at[k] < tou.at[j] < tou.at[n]]
        modulus = int(tou.modulus[k]) if tou.modulus[k] == tou.modulus[n] else 0
        advance = int(tou.value[n]) - int(tou.value[k])
        if advance < 0 and modulus and 2 * (advance + modulus) < modulus:
            advance += modulus
        if between or tou.value[k] < 0 or tou.value[n] < 0 or advance < 0:
            return None
        told[register] = advance, max(int(tou.resolution[k]), int(tou.resolution[n]))
    return told


def judge_tou(series: Series, interval: Interval) -> None:
    """The advances of the TOU registers of a usable interval against that of the total register."""
    rule, told = series.pack.rules.tou_registers, tou_of(series, interval)
    if rule is None or told is None:
        return
    advances = sum(advance for advance, _ in told.values())
    steps = sum(step for _, step in told.values()) + interval.resolution
    share = int(rule.tolerance * 1000) * interval.advance // 1000
    if abs(advances - interval.advance) > max(share, 2 * interval.resolution, steps):
        day = interval.overlapping[0].day
        series.find("tou_registers", day, interval.start, interval.end, advances, interval.advance)
