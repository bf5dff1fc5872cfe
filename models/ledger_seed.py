"""A ledger that goes on from what a backfill has computed: its state as of the backfill's last closed day."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from models.assemble import first_readings
from models.ledger import LedgerIndex, LedgerRules, behind, horizon
from models.sharding import shard_of
from schemas.records import Kind

__all__ = ["points_of", "seeded_ledger"]


def seeded_ledger(
    records: Mapping[Kind, pa.Table], last_closed: int, rules: LedgerRules
) -> tuple[dict[Kind, pa.Table], LedgerIndex]:
    """What a ledger would hold had it flushed these records itself, and its index.

    Args:
        records: All records of a shard that a backfill has computed, in their raw schemas.
        last_closed: The backfill's last closed epoch day; −1 where none has closed.
        rules: Of the stream.
    """
    kept: dict[Kind, pa.Table] = {}
    index = LedgerIndex({}, last_closed, last_closed)
    for kind, rows in records.items():
        if kind is Kind.INTERVALS:
            index.first_readings = first_readings(rows)
        old = behind(kind, rows, last_closed, rules)
        if old.any():
            rows = rows.filter(pa.array(~old))
            index.floor = max(index.floor, horizon(last_closed, rules))
        if rows.num_rows:
            kept[kind] = rows
    return kept, index


def points_of(rows: pa.Table, shard: int, shards: int) -> pa.Table:
    """Service-point versions that a shard must know.

    That is every version of each point that ever named one of its meters, and the first version of all.

    Args:
        rows: ``RAW_SERVICE_POINTS``.
        shard: Its number.
        shards: Shard count of the lake.
    """
    if not rows.num_rows:
        return rows
    mine = pa.array(shard_of(rows["meter_id"].fill_null(""), shards) == shard)
    ids = pc.unique(rows["service_point_id"].filter(pc.and_(mine, pc.is_valid(rows["meter_id"]))))
    wanted = pc.is_in(rows["service_point_id"], ids)
    if not pc.any(wanted).as_py():
        return rows.slice(0, 1)
    return pa.concat_tables([rows.slice(0, 1), rows.slice(1).filter(wanted.slice(1))])
