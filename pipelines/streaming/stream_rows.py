"""The flushes of one commit as changed rows of the lake's tables: the later one of a shard holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from models.scope_rows import in_scope, weeks_of, whole_rows
from models.shard_results import DAY_ROWS, first_revisions
from models.shard_run import WHOLE_METER
from models.shard_scope import EVER, Scope, join_scopes
from models.sharding import shard_of
from pipelines.store.lake import Lake, latest
from pipelines.store.parts import ROW_GROUP
from pipelines.store.revise import current_rows, revise
from schemas.features import FEATURES
from schemas.lake import DAYS, DETERMINANTS, LakeTable
from transforms.flush_pack import ShardFlush

__all__ = ["Joined", "changed_rows", "join_flushes"]

RECENT_DAYS = 14
"""Series whose scope begins this close to the last day are compared apart from those that reach far back."""


@dataclass(frozen=True)
class Joined:
    """Flushes as one.

    Attributes:
        scope, beyond: Of all.
        whole_since: Of each shard.
        days, determinants, features: Rows that hold among all flushes.
    """

    scope: Scope
    beyond: Scope
    whole_since: dict[int, int]
    days: pa.Table
    determinants: pa.Table
    features: pa.Table


def join_flushes(flushes: Sequence[ShardFlush]) -> Joined:
    """The rows that hold after several flushes.

    Args:
        flushes: Of any shards, in any order; at least one.
    """
    of_shard: dict[int, list[ShardFlush]] = defaultdict(list)
    for flush in sorted(flushes, key=lambda flush: (flush.shard, flush.number)):
        of_shard[flush.shard].append(flush)
    rows: dict[str, list[pa.Table]] = defaultdict(list)
    for mine in of_shard.values():
        for place, flush in enumerate(mine):
            for name, table in _rows(flush).items():
                for later in mine[place + 1 :]:
                    table = _outside(table, name, later)
                rows[name].append(table)
    return Joined(
        join_scopes([flush.scope for flush in flushes]),
        join_scopes([flush.beyond for flush in flushes]),
        # What an earlier flush had of a meter as a whole behind a later horizon still stands.
        {shard: min(flush.whole_since for flush in mine) for shard, mine in of_shard.items()},
        **{name: _old_first(pa.concat_tables(tables)) for name, tables in rows.items()},
    )


def _old_first(rows: pa.Table) -> pa.Table:
    """The last days of many rows behind the others, in row groups of their own: they are read again soon."""
    day = rows["week" if "week" in rows.schema.names else "local_day"].cast(pa.int32())
    if rows.num_rows <= ROW_GROUP:
        return rows
    recent = pc.greater(day, pc.subtract(pc.max(day), RECENT_DAYS))
    return pa.concat_tables([rows.filter(pc.invert(recent)), rows.filter(recent)])


def _rows(flush: ShardFlush) -> dict[str, pa.Table]:
    days = flush.days.cast(DAY_ROWS)
    kept = whole_rows(days, flush.whole_since) | ~whole_rows(days, EVER)
    days = days if kept.all() else days.filter(pa.array(kept))
    return {"days": days, "determinants": flush.determinants, "features": flush.features}


def _outside(table: pa.Table, name: str, later: ShardFlush) -> pa.Table:
    """Rows that a later flush says nothing about."""
    if name == "features":
        return table.filter(pa.array(~in_scope(table, "week", weeks_of(later.scope))))
    said = in_scope(table, "local_day", later.scope)
    if name == "days":
        said |= whole_rows(table, later.whole_since)
    return table.filter(pa.array(~said))


def changed_rows(lake: Lake, joined: Joined) -> list[tuple[LakeTable, pa.Table]]:
    """Rows that differ from the lake's current ones, with their next revision.

    Args:
        lake: Read at its last complete run.
        joined: What was computed.
    """
    scope = joined.scope
    whole = _whole(lake, joined.whole_since)
    current = pa.concat_tables([whole, *(current_rows(lake, DAYS, part) for part in _parts(scope))])
    days = revise(joined.days, latest(current, DAYS), DAYS)
    found = [(DAYS, days)]
    for table, content, mine in (
        (DETERMINANTS, joined.determinants, scope),
        (FEATURES, joined.features, weeks_of(scope)),
    ):
        held = pa.concat_tables([current_rows(lake, table, part) for part in _parts(mine)])
        found.append((table, revise(first_revisions(table, content), latest(held, table), table)))
    return [(table, rows) for table, rows in found if rows.num_rows]


def _parts(scope: Scope) -> list[Scope]:
    """Scopes that reach back about as far: reading the current rows of one does not read the other's days."""
    last = max((days[-1][1] for days in scope.values()), default=0)
    near = {name: days for name, days in scope.items() if days[0][0] > last - RECENT_DAYS}
    return [near, {name: days for name, days in scope.items() if name not in near}]


def _whole(lake: Lake, since: dict[int, int]) -> pa.Table:
    """Current rows of meters as a whole, of the shards in question and not behind their horizon."""
    rows = lake.current(DAYS.name, channel=WHOLE_METER)
    shard = shard_of(rows["meter_id"], lake.config.shards).tolist()
    day = rows["local_day"].cast(pa.int32()).to_pylist()
    kept = [s in since and d >= since[s] for s, d in zip(shard, day, strict=True)]
    return rows.filter(pa.array(kept, pa.bool_()))
