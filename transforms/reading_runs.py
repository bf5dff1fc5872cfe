"""Single readings to blocks: consecutive readings of one series become one raw row, without a Python loop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.calendar import local_days, standard_offset
from transforms.avro_numbers import Numbers

__all__ = ["DAY_S", "Runs", "reading_blocks", "runs_of"]

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]

DAY_S = 86_400
MICROS = 1_000_000
VARYING = ("start", "received_at")
"""What readings of one run do not share, beside their value."""
FEW_A_BLOCK = 4
"""Blocks of what came at one time are made where they hold this many readings or more on average."""


@dataclass(frozen=True)
class Runs:
    """Single readings in runs that share every attribute but start, value and time of arrival.

    Attributes:
        start: Interval starts, n rows. [µs UTC], null where the writer gave none.
        numbers: Values, n rows.
        received: Times of arrival, n rows [µs UTC], null where the writer gave none; None where the runs
            share that too.
        heads: First row of each run, ascending from 0, shape (k,).
        shared: All other columns, k rows.
        origin: Where each row stood in the file, shape (n,); None = in its place.
    """

    start: pa.Array
    numbers: Numbers
    heads: Int
    shared: dict[str, pa.Array]
    received: pa.Array | None = None
    origin: Int | None = None

    def keep(self, rows: Int) -> Runs:
        """Some rows, ascending; runs left empty vanish."""
        run = np.searchsorted(self.heads, rows, side="right") - 1
        heads = np.flatnonzero(np.diff(run, prepend=-1))
        places = pa.array(rows)
        return Runs(
            self.start.take(places),
            self.numbers.take(places),
            heads,
            _taken(self.shared, run[heads]),
            None if self.received is None else self.received.take(places),
        )


def runs_of(columns: dict[str, pa.Array], numbers: Numbers) -> Runs:
    """Find the runs in columns of n rows, ``start`` among them.

    Files written by time (every meter's 00:00, then every meter's 00:15) have a run a row: their rows are
    put in the order (meter, channel, received_at, start) first.
    """
    changed, origin = _changes(columns), None
    if len(changed) >= 64 and np.count_nonzero(changed) * 8 > len(changed):
        origin = _by_series(columns)
    if origin is not None:
        places = pa.array(origin)
        columns = {name: column.take(places) for name, column in columns.items()}
        numbers, changed = numbers.take(places), _changes(columns)
    heads = np.flatnonzero(changed)
    shared = {name: column for name, column in columns.items() if name not in VARYING}
    if len(heads) < len(changed):
        shared = _taken(shared, heads)
    return Runs(columns["start"], numbers, heads, shared, columns["received_at"], origin)


def _taken(columns: dict[str, pa.Array], rows: Int) -> dict[str, pa.Array]:
    places = pa.array(rows)
    return {name: column.take(places) for name, column in columns.items()}


def _changes(columns: dict[str, pa.Array]) -> Bool:
    """Rows that differ from the row before in what a run shares; null equals null; the first one does."""
    rows = len(columns["start"])
    changed = np.zeros(rows, np.bool_)
    changed[:1] = True
    for name, column in columns.items():
        if rows < 2 or name in VARYING or column.null_count == rows:
            continue
        differs = pc.not_equal(column.slice(1), column.slice(0, rows - 1))
        if column.null_count:
            absent = pc.is_null(column).to_numpy(zero_copy_only=False)
            differs = pc.fill_null(differs, False)
            changed[1:] |= absent[1:] != absent[:-1]
        changed[1:] |= differs.to_numpy(zero_copy_only=False)
    return changed


def _by_series(columns: dict[str, pa.Array]) -> Int | None:
    """Row order that brings the readings of a series together; None where even that makes no runs."""
    keys = [
        pc.fill_null(columns[name], "").dictionary_encode().indices.to_numpy()
        for name in ("channel", "meter_id")
    ]
    received, start = (pc.fill_null(columns[name], 0).to_numpy() for name in ("received_at", "start"))
    order = np.lexsort((start, received, *keys))
    changed = np.zeros(len(order) - 1, np.bool_)
    for key in keys:
        changed |= key[order[1:]] != key[order[:-1]]
    return order if np.count_nonzero(changed) * 2 < len(order) else None


def reading_blocks(runs: Runs, timezone: str) -> dict[str, pa.Array]:
    """Join consecutive slots of a run into blocks that end at the zone's standard midnight.

    A block holds what came at one time; where that would part nearly all readings, each keeps its own time.

    Args:
        runs: Checked rows: every start is a whole second.
        timezone: Zone of the lake.

    Returns:
        Columns of ``RAW_INTERVALS``, names still plain strings; the values of a block are all integers or
        all doubles, its quality one code throughout.
    """
    start = runs.start.to_numpy() // MICROS
    rows = len(start)
    counts = np.diff(runs.heads, append=rows)
    interval = np.repeat(runs.shared["interval_s"].to_numpy().astype(np.int64), counts)
    local = start + _day_offset(timezone, start)
    cut = local // DAY_S * DAY_S == local
    cut[1:] |= start[1:] != start[:-1] + interval[:-1]
    cut[runs.heads] = True
    if runs.numbers.is_float is not None:
        cut[1:] |= runs.numbers.is_float[1:] != runs.numbers.is_float[:-1]
    arrived: dict[str, pa.Array] = {}
    if runs.received is None:
        first = np.flatnonzero(cut)
    else:
        first, arrived = _arrivals(runs.received, cut)
    columns = dict(runs.shared)
    if len(first) > len(runs.heads):
        columns = _taken(columns, np.searchsorted(runs.heads, first, side="right") - 1)
    columns |= arrived
    columns["start"] = pa.array(start[first])
    columns["values_int"], columns["values_float"] = _grouped(runs.numbers, first)
    columns["quality"] = _repeated(columns["quality"], np.diff(first, append=rows))
    return columns


def _arrivals(received: pa.Array, cut: Bool) -> tuple[Int, dict[str, pa.Array]]:
    """First rows of the blocks, and when each block and its readings came.

    Args:
        received: Time of each row; n rows.
        cut: Rows that begin a block whenever they came; (n,).
    """
    absent = received.is_null().to_numpy(zero_copy_only=False)
    time = pc.fill_null(received, 0).to_numpy()
    known = cut.copy()
    known[1:] |= absent[1:] != absent[:-1]
    other = known.copy()
    other[1:] |= time[1:] != time[:-1]
    first = np.flatnonzero(other)
    if len(first) * FEW_A_BLOCK <= len(time):
        return first, {"received_at": received.take(pa.array(first))}
    first = np.flatnonzero(known)
    least, most = np.minimum.reduceat(time, first), np.maximum.reduceat(time, first)
    counts, several = np.diff(first, append=len(time)), least < most
    offsets = np.append(0, np.cumsum(np.where(several, counts, 0))).astype(np.int32)
    each = pa.array(time[np.repeat(several, counts)])
    return first, {
        "received_at": pa.array(least, mask=absent[first]),
        "received_each": pa.ListArray.from_arrays(pa.array(offsets), each, mask=pa.array(~several)),
    }


def _grouped(numbers: Numbers, first: Int) -> tuple[pa.Array | None, pa.Array | None]:
    """One number a row to a list a block; None for a kind of number that no row has."""
    counts = np.diff(first, append=len(numbers))
    made = []
    for column, other in ((numbers.ints, False), (numbers.floats, True)):
        if column is None or numbers.is_float is None:
            mine = np.ones(len(first), np.bool_)
        else:
            mine = numbers.is_float[first] == other
            column = column.filter(pa.array(numbers.is_float == other))
        offsets = np.zeros(len(first) + 1, np.int32)
        np.cumsum(np.where(mine, counts, 0), out=offsets[1:])
        mask = None if mine.all() else pa.array(~mine)
        made.append(
            None if column is None else pa.ListArray.from_arrays(pa.array(offsets), column, mask=mask)
        )
    return made[0], made[1]


def _repeated(codes: pa.Array, counts: Int) -> pa.Array:
    """One quality code a block to a list a block; null where it says measured (0 or null)."""
    kind = pa.list_(pa.int32())
    plain = pc.fill_null(codes, 0).to_numpy()
    if not plain.any():
        return pa.nulls(len(codes), kind)
    told = plain != 0
    offsets = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(np.where(told, counts, 0), out=offsets[1:])
    items = pa.array(np.repeat(plain[told], counts[told]).astype(np.int32))
    return pa.ListArray.from_arrays(pa.array(offsets), items, kind, mask=pa.array(~told))


@lru_cache(maxsize=1024)
def _offset_on(timezone: str, day: int) -> int:
    return standard_offset(timezone, day)


def _day_offset(timezone: str, start: Int) -> int:
    """Standard offset of the zone on the day of the first start, in seconds east of UTC."""
    return _offset_on(timezone, int(local_days(timezone, start[:1])[0])) if len(start) else 0
