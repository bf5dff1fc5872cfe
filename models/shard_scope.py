"""Which days of a shard to compute: what new facts can reach, within limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from models.assemble import Name, ShardInputs, result_range, series_rows
from models.calendar import DAY_S, DayGrid
from models.dirty import (
    Days,
    DirtyDays,
    changed_edits,
    changed_events,
    changed_ranges,
    changed_reads,
    changed_slots,
    merge,
    read_days,
)
from models.pack_days import pack_days
from models.runs import REACH_BACK
from schemas.rulebook import RuleBook

EVER = -(1 << 20)
"""An epoch day before all others."""

Scope = dict[Name, list[Days]]


def series_ranges(inputs: ShardInputs) -> dict[tuple[Name, int], Days]:
    """Range of results of every series, at each of its interval lengths [s]."""
    ranges: dict[tuple[Name, int], Days] = {}
    for row in series_rows(inputs):
        days, key = result_range(row, inputs), (row.name, row.interval_s)
        if days is not None:
            held = ranges.get(key, days)
            ranges[key] = min(held[0], days[0]), max(held[1], days[1])
    return ranges


def ranges_of(by_length: Mapping[tuple[Name, int], Days]) -> dict[Name, Days]:
    """Range of results of every series, from that at each of its interval lengths."""
    ranges: dict[Name, Days] = {}
    for (name, _), days in by_length.items():
        held = ranges.get(name, days)
        ranges[name] = min(held[0], days[0]), max(held[1], days[1])
    return ranges


def series_table(by_length: Mapping[tuple[Name, int], Days]) -> pa.Table:
    """The ranges of :func:`series_ranges` as rows of the lake's table."""
    days = [pa.array([span[i] for span in by_length.values()], pa.int32()).cast(pa.date32()) for i in (0, 1)]
    return pa.table(
        {
            "meter_id": pa.array([meter for (meter, _), _ in by_length], pa.string()),
            "channel": pa.array([channel for (_, channel), _ in by_length], pa.string()),
            "interval_s": pa.array([interval for _, interval in by_length], pa.int32()),
            "first_day": days[0],
            "last_day": days[1],
        }
    )


def mark_everything(dirty: DirtyDays, inputs: ShardInputs, ranges: Mapping[Name, Days]) -> None:
    """Mark every day that may have a row."""
    for name, (first, last) in ranges.items():
        dirty.add(name, first, last)
    for name in inputs.first_readings:
        dirty.add(name, EVER, inputs.last_closed)


def mark_new_facts(
    dirty: DirtyDays,
    inputs: ShardInputs,
    ranges: dict[Name, Days],
    former: dict[Name, Days],
    touched: Collection[str],
    longest: int,
    *,
    closed_since: int,
    first_master: bool,
) -> None:
    """Mark what fresh records can reach (SEMANTICS, Dirty days and horizon).

    Args:
        dirty: Grows.
        inputs: The shard's records; fresh ones are marked so.
        ranges: Ranges of results now.
        former: Ranges when results were last computed.
        touched: Meters whose master data changed.
        longest: Longest usable read interval. [days]
        closed_since: Last closed epoch day when results were last computed. Days that closed since then
            are dirty on every series, also where it has no range and only a finding to show.
        first_master: Whether these are the lake's first service points: until then every meter was served.
    """
    channels: dict[str, list[str]] = {}
    for meter, channel in sorted(set(ranges) | set(inputs.first_readings)):
        channels.setdefault(meter, []).append(channel)
    reads = read_days(inputs.registers, inputs.zone)
    changed_slots(dirty, inputs.intervals, inputs.zone)
    changed_events(dirty, inputs.events, inputs.zone, channels)
    changed_reads(dirty, inputs.registers, inputs.zone)
    changed_edits(dirty, inputs.edits, inputs.zone)
    changed_ranges(dirty, former, ranges)
    for name in {*ranges, *inputs.first_readings, *reads}:
        dirty.add(name, EVER if first_master else closed_since + 1, inputs.last_closed)
    for meter in channels.keys() & set(touched):
        for channel in channels[meter]:
            dirty.add((meter, channel), EVER, inputs.last_closed)
    if inputs.joined:
        dirty.spread(inputs.master.linked, {*ranges, *inputs.first_readings, *reads})
    dirty.from_helpers()
    dirty.close_over_reads(reads, longest)


