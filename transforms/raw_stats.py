"""What a raw file covers, in figures small enough to keep in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.records import Kind

__all__ = ["FUTURE_TOLERANCE_S", "RawStats", "joined_stats", "raw_stats"]

FUTURE_TOLERANCE_S = 180
"""A reading whose start is later than its arrival by more than this does not extend the lake's range."""
MICROS = 1_000_000
NEVER_LATE = np.iinfo(np.int64).max
"""No bound on readings that carry no received_at."""
_TIME = {Kind.REGISTERS: "read_at", Kind.EVENTS: "occurred_at"}
Int = NDArray[np.int64]


@dataclass(frozen=True)
class RawStats:
    """Figures of one raw file.

    Attributes:
        rows: Rows.
        readings: Readings of intervals and registers; a null or NaN is none.
        min_start, max_end: First start and last end of intervals, first and last time of registers and
            events, UTC; None where there are none. [s]
        latest_end: Last end over interval readings whose start is at most ``FUTURE_TOLERANCE_S`` later than
            their received_at; None where there are none. [s]
    """

    rows: int
    readings: int
    min_start: int | None
    max_end: int | None
    latest_end: int | None


def joined_stats(parts: Sequence[RawStats]) -> RawStats:
    """Figures of several tables as those of one."""
    starts = [part.min_start for part in parts if part.min_start is not None]
    ends = [part.max_end for part in parts if part.max_end is not None]
    latest = [part.latest_end for part in parts if part.latest_end is not None]
    rows, readings = sum(part.rows for part in parts), sum(part.readings for part in parts)
    bounds = min(starts, default=None), max(ends, default=None), max(latest, default=None)
    return RawStats(rows, readings, *bounds)


def raw_stats(kind: Kind, table: pa.Table, *, arrived_by: int = NEVER_LATE) -> RawStats:
    """Figures of a table in the kind's raw schema.

    Args:
        kind: What the rows are.
        table: The rows.
        arrived_by: Stands for the received_at of readings that carry none, UTC. [us]
    """
    if kind is Kind.INTERVALS:
        return _intervals(table, arrived_by)
    readings = table.num_rows if kind is Kind.REGISTERS else 0
    if kind is Kind.REGISTERS:
        nan = pc.sum(pc.is_nan(table["value_float"])).as_py() or 0
        both_null = pc.and_(pc.is_null(table["value_int"]), pc.is_null(table["value_float"]))
        readings -= int(nan) + int(pc.sum(both_null).as_py() or 0)
    if kind not in _TIME or table.num_rows == 0:
        return RawStats(table.num_rows, readings, None, None, None)
    bounds = pc.min_max(table[_TIME[kind]])
    first, last = bounds["min"].as_py() // MICROS, bounds["max"].as_py() // MICROS
    return RawStats(table.num_rows, readings, first, last, None)


def _intervals(table: pa.Table, arrived_by: int) -> RawStats:
    rows = readings = 0
    edges: list[tuple[int, int]] = []
    latest: list[int] = []
    for batch in table.to_batches():
        if batch.num_rows == 0:
            continue
        counts, lasts = _used(batch)
        start = batch.column("start").to_numpy()
        interval = batch.column("interval_s").to_numpy().astype(np.int64)
        used = lasts >= 0
        rows += batch.num_rows
        readings += int(counts.sum())
        if used.any():
            edges.append((int(start[used].min()), int((start + (lasts + 1) * interval)[used].max())))
        received = batch.column("received_at")
        if received.null_count:
            received = pc.fill_null(received, arrived_by)
        room = received.to_numpy() // MICROS + FUTURE_TOLERANCE_S - start
        in_time = np.minimum(lasts, np.where(room < 0, -1, room // interval))
        each = batch.column("received_each")
        if each.null_count < len(each):
            told = each.is_valid()
            in_time[told.to_numpy(zero_copy_only=False)] = -1
            latest += _latest_of_each(batch.filter(told))
        early = (in_time < lasts) & (in_time >= 0)
        if early.any():
            in_time = np.where(early, _used(batch, in_time + 1)[1], in_time)
        if (in_time >= 0).any():
            latest.append(int((start + (in_time + 1) * interval)[in_time >= 0].max()))
    first, last = (min(e[0] for e in edges), max(e[1] for e in edges)) if edges else (None, None)
    return RawStats(rows, readings, first, last, max(latest, default=None))


def _latest_of_each(batch: pa.RecordBatch) -> list[int]:
    """Last end of the readings that came in time, of rows that say when each came; nothing where none did."""
    each = batch.column("received_each")
    counts = pc.list_value_length(each).to_numpy().astype(np.int64)
    row_of = np.repeat(np.arange(len(counts)), counts)
    valid = np.zeros(len(row_of), np.bool_)
    for name in ("values_int", "values_float"):
        column = batch.column(name)
        items = _valid(column.flatten())
        valid[np.repeat(column.is_valid().to_numpy(zero_copy_only=False), counts)] = (
            True if items is None else items
        )
    start, interval = (batch.column(n).to_numpy().astype(np.int64)[row_of] for n in ("start", "interval_s"))
    slot = start + (np.arange(len(row_of)) - (np.cumsum(counts) - counts)[row_of]) * interval
    in_time = valid & (slot <= each.flatten().to_numpy() // MICROS + FUTURE_TOLERANCE_S)
    return [int((slot + interval)[in_time].max())] if in_time.any() else []


def _used(batch: pa.RecordBatch, limit: Int | None = None) -> tuple[Int, Int]:
    """Readings of each row, and the place of its last one (−1 = none), among its first ``limit`` elements."""
    total, lasts = np.zeros(batch.num_rows, np.int64), np.full(batch.num_rows, -1, np.int64)
    for name in ("values_int", "values_float"):
        column = batch.column(name)
        if column.null_count == batch.num_rows:
            continue
        counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        valid = _valid(column.flatten())
        if valid is None:
            kept = counts if limit is None else np.minimum(counts, limit)
            total, lasts = total + kept, np.maximum(lasts, kept - 1)
            continue
        first = np.cumsum(counts) - counts
        row_of = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(valid)) - first[row_of]
        kept_items = valid if limit is None else valid & (place < limit[row_of])
        total += np.bincount(row_of[kept_items], minlength=len(counts))
        np.maximum.at(lasts, row_of[kept_items], place[kept_items])
    return total, lasts


def _valid(items: pa.Array) -> NDArray[np.bool_] | None:
    """Which items are readings; None where all are."""
    nan = pa.types.is_floating(items.type) and bool(pc.any(pc.is_nan(items)).as_py())
    if not items.null_count and not nan:
        return None
    valid = pc.is_valid(items)
    if nan:
        valid = pc.and_(valid, pc.invert(pc.fill_null(pc.is_nan(items), True)))
    result: NDArray[np.bool_] = valid.to_numpy(zero_copy_only=False)
    return result
