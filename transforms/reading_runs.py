"""Single readings to blocks: consecutive readings of one series become one raw row, without a Python loop."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.avro_numbers import Numbers

__all__ = ["change_flags", "reading_order", "run_bounds"]

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]

ATTRIBUTES = ("meter_id", "channel", "interval_s", "unit", "scaler", "received_at", "sequence", "source")
"""Columns that all readings of a block share."""
DAY_S = 86_400


def change_flags(columns: dict[str, pa.Array], names: tuple[str, ...] = ATTRIBUTES) -> Bool:
    """Rows that differ from the row before in any of the named columns; the first row always does.

    Args:
        columns: Arrow arrays of n rows.
        names: Columns to compare; null equals null.

    Returns:
        Shape (n,).
    """
    rows = len(columns[names[0]])
    changed = np.zeros(rows, np.bool_)
    changed[:1] = True
    for name in names if rows > 1 else ():
        column = columns[name]
        if column.null_count == rows:
            continue
        differs = pc.not_equal(column.slice(1), column.slice(0, rows - 1))
        if column.null_count:
            absent = pc.is_null(column).to_numpy(zero_copy_only=False)
            differs = pc.fill_null(differs, False)
            changed[1:] |= absent[1:] != absent[:-1]
        changed[1:] |= differs.to_numpy(zero_copy_only=False)
    return changed


def run_bounds(
    changed: Bool, start: Int, interval_s: Int, numbers: Numbers, *, day_offset: int
) -> tuple[Int, Int]:
    """Cut rows into blocks of consecutive slots of one series, at most a day long.

    Args:
        changed: From ``change_flags``, shape (n,).
        start: Interval starts, UTC, shape (n,). [s]
        interval_s: Interval lengths, shape (n,). [s]
        numbers: The values; a block holds integers or doubles, not both.
        day_offset: Seconds east of UTC of the midnight at which blocks end. [s]

    Returns:
        First row of each block, and its number of rows; shape (blocks,).
    """
    cut = changed.copy()
    if len(cut) > 1:
        cut[1:] |= start[1:] != start[:-1] + interval_s[:-1]
    cut |= (start + day_offset) % DAY_S == 0
    if numbers.is_float is not None and len(cut) > 1:
        cut[1:] |= numbers.is_float[1:] != numbers.is_float[:-1]
    first = np.flatnonzero(cut)
    return first, np.diff(first, append=len(cut))


def reading_order(columns: dict[str, pa.Array], start: Int, changed: Bool) -> Int | None:
    """An order that brings the readings of a series together, where they come mixed.

    Files written by time (every meter's 00:00, then every meter's 00:15) would give a block a reading.

    Args:
        columns: Arrow arrays of n rows.
        start: Interval starts, shape (n,). [s]
        changed: From ``change_flags``, shape (n,).

    Returns:
        Row numbers, shape (n,), by (meter, channel, received_at, start), else in the order given; None where
        the rows already lie together.
    """
    if len(start) < 64 or np.count_nonzero(changed) * 8 < len(start):
        return None
    meter = columns["meter_id"].dictionary_encode().indices.to_numpy()
    channel = columns["channel"].dictionary_encode().indices.to_numpy()
    received = pc.fill_null(columns["received_at"], 0).to_numpy()
    return np.lexsort((start, received, channel, meter))
