"""When a series is in service: the slots that start while a service point is in force for its meter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.calendar import DayGrid, local_day, slot_from
from models.exact import SLOT_LIMIT
from models.master import FOREVER, MICROS, MasterData, Span
from models.runs import REACH_BACK
from models.series import Bool, Int
from schemas.channels import CHANNELS

__all__ = ["SeriesRow", "first_of_series", "in_force", "mixed_days", "service_days", "service_time"]


@dataclass(frozen=True)
class SeriesRow:
    """One (meter, channel) at one interval length: a row of some grid.

    Attributes:
        name: (meter, channel).
        interval_s: Slot length. [s]
        first_day: First epoch day that may be expected.
        spans: Service-point versions of this interval length; none in a lake without master data.
        whole: Seconds at which the interval length changes: it does so with the local day.
        point: Number of the one service point of its spans; −1 where it is not told apart by them.
    """

    name: tuple[str, str]
    interval_s: int
    first_day: int
    spans: tuple[Span, ...]
    whole: frozenset[int] = frozenset()
    point: int = -1


def mixed_days(spans: Sequence[Span], zone: str) -> frozenset[int]:
    """Ends and starts of a meter's spans between which, within one local day, the interval length changes."""
    found: set[int] = set()
    for before, after in pairwise(spans):
        if before.version.interval_s != after.version.interval_s and before.end < FOREVER:
            days = local_day(zone, max(before.end - 1, 0)), local_day(zone, max(after.start, 0))
            if days[0] == days[1]:
                found |= {before.end, after.start}
    return frozenset(found)


def first_of_series(master: MasterData, meter: str, first_reading: int, zone: str) -> int:
    """First epoch day of a series: of its first reading, or of an exchange not long before.

    A meter that came in another one's place is expected from then on, where it reported within the reach of
    a result (35 days).
    """
    day = local_day(zone, first_reading)
    for span in master.spans.get(meter, ()) if meter in master.linked else ():
        if master.taken_over(span) and 0 <= day - local_day(zone, max(span.start, 0)) <= REACH_BACK:
            return local_day(zone, max(span.start, 0))
    return day


def service_time(row: SeriesRow, zone: str) -> list[tuple[int, int]]:
    """Seconds [start, end) of the stretches in service, on the row's slot grid.

    Where the interval length changes within a day, that day belongs to neither.
    """
    found: list[tuple[int, int]] = []
    for start, end in _merged(row.spans):
        low, high = (slot_from(zone, min(max(at, 0), FOREVER), row.interval_s) for at in (start, end))
        if start in row.whole:
            low = _midnight(zone, local_day(zone, low - 1) + 1, row.interval_s)
        if end in row.whole:
            high = _midnight(zone, local_day(zone, high), row.interval_s)
        if low < high:
            found.append((low, high))
    return found


def service_days(row: SeriesRow, zone: str) -> list[tuple[int, int]]:
    """First and last epoch days on which the row has a slot in service."""
    return [(local_day(zone, low), local_day(zone, high - 1)) for low, high in service_time(row, zone)]