def mark_changed_rules(
    dirty: DirtyDays, inputs: ShardInputs, ranges: Mapping[Name, Days], former: RuleBook, now: RuleBook
) -> None:
    """Mark what a change of the rules can reach: a changed slot on each day whose pack differs.

    Args:
        dirty: Receives the days.
        inputs: The shard's records; ``master`` tells what each series is.
        ranges: Ranges of results now.
        former: Rules of the run before.
        now: Rules in force.
    """
    same = np.array([[one == other for other in now.packs] for one in former.packs], np.bool_)
    for name, (first, last) in ranges.items():
        low = first - REACH_BACK - 1  # days before the range are references
        grid = DayGrid(inputs.zone, DAY_S, low, max(last - low + 2, 1))
        before, after = (pack_days(book, [name], grid, inputs.master).of_day[0] for book in (former, now))
        changed = np.concatenate([[False], ~same[before, after], [False]])
        edges = np.flatnonzero(changed[1:] != changed[:-1])
        for start, end in edges.reshape(-1, 2).tolist():
            dirty.changed(name, low + start, low + end - 1)


def whole_meters(
    scope: Mapping[Name, Sequence[Days]],
    names: Collection[Name],
    linked: Mapping[str, str] = MappingProxyType({}),
) -> Scope:
    """The same days on every channel of a meter: what joins channels (determinants) needs all of them.

    Args:
        scope: Days of each series.
        names: Every series there is.
        linked: Component of the meters that are joined: all of it has the same days.
    """
    by_meter: dict[str, list[Days]] = {}
    for (meter, _), days in scope.items():
        by_meter.setdefault(linked.get(meter, meter), []).extend(days)
    united = {meter: merge(days) for meter, days in by_meter.items()}
    of = {name: linked.get(name[0], name[0]) for name in sorted({*names, *scope})}
    return {name: united[meter] for name, meter in of.items() if meter in united}


def closed_only(scope: Mapping[Name, Sequence[Days]], last_closed: int) -> Scope:
    """The days that have closed."""
    cut = {
        name: [(first, min(last, last_closed)) for first, last in days if first <= last_closed]
        for name, days in scope.items()
    }
    return {name: days for name, days in sorted(cut.items()) if days}


def join_scopes(scopes: Sequence[Mapping[Name, Sequence[Days]]]) -> Scope:
    """The days of any of the scopes."""
    joined: Scope = {}
    for scope in scopes:
        for name, days in scope.items():
            joined.setdefault(name, []).extend(days)
    return {name: merge(days) for name, days in sorted(joined.items())}


def without(
    scope: Mapping[Name, Sequence[Days]], apart: Mapping[Name, Sequence[Days]]
) -> tuple[Scope, Scope]:
    """Days of a scope outside and inside other days.

    Args:
        scope: Sorted disjoint days of each series.
        apart: Sorted disjoint days of some series.
    """
    left = {name: list(days) for name, days in scope.items()}
    inside: Scope = {}
    for name in sorted(scope.keys() & apart.keys()):
        for limits in apart[name]:
            within, outside = split({name: left.get(name, [])}, limits)
            inside[name] = inside.get(name, []) + within.get(name, [])
            left[name] = outside.get(name, [])
    return {name: days for name, days in left.items() if days}, {n: d for n, d in inside.items() if d}


def split(scope: Mapping[Name, Sequence[Days]], limits: Mapping[Name, Days] | Days) -> tuple[Scope, Scope]:
    """Days inside and outside limits.

    Args:
        scope: Sorted disjoint days of each series.
        limits: First and last day, inclusive; one for all series, or one of each (none: nothing inside).
    """
    inside: Scope = {}
    outside: Scope = {}
    for name, days in scope.items():
        low, high = limits if isinstance(limits, tuple) else limits.get(name, (1, 0))
        within = merge((max(a, low), min(b, high)) for a, b in days if a <= high and b >= low)
        before = [(a, min(b, low - 1)) for a, b in days if a < low]
        after = [(max(a, high + 1), b) for a, b in days if b > high]
        if low > high:
            within, before, after = [], list(days), []
        if within:
            inside[name] = within
        if before or after:
            outside[name] = merge([*before, *after])
    return inside, outside
