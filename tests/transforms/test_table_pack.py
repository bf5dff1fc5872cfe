"""Packs give back what went in, bit for bit."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from schemas.arrow import RAW
from schemas.records import Kind
from tests.models.ledger_worlds import tables, world
from transforms.table_pack import pack, pack_records, packed_kinds, unpack, unpack_records


@pytest.mark.parametrize("seed", range(5))
def test_records_of_every_kind_come_back(seed: int) -> None:
    """In the order of the packs, each kind in its raw schema."""
    records = world(random.Random(seed), days=6).records
    halves = records[::2], records[1::2]
    packs = [pack_records(tables(half)) for half in halves]
    found = unpack_records(packs)
    expected = tables([*halves[0], *halves[1]])
    assert set(found) == set(expected)
    for kind, rows in found.items():
        assert rows.schema == RAW[kind]
        assert rows.to_pylist() == expected[kind].to_pylist()


def test_the_kinds_are_told_without_unpacking() -> None:
    """And kinds without a row are not there."""
    empty = RAW[Kind.EVENTS].empty_table()
    records = {**tables(world(random.Random(1), days=3).records[:1]), Kind.EVENTS: empty}
    assert packed_kinds(pack_records(records)) == (Kind.INTERVALS,)


def test_facts_and_empty_tables_come_back() -> None:
    """A table is there also where it has no row."""
    table = pa.table({"a": pa.array([], pa.int64())})
    facts, found = unpack(pack({"day": 7, "name": "é"}, {"t": table}))
    assert facts == {"day": 7, "name": "é"}
    assert found["t"].equals(table)
