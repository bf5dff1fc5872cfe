"""A commit of a stream: what shards flushed since the last one becomes one run of the lake.

Raw records, the rows computed from them, bills, and the days left to a backfill are published together. A
commit that is repeated after a failure finds its raw files there and its rows unchanged, and adds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.calendar import day_date, epoch_day
from models.dirty import merge
from models.shard_scope import Scope
from models.sharding import shard_of
from pipelines.backfill import code_version
from pipelines.batch.shard_job import dirty_rows
from pipelines.store.lake import Lake, Run
from pipelines.store.parts import PartFile
from pipelines.streaming.stream_bills import bill_part
from pipelines.streaming.stream_rows import changed_rows, join_flushes
from schemas.lake import DAYS, DEAD_LETTERS, DIRTY_DAYS, RAW_FILES, SERIES
from schemas.records import SHARDED_KINDS, Kind
from schemas.rulebook import RuleBook
from transforms.flush_pack import ShardFlush
from transforms.raw_codec import write_raw_file
from transforms.raw_join import write_encoded
from transforms.raw_stats import joined_stats, raw_stats
from transforms.storage import whole_file
from transforms.table_pack import pack_records

__all__ = ["CommitRules", "commit_outputs"]


@dataclass(frozen=True)
class CommitRules:
    """What holds for all commits of a stream.

    Attributes:
        lake: Folder of the lake.
        book: Rules in force.
        tariffs: Names and hashes of the tariff files the lake keeps, or None.
        source: Where the records come from, for ``raw_files`` and ``runs``.
    """

    lake: Path
    book: RuleBook
    tariffs: str | None
    source: str


def commit_outputs(
    lake: Lake, outputs: Sequence[ShardFlush | pa.Table], closed: Mapping[int, int], rules: CommitRules
) -> dict[str, Any]:
    """Publish flushes and dead letters as one run.

    Args:
        lake: The lake.
        outputs: Flushes, and tables of dead letters.
        closed: Last closed epoch day of each shard that ever flushed.
        rules: Of the stream.

    Returns:
        The counts as kept in ``runs``.

    Raises:
        LakeBusyError: Another run holds the lake; try again.
    """
    flushes = [output for output in outputs if isinstance(output, ShardFlush)]
    letters = [output for output in outputs if not isinstance(output, ShardFlush)]
    with lake.begin() as run, ThreadPoolExecutor(1) as beside:
        former, last = _former_closed(lake), min(closed.values(), default=-1)
        last = max(former, last)
        raw_written = beside.submit(_write_raw, lake, flushes, rules)
        joined = join_flushes(flushes) if flushes else None
        changed = changed_rows(lake, joined) if joined else []
        raw = raw_written.result()
        writing = [beside.submit(run.write, table, "stream", rows) for table, rows in changed]
        counts: dict[str, Any] = {"records": sum(raw["rows"].to_pylist()), "days_written": 0}
        replaced: dict[str, pa.Table] = {}
        parts = [run.write(RAW_FILES, "stream", raw)] if raw.num_rows else []
        if joined:
            days = next((rows for table, rows in changed if table is DAYS), DAYS.schema.empty_table())
            counts["days_written"] = days.num_rows
            replaced = {SERIES.name: _series(lake, flushes), DIRTY_DAYS.name: _dirty(lake, joined.beyond)}
            bills = bill_part(lake, run, raw, days, replaced[SERIES.name], former, last, rules)
            parts += [part for part in (bills,) if part is not None]
            counts["bills_written"] = sum(part.rows for part in parts if part.table == "bills")
        parts += [written.result() for written in writing]
        parts += _letters(run, letters)
        counts["dead_letters"] = sum(table.num_rows for table in letters)
        run.commit(parts, replaced, _facts(rules, last, counts))
    return counts


def _facts(rules: CommitRules, last_closed: int, counts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "inputs": json.dumps([rules.source]),
        "counts": json.dumps(counts),
        "code_version": code_version(),
        "rules": rules.book.model_dump_json(by_alias=True),
        "tariffs": rules.tariffs,
        "last_closed": None if last_closed < 0 else day_date(last_closed),
    }


def _former_closed(lake: Lake) -> int:
    runs = lake.runs()
    day = runs["last_closed"][-1].as_py() if runs.num_rows else None
    return -1 if day is None else epoch_day(day)


def _write_raw(lake: Lake, flushes: Sequence[ShardFlush], rules: CommitRules) -> pa.Table:
    """Write the records that came as raw files; rows of ``raw_files`` for those that are new."""
    held = set(
        zip(
            *(lake.table(RAW_FILES.name, ["kind", "name"])[c].to_pylist() for c in ("kind", "name")),
            strict=True,
        )
    )
    rows = []
    ordered = sorted(flushes, key=lambda flush: (flush.shard, flush.number))
    for kind in Kind:
        mine = [flush for flush in ordered if kind in flush.records]
        if not mine or kind is Kind.DRAINS:
            continue
        table = None if kind is Kind.INTERVALS else _one_table(kind, mine)
        digest = _digest([flush.digest for flush in mine]) if table is None else _digest_of(kind, table)
        suffix = "arrow" if kind is Kind.INTERVALS else "parquet"
        name = f"{digest[:32]}-stream.{suffix}"
        if (kind.value, name) in held:
            continue
        folder = lake.path / "raw" / kind.value
        folder.mkdir(parents=True, exist_ok=True)
        if table is None:
            with whole_file(folder / name) as out:
                write_encoded(out, [(flush.shard, flush.records[kind]) for flush in mine])
            stats = joined_stats([flush.blocks for flush in mine])
        else:
            write_raw_file(folder / name, kind, table, _home(kind, table, lake.config.shards))
            stats = raw_stats(kind, table)
        values = (kind.value, name, rules.source, digest, stats.rows, stats.readings)
        rows.append((*values, stats.min_start, stats.max_end, stats.latest_end))
    schema = RAW_FILES.content
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def _one_table(kind: Kind, flushes: Sequence[ShardFlush]) -> pa.Table:
    table = pa.concat_tables([flush.records[kind] for flush in flushes]).unify_dictionaries()
    return table if kind in SHARDED_KINDS else _distinct(table)


def _digest(of: Sequence[str]) -> str:
    return sha256("".join(of).encode()).hexdigest()


def _digest_of(kind: Kind, table: pa.Table) -> str:
    return sha256(pack_records({kind: table})).hexdigest()


def _home(kind: Kind, table: pa.Table, shards: int) -> NDArray[np.int32]:
    if kind in SHARDED_KINDS:
        return shard_of(table["meter_id"], shards)
    return np.zeros(table.num_rows, np.int32)


def _distinct(table: pa.Table) -> pa.Table:
    """Records that several shards were given, once each."""
    first: dict[str, int] = {}
    for row, record in enumerate(table.to_pylist()):
        first.setdefault(repr(record), row)
    return table.take(pa.array(sorted(first.values())))


def _series(lake: Lake, flushes: Sequence[ShardFlush]) -> pa.Table:
    """Ranges of all series: those of the shards that flushed are new."""
    newest = {flush.shard: flush for flush in sorted(flushes, key=lambda flush: flush.number)}
    held = lake.table(SERIES.name)
    shard = shard_of(held["meter_id"], lake.config.shards)
    others = held.filter(pa.array(~np.isin(shard, list(newest))))
    joined = pa.concat_tables([others, *(flush.series.cast(SERIES.schema) for flush in newest.values())])
    return joined.sort_by([(name, "ascending") for name in ("meter_id", "channel", "interval_s")])


def _dirty(lake: Lake, beyond: Scope) -> pa.Table:
    """Days left to a backfill: those of before, and those that are behind the horizon now."""
    days = {name: list(ranges) for name, ranges in beyond.items()}
    for row in lake.table(DIRTY_DAYS.name).to_pylist():
        span = epoch_day(row["from_day"]), epoch_day(row["to_day"])
        days.setdefault((row["meter_id"], row["channel"]), []).append(span)
    return dirty_rows({name: merge(ranges) for name, ranges in sorted(days.items())})


def _letters(run: Run, tables: Sequence[pa.Table]) -> list[PartFile]:
    if not tables:
        return []
    rows = pa.concat_tables(tables).sort_by([("source", "ascending"), ("offset", "ascending")])
    rows = rows.append_column("run_id", pa.repeat(pa.scalar(run.run_id), rows.num_rows))
    return [run.write(DEAD_LETTERS, "stream", rows)]
