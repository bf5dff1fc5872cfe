"""Encoded intervals put together: the same rows as if they had been encoded together."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.sharding import shard_of_id
from schemas.arrow import RAW_INTERVALS
from tests.transforms.test_raw_codec import table_of, tables
from transforms.raw_codec import decode_raw_intervals, encode_raw_intervals
from transforms.raw_join import encoded_by_shard, join_encoded, write_encoded


def _encoded(table: pa.Table) -> pa.Table:
    return encode_raw_intervals(table, np.arange(table.num_rows))


def _decoded(table: pa.Table) -> list[dict[str, Any]]:
    found = decode_raw_intervals(table.to_batches())
    assert found.schema == RAW_INTERVALS
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


@given(st.lists(tables(), min_size=1, max_size=4))
def test_rows_are_those_of_the_pieces(pieces: list[tuple[list[dict[str, Any]], pa.Table]]) -> None:
    """Integers of any width beside doubles, nulls and times of each reading."""
    joined = join_encoded([_encoded(table) for _, table in pieces])
    assert _texts(_decoded(joined)) == _texts([row for rows, _ in pieces for row in rows])


def test_no_more_planes_than_the_widest_piece_has() -> None:
    """A narrow piece gets the sign of its numbers above them."""
    rows = [[-1, 3], [40_000, -2], [-129, 0]]
    made = [_row(values) for values in rows]
    joined = join_encoded([_encoded(table_of([row])) for row in made])
    planes = [name for name in joined.column_names if name[0] == "i" and name[1:].isdigit()]
    assert planes == [f"i{k}" for k in range(4)]
    assert [row["values_int"] for row in _decoded(joined)] == rows


def test_a_file_has_a_batch_a_shard() -> None:
    """Pieces of one shard are one batch, in their order."""
    out = io.BytesIO()
    pieces = [(2, [5]), (2, [6, 7]), (9, [8])]
    write_encoded(out, [(shard, _encoded(table_of([_row(values)]))) for shard, values in pieces])
    reader = pa.ipc.open_file(pa.BufferReader(out.getvalue()))
    assert reader.schema.metadata[b"shards"] == b"[2, 9]"
    found = [_decoded(pa.Table.from_batches([reader.get_batch(i)])) for i in range(reader.num_record_batches)]
    assert [[row["values_int"] for row in rows] for rows in found] == [[[5], [6, 7]], [[8]]]


@given(tables(), st.integers(1, 5))
def test_each_shard_gets_its_own_rows(made: tuple[list[dict[str, Any]], pa.Table], shards: int) -> None:
    """All of them, in their order."""
    rows, table = made
    found = encoded_by_shard(table, shards)
    for shard, encoded in found.items():
        mine = [row for row in rows if shard_of_id(row["meter_id"], shards) == shard]
        assert _texts(_decoded(encoded)) == _texts(mine)
    assert sum(encoded.num_rows for encoded in found.values()) == len(rows)


def _row(values: list[int]) -> dict[str, Any]:
    names = dict.fromkeys(RAW_INTERVALS.names)
    return {
        **names,
        "meter_id": "m",
        "channel": "import",
        "start": 0,
        "interval_s": 900,
        "values_int": values,
    }


def _texts(rows: list[dict[str, Any]]) -> list[str]:
    """Rows by their texts: a NaN is equal to itself there."""
    return [repr(row) for row in rows]
