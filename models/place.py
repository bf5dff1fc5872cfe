"""Readings onto the grid, one holder a slot, whatever the order they came in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.blocks import HEAD_END_ESTIMATES, Blocks, select, single_slots
from models.calendar import DayGrid
from models.series import Bool, Int

FEW_VALUES_A_BLOCK = 8
"""Below this mean length overlaps are found by counting slots, above it by sorting blocks."""


@dataclass(frozen=True)
class Account:
    """What became of the readings of this run; all numbers of readings.

    Attributes:
        fresh: Readings that came with this run.
        repeats: Of these, exact repeats of a reading already there or of another one of this run.
        superseded: Distinct readings in raw that another reading of their slot outranks.
    """

    fresh: int = 0
    repeats: int = 0
    superseded: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(
            self.fresh + other.fresh, self.repeats + other.repeats, self.superseded + other.superseded
        )


@dataclass(frozen=True)
class Placed:
    """Dense values of n series; (n, slots) each. ``external`` and ``conflict`` are None where empty."""

    value: Int
    have: Bool
    external: Bool | None
    conflict: Bool | None
    account: Account


def place(blocks: Blocks, row: Int, grid: DayGrid, count: int) -> Placed:
    """Put readings on the grid.

    Args:
        blocks: Aligned blocks of the grid's interval length that lie wholly on the grid.
        row: Row of each block, shape (b,).
        grid: The slots.
        count: Number of rows n.

    Returns:
        The reading that holds in each slot: the greatest (received_at, sequence, micro-value, quality,
        identity). Exact repeats are counted only; two distinct values in one slot set ``conflict``.
    """
    base = row * grid.slots + (blocks.start - grid.origin) // grid.interval_s
    value = np.zeros((count, grid.slots), np.int64)
    have = np.zeros((count, grid.slots), np.bool_)
    _scatter(blocks, base, grid, value, have)
    contested = _contested(blocks, base, count * grid.slots)
    external = _external(select(blocks, ~contested), base[~contested], value.shape)
    fresh = readings_of(select(blocks, blocks.fresh))
    if not contested.any():
        return Placed(value, have, external, None, Account(fresh))
    rivals = select(blocks, contested)
    slot = _slots_of(rivals, base[contested])
    return _settle(single_slots(rivals), slot, value, have, external, fresh)


def readings_of(blocks: Blocks) -> int:
    """Number of readings; a null or NaN is none."""
    if blocks.there.all():
        return blocks.values
    return int(blocks.there[_values_of(blocks)].sum())


def _scatter(blocks: Blocks, base: Int, grid: DayGrid, value: Int, have: Bool) -> None:
    """Write all blocks; where they overlap the outcome is settled later. Whole days are row copies."""
    left = np.ones(len(base), np.bool_)
    all_there = bool(blocks.there.all())
    row, column = np.divmod(base, grid.slots)
    longest = int(blocks.length.max(initial=0))
    for a, b in grid.regular_runs:
        low, high, length = int(grid.offsets[a]), int(grid.offsets[b]), int(grid.lengths[a])
        if longest < length:
            continue
        whole = np.flatnonzero(
            (blocks.length == length) & (column >= low) & (column < high) & ((column - low) % length == 0)
        )
        if not len(whole):
            continue
        left[whole] = False
        day = (column[whole] - low) // length
        source = blocks.first[whole]
        for flat, target in ((blocks.micro, value), (blocks.there, have)):
            rows = target[:, low:high].reshape(len(target), b - a, length)
            if flat is blocks.there and all_there:
                rows[row[whole], day] = True
            elif _adjacent(source, length):
                rows[row[whole], day] = flat[source[0] : source[0] + length * len(whole)].reshape(-1, length)
            else:
                rows[row[whole], day] = np.lib.stride_tricks.sliding_window_view(flat, length)[source]
    if left.any():
        rest = select(blocks, left)
        slot, at = _slots_of(rest, base[left]), _values_of(rest)
        value.ravel()[slot] = blocks.micro[at]
        have.ravel()[slot] = blocks.there[at]


def _adjacent(source: Int, length: int) -> bool:
    return bool(len(source) == 1 or (np.diff(source) == length).all())


def _spread(first: Int, length: Int) -> Int:
    """Numbers from each of ``first`` on, as many as its length."""
    if (length == 1).all():
        return first
    before = np.cumsum(length) - length
    result: Int = np.repeat(first - before, length) + np.arange(int(length.sum()))
    return result


def _slots_of(blocks: Blocks, base: Int) -> Int:
    return _spread(base, blocks.length)


def _values_of(blocks: Blocks) -> Int:
    return _spread(blocks.first, blocks.length)


def _contested(blocks: Blocks, base: Int, size: int) -> Bool:
    """Blocks that share a slot with another one."""
    count = len(base)
    if not count:
        return np.zeros(0, np.bool_)
    if blocks.values < FEW_VALUES_A_BLOCK * count:
        slot = _slots_of(blocks, base)
        crowded = np.bincount(slot, minlength=size)[slot] > 1
        edges = np.concatenate([[0], np.cumsum(blocks.length)])
        before = np.concatenate([[0], np.cumsum(crowded)])
        shared: Bool = before[edges[1:]] > before[edges[:-1]]
        return shared
    return overlapping(base, blocks.length)


def overlapping(base: Int, length: Int) -> Bool:
    """Which of some runs of slots share a slot with another one, found without counting slots.

    Args:
        base: First slot of each run, shape (b,).
        length: Slots of each, shape (b,).
    """
    order = np.argsort(base, kind="stable")
    start, end = base[order], (base + length)[order]
    reach = np.maximum.accumulate(end)
    later = start[1:] < reach[:-1]
    # Runs that touch one another in a chain are one cluster; of more than one run all are taken.
    cluster = np.cumsum(np.concatenate([[True], ~later])[: len(base)])
    result = np.zeros(len(base), np.bool_)
    result[order] = np.bincount(cluster)[cluster] > 1
    return result


def _external(blocks: Blocks, base: Int, shape: tuple[int, ...]) -> Bool | None:
    """Head-end estimates among uncontested blocks."""
    if blocks.code is None or not np.isin(blocks.code, HEAD_END_ESTIMATES).any():
        return None
    external = np.zeros(shape, np.bool_)
    code = blocks.code[_values_of(blocks)]
    external.ravel()[_slots_of(blocks, base)[np.isin(code, HEAD_END_ESTIMATES)]] = True
    return external


def _settle(rivals: Blocks, slot: Int, value: Int, have: Bool, external: Bool | None, fresh: int) -> Placed:
    """Decide the slots of blocks that overlap, by the order of SEMANTICS."""
    winner, conflicts, account = outrank(rivals, slot)
    holders, at = select(rivals, winner), slot[winner]
    there = holders.there[holders.first]
    value.ravel()[at] = np.where(there, holders.micro[holders.first], 0)
    have.ravel()[at] = there
    estimated = at[np.isin(_code(holders), HEAD_END_ESTIMATES) & there]
    if len(estimated):
        external = np.zeros(value.shape, np.bool_) if external is None else external
        external.ravel()[estimated] = True
    conflict = None
    if len(conflicts):
        conflict = np.zeros(value.shape, np.bool_)
        conflict.ravel()[conflicts] = True
    return Placed(value, have, external, conflict, Account(fresh) + account)


def _code(blocks: Blocks) -> Int:
    if blocks.code is None:
        return np.zeros(len(blocks.first), np.int64)
    return blocks.code[blocks.first].astype(np.int64)


def outrank(rivals: Blocks, slot: Int) -> tuple[Int, Int, Account]:
    """Winners among readings that claim the same slots.

    Args:
        rivals: Blocks of one slot each, shape (k,).
        slot: The place each claims, equal for equal (series, start), shape (k,).

    Returns:
        Position of the winner of each place (an absent reading only where there is no other); the
        places in which two distinct values were seen; repeats and superseded readings.
    """
    at = rivals.first
    there = rivals.there[at]
    # Least significant first; absent readings sort below every reading of their slot.
    keys = [
        rivals.bits[at],
        rivals.unit,
        _code(rivals),
        rivals.micro[at],
        rivals.sequence,
        rivals.received,
        there,
    ]
    order = np.lexsort((*keys, slot))
    place = slot[order]
    same_place = np.zeros(len(order), np.bool_)
    same_place[1:] = place[1:] == place[:-1]
    same_record = same_place.copy()
    for key in keys:
        same_record[1:] &= key[order[1:]] == key[order[:-1]]
    last = np.append(~same_place[1:], True)
    record = np.cumsum(~same_record) - 1
    count = there[order].astype(np.int64)  # absent readings are no readings: they count for nothing
    new = np.bincount(record, weights=count * rivals.fresh[order]).astype(np.int64)
    known = np.bincount(record, weights=~rivals.fresh[order]) > 0
    repeats = int((new - np.where(known, 0, np.minimum(new, 1))).sum())
    records = int((~same_record & (count > 0)).sum())
    places = len(np.unique(slot[there]))

    held = order[there[order]]
    by_value = held[np.lexsort((rivals.micro[at][held], slot[held]))]
    p, m = slot[by_value], rivals.micro[at][by_value]
    conflicts = np.unique(p[1:][(p[1:] == p[:-1]) & (m[1:] != m[:-1])])
    return order[last], conflicts, Account(repeats=repeats, superseded=records - places)
