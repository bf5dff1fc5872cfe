"""A run of the lake: its parts become visible all at once, or not at all.

The other tables are committed first, ``runs`` last: the last row of ``runs`` names the version of every
table that readers see. A run that was killed leaves tables ahead of that row; the next run sets them back.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.schema import Schema
from deltalake.transaction import AddAction, RemoveAction

from pipelines.store.files import delta_options, delta_table, is_delta_table
from pipelines.store.lease import Lease
from pipelines.store.lock import LakeLock, held
from pipelines.store.parts import PartFile, fsync_folder, write_part
from schemas.errors import MeterbeamError
from schemas.lake import RUNS, LakeTable, lake_table

if TYPE_CHECKING:
    from pipelines.store.lake import Lake

__all__ = ["Removal", "Run", "begun", "reached"]

APPLICATION = "meterbeam"
"""Delta application id of every commit; its version is the run number."""
SETTINGS = {"delta.enableExpiredLogCleanup": "false", "delta.logRetentionDuration": "interval 36500 days"}
"""Snapshots of replaced tables stay readable until maintenance removes them."""
_BY_COMMIT = ("run_no", "run_id", "started", "finished", "versions")


@dataclass(frozen=True)
class Removal:
    """Files that a run takes out of a table; they stay on disk until the lake is maintained.

    Attributes:
        paths: Below the table's folder.
        same_rows: Whether the run's parts hold all of their rows, so that nothing changes for a reader.
    """

    paths: tuple[str, ...]
    same_rows: bool


def reached(step: str) -> None:
    """A named moment of a run. Tests stop the process at each one."""


@contextmanager
def begun(lake: Lake) -> Iterator[Run]:
    """Hold the lake for one run; what a killed run left half published is set back first.

    Raises:
        MeterbeamError: Another run holds the lake; says which process, since when.
    """
    with held(lake.path) as lock:
        lake.refresh()
        last = lake.run_no
        if lock.last_attempt > last:
            _sweep(lake.path, last)
        _set_back(lake)
        run_no = max(last, lock.last_attempt) + 1
        lock.note(run_no)
        reached("begun")
        yield Run(lake, run_no, lock)


class Run:
    """One run of the pipeline over a lake it holds.

    Attributes:
        lake: The lake, as the last run left it until this one commits.
        run_no: Greater than that of every run before, killed ones included.
        run_id: Unique; names the run in ``runs``.
        started: When it began, UTC.
    """

    def __init__(self, lake: Lake, run_no: int, lock: LakeLock | Lease) -> None:
        self.lake = lake
        self._lock = lock
        self.run_no = run_no
        self.run_id = str(uuid.uuid4())
        self.started = datetime.now(UTC)
        self._runs = _delta(lake, RUNS)
        self._done = False

    def write(self, table: LakeTable, name: str, rows: pa.Table) -> PartFile:
        """Write a part of this run (see ``write_part``)."""
        return write_part(self.lake.path, table, self.run_no, name, rows)

    def commit(
        self,
        parts: Sequence[PartFile],
        replaced: Mapping[str, pa.Table],
        facts: Mapping[str, Any],
        removed: Mapping[str, Removal] | None = None,
    ) -> None:
        """Publish everything at once: the other tables first, their versions in ``runs`` last.

        Args:
            parts: Parts written by the workers.
            replaced: New content of tables that are replaced whole.
            facts: Columns of the ``runs`` row beside times, ids and versions.
            removed: Files to take out of each table, in the same step as its parts are added.

        Raises:
            MeterbeamError: A part is missing or not as it was written, or another process committed a
                run meanwhile; nothing is visible then.
            ValueError: Facts that ``runs`` has no column for, or a second commit.
        """
        unknown = set(facts) - set(RUNS.schema.names) | set(facts) & set(_BY_COMMIT)
        if unknown or self._done:
            raise ValueError(f"facts {sorted(unknown)} are not of runs" if unknown else "committed already")
        _check_parts(self.lake.path, parts)
        _note_end_of_use(self.lake.path, removed or {})
        versions = {name: v for name, v in self.lake.versions.items() if name != RUNS.name}
        for name, rows in sorted(replaced.items()):
            table = lake_table(name)
            if name not in versions or not self.lake.table(name).equals(rows.cast(table.schema)):
                part = self.write(table, "all", rows)
                versions[name] = self._publish(_delta(self.lake, table), table, [part], "overwrite")
        by_table: dict[str, list[PartFile]] = {name: [] for name in removed or {}}
        for part in parts:
            by_table.setdefault(part.table, []).append(part)
        for name, mine in sorted(by_table.items()):
            table = lake_table(name)
            gone = (removed or {}).get(name)
            delta = self._runs if name == RUNS.name else _delta(self.lake, table)
            versions[name] = self._publish(delta, table, mine, "append", gone)
        self._publish_root(versions, facts)
        self._done = True
        self.lake.refresh()
        reached("published")
        _write_views(self.lake)
        reached("done")

    def _publish_root(self, versions: dict[str, int], facts: Mapping[str, Any]) -> None:
        row = {
            **facts,
            "run_id": self.run_id,
            "started": self.started,
            "finished": max(datetime.now(UTC), self.lake.finished + timedelta(microseconds=1)),
            "versions": json.dumps(versions, sort_keys=True),
            "run_no": self.run_no,
        }
        part = self.write(RUNS, "root", pa.Table.from_pylist([row], schema=RUNS.schema))
        try:
            self._publish(self._runs, RUNS, [part], "append")
        except CommitFailedError as error:
            raise _overtaken(self.lake.path) from error

    def _publish(
        self,
        delta: DeltaTable,
        table: LakeTable,
        parts: Sequence[PartFile],
        mode: str,
        removed: Removal | None = None,
    ) -> int:
        reached(f"{table.name} written")
        self._lock.confirm()
        now = int(time.time() * 1000)
        changed = removed is None or not removed.same_rows
        actions: list[AddAction | RemoveAction] = [
            AddAction(p.path, p.size, {}, now, changed, p.stats) for p in parts if p.rows
        ]
        actions += [RemoveAction(path, changed, now) for path in (removed.paths if removed else ())]
        marker = CommitProperties(app_transactions=[Transaction(APPLICATION, self.run_no)])
        # "append" or "overwrite"; the table's own stub has them as literals.
        how: Any = mode
        delta.create_write_transaction(actions, how, table.schema, commit_properties=marker)
        delta.update_incremental()
        fsync_folder(self.lake.path / "tables" / table.name / "_delta_log")
        fsync_folder(self.lake.path / "tables" / table.name)
        reached(f"{table.name} committed")
        return delta.version()


def _check_parts(lake: Path, parts: Sequence[PartFile]) -> None:
    for part in parts:
        path = lake / "tables" / part.table / part.path
        if not path.exists() or path.stat().st_size != part.size:
            found = f"{path.stat().st_size} bytes" if path.exists() else "no such file"
            raise MeterbeamError(str(path), found, f"the {part.size} bytes that were written")


def _note_end_of_use(lake: Path, removed: Mapping[str, Removal]) -> None:
    """A file's time says since when it is out of use: readers at work keep it for some days."""
    for name, removal in removed.items():
        for path in removal.paths:
            (lake / "tables" / name / path).touch()