def _merged(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Touching spans as one."""
    merged: list[tuple[int, int]] = []
    for span in spans:
        if merged and merged[-1][1] == span.start:
            merged[-1] = merged[-1][0], span.end
        else:
            merged.append((span.start, span.end))
    return merged


def _midnight(zone: str, day: int, interval_s: int) -> int:
    return int(DayGrid(zone, interval_s, day, 1).day_starts[0])


@dataclass(frozen=True)
class InForce:
    """What master data say of the days of n series; (n, days), ``unserved`` (n, slots) or None.

    Attributes:
        expected: Days with a slot in range.
        disconnected: Days whose service is disconnected.
        inactive: Days whose service is inactive or closed, disconnected ones all.
        capacity: Service size, 0 = not stated. [micro-unit a slot]
        unserved: Slots at whose start no service point is in force, of expected days and of those of service
            that have not closed.
    """

    expected: Bool
    disconnected: Bool
    inactive: Bool
    capacity: Int
    unserved: Bool | None


def in_force(
    rows: Sequence[SeriesRow], grid: DayGrid, zone: str, last_closed: int, *, empty: bool
) -> InForce:
    """What master data say of each day of some rows.

    Args:
        rows: Series of the grid's interval length.
        grid: The days.
        zone: Of the local days.
        last_closed: Last closed epoch day.
        empty: Whether the lake has no master data at all.
    """
    expected, disconnected, inactive = np.zeros((3, len(rows), grid.days), np.bool_)
    capacity = np.zeros((len(rows), grid.days), np.int64)
    partial: dict[int, Bool] = {}
    last = min(max(last_closed - grid.first_day + 1, 0), grid.days)
    for i, row in enumerate(rows):
        if CHANNELS[row.name[1]].reference:
            continue
        first = min(max(row.first_day - grid.first_day, 0), grid.days)
        if empty:
            expected[i, first:] = True
            continue
        if _throughout(row, grid):  # as usual: no need to look at slots
            expected[i, first:] = True
            _versions(row, grid, disconnected[i], inactive[i], capacity[i])
            continue
        columns = [
            np.clip((np.array(stretch) - grid.origin) // grid.interval_s, 0, grid.slots).tolist()
            for stretch in service_time(row, zone)
        ]
        for low, high in columns:
            if low < high:
                days = int(grid.day_of_slot[low]), int(grid.day_of_slot[high - 1]) + 1
                expected[i, max(days[0], first) : max(days[1], first)] = True
        if not np.isin(columns, grid.offsets).all():
            partial[i] = _unserved(columns, expected[i], grid)
        _versions(row, grid, disconnected[i], inactive[i], capacity[i])
    expected[:, last:] = False  # after its slots were judged: the day before looks at them
    unserved = None
    if any(mask.any() for mask in partial.values()):
        unserved = np.zeros((len(rows), grid.slots), np.bool_)
        for i, mask in partial.items():
            unserved[i] = mask
    return InForce(expected, disconnected, inactive, capacity, unserved)


def _throughout(row: SeriesRow, grid: DayGrid) -> bool:
    """Whether one version is in force from the first slot of a grid to its end."""
    span = row.spans[0] if len(row.spans) == 1 else None
    return span is not None and span.start <= grid.origin and span.end >= int(grid.day_starts[-1])


def _versions(row: SeriesRow, grid: DayGrid, disconnected: Bool, inactive: Bool, capacity: Int) -> None:
    """Status and size of each day, those in force at its midnight; in place."""
    for span in row.spans:
        low = int(np.searchsorted(grid.day_starts[:-1], span.start))
        high = int(np.searchsorted(grid.day_starts[:-1], span.end))
        disconnected[low:high] = span.version.disconnected
        inactive[low:high] = span.version.inactive
        if span.version.capacity_kw is not None and CHANNELS[row.name[1]].unit == "kWh":
            size = int(span.version.capacity_kw * MICROS * grid.interval_s / 3600)
            capacity[low:high] = min(size, SLOT_LIMIT)


def _unserved(columns: Sequence[Sequence[int]], expected: Bool, grid: DayGrid) -> Bool:
    """Slots of expected days out of service; of a day in several stretches only the first one is served."""
    served = np.zeros(grid.slots, np.bool_)
    for low, high in columns:
        served[low:high] = True
    for day in {int(grid.day_of_slot[low]) for low, high in columns if low < high}:
        first, end = int(grid.offsets[day]), int(grid.offsets[day + 1])
        own = served[first:end]
        ends = np.flatnonzero(own[:-1] & ~own[1:])
        if len(ends):
            own[ends[0] + 1 :] = False
    unserved: Bool = ~served & np.repeat(expected, grid.lengths)
    return unserved
