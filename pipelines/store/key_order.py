"""Rows in the order of their keys, found with numbers instead of texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["key_order", "rises"]

Int = NDArray[np.int64]


def key_order(rows: pa.Table, names: Sequence[str]) -> Int:
    """Places of the rows, sorted by some columns, equal ones as they are; shape (n,).

    Args:
        rows: The rows.
        names: Columns of texts, dates, times or whole numbers, the first one counts most; nulls come first.
    """
    order: Int = np.lexsort([_ranks(rows[name]) for name in reversed(names)])
    return order


def rises(rows: pa.Table, names: Sequence[str], order: Int) -> NDArray[np.bool_]:
    """Where in an order by some columns their values differ from the ones before; shape (n,), first False."""
    found = np.zeros(len(order), np.bool_)
    for name in names:
        ranks = _ranks(rows[name])[order]
        found[1:] |= ranks[1:] != ranks[:-1]
    return found


def _ranks(column: pa.ChunkedArray) -> Int:
    """Numbers that are ordered as the values are, equal for equal."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind):
        encoded = pc.dictionary_encode(column).unify_dictionaries().combine_chunks()
        texts = encoded.dictionary
        rank = np.full(len(texts) + 1, -1, np.int64)  # the last place is that of a null
        rank[pc.sort_indices(texts).to_numpy()] = np.arange(len(texts))
        found: Int = rank[pc.fill_null(encoded.indices, -1).to_numpy()]
        return found
    if pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    numbers: Int = pc.fill_null(column.cast(pa.int64()), np.iinfo(np.int64).min).to_numpy()
    return numbers
