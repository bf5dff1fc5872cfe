"""The estimators of the slow VEE (see ``reference_vee.py``), written from ``docs/vee.md`` with plain loops.

Each takes a segment, consecutive absent slots of one gap and one local day, and gives each a value or None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.reference_rules import mark_slots, mates
from tests.reference_validation import REACH, Series, Slot, half_away, screen, total

HOUR_S = 3_600
DAY_S = 86_400
Values = list[int | None]


def lacks(slot: Slot) -> bool:
    """Whether a slot would be absent if it were expected."""
    return slot.missing or slot.failed


@dataclass(frozen=True)
class Gap:
    """First and last column of a gap as a day sees it."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Its slots."""
        return self.last - self.first + 1

    @classmethod
    def of(cls, series: Series, slot: Slot) -> Gap:
        """The gap of an absent slot, cut to the days d − 35 … d + 1."""
        low, high = view(series, slot.day)
        first = last = slot.column
        while first > low and lacks(series.slots[first - 1]):
            first -= 1
        while last < high and lacks(series.slots[last + 1]):
            last += 1
        if first == low or series.slots[first - 1].value is None:
            first = max(first, series.days[slot.day][0].column)
        return cls(first, last)


def view(series: Series, day: int) -> tuple[int, int]:
    """First and last column that the estimate of a day may look at."""
    low, high = max(0, day - REACH), min(len(series.days) - 1, day + 1)
    return series.days[low][0].column, series.days[high][-1].column


