"""From a shard's raw records to dense series facts: ranges, winners, master data, reads, outages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from models.blocks import (
    NEVER,
    Blocks,
    few_unique,
    join,
    leading_gaps,
    read_blocks,
    select,
    series_of,
    single_slots,
)
from models.calendar import DayGrid, aligned, day_grid, local_day, local_days
from models.join import Join, join_facts
from models.master import MICROS, MasterData, Span
from models.outages import event_marks, outages_of
from models.place import Account, Placed, outrank, overlapping, place, readings_of
from models.reads import read_registers, repeated_reads, tou_reads
from models.series import Bool, Int, SeriesFacts
from models.service_time import SeriesRow, first_of_series, in_force, mixed_days, service_days
from schemas.channels import CHANNELS, measures

Name = tuple[str, str]
"""(meter, channel)."""
FUTURE_TOLERANCE_S = 180
"""A reading may start this much later than it was received (vee.md, rule ``future``)."""


@dataclass(frozen=True)
class ShardInputs:
    """Raw records of one shard and the range they are judged in.

    Attributes:
        intervals: RAW_INTERVALS with a ``fresh`` column.
        registers, events: RAW_REGISTERS, RAW_EVENTS.
        master: Service points, of all shards.
        zone: The lake's time zone.
        history_from: First epoch day expected of every service point, or None.
        last_closed: Last closed epoch day.
        first_readings: Second and interval length of the first reading of each series in all raw,
            which may reach further back than ``intervals``.
        windows: Epoch days first … last of the facts wanted of each series; the others get no row.
            None: everything of every series.
        cells: Most slots of one group: bounds memory.
        edits: RAW_EDITS with a ``fresh`` column, of all shards; None: there are none.
        joined: Whether these are linked meters, whose series are joined by service point.
        counted: Whether the account of readings is wanted; if not, those on no grid are not looked at.
    """

    intervals: pa.Table
    registers: pa.Table
    events: pa.Table
    master: MasterData
    zone: str
    last_closed: int
    first_readings: dict[Name, tuple[int, int]]
    history_from: int | None = None
    windows: dict[Name, tuple[int, int]] | None = None
    cells: int = 1 << 21
    edits: pa.Table | None = None
    joined: bool = False
    counted: bool = True


@dataclass(frozen=True)
class Problem:
    """Readings, reads or events of one local day that have no result; an address and why."""

    rule: str
    meter_id: str
    channel: str
    day: int
    start: int
    end: int
    seen: str
    expected: str


class Problems:
    """Problems by address; one of a rule a (meter, channel, local day)."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int], dict[str, Problem]] = defaultdict(dict)

    def add(self, problem: Problem) -> None:
        """Note a problem; with one of its rule at its address it becomes one that spans both."""
        here = self._found[problem.meter_id, problem.channel, problem.day]
        held = here.get(problem.rule)
        if held is not None:
            start, end = min(held.start, problem.start), max(held.end, problem.end)
            problem = replace(problem, start=start, end=end)
        here[problem.rule] = problem

    def take(self, address: tuple[str, str, int]) -> list[Problem]:
        """The problems of an address, by rule; they are gone afterwards."""
        return [problem for _, problem in sorted(self._found.pop(address, {}).items())]

    def addresses(self) -> list[tuple[str, str, int]]:
        """Addresses that have problems."""
        return sorted(self._found)


@dataclass
class Group:
    """Series of one interval length, ready for validation, and the names of their rows.

    With a ``join`` the facts have a row a service point, and the names are those of the joined rows.
    """

    facts: SeriesFacts
    names: list[Name]
    join: Join | None = None


@dataclass
class Assembly:
    """What ``assemble`` yields beside the groups, complete once all groups were taken."""

    account: Account = field(default_factory=Account)
    problems: Problems = field(default_factory=Problems)


def first_readings(intervals: pa.Table) -> dict[Name, tuple[int, int]]:
    """Second and interval length of the first reading of each (meter, channel); a null or NaN is none."""
    lead = leading_gaps(intervals)
    if lead is not None:
        intervals = intervals.filter(pa.array(lead >= 0))
        lead = lead[lead >= 0]
    if not intervals.num_rows:
        return {}
    series, names = series_of(intervals)
    start, interval = (intervals[name].to_numpy() for name in ("start", "interval_s"))
    if lead is not None:
        start = start + lead * interval
    table = pa.table({"series": series, "start": start, "interval_s": interval})
    first = table.group_by(["series", "interval_s"], use_threads=False).aggregate([("start", "min")])
    result: dict[Name, tuple[int, int]] = {}
    columns = (first[name].to_pylist() for name in ("series", "start_min", "interval_s"))
    for number, start, interval in zip(*columns, strict=True):
        result[names[number]] = min((start, interval), result.get(names[number], (start, interval)))
    return result


