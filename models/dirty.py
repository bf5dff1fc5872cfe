"""Which days must be computed again after new facts (SEMANTICS, Dirty days and horizon)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from models.blocks import series_of
from models.calendar import local_days
from models.master import MICROS
from models.runs import REACH_BACK
from models.series import Bool, Int
from schemas.channels import CHANNELS, HELPED

Name = tuple[str, str]
Days = tuple[int, int]
"""First and last epoch day, inclusive."""
EVENT_REACH = 7
"""An event acts as a changed slot on every day this far before and after it."""


@dataclass
class DirtyDays:
    """Days to compute again, as ranges a series; may overlap, may reach past the range in force."""

    ranges: dict[Name, list[Days]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: Name, first: int, last: int) -> None:
        """Mark the days first … last."""
        if first <= last:
            self.ranges[name].append((first, last))

    def changed(self, name: Name, first: int, last: int) -> None:
        """Mark what a changed slot on the days first … last can reach: d − 1 … d + 35."""
        self.add(name, first - 1, last + REACH_BACK)

    def merged(self) -> dict[Name, list[Days]]:
        """Sorted disjoint ranges."""
        return {name: merge(ranges) for name, ranges in self.ranges.items()}

    def spread(self, linked: Mapping[str, str], names: Collection[Name]) -> None:
        """Mark what is marked on one series on every series of the meters linked with its own.

        Args:
            linked: Component of each linked meter.
            names: Every series there is.
        """
        of: dict[str, list[Days]] = defaultdict(list)
        for name, ranges in self.ranges.items():
            of[linked.get(name[0], name[0])] += ranges
        for name in {*names, *self.ranges}:
            if name[0] in linked:
                self.ranges[name] = merge(of[linked[name[0]]])

    def from_helpers(self) -> None:
        """Mark what is marked on a channel beside another one on that other: its values stand in there."""
        for meter, beside in [name for name in self.ranges if name[1] in HELPED]:
            self.ranges[meter, HELPED[beside]] += self.ranges[meter, beside]

    def close_over_reads(self, reads: dict[Name, list[int]], longest: int) -> None:
        """Add every day of each read interval that a dirty day touches.

        Args:
            reads: Epoch days of the reads of each series, sorted.
            longest: Longest usable interval. [days]
        """
        for name in self.ranges.keys() & reads.keys():
            ranges = merge(self.ranges[name])
            self.ranges[name] = [_over_reads(low, high, reads[name], longest) for low, high in ranges]


def _over_reads(low: int, high: int, reads: Sequence[int], longest: int) -> Days:
    """The days low … high, and those of the usable read intervals that they touch."""
    first = max(bisect_left(reads, low) - 1, 0)
    last = min(bisect_right(reads, high), len(reads) - 1)
    while first < last and reads[first + 1] - reads[first] > longest + 1:
        first += 1
    while first < last and reads[last] - reads[last - 1] > longest + 1:
        last -= 1
    return (min(low, reads[first]), max(high, reads[last])) if first < last else (low, high)


def merge(ranges: Iterable[Days]) -> list[Days]:
    """Sorted disjoint ranges that cover the same days."""
    merged: list[Days] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _united(series: Int, first: Int, last: Int) -> Iterator[tuple[int, int, int]]:
    """Number of the series, first and last day of disjoint ranges that cover the given days first … last.

    As many as there are stretches of days, not as there are records.
    """
    if not len(series):
        return
    order = np.lexsort((first, series))
    series, first, last = series[order], first[order], last[order]
    # Each series has days of its own, above all those of the series before it.
    apart = series * (int(last.max()) - int(first.min()) + 2)
    reached = np.maximum.accumulate(last + apart)
    begins = np.append(True, (first + apart)[1:] > reached[:-1] + 1)
    begins[1:] |= series[1:] != series[:-1]
    at = np.flatnonzero(begins)
    ends = np.append(at[1:], len(series)) - 1
    united = series[at], first[at], (reached - apart)[ends]
    yield from zip(*(part.tolist() for part in united), strict=True)


def changed_slots(dirty: DirtyDays, intervals: pa.Table, zone: str) -> None:
    """Mark what fresh interval blocks can reach."""
    lengths = [
        pa.compute.fill_null(pa.compute.list_value_length(intervals[name]), 0).to_numpy()
        for name in ("values_int", "values_float")
    ]
    fresh = np.flatnonzero(intervals["fresh"].to_numpy())
    series, names = series_of(intervals)
    start = intervals["start"].to_numpy()[fresh]
    further = np.maximum(np.maximum(*lengths).astype(np.int64)[fresh] - 1, 0)
    end = start + further * intervals["interval_s"].to_numpy()[fresh]
    days = local_days(zone, start), local_days(zone, end)
    for number, first, last in _united(series[fresh], *days):
        if CHANNELS[names[number][1]].reference:  # no day looks at it but its own
            dirty.add(names[number], first, last)
        else:
            dirty.changed(names[number], first, last)


def changed_events(dirty: DirtyDays, events: pa.Table, zone: str, channels: dict[str, list[str]]) -> None:
    """Mark what fresh events can reach, on every channel of their meter."""
    fresh = events.filter(events["fresh"])
    days = local_days(zone, fresh["occurred_at"].to_numpy() // MICROS)
    for meter, day in sorted(set(zip(fresh["meter_id"].to_pylist(), days.tolist(), strict=True))):
        for channel in channels.get(meter, ()):
            dirty.changed((meter, channel), day - EVENT_REACH, day + EVENT_REACH)


def changed_reads(dirty: DirtyDays, registers: pa.Table, zone: str) -> None:
    """Mark the days about fresh register reads; ``close_over_reads`` adds the intervals that they touch.

    A fresh read that only repeats the clock of an older one speaks of the slots around it (stale snapshot).
    """
    fresh = registers["fresh"].to_numpy()
    if not fresh.any():
        return
    series, names = series_of(registers)
    at = registers["read_at"].to_numpy()
    day = local_days(zone, at // MICROS)
    for number, first, last in _united(series[fresh], day[fresh] - 1, day[fresh] + 1):
        dirty.add(names[number], first, last)
    again = fresh & _read_twice(series, at, registers["tou_register"].is_null().to_numpy())
    for number, first, last in _united(series[again], day[again], day[again]):
        dirty.changed(names[number], first, last)


def _read_twice(series: Int, at: Int, total: Bool) -> Bool:
    """Reads of whose series and moment more than one read of the total register was received; (k,)."""
    order = np.lexsort((at, series))
    differs = (np.diff(series[order]) != 0) | (np.diff(at[order]) != 0)
    firsts = np.flatnonzero(np.append(True, differs))
    reads = np.add.reduceat(total[order], firsts, dtype=np.int64)
    twice = np.empty(len(order), np.bool_)
    twice[order] = np.repeat(reads > 1, np.diff(np.append(firsts, len(order))))
    return twice


def changed_edits(dirty: DirtyDays, edits: pa.Table | None, zone: str) -> None:
    """Mark what fresh edits can reach: their own ranges, and those of every record with their edit_id."""
    if edits is None or not edits.num_rows:
        return
    rows = edits.to_pylist()
    touched = {row["edit_id"] for row in rows if row["fresh"]}
    for row in rows:
        if row["edit_id"] in touched and row["from"] is not None and row["to"] is not None:
            first, last = local_days(
                zone, np.array([row["from"], row["to"] - 1], np.int64) // MICROS
            ).tolist()
            dirty.changed((row["meter_id"], row["channel"]), first, last)


def read_days(registers: pa.Table, zone: str) -> dict[Name, list[int]]:
    """Epoch days of all reads of the total register of each series, sorted."""
    total = registers["tou_register"].is_null().to_numpy()
    series, names = series_of(registers)
    series, day = series[total], local_days(zone, registers["read_at"].to_numpy()[total] // MICROS)
    order = np.lexsort((day, series))
    series, day = series[order], day[order]
    new = np.append(True, (np.diff(series) != 0) | (np.diff(day) != 0))[: len(day)]
    series, day = series[new], day[new]
    bounds = np.searchsorted(series, np.arange(len(names) + 1)).tolist()
    days = day.tolist()
    return {name: days[a:b] for name, (a, b) in zip(names, pairwise(bounds), strict=True) if a < b}


def changed_ranges(dirty: DirtyDays, before: dict[Name, Days], now: dict[Name, Days]) -> None:
    """Mark the days that enter or leave the range of a series."""
    for name in before.keys() | now.keys():
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if old is None or new is None:
            dirty.add(name, *(new or old))  # type: ignore[misc]
            continue
        dirty.add(name, min(old[0], new[0]), max(old[0], new[0]) - 1)
        dirty.add(name, min(old[1], new[1]) + 1, max(old[1], new[1]))
