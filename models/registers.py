"""Read intervals: what two register reads say about the slots between them (docs/vee.md, Registers)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.exact import SLOT_LIMIT
from models.series import Bool, Int, Reads, SeriesFacts, TouReads

TOLERANCE_BASE = 1000


@dataclass(frozen=True)
class ReadIntervals:
    """Spans between adjacent reads that overlap the grid, sorted by (series, start), shape (m,).

    Attributes:
        series: Row of the series.
        start, end: The two reads, UTC. [s]
        advance: ΔR, the raw difference where that cannot be one. [micro-unit]
        resolution: Smallest step of the coarser read. [micro-unit]
        usable: Whether it may scale and judge.
        first, last: Columns of the whole slots [first, last), cut to the grid; last ≥ first.
        touched_first, touched_last: Columns of all slots that overlap it, cut to the grid.
        day: First expected day it overlaps, −1 where there is none.
        decreased: Whether the register of one meter went back, without a rollover.
    """

    series: Int
    start: Int
    end: Int
    advance: Int
    resolution: Int
    usable: Bool
    first: Int
    last: Int
    touched_first: Int
    touched_last: Int
    day: Int
    decreased: Bool

    def tolerance(self, permille: int) -> Int:
        """Allowed difference: a share of the advance, at least two steps of the register."""
        whole, rest = np.divmod(self.advance, TOLERANCE_BASE)
        share: Int = np.maximum(whole * permille + rest * permille // TOLERANCE_BASE, 2 * self.resolution)
        return share

    def holding(self, series: Int, column: Int, grid: DayGrid) -> Int:
        """Number of the usable interval that holds each slot whole, −1 where none does; (k,)."""
        if not len(self.series):
            return np.full(len(series), -1, np.int64)
        key = self.series * (grid.slots + 1) + self.first
        index = np.searchsorted(key, series * (grid.slots + 1) + column, side="right") - 1
        at = np.maximum(index, 0)
        inside = (index >= 0) & (self.series[at] == series) & (column < self.last[at]) & self.usable[at]
        return np.where(inside, index, -1)


def read_intervals(facts: SeriesFacts, *, max_gap_s: int) -> ReadIntervals:
    """Pair adjacent reads and judge each pair by its own content, the range and the master data."""
    grid, reads = facts.grid, facts.reads
    metered = ~facts.instantaneous[reads.series]
    sound = metered & (reads.value >= 0) & ((reads.modulus == 0) | (reads.value < reads.modulus))
    reads = Reads(*(getattr(reads, name)[sound] for name in Reads.__dataclass_fields__))
    pair = np.flatnonzero(reads.series[1:] == reads.series[:-1])
    end_of_grid = grid.origin + grid.slots * grid.interval_s
    pair = pair[reads.at[pair + 1] > np.maximum(reads.at[pair], grid.origin)]
    pair = pair[reads.at[pair] < end_of_grid]
    after = pair + 1
    series, start, end = reads.series[pair], reads.at[pair], reads.at[after]

    advance = advances(reads, pair)
    step = grid.interval_s
    low, high = start - grid.origin, end - grid.origin
    inside = (low >= 0) & (high <= grid.slots * step)
    first, last = -(-np.maximum(low, 0) // step), np.minimum(high // step, grid.slots)
    touched_first = np.maximum(low // step, 0)
    touched_last = np.minimum(-(-high // step), grid.slots)
    day, all_expected = _expected_days(facts, series, touched_first, touched_last)
    one_meter = reads.version[pair, 1] == reads.version[after, 0]
    usable = (
        inside
        & all_expected
        & (end - start <= max_gap_s)
        & one_meter
        & (advance >= 0)
        & (advance <= SLOT_LIMIT)
        & facts.one_directional[series]
    )
    return ReadIntervals(
        series=series,
        start=start,
        end=end,
        advance=advance,
        resolution=np.maximum(reads.resolution[pair], reads.resolution[after]),
        usable=usable,
        first=first,
        last=np.maximum(last, first),
        touched_first=touched_first,
        touched_last=touched_last,
        day=day,
        decreased=one_meter & (advance < 0),
    )


def advances(reads: Reads | TouReads, pair: Int) -> Int:
    """Advance [micro-unit] from each read ``pair`` to the one after it; (k,).

    Where a register shows less, and its modulus makes that an advance of less than half the modulus, it
    wrapped; any other decrease stays negative.
    """
    after = pair + 1
    advance: Int = reads.value[after] - reads.value[pair]
    modulus = np.where(reads.modulus[pair] == reads.modulus[after], reads.modulus[pair], 0)
    wrapped = (advance < 0) & (modulus > 0) & (2 * (advance + modulus) < modulus)
    return np.where(wrapped, advance + modulus, advance)


def _expected_days(facts: SeriesFacts, series: Int, first: Int, last: Int) -> tuple[Int, Bool]:
    """Day of the first expected slot an interval overlaps (−1: none), and whether all are expected."""
    grid = facts.grid
    low = grid.day_of_slot[first].astype(np.int64)
    high = grid.day_of_slot[np.maximum(last, 1) - 1].astype(np.int64)
    count = np.zeros((facts.count, grid.days + 1), np.int64)
    np.cumsum(facts.expected, axis=1, out=count[:, 1:])
    before = count[series, low]
    within = count[series, high + 1] - before
    whole: Bool = within == high - low + 1
    if facts.unserved is None and bool(whole.all()):
        return low, whole
    next_expected = np.full((facts.count, grid.days + 1), -1, np.int64)
    for day in range(grid.days - 1, -1, -1):
        next_expected[:, day] = np.where(facts.expected[:, day], day, next_expected[:, day + 1])
    first_expected: Int = np.where(within > 0, next_expected[series, low], -1)
    if facts.unserved is not None:
        for number in np.flatnonzero(np.logical_or.reduce(facts.unserved, axis=1)[series]).tolist():
            columns = np.arange(first[number], last[number])
            days = grid.day_of_slot[columns]
            due = facts.expected[series[number], days] & ~facts.unserved[series[number], columns]
            whole[number] = due.all()
            first_expected[number] = days[due.argmax()] if due.any() else -1
    return first_expected, whole


def shared_slots(intervals: ReadIntervals, grid: DayGrid) -> tuple[Int, Int]:
    """Slots with a read strictly inside, once for each usable interval they are shared by.

    Returns:
        Number of the interval and flat slot number, shape (k,) each.
    """
    step = grid.interval_s
    low, high = intervals.start - grid.origin, intervals.end - grid.origin
    head = np.flatnonzero(intervals.usable & (low % step != 0))
    tail = np.flatnonzero(intervals.usable & (high % step != 0))
    number = np.concatenate([head, tail])
    column = np.concatenate([low[head] // step, high[tail] // step])
    return number, intervals.series[number] * grid.slots + column


def shared_parts(intervals: ReadIntervals, final: Int, facts: SeriesFacts) -> Int:
    """What the slots with a read strictly inside give to each interval [micro-unit]; shape (m,).

    A read at second t of a slot of value v splits it at ⌊v · t / length⌋: the floor goes to the
    earlier interval, the remainder to the later. Where meters were exchanged at t, at what the removed
    one saw.

    Args:
        intervals: The intervals; unusable ones get 0.
        final: Final values, 0 where there is none; (n, slots).
        facts: Gives the slots and the exchanges.
    """
    grid, step = facts.grid, facts.grid.interval_s
    low, high = intervals.start - grid.origin, intervals.end - grid.origin
    parts = np.zeros(len(low), np.int64)

    def seen(chosen: Int, column: Int, second: Int) -> Int:
        slot = intervals.series[chosen] * grid.slots + column
        return facts.handovers.seen(
            final.ravel()[slot], slot, grid.origin + second, grid.origin + column * step, step
        )

    head = np.flatnonzero(intervals.usable & (low % step != 0))
    column = low[head] // step
    until = np.minimum(high[head], (column + 1) * step)
    parts[head] += seen(head, column, until) - seen(head, column, low[head])
    tail = np.flatnonzero(intervals.usable & (high % step != 0) & (high // step > low // step))
    # A tail in the head's own slot is the head's part; any other tail starts at its slot's start.
    parts[tail] += seen(tail, high[tail] // step, high[tail])
    return parts
