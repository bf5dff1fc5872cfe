"""Each shard gets the records of its meters, and every version of each point that ever named one."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.route import by_shard, points_by_shard
from models.sharding import shard_of_id
from schemas.arrow import RAW, RAW_EVENTS
from schemas.records import Kind

Row = tuple[str, str | None, int]
METERS = [f"m{number}" for number in range(9)]


def versions(points: list[Row]) -> pa.Table:
    """Service-point versions by point, meter and time."""
    rows: list[dict[str, Any]] = [
        {"service_point_id": point, "meter_id": meter, "valid_from": at} for point, meter, at in points
    ]
    return pa.Table.from_pylist(rows, schema=RAW[Kind.SERVICE_POINTS])


def test_rows_go_to_the_shard_of_their_meter_in_their_order() -> None:
    """Nothing is lost, and no other meter's row comes along."""
    rows = [{"meter_id": meter, "occurred_at": at} for at in range(3) for meter in METERS]
    found = by_shard(pa.Table.from_pylist(rows, schema=RAW_EVENTS), 4)
    assert sum(table.num_rows for table in found.values()) == len(rows)
    for shard, table in found.items():
        assert table["occurred_at"].to_pylist() == sorted(table["occurred_at"].to_pylist())
        assert {shard_of_id(meter, 4) for meter in table["meter_id"].to_pylist()} == {shard}


@given(seed=st.integers(0, 2**32), shards=st.integers(1, 5))
def test_whatever_the_order_each_shard_ends_with_what_it_needs(seed: int, shards: int) -> None:
    """Versions that come one by one, reach every shard that any version of their point names."""
    chance = random.Random(seed)
    sent = [(f"p{chance.randrange(4)}", chance.choice([*METERS, None]), at) for at in range(12)]
    held, had = versions([]), {shard: set[Row]() for shard in range(shards)}
    while sent:
        size = chance.randint(1, 4)
        new = versions(sent[:size])
        del sent[:size]
        for shard, rows in points_by_shard(held, new, shards).items():
            for row in rows.to_pylist():
                had[shard].add((row["service_point_id"], row["meter_id"], row["valid_from"]))
        held = pa.concat_tables([held, new])
    everything = {(r["service_point_id"], r["meter_id"], r["valid_from"]) for r in held.to_pylist()}
    for shard in range(shards):
        names = {p for p, meter, _ in everything if meter and shard_of_id(meter, shards) == shard}
        assert {row for row in everything if row[0] in names} <= had[shard]
        assert had[shard], "the first version of all tells every shard that there is master data"
