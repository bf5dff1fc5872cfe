"""Numbers that writers state exactly, Avro decimals and texts, as integers at a power of ten."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.avro_numbers import Numbers

__all__ = ["TEXT_SCALE", "exact_blocks", "exact_rows"]

TEXT_SCALE = 9
"""Decimals that a number written as text may have."""
_MOST = 1 << 62


def exact_rows(column: pa.Array, scale: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """One number a row.

    Args:
        column: Unscaled bytes of Avro's decimal, or texts; shape (n,).
        scale: Decimals that are kept.

    Returns:
        The numbers times 10^scale, null where there is none, and the rows that hold something else: no
        number, one of more decimals, or one beyond 62 bits; shape (n,).

    Raises:
        TypeError: The column is of another type.
    """
    if not (pa.types.is_null(column.type) or _is_exact(column.type)):
        raise TypeError(f"{column.type}")
    stated = column.to_pylist()
    found = [None if value is None else _whole(value, scale) for value in stated]
    bad = np.array([v is not None and f is None for v, f in zip(stated, found, strict=True)], np.bool_)
    return Numbers(pa.array(found, pa.int64()), None), bad


def exact_blocks(column: pa.Array, scale: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """A list of such numbers a row; a row is bad with any item of it.

    Raises:
        TypeError: The column is of another type.
    """
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise TypeError(f"{column.type}")
    items, bad_items = exact_rows(column.flatten(), scale)
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    bad = np.zeros(len(counts), np.bool_)
    bad[np.repeat(np.arange(len(counts)), counts)[bad_items]] = True
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    mask = column.is_null() if column.null_count else None
    return Numbers(pa.ListArray.from_arrays(pa.array(offsets), items.ints, mask=mask), None), bad


def _is_exact(kind: pa.DataType) -> bool:
    of_bytes = (
        pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_large_binary(kind)
    )
    return bool(
        of_bytes or pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    )


def _whole(value: Any, scale: int) -> int | None:
    if isinstance(value, bytes):
        whole = int.from_bytes(value, "big", signed=True)
        return whole if -_MOST < whole < _MOST else None
    try:
        number = Decimal(value).scaleb(scale)
        if not -_MOST < number < _MOST or number != number.to_integral_value():
            return None
    except ArithmeticError:
        return None
    return int(number)
