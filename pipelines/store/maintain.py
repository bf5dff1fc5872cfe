"""``meterbeam lake maintain``: small files packed into larger ones, files that no reader needs removed.

Packing is a run of its own: it takes the lock, adds the packed files and takes out the small ones in one
transaction, and changes no row. Readers that opened the lake before still find the small files: those are
deleted from disk only after they have been out of use for some days. Every past run stays readable, for
rows carry the run that wrote them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.backfill import code_version
from pipelines.store.commit import Removal, Run
from pipelines.store.files import dataset, delta_table
from pipelines.store.lake import Lake
from pipelines.store.parts import PartFile, shards_of_part
from schemas.errors import MeterbeamError
from schemas.lake import RAW_FILES, RUNS, LakeTable, lake_tables
from transforms.storage import place

__all__ = ["MaintainOptions", "carried_facts", "in_order", "maintain"]

DAY_S = 86_400
RUNS_AT_ONCE = 16
"""Packing is a run itself and leaves a file of ``runs``: fewer are not worth it."""
_NEVER = 1 << 20


@dataclass(frozen=True)
class MaintainOptions:
    """What to do.

    Attributes:
        lake: Folder of the lake.
        small_bytes: Files below this are packed.
        target_bytes: Packed files reach about this; memory is a few times as much.
        keep_days: Days for which a file that is out of use stays on disk.
        dry_run: Only say what would be done.
    """

    lake: Path
    small_bytes: int = 8 << 20
    target_bytes: int = 32 << 20
    keep_days: float = 7
    dry_run: bool = False


def maintain(options: MaintainOptions) -> dict[str, Any]:
    """Pack and clean up; returns the summary.

    Raises:
        MeterbeamError: There is no lake, no run in it, or a run at work.
    """
    lake = Lake.open(options.lake)
    if not lake.run_no:
        raise MeterbeamError(str(options.lake), "a lake without a run", "one with a backfill in it")
    if options.dry_run:
        groups = {table.name: _groups(lake, table, options) for table in lake_tables()}
        return _summary(lake, groups, list(_out_of_use(lake, options.keep_days)), options)
    with lake.begin() as run:
        groups = {table.name: _groups(lake, table, options) for table in lake_tables()}
        if any(groups.values()):
            _pack(run, groups)
        gone = list(_out_of_use(lake, options.keep_days))
        summary = _summary(lake, groups, gone, options)
        for path in gone:
            path.unlink(missing_ok=True)
    return summary


def _groups(lake: Lake, table: LakeTable, options: MaintainOptions) -> list[list[Path]]:
    """Small files of a table, neighbours in shards together, each list to become one file."""
    if table.growth == "replace":
        return []
    small = [path for path in map(place, lake.files(table.name)) if path.stat().st_size < options.small_bytes]
    if table.name == RUNS.name and len(small) < RUNS_AT_ONCE:
        return []
    groups: list[list[Path]] = []
    size = 0
    for path in sorted(small, key=_place):
        size += path.stat().st_size
        if not groups or size > options.target_bytes:
            groups.append([])
            size = path.stat().st_size
        groups[-1].append(path)
    return [group for group in groups if len(group) > 1]


def _place(path: Path) -> tuple[int, str]:
    span = shards_of_part(path.name)
    return (_NEVER if span is None else span.start, path.name)


def _pack(run: Run, groups: dict[str, list[list[Path]]]) -> None:
    parts: list[PartFile] = []
    removed: dict[str, Removal] = {}
    for table in lake_tables():
        mine = groups[table.name]
        for number, group in enumerate(mine):
            rows = dataset(group, table.schema).to_table(use_threads=False)
            parts.append(run.write(table, f"packed{number:04d}", in_order(rows, table)))
        if mine:
            paths = tuple(path.name for group in mine for path in group)
            removed[table.name] = Removal(paths, same_rows=True)
    packed = {name: sum(map(len, mine)) for name, mine in groups.items() if mine}
    run.commit(parts, {}, carried_facts(run.lake, {"packed_files": packed}), removed)


def in_order(rows: pa.Table, table: LakeTable) -> pa.Table:
    """Rows of a versioned table by month, then key and revision, as workers write them."""
    if table.growth != "versioned":
        return rows
    names = [*table.key, "revision"]
    keys = rows.select(names)
    if "local_day" in names:
        day = rows["local_day"]
        keys = keys.append_column("month", pc.add(pc.multiply(pc.year(day), 12), pc.month(day)))
        names = ["month", *names]
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in names])
    return rows.take(order)


def carried_facts(lake: Lake, counts: dict[str, Any]) -> dict[str, Any]:
    """Facts of a run that computes nothing: rules, tariffs and the closed day stay those of the last one."""
    last = lake.runs().slice(lake.runs().num_rows - 1).to_pylist()[0]
    facts = {name: last[name] for name in ("rules", "tariffs", "last_closed")}
    return {"inputs": "[]", "counts": json.dumps(counts), "code_version": code_version(), **facts}


def _out_of_use(lake: Lake, keep_days: float) -> Iterator[Path]:
    """Files on disk that no present reader and no past run needs, old enough to be deleted."""
    latest = time.time() - keep_days * DAY_S
    used = _used(lake)
    for path in sorted((lake.path / "tables").glob("*/*part-*")):
        if path not in used and path.stat().st_mtime <= latest:
            yield path
    known = lake.table(RAW_FILES.name, ["kind", "name"]).to_pylist()
    raw = {lake.path / "raw" / row["kind"] / row["name"] for row in known}
    for path in sorted((lake.path / "raw").glob("*/*")):
        if path.is_file() and path not in raw and path.stat().st_mtime <= latest:
            yield path


def _used(lake: Lake) -> set[Path]:
    """Files of every table at present, and of replaced tables as every run left them."""
    used: set[Path] = set()
    versions = [json.loads(row) for row in lake.runs()["versions"].to_pylist()]
    for table in lake_tables():
        folder = lake.path / "tables" / table.name
        used.update(folder / Path(path).name for path in lake.files(table.name))
        if table.growth == "replace":
            for version in {each[table.name] for each in versions if table.name in each}:
                files = delta_table(folder, version).file_uris()
                used.update(folder / Path(uri).name for uri in files)
    return used


def _summary(
    lake: Lake, groups: dict[str, list[list[Path]]], gone: list[Path], options: MaintainOptions
) -> dict[str, Any]:
    packed = {name: f"{sum(map(len, mine))} files into {len(mine)}" for name, mine in groups.items() if mine}
    return {
        "dry_run": options.dry_run,
        "through_run": lake.run_no,
        "packed": packed,
        "deleted_files": len(gone),
        "deleted_bytes": sum(path.stat().st_size for path in gone),
    }