def assemble(inputs: ShardInputs, assembly: Assembly) -> Iterator[Group]:
    """Yield the shard's series in groups of one interval length and bounded size.

    Args:
        inputs: The shard's records.
        assembly: Receives the account and the problems; complete when the iterator is exhausted.
    """
    rows = series_rows(inputs)
    blocks, names = read_blocks(inputs.intervals, inputs.master)
    home = _homes(inputs, blocks, names, assembly)
    row_of_block = _rows_of(inputs, rows, blocks, names, home)
    strays = [select(blocks, row_of_block < 0)] if inputs.counted else []
    left = np.zeros(len(rows) + 1, np.bool_)  # rows with new blocks and no day yet: they only count
    left[row_of_block[blocks.fresh]] = True
    left[-1] = False
    for chunk, grid in _chunks(rows, inputs):
        mine = np.full(len(rows) + 1, -1, np.int64)
        mine[chunk] = np.arange(len(chunk))
        left[chunk] = False
        held = np.flatnonzero(mine[row_of_block] >= 0)
        inside, inside_row, outside = _cut(select(blocks, held), mine[row_of_block[held]], grid)
        if inputs.counted:
            strays.append(outside)
        placed = place(inside, inside_row, grid, len(chunk))
        assembly.account += placed.account
        yield _group(inputs, [rows[i] for i in chunk], grid, placed)
    if inputs.counted:
        assembly.account += _stray_account([*strays, select(blocks, left[row_of_block])])


def _rows_of(
    inputs: ShardInputs, rows: list[SeriesRow], blocks: Blocks, names: list[Name], home: Bool
) -> Int:
    """Row of each block that has a home, −1 for the others; (b,)."""
    number = {(row.name, row.interval_s, row.point): i for i, row in enumerate(rows)}
    width = len(inputs.master.point_numbers) + 1
    point = inputs.master.points[blocks.span] if inputs.joined else np.full(len(blocks.span), -1)
    found = np.full(len(blocks.start), -1, np.int64)
    at = np.flatnonzero(home)
    kinds, kind = np.unique((blocks.interval_s * width + point + 1)[at], return_inverse=True)
    for k, (interval, of_point) in enumerate(zip(*np.divmod(kinds, width), strict=True)):
        here = at[kind == k]
        of_series = np.array([number.get((name, interval, of_point - 1), -1) for name in names], np.int64)
        found[here] = of_series[blocks.series[here]]
    return found


def series_rows(inputs: ShardInputs) -> list[SeriesRow]:
    """One row per (meter, channel, interval length in force), sorted by name; of joined ones and point."""
    rows: list[SeriesRow] = []
    names = set(inputs.first_readings)
    if inputs.history_from is not None:
        for meter in {meter for meter, _ in names}:
            spans = inputs.master.spans.get(meter, [])
            names |= {(meter, c) for span in spans for c in span.version.channels if c in CHANNELS}
    numbers = inputs.master.point_numbers if inputs.joined else {}
    for name in sorted(names):
        first = inputs.first_readings.get(name)
        day = inputs.history_from if inputs.history_from is not None else _day(inputs, name)
        if inputs.master.empty:
            if first is not None:
                rows.append(SeriesRow(name, first[1], day, ()))
            continue
        spans = inputs.master.spans.get(name[0], [])
        of_row: dict[tuple[int, int], list[Span]] = defaultdict(list)
        for span in spans:
            of_row[span.version.interval_s, numbers.get(span.version.service_point_id, -1)].append(span)
        whole = mixed_days(spans, inputs.zone) if len(of_row) > 1 else frozenset()
        rows += [
            SeriesRow(name, interval, day, tuple(of_row[interval, point]), whole, point)
            for interval, point in sorted(of_row)
        ]
    return [row for row in rows if row.interval_s > 0]


def _day(inputs: ShardInputs, name: Name) -> int:
    first = inputs.first_readings.get(name)
    if first is None:
        return inputs.last_closed + 1
    return first_of_series(inputs.master, name[0], first[0], inputs.zone)


