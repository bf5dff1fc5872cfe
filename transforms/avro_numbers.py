"""Numbers as writers have them (int, long, float, double, unions of them) to int64 and float64.

Integers stay integers, because process treats them exactly; doubles stay doubles. A row that mixes both
(``array<union[long, double]>``) counts as doubles throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Numbers", "block_numbers", "row_numbers"]

_INTEGERS = (pa.int32(), pa.int64())
_FLOATS = (pa.float32(), pa.float64())


@dataclass(frozen=True)
class Numbers:
    """Numbers of n rows: plain arrays for one number a row, lists for a block a row.

    Attributes:
        ints: int64 or list<int64>, null where the row is of doubles; None where all rows are.
        floats: float64 or list<float64>, null where the row is of integers; None where all rows are.
        is_float: Which rows are of doubles; None where all rows are of one kind.
    """

    ints: pa.Array | None
    floats: pa.Array | None
    is_float: NDArray[np.bool_] | None = None

    @property
    def _any(self) -> pa.Array:
        return self.ints if self.floats is None else self.floats

    def __len__(self) -> int:
        return len(self._any)

    @property
    def in_lists(self) -> bool:
        """Whether a row holds a block."""
        return bool(pa.types.is_list(self._any.type))

    def take(self, rows: pa.Array) -> Numbers:
        """The numbers of some rows, in that order."""
        kept = None if self.is_float is None else self.is_float[rows.to_numpy()]
        ints, floats = (None if column is None else column.take(rows) for column in (self.ints, self.floats))
        return Numbers(ints, floats, kept)


def row_numbers(column: pa.Array) -> Numbers:
    """One number a row.

    Raises:
        TypeError: The column is of another type.
    """
    kind = column.type
    if kind in _INTEGERS or pa.types.is_null(kind):
        return Numbers(column.cast(pa.int64()), None)
    if kind in _FLOATS:
        return Numbers(None, column.cast(pa.float64()))
    if pa.types.is_union(kind):
        return _union(column)
    raise TypeError(f"{kind}")


def _union(column: pa.UnionArray) -> Numbers:
    """A dense or sparse union of integer, floating and null branches."""
    codes = column.type_codes.to_numpy()
    if (
        pa.types.is_dense_union(column.type)
        if hasattr(pa.types, "is_dense_union")
        else column.type.mode == "dense"
    ):
        places = column.offsets.to_numpy()
    else:
        places = np.arange(len(column), dtype=np.int32)
    ints, floats = np.zeros(len(column), np.int64), np.zeros(len(column), np.float64)
    is_float, missing = np.zeros(len(column), np.bool_), np.zeros(len(column), np.bool_)
    for number in range(column.type.num_fields):
        at = np.flatnonzero(codes == number)
        branch = column.field(number)
        if pa.types.is_null(branch.type):
            missing[at] = True
        elif branch.type in _INTEGERS:
            ints[at] = pc.fill_null(branch.cast(pa.int64()), 0).to_numpy()[places[at]]
            missing[at] = pc.is_null(branch).to_numpy(zero_copy_only=False)[places[at]]
        elif branch.type in _FLOATS:
            floats[at] = branch.cast(pa.float64()).to_numpy()[places[at]]
            is_float[at] = True
        else:
            raise TypeError(f"{column.type}")
    if not is_float.any():
        return Numbers(pa.array(ints, mask=missing), None)
    return Numbers(pa.array(ints, mask=missing | is_float), pa.array(floats, mask=~is_float), is_float)


def block_numbers(column: pa.Array) -> Numbers:
    """A list of numbers a row; a null list stays null.

    Raises:
        TypeError: The column is of another type.
    """
    if pa.types.is_null(column.type):
        return Numbers(pa.nulls(len(column), pa.list_(pa.int64())), None)
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise TypeError(f"{column.type}")
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    items = row_numbers(column.flatten())
    absent = pc.is_null(column).to_numpy(zero_copy_only=False) if column.null_count else None
    if items.is_float is None:
        lists = _lists(counts, items.floats if items.ints is None else items.ints, absent)
        return Numbers(lists, None) if items.floats is None else Numbers(None, lists)
    row_of = np.repeat(np.arange(len(counts)), counts)
    is_float = np.zeros(len(counts), np.bool_)
    is_float[row_of[items.is_float]] = True
    in_float = is_float[row_of]
    assert items.ints is not None
    assert items.floats is not None
    mixed = pc.coalesce(items.floats, items.ints.cast(pa.float64(), safe=False))
    ints = _lists(np.where(is_float, 0, counts), items.ints.filter(pa.array(~in_float)), is_float)
    floats = _lists(np.where(is_float, counts, 0), mixed.filter(pa.array(in_float)), ~is_float)
    if absent is not None:
        ints = pc.if_else(pa.array(absent), pa.scalar(None, ints.type), ints)
    return Numbers(ints, floats, is_float)


def _lists(counts: NDArray[np.int64], items: pa.Array, absent: NDArray[np.bool_] | None) -> pa.ListArray:
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    mask = None if absent is None or not absent.any() else pa.array(absent)
    return pa.ListArray.from_arrays(pa.array(offsets), items, pa.list_(items.type), mask=mask)