def _delta(lake: Lake, table: LakeTable) -> DeltaTable:
    """A table to write to: made where it is new, widened where the schema has more columns now.

    Raises:
        MeterbeamError: It is ahead of the run that this one follows: another process is at work.
    """
    folder = lake.path / "tables" / table.name
    delta = DeltaTable.create(
        str(folder),
        table.schema,
        mode="ignore",
        configuration=SETTINGS,
        storage_options=delta_options(folder),
    )
    if delta.version() > lake.versions.get(table.name, 0):
        raise _overtaken(lake.path)
    known = {field.name for field in delta.schema().fields}
    wanted: list[Field] = list(Schema.from_arrow(table.schema).fields)
    missing = [field for field in wanted if field.name not in known]
    if missing:
        delta.alter.add_columns(missing)
        delta.update_incremental()
    return delta


def _overtaken(lake: Path) -> MeterbeamError:
    return MeterbeamError(str(lake), "a run committed by another process", "one run at a time")


def _write_views(lake: Lake) -> None:
    from pipelines.store.views import write_views

    write_views(lake)


def _set_back(lake: Lake) -> None:
    """Undo what a killed run committed to tables before it came to ``runs``."""
    tables = lake.path / "tables"
    for folder in sorted(tables.iterdir()) if tables.is_dir() else ():
        name = folder.name
        if name == RUNS.name or not is_delta_table(folder):
            continue
        delta = delta_table(folder)
        known = lake.versions.get(name, 0)  # version 0 is the empty table it was made as
        if delta.version() > known:
            if sorted(delta.file_uris()) != sorted(delta_table(folder, known).file_uris()):
                delta.restore(known)
            lake.versions[name] = delta_table(folder).version()


def _sweep(lake: Path, last: int) -> None:
    """Remove parts and raw drafts of runs that never committed; no reader can know them."""
    for path in (lake / "raw").glob("*/*.tmp"):
        path.unlink(missing_ok=True)
    for path in (lake / "tables").glob("*/*part-*"):
        number = path.name.lstrip(".").split("-")[1]
        if number.isdecimal() and int(number) > last:
            path.unlink(missing_ok=True)