def _homes(inputs: ShardInputs, blocks: Blocks, names: list[Name], assembly: Assembly) -> Bool:
    """Blocks that have a place on some grid; the others become problems of their days."""
    on_grid = aligned(inputs.zone, blocks.start, blocks.interval_s)
    if inputs.master.empty:
        served = np.ones(len(blocks.start), np.bool_)
        wanted = np.array([inputs.first_readings[name][1] for name in names], np.int64)[blocks.series]
    else:
        served = blocks.span >= 0
        wanted = inputs.master.interval_lengths[blocks.span]
    right = blocks.interval_s == wanted
    ahead = (blocks.received != NEVER) & (
        (blocks.start + np.maximum(blocks.length - 1, 0) * blocks.interval_s)
        > blocks.received // MICROS + FUTURE_TOLERANCE_S
    )
    foreign = served & _foreign(inputs.master, blocks, names)
    for rule, chosen, seen, expected in (
        ("wrong_commodity", foreign, "a channel of another commodity", "the service point's commodity"),
        ("no_service_point", ~served, "readings", "a service point in force"),
        (
            "beyond_limit",
            served & blocks.beyond,
            "a value beyond what a slot can hold",
            "a multiplier that fits",
        ),
        ("wrong_interval", served & ~right, "another interval length", "the service point's interval length"),
        ("unaligned", served & right & ~on_grid, "starts between slots", "starts on the slot grid"),
        ("future", served & right & on_grid & ahead, "starts after it was received", "a start in the past"),
    ):
        if chosen.any():
            for problem in _of_blocks(inputs, select(blocks, chosen), names, rule, seen, expected):
                assembly.problems.add(problem)
    home: Bool = served & right & on_grid & ~blocks.beyond
    return home


def _foreign(master: MasterData, blocks: Blocks, names: list[Name]) -> Bool:
    """Blocks of a channel that does not measure the commodity of the service point in force."""
    if master.empty:
        return np.zeros(len(blocks.start), np.bool_)
    spans, of_block = few_unique(blocks.span + 1)
    of_span = [master.all_spans[s - 1].version.commodity if s else "" for s in spans.tolist()]
    of_series = [CHANNELS[channel].commodity for _, channel in names]
    points, channels = sorted(set(of_span)), sorted(set(of_series))
    foreign = np.array([not measures(own, at) for own in channels for at in points], np.bool_)
    point = np.array([points.index(commodity) for commodity in of_span], np.int64)[of_block]
    channel = np.array([channels.index(commodity) for commodity in of_series], np.int64)[blocks.series]
    result: Bool = foreign[channel * len(points) + point]
    return result


def _of_blocks(
    inputs: ShardInputs, blocks: Blocks, names: list[Name], rule: str, seen: str, expected: str
) -> list[Problem]:
    """One problem per (meter, channel, local day)."""
    slots = single_slots(blocks)
    if rule == "future":
        late = slots.start > slots.received // MICROS + FUTURE_TOLERANCE_S
        slots = select(slots, late)
    slots = select(slots, local_days(inputs.zone, slots.start) <= inputs.last_closed)
    if not len(slots.start):
        return []
    day, end = local_days(inputs.zone, slots.start), slots.start + slots.interval_s
    order = np.lexsort((day, slots.series))
    series, day, start, end = (part[order] for part in (slots.series, day, slots.start, end))
    change = (np.diff(series) != 0) | (np.diff(day) != 0)
    firsts = np.flatnonzero(np.append(True, change))
    lows, highs = np.minimum.reduceat(start, firsts), np.maximum.reduceat(end, firsts)
    named = [names[number] for number in series[firsts].tolist()]
    columns = (part.tolist() for part in (day[firsts], lows, highs))
    return [
        Problem(rule, meter, channel, day, low, high, seen, expected)
        for (meter, channel), day, low, high in zip(named, *columns, strict=True)
    ]


