"""Which shards a record concerns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.sharding import shard_of, shard_of_id

__all__ = ["by_shard", "lean", "points_by_shard"]


def by_shard(rows: pa.Table, shards: int) -> dict[int, pa.Table]:
    """Rows by the shard of their meter, in their order.

    Args:
        rows: Any records with a ``meter_id``.
        shards: Shard count of the lake.
    """
    if not rows.num_rows:
        return {}
    shard = shard_of(rows["meter_id"], shards)
    order = np.argsort(shard, kind="stable")
    sorted_rows = rows.take(pa.array(order))
    found, first = np.unique(shard[order], return_index=True)
    ends = [*first[1:].tolist(), rows.num_rows]
    pieces = zip(found.tolist(), first.tolist(), ends, strict=True)
    return {number: lean(sorted_rows.slice(start, end - start)) for number, start, end in pieces}


def points_by_shard(held: pa.Table, new: pa.Table, shards: int) -> dict[int, pa.Table]:
    """Service-point versions to hand to each shard, now that new ones came.

    A shard needs every version of each point that ever named one of its meters. The first version of all
    that are held here goes to every shard: master data in the lake end the time without any.

    Args:
        held: Versions known before.
        new: Those that came; what a shard was given before may be given again.
        shards: Shard count of the lake.
    """
    everything = pa.concat_tables([held, new])
    ids = everything["service_point_id"].to_pylist()
    named: dict[str, set[int]] = {}
    shard_of_meter: dict[str, int] = {}
    for point, meter in zip(ids, everything["meter_id"].to_pylist(), strict=True):
        where = named.setdefault(point, set())
        if meter is not None:
            if meter not in shard_of_meter:
                shard_of_meter[meter] = shard_of_id(meter, shards)
            where.add(shard_of_meter[meter])
    fresh = set(ids[held.num_rows :])
    rows_of: dict[int, list[int]] = {}
    for row, point in enumerate(ids):
        if point in fresh:
            for shard in named[point]:
                rows_of.setdefault(shard, []).append(row)
    if not held.num_rows and new.num_rows:
        for shard in range(shards):
            rows_of[shard] = sorted({0, *rows_of.get(shard, ())})
    return {shard: everything.take(pa.array(rows)) for shard, rows in sorted(rows_of.items())}


def lean(rows: pa.Table) -> pa.Table:
    """The rows without dictionary entries that they do not use, where there are many."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type) and _entries(rows.column(at).chunks) > rows.num_rows:
            plain = rows.column(at).cast(field.type.value_type)
            encoded = pc.dictionary_encode(plain).cast(field.type)
            rows = rows.set_column(at, field, encoded)
    return rows


def _entries(chunks: Iterable[pa.DictionaryArray]) -> int:
    return sum(len(chunk.dictionary) for chunk in chunks)