def check(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """The check channel's slot of the same meter where it is good."""
    other = _beside(series, ("import", "export"), "check")
    if other is None:
        return [None] * len(segment)
    mark_slots(other)
    screen(other)
    seen = [other.slots[slot.column] for slot in segment]
    return [slot.value if slot.good else None for slot in seen]


def reference(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """What a reference channel of the same meter says of the slot, if it is not below zero."""
    drawn = ("import", "volume", "cold_water", "hot_water", "heat", "cold")
    other = _beside(series, (*drawn, "export"), step.method)
    if other is None:
        return [None] * len(segment)
    facts = series.facts
    return [
        int(facts.value[other.row, slot.column])
        if facts.have[other.row, slot.column] and facts.value[other.row, slot.column] >= 0
        else None
        for slot in segment
    ]


def _beside(series: Series, of: tuple[str, ...], ending: str) -> Series | None:
    """The series of the same meter whose channel is named after this one's."""
    mine = series.facts.channels[series.row] if series.facts.channels else ""
    named = [other for other in mates(series) if series.facts.channels[other.row] == f"{mine}_{ending}"]
    return named[0] if named and mine in of else None


def linear(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """Straight line over a gap."""
    if gap.first == 0 or gap.last == len(series.slots) - 1:
        return [None] * len(segment)
    before, after = series.slots[gap.first - 1], series.slots[gap.last + 1]
    if not before.good or not after.good or before.value is None or after.value is None:
        return [None] * len(segment)
    rise, first = after.value - before.value, before.value
    return [
        first + half_away(rise * (slot.column - before.column), after.column - before.column)
        for slot in segment
    ]


def day_type(series: Series, day: int) -> str:
    """Weekday, saturday, sunday or holiday."""
    if series.facts.grid.first_day + day in series.facts.holidays:
        return "holiday"
    return {5: "saturday", 6: "sunday"}.get(series.facts.grid.date(day).weekday(), "weekday")


def mean_of_days(series: Series, slot: Slot, references: list[int]) -> int | None:
    """Mean of some days at the slot's wall clock."""
    values = []
    for day in references:
        same = [other.value for other in series.days[day] if other.clock == slot.clock]
        if same and same[0] is not None:
            values.append(same[0])
    return half_away(sum(values), len(values)) if values else None


def like_day(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """Mean of the latest like days at the same wall clock."""
    today = segment[0].day

    def latest(kind: str) -> list[int]:
        days = range(today - 1, max(0, today - REACH) - 1, -1)
        like = [day for day in days if day_type(series, day) == kind and series.eligible[day]]
        return like[: step.days]

    kind = day_type(series, today)
    references = latest(kind)
    if kind == "holiday" and not references:
        references = latest("sunday")
    return [mean_of_days(series, slot, references) for slot in segment]


def two_week(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """Mean of the days of the two-week table."""
    today = segment[0].day
    weekday = series.facts.grid.date(today).weekday()

    def eligible(back: list[int]) -> list[int]:
        return [today - days for days in back if today >= days and series.eligible[today - days]]

    table = {0: [7, 14], 1: [7, 6, 5], 2: [7, 1, 8, 6], 3: [7, 1, 8, 2, 9], 4: [7], 5: [7], 6: [7]}
    references = eligible(table[weekday])
    if day_type(series, today) == "holiday":
        since_sunday = (weekday + 1) % 7
        sundays = [since_sunday, since_sunday + 7] if since_sunday else [7]
        references = eligible(sundays)[:1]
    return [mean_of_days(series, slot, references) for slot in segment]


def multi_week(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """Mean of the same weekday in the weeks before."""
    today = segment[0].day
    weeks = [today - 7 * week for week in range(1, step.weeks + 1)]
    references = [day for day in weeks if day >= 0 and series.eligible[day]]
    return [mean_of_days(series, slot, references) for slot in segment]


def flat(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """Mean of the days before, or of the day's own good slots."""
    slots = [other for day in series.averaged(segment[0].day) for other in series.days[day]]
    if not slots:
        today = series.days[segment[0].day]
        slots = [other for other in today if other.good]
        if 2 * len(slots) < len(today):
            return [None] * len(segment)
    return [half_away(total(slots), len(slots))] * len(segment)


def class_profile(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """The average of ``flat`` in the shape of the first profile for the day."""
    mean, day, grid = flat(series, segment, gap, step)[0], segment[0].day, series.facts.grid
    month, kind = grid.date(day).month, day_type(series, day)
    shapes = [shape.weights for shape in step.shapes if month in shape.months and kind in shape.days]
    if mean is None or not shapes:
        return [None] * len(segment)
    hours = max(grid.interval_s // HOUR_S, 1)
    values: Values = []
    for slot in segment:
        first = datetime.fromtimestamp(grid.origin + slot.column * grid.interval_s, ZoneInfo(grid.zone)).hour
        weight = sum(shapes[0][(first + hour) % 24] for hour in range(hours))
        values.append(half_away(mean * 24 * weight, sum(shapes[0]) * hours))
    return values


def usable(slot: Slot) -> bool:
    """A slot that a similar stretch may contain."""
    return slot.good and not slot.disconnected


def similar(series: Series, segment: list[Slot], gap: Gap, step: Any) -> Values:
    """Middle mean of the stretches whose surroundings are most like the gap's."""
    length_s = series.facts.grid.interval_s
    least = max(HOUR_S // length_s, 1)
    context = min(max(4 * gap.length, least), max(DAY_S // length_s, least))
    pitch = max(1800 // length_s, 1)
    most = step.shift_minutes * 60 // (pitch * length_s)
    offsets = sorted(range(-most, most + 1), key=lambda i: (abs(i), i))
    found: list[tuple[int, int, Move]] = []
    for back in range(1, REACH + 1):
        for offset in offsets:
            move = Move(series, segment[0].day, back, offset * pitch)
            distance = how_far(move, segment, gap, context)
            if distance is not None:
                today = segment[0].day
                if day_type(series, today - back) != day_type(series, today):
                    distance = distance * (100 + step.other_days) // 100
                found.append((distance, len(found), move))
    if len(found) < step.windows:
        return [None] * len(segment)
    chosen = [move for _, _, move in sorted(found, key=lambda item: item[:2])[: step.windows]]
    values: Values = []
    for slot in segment:
        position, span = slot.column - gap.first + 1, gap.length + 1
        taken = []
        for move in chosen:
            before = move.difference(gap.first - 1) or 0
            after = move.difference(gap.last + 1) or 0
            share = 3 if gap.length == 1 else 2
            pull = half_away(share * (before * (span - position) + after * position), 4 * span)
            like = move.like(slot)
            assert like is not None
            assert like.value is not None
            taken.append(like.value + pull)
        taken.sort()
        cut = step.windows // 4
        middle = taken[cut : step.windows - cut]
        mean = half_away(sum(middle), len(middle))
        values.append(max(mean, 0) if series.facts.one_directional[series.row] else mean)
    return values


@dataclass(frozen=True)
class Move:
    """From the slots around a day to those so many days before, at the same clock, and an offset on."""

    series: Series
    day: int
    back: int
    offset: int

    def like(self, slot: Slot) -> Slot | None:
        """The usable slot that corresponds to one, in view of the day."""
        if slot.day < self.back:
            return None
        there = self.series.days[slot.day - self.back]
        seen = range(max(0, self.day - REACH), slot.day - self.back + 1)
        started = any(other.good for day in seen for other in self.series.days[day])
        same = [other for other in there if other.clock == slot.clock]
        low, high = view(self.series, self.day)
        if not same or not started or not low <= same[0].column + self.offset <= high:
            return None
        found = self.series.slots[same[0].column + self.offset]
        return found if usable(found) else None

    def own(self, column: int) -> Slot | None:
        """A usable slot in view."""
        low, high = view(self.series, self.day)
        slot = self.series.slots[column] if low <= column <= high else None
        return slot if slot is not None and usable(slot) else None

    def difference(self, column: int) -> int | None:
        """A slot beside the gap less the one that corresponds to it, None where not both can be used."""
        mine = self.own(column)
        other = None if mine is None else self.like(mine)
        if mine is None or other is None or mine.value is None or other.value is None:
            return None
        return mine.value - other.value


def how_far(move: Move, segment: list[Slot], gap: Gap, context: int) -> int | None:
    """Weighted mean difference of the surroundings, None where the candidate cannot serve."""
    if any(move.like(slot) is None for slot in segment):
        return None
    apart = compared = own = 0
    for away in range(1, context + 1):
        weight = 10_000 // away
        for column in (gap.first - away, gap.last + away):
            if move.own(column) is not None:
                own += weight
            between = move.difference(column)
            if between is not None:
                compared += weight
                apart += weight * min(abs(between), 1 << 40)
    if compared == 0 or 2 * compared < own:
        return None
    return apart // compared


ESTIMATORS: dict[str, Callable[[Series, list[Slot], Gap, Any], Values]] = {
    "check": check,
    "linear": linear,
    "similar": similar,
    "like_day": like_day,
    "two_week": two_week,
    "multi_week": multi_week,
    "class_profile": class_profile,
    "previous_year": reference,
    "proxy_day": reference,
    "flat": flat,
}