def _chunks(rows: list[SeriesRow], inputs: ShardInputs) -> Iterator[tuple[Int, DayGrid]]:
    """Rows of one interval length and similar range, few enough to fit the cells.

    Those of a meter, and of joined meters, stay together.
    """
    last = inputs.last_closed + 1
    if inputs.windows is not None:
        last = min(last, max((high for _, high in inputs.windows.values()), default=0))
    by_meter: dict[tuple[int, str], list[int]] = defaultdict(list)
    together = inputs.master.linked if inputs.joined else {}
    for i, row in enumerate(rows):
        if inputs.windows is None or row.name in inputs.windows:
            by_meter[row.interval_s, together.get(row.name[0], row.name[0])].append(i)
    meters = [
        (interval, min(_first_context(rows[i], inputs) for i in members), meter, members)
        for (interval, meter), members in by_meter.items()
    ]
    meters = sorted(meter for meter in meters if meter[1] <= last)
    start = 0
    while start < len(meters):
        interval, first = meters[start][:2]
        size = (last - first + 1) * (86_400 // interval)
        chunk: list[int] = []
        while start < len(meters) and meters[start][0] == interval:
            members = meters[start][3]
            if chunk and (len(chunk) + len(members)) * size > inputs.cells:
                break
            chunk += members
            start += 1
        yield np.sort(np.array(chunk, np.int64)), day_grid(inputs.zone, interval, first, last - first + 1)


def _first_context(row: SeriesRow, inputs: ShardInputs) -> int:
    """First day with a raw reading, or expected: nothing before it can matter."""
    first = inputs.first_readings.get(row.name)
    day = row.first_day if first is None else min(row.first_day, local_day(inputs.zone, first[0]))
    return day if inputs.windows is None else max(day, inputs.windows[row.name][0])


def _cut(blocks: Blocks, row: Int, grid: DayGrid) -> tuple[Blocks, Int, Blocks]:
    """Blocks wholly on the grid with their rows, and those off it; at its edges they are cut into slots."""
    column = (blocks.start - grid.origin) // grid.interval_s
    end = column + blocks.length
    over = (column < 0) | (end > grid.slots)
    off = over & ((end <= 0) | (column >= grid.slots))
    cut = over & ~off
    if not cut.any():
        return select(blocks, ~over), row[~over], select(blocks, off)
    slots = single_slots(select(blocks, cut))
    slot_row = np.repeat(row[cut], blocks.length[cut])
    at = (slots.start - grid.origin) // grid.interval_s
    on = (at >= 0) & (at < grid.slots)
    inside = join(select(blocks, ~over), select(slots, on))
    return (
        inside,
        np.concatenate([row[~over], slot_row[on]]),
        join(select(blocks, off), select(slots, ~on)),
    )


def _stray_account(strays: list[Blocks]) -> Account:
    """Repeats and superseded readings among those that are on no grid."""
    blocks = strays[0]
    for part in strays[1:]:
        if len(part.start):
            blocks = join(blocks, part)
    if not len(blocks.start):
        return Account()
    fresh = Account(readings_of(select(blocks, blocks.fresh)))
    slot, phase = np.divmod(blocks.start, blocks.interval_s)
    kind = blocks.interval_s * int(blocks.interval_s.max()) + phase  # slots of one kind are the same or apart
    _, line = np.unique(kind * (int(blocks.series.max()) + 1) + blocks.series, return_inverse=True)
    slot -= slot.min()
    width = int((slot + blocks.length).max())
    contested = overlapping(line * width + slot, blocks.length)
    if not contested.any():
        return fresh
    rivals = select(blocks, contested)
    where = np.repeat((line * width + slot)[contested], rivals.length)
    slots = single_slots(rivals)
    offset = slots.first - np.repeat(rivals.first, rivals.length)
    _, _, account = outrank(slots, where + offset)
    return fresh + account


def _group(inputs: ShardInputs, rows: list[SeriesRow], grid: DayGrid, placed: Placed) -> Group:
    """Dense facts of one chunk."""
    master, names = inputs.master, [row.name for row in rows]
    told = in_force(rows, grid, inputs.zone, inputs.last_closed, empty=master.empty)
    row_of = {(*row.name, row.point): i for i, row in enumerate(rows)}
    rows_of_meter: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        rows_of_meter[name[0]].append(i)
    outages, _ = outages_of(inputs.events, rows_of_meter)
    by_point = inputs.joined
    facts = SeriesFacts(
        grid=grid,
        value=placed.value,
        have=placed.have,
        expected=told.expected,
        one_directional=np.array([CHANNELS[channel].one_directional for _, channel in names], np.bool_),
        instantaneous=np.array([CHANNELS[channel].instantaneous for _, channel in names], np.bool_),
        external=placed.external,
        conflict=placed.conflict,
        disconnected=told.disconnected if told.disconnected.any() else None,
        inactive=told.inactive if told.inactive.any() else None,
        capacity=told.capacity if told.capacity.any() else None,
        outages=outages,
        events=event_marks(inputs.events, rows_of_meter),
        reads=read_registers(inputs.registers, master, row_of, by_point=by_point),
        tou=tou_reads(inputs.registers, master, row_of, by_point=by_point),
        repeats=repeated_reads(
            inputs.registers, {row.name: i for i, row in enumerate(rows)}, grid.interval_s
        ),
        meter=np.cumsum([i > 0 and names[i][0] != names[i - 1][0] for i in range(len(rows))], dtype=np.int64),
        channels=tuple(channel for _, channel in names),
        unserved=told.unserved,
    )
    if inputs.joined:
        return Group(*join_facts(facts, rows))
    if facts.unserved is not None:  # what a meter says of a slot before its own time
        facts.value[facts.unserved], facts.have[facts.unserved] = 0, False
    return Group(facts, names)


def result_range(row: SeriesRow, inputs: ShardInputs) -> tuple[int, int] | None:
    """First and last epoch day of a series' results, None where it has none."""
    if CHANNELS[row.name[1]].reference:
        return None
    days = [(row.first_day, inputs.last_closed)]
    if not inputs.master.empty:
        days = [
            (max(first, row.first_day), min(last, inputs.last_closed))
            for first, last in service_days(row, inputs.zone)
        ]
    days = [(first, last) for first, last in days if first <= last]
    return (days[0][0], days[-1][1]) if days else None
