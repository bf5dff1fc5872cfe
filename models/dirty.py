"""Which days must be computed again after new facts (SEMANTICS, Dirty days and horizon)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from models.calendar import local_days
from models.master import MICROS
from models.runs import REACH_BACK
from schemas.channels import CHANNELS, HELPED

Name = tuple[str, str]
Days = tuple[int, int]
"""First and last epoch day, inclusive."""
_PLAIN = (pa.string(), pa.string(), pa.int64())
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
        for name, days in reads.items():
            if name not in self.ranges or len(days) < 2:
                continue
            at = np.array(days, np.int64)
            first, last = at[:-1], at[1:]
            short = last - first <= longest + 1
            grown: list[Days] = []
            for low, high in merge(self.ranges[name]):
                touched = short & (first <= high) & (last >= low)
                if touched.any():
                    low, high = min(low, int(first[touched].min())), max(high, int(last[touched].max()))
                grown.append((low, high))
            self.ranges[name] = grown


def merge(ranges: Iterable[Days]) -> list[Days]:
    """Sorted disjoint ranges that cover the same days."""
    merged: list[Days] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def changed_slots(dirty: DirtyDays, intervals: pa.Table, zone: str) -> None:
    """Mark what fresh interval blocks can reach."""
    fresh = intervals.filter(intervals["fresh"])
    if not fresh.num_rows:
        return
    length = pa.compute.max_element_wise(
        pa.compute.list_value_length(fresh["values_int"]), pa.compute.list_value_length(fresh["values_float"])
    ).fill_null(0)
    start = fresh["start"].to_numpy()
    end = start + np.maximum(length.to_numpy() - 1, 0) * fresh["interval_s"].to_numpy()
    spans = pa.table(
        {
            "meter_id": fresh["meter_id"].cast(pa.string()),
            "channel": fresh["channel"].cast(pa.string()),
            "first": local_days(zone, start),
            "last": local_days(zone, end),
        }
    )
    # One group a (series, first day): as many ranges as days touched, not as readings.
    grouped = spans.group_by(["meter_id", "channel", "first"], use_threads=False).aggregate([("last", "max")])
    for meter, channel, first, last in zip(*(column.to_pylist() for column in grouped.columns), strict=True):
        if CHANNELS[channel].reference:  # no day looks at it but its own
            dirty.add((meter, channel), first, last)
        else:
            dirty.changed((meter, channel), first, last)


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
    fresh = registers.filter(registers["fresh"])
    if not fresh.num_rows:
        return
    days = local_days(zone, fresh["read_at"].to_numpy() // MICROS).tolist()
    again = _read_twice(registers)
    columns = (fresh[name].cast(pa.string()).to_pylist() for name in ("meter_id", "channel"))
    for meter, channel, at, day in zip(*columns, fresh["read_at"].to_pylist(), days, strict=True):
        name = meter, channel
        dirty.add(name, day - 1, day + 1)
        if (meter, channel, at) in again:
            dirty.changed(name, day, day)


def _read_twice(registers: pa.Table) -> set[tuple[str, str, int]]:
    """(meter, channel, moment) of reads of the total register that were received more than once."""
    names = ["meter_id", "channel", "read_at"]
    total = registers.filter(pa.compute.is_null(registers["tou_register"])).select(names)
    plain = pa.table(
        [total[name].cast(type_) for name, type_ in zip(names, _PLAIN, strict=True)], names=names
    )
    counts = plain.group_by(names, use_threads=False).aggregate([([], "count_all")])
    twice = counts.filter(pa.compute.greater(counts["count_all"], 1))
    return set(zip(*(twice[name].to_pylist() for name in names), strict=True))


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
    registers = registers.filter(pa.compute.is_null(registers["tou_register"]))
    days = local_days(zone, registers["read_at"].to_numpy() // MICROS)
    result: dict[Name, list[int]] = defaultdict(list)
    names = zip(
        registers["meter_id"].to_pylist(), registers["channel"].cast(pa.string()).to_pylist(), strict=True
    )
    for name, day in zip(names, days.tolist(), strict=True):
        result[name].append(day)
    return {name: sorted(set(found)) for name, found in result.items()}


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
