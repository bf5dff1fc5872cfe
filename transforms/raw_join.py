"""Raw intervals in the form they are stored: parted by shard, put together without taking them apart."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.route import lean
from models.sharding import shard_of
from transforms.raw_codec import SHARDS_KEY, encode_raw_intervals, write_batches

__all__ = ["encoded_by_shard", "join_encoded", "write_encoded"]

_PLANE = re.compile(r"([ifr])(\d)")
_BYTES = pa.list_(pa.uint8())


def write_encoded(out: IO[bytes], pieces: Sequence[tuple[int, pa.Table]]) -> pa.Table:
    """Write a file of the raw zone, a batch a shard; the rows that were written.

    Args:
        out: Takes the bytes.
        pieces: Shards and rows as ``raw_codec.encode_raw_intervals`` gives them, by shard; at least one.
    """
    rows = join_encoded([table for _, table in pieces])
    counts = [
        (shard, sum(table.num_rows for _, table in mine))
        for shard, mine in groupby(pieces, key=lambda piece: piece[0])
    ]
    starts = np.cumsum([0, *(count for _, count in counts)]).tolist()
    bounds = [(start, count) for start, (_, count) in zip(starts, counts, strict=False)]
    write_batches(out, rows, {SHARDS_KEY: json.dumps([shard for shard, _ in counts]).encode()}, bounds)
    return rows


def encoded_by_shard(rows: pa.Table, shards: int) -> dict[int, pa.Table]:
    """Interval blocks as they are stored, by the shard of their meter, in their order.

    Args:
        rows: In the raw schema.
        shards: Shard count of the lake.
    """
    if not rows.num_rows:
        return {}
    shard = shard_of(rows["meter_id"], shards)
    order = np.argsort(shard, kind="stable")
    encoded = encode_raw_intervals(rows, order)
    found, first = np.unique(shard[order], return_index=True)
    pieces = zip(found.tolist(), pairwise([*first.tolist(), rows.num_rows]), strict=True)
    return {number: lean(encoded.slice(low, high - low)) for number, (low, high) in pieces}


def join_encoded(tables: Sequence[pa.Table]) -> pa.Table:
    """Encoded tables one after the other, in the fewest planes that hold all of them; one chunk.

    Args:
        tables: As ``raw_codec.encode_raw_intervals`` gives them; at least one.
    """
    width: dict[str, int] = {}
    missing: set[str] = set()
    for table in tables:
        for name, count in _widths(table).items():
            width[name] = max(count, width.get(name, 0))
        missing |= {name for name in width if f"{name}_missing" in table.column_names}
    joined = pa.concat_tables([_widened(table, width, missing) for table in tables])
    return joined.unify_dictionaries().combine_chunks()


def _widths(table: pa.Table) -> dict[str, int]:
    """Planes of each values column that a table has any of."""
    found: dict[str, int] = {}
    for column in table.column_names:
        plane = _PLANE.fullmatch(column)
        if plane is not None:
            found[plane[1]] = found.get(plane[1], 0) + 1
    return found


def _widened(table: pa.Table, width: dict[str, int], missing: set[str]) -> pa.Table:
    """The same rows with the planes that others have."""
    mine = _widths(table)
    columns = {name: table[name] for name in table.column_names if not _is_value(name)}
    for name, count in sorted(width.items()):
        own = mine.get(name, 0)
        for k in range(count):
            if k < own:
                columns[f"{name}{k}"] = table[f"{name}{k}"]
            else:
                columns[f"{name}{k}"] = _sign(table[f"{name}{own - 1}"]) if own else _none(table)
        if name in missing:
            held = f"{name}_missing"
            if held in table.column_names:
                columns[held] = table[held]
            else:
                columns[held] = _like(table[f"{name}0"], 0) if own else _none(table)
    return pa.table(columns)


def _is_value(column: str) -> bool:
    return _PLANE.fullmatch(column) is not None or column.endswith("_missing")


def _none(table: pa.Table) -> pa.Array:
    return pa.nulls(table.num_rows, _BYTES)


def _sign(plane: pa.ChunkedArray) -> pa.Array:
    """The plane above the highest one of a two's complement: all bits of each byte are its sign."""
    flat = pa.concat_arrays([chunk.flatten() for chunk in plane.chunks]).to_numpy()
    return _like(plane, (flat >> 7) * np.uint8(255))


def _like(plane: pa.ChunkedArray, items: np.ndarray[tuple[int], np.dtype[np.uint8]] | int) -> pa.Array:
    """Lists as long as those of a plane, null where they are null."""
    lists = pa.concat_arrays(plane.chunks) if plane.num_chunks != 1 else plane.chunk(0)
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
    flat = np.full(int(counts.sum()), items, np.uint8) if isinstance(items, int) else items
    mask = lists.is_null() if lists.null_count else None
    return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.uint8()), _BYTES, mask=mask)
