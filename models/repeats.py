"""Exact repeats among received records: equal in everything but where they came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["only", "without_repeats"]

Rows = NDArray[np.int64]

BETWEEN, NONE = "\x1f", "\x1e"
"""Characters of a list's text that stand in no number and no name."""

FEW = 16
"""Rows of a stretch, on average, from which on stretches are copied whole."""


def without_repeats(
    table: pa.Table, key: Sequence[str], ignored: Sequence[str], among: Rows | None = None
) -> pa.Table:
    """The rows that no earlier row equals.

    Only rows that share their key with another one are compared whole, column by column.

    Args:
        table: Records of one kind, shape (n,); numbers, texts, and lists of them.
        key: Columns in which repeats agree and few others do.
        ignored: Columns that are not compared.
        among: Rows outside of which no two are equal, ascending; None for all.

    Returns:
        Its rows in their order, the first of each content.
    """
    if table.num_rows < 2:
        return table
    shared = _shared(table.select(list(key)), np.arange(table.num_rows) if among is None else among)
    if not len(shared):
        return table
    content = _rows(table.drop_columns(list(ignored)), shared)
    plain = {name: _plain(content[name].combine_chunks()) for name in content.column_names}
    rows = pa.table(plain).append_column("row", pa.array(shared))
    first = rows.group_by(list(plain), use_threads=False).aggregate([("row", "min")])["row_min"]
    kept = np.ones(table.num_rows, np.bool_)
    kept[shared] = False
    kept[first.to_numpy()] = True
    return only(table, kept)


def only(table: pa.Table, kept: NDArray[np.bool_]) -> pa.Table:
    """The rows of a table that are kept.

    Where they stand in few stretches these are copied whole: one by one, rows with lists are slow to copy.
    """
    if kept.all():
        return table
    edges = np.flatnonzero(np.diff(np.concatenate([[0], kept.astype(np.int8), [0]])))
    stretches = edges.reshape(-1, 2).tolist()
    if len(stretches) * FEW > len(kept):
        return table.filter(pa.array(kept))
    pieces = [table.slice(low, high - low) for low, high in stretches]
    return pa.concat_tables([table.slice(0, 0), *pieces]).combine_chunks()


def _rows(table: pa.Table, numbers: Rows) -> pa.Table:
    """Some rows, ascending. Chunk by chunk: to take rows by number Arrow would copy all chunks into one."""
    chosen = np.zeros(table.num_rows, np.bool_)
    chosen[numbers] = True
    return table if chosen.all() else table.filter(pa.array(chosen))


def _shared(keys: pa.Table, among: Rows) -> Rows:
    """Those of some rows whose key another one of them has too, ascending."""
    keys = _rows(keys, among)
    plain = pa.table({name: _plain(keys[name].combine_chunks()) for name in keys.column_names})
    plain = plain.append_column("row", pa.array(among))
    rows = plain.group_by(keys.column_names, use_threads=False).aggregate([("row", "list")])["row_list"]
    shared: Rows = np.sort(pc.list_flatten(rows.filter(pc.greater(pc.list_value_length(rows), 1))).to_numpy())
    return shared


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column that can be grouped by: a list, or a float (NaN equals itself), becomes its text.

    Of a dictionary, which may hold a text twice, the numbers of its distinct texts.
    """
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_list(column.type):
        inner = pc.fill_null(column.flatten().cast(pa.string()), NONE)
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.append(0, np.cumsum(lengths)), pa.int32())
        texts = pc.binary_join(pa.ListArray.from_arrays(offsets, inner), BETWEEN)
        known = pc.binary_join_element_wise(pa.array(lengths).cast(pa.string()), texts, ":")
        return pc.if_else(column.is_null(), pa.scalar(None, pa.string()), known)
    if pa.types.is_dictionary(column.type):
        texts = column.dictionary
        return pc.index_in(texts, pc.unique(texts), skip_nulls=True).take(column.indices)
    if pa.types.is_floating(column.type):
        return column.cast(pa.string())
    return column
