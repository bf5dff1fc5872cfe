"""The lake: Delta tables that become visible together, run by run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction, RemoveAction

from pipelines.parts import PartFile, write_part
from schemas.errors import MeterbeamError
from schemas.lake import RUNS, TABLES, LakeTable

FORMAT = 1
CONFIG = "lake.json"
LOCK = "lock"


@dataclass(frozen=True)
class LakeConfig:
    """What a lake is made with and keeps.

    Attributes:
        timezone: IANA name; local days are its days.
        shards: Shard count of the raw zone.
        history_from: First local day expected of every service point; None: each from its first reading.
    """

    timezone: str
    shards: int
    history_from: date | None


class Lake:
    """A lake on disk, read at the version its last complete run left."""

    def __init__(self, path: Path, config: LakeConfig) -> None:
        self.path = path
        self.config = config
        self.versions = self._root_versions()

    @classmethod
    def create(cls, path: Path, *, timezone: str, shards: int = 64, history_from: date | None = None) -> Lake:
        """Make a new, empty lake.

        Raises:
            MeterbeamError: There is one already, or the time zone or shard count is no such thing.
        """
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise MeterbeamError(
                "--timezone", repr(timezone), "an IANA name such as Europe/Zurich"
            ) from error
        if not 1 <= shards <= 1024:
            raise MeterbeamError("--shards", str(shards), "a count from 1 to 1024")
        if (path / CONFIG).exists():
            raise MeterbeamError(str(path), "a lake", "a folder without one")
        path.mkdir(parents=True, exist_ok=True)
        content = {
            "format": FORMAT,
            "timezone": timezone,
            "shards": shards,
            "history_from": None if history_from is None else history_from.isoformat(),
        }
        draft = path / f".{CONFIG}.{os.getpid()}.tmp"
        draft.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        draft.replace(path / CONFIG)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Lake:
        """Open a lake.

        Raises:
            MeterbeamError: There is none, or it is of a format this version does not know.
        """
        try:
            content = json.loads((path / CONFIG).read_text("utf-8"))
        except FileNotFoundError as error:
            raise MeterbeamError(
                str(path), "no lake.json", "a lake (made by `meterbeam backfill --lake DIR --timezone TZ`)"
            ) from error
        except ValueError as error:
            raise MeterbeamError(
                str(path / CONFIG), f"no JSON: {error}", "the file a lake was made with"
            ) from error
        if content.get("format") != FORMAT:
            raise MeterbeamError(str(path / CONFIG), f"format {content.get('format')}", f"format {FORMAT}")
        history = content["history_from"]
        return cls(
            path,
            LakeConfig(
                content["timezone"],
                content["shards"],
                None if history is None else date.fromisoformat(history),
            ),
        )

    def _delta(self, table: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(str(self.path / "tables" / table), version=version)

    def _root_versions(self) -> dict[str, int]:
        if not (self.path / "tables" / RUNS.name / "_delta_log").exists():
            return {}
        runs = self._delta(RUNS.name)
        rows = runs.to_pyarrow_table(columns=["run_no", "versions"]).sort_by("run_no")
        versions: dict[str, int] = json.loads(rows["versions"][-1].as_py()) if rows.num_rows else {}
        return {**versions, RUNS.name: runs.version()}

    def versions_at(self, run_no: int) -> dict[str, int]:
        """Versions of the tables as a past run left them."""
        rows = self.table(RUNS.name, ["run_no", "versions"])
        texts = rows.filter(pc.equal(rows["run_no"], run_no))["versions"].to_pylist()
        versions: dict[str, int] = json.loads(texts[0]) if texts else {}
        return versions

    def files(self, table: str, version: int | None = None) -> list[str]:
        """Parquet files of a table as the last complete run left it (or at a stated version)."""
        wanted = self.versions.get(table) if version is None else version
        if wanted is None:
            return []
        uris = self._delta(table, wanted).file_uris()
        return sorted(str(Path(uri.removeprefix("file://")).resolve()) for uri in uris)

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of a table, superseded ones included."""
        schema = TABLES[name].schema
        if columns is not None:
            schema = pa.schema([schema.field(column) for column in columns])
        files = self.files(name)
        if not files:
            return schema.empty_table()
        return ds.dataset(files, schema=TABLES[name].schema).to_table(columns=schema.names)

    def current(
        self,
        name: str,
        *,
        meters: Sequence[str] | None = None,
        days: tuple[date, date] | None = None,
        channel: str | None = None,
    ) -> pa.Table:
        """The greatest revision of each key of a versioned table, withdrawn ones included.

        Args:
            name: A versioned table.
            meters: Only these meters.
            days: Only local days first … last.
            channel: Only this channel.
        """
        table = TABLES[name]
        files = self.files(name)
        if not files:
            return table.schema.empty_table()
        wanted = pc.scalar(True)
        if meters is not None:
            wanted = ds.field("meter_id").isin(pa.array(meters, pa.string()))
        if days is not None:
            wanted = wanted & (ds.field("local_day") >= days[0]) & (ds.field("local_day") <= days[1])
        if channel is not None:
            wanted = wanted & (ds.field("channel") == channel)
        rows = ds.dataset(files, schema=table.schema).to_table(filter=wanted, use_threads=False)
        return latest(rows, table)

    def runs(self) -> pa.Table:
        """All runs, oldest first."""
        return self.table(RUNS.name).sort_by("run_no")

    @contextlib.contextmanager
    def begin(self) -> Iterator[Run]:
        """Hold the lake for one run; what a killed run left half published is rolled back first.

        Raises:
            MeterbeamError: Another run holds the lake; says which process, since when.
        """
        with open(self.path / LOCK, "a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise MeterbeamError(str(self.path), f"a run by {holder}", "no other run at work") from error
            lock.truncate(0)
            lock.write(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
            lock.flush()
            self.versions = self._root_versions()
            self._roll_back()
            done = self.table(RUNS.name, ["run_no"])["run_no"]
            yield Run(self, 1 + (pc.max(done).as_py() or 0) if len(done) else 1)
            lock.truncate(0)

    def _roll_back(self) -> None:
        for name in TABLES:
            if name == RUNS.name or not (self.path / "tables" / name / "_delta_log").exists():
                continue
            table = self._delta(name)
            known = self.versions.get(name, 0)  # version 0 is the empty table it was made as
            if table.version() > known:
                table.restore(known)
                self.versions[name] = self._delta(name).version()


class Run:
    """One run of the pipeline over a lake it holds."""

    def __init__(self, lake: Lake, run_no: int) -> None:
        self.lake = lake
        self.run_no = run_no
        self.run_id = str(uuid.uuid4())
        self.started = datetime.now(UTC)

    def write(self, table: LakeTable, name: str, rows: pa.Table) -> PartFile:
        """Write a part of this run (see ``write_part``)."""
        return write_part(self.lake.path, table, self.run_no, name, rows)

    def commit(
        self, parts: Sequence[PartFile], replaced: Mapping[str, pa.Table], facts: Mapping[str, Any]
    ) -> None:
        """Publish everything at once: the other tables first, their versions in ``runs`` last.

        Args:
            parts: Parts written by the workers.
            replaced: New content of tables that are replaced whole.
            facts: Columns of the ``runs`` row beside times, ids and versions.
        """
        by_table: dict[str, list[PartFile]] = {}
        for part in parts:
            by_table.setdefault(part.table, []).append(part)
        versions = {name: v for name, v in self.lake.versions.items() if name != RUNS.name}
        for name, rows in replaced.items():
            part = self.write(TABLES[name], "all", rows)
            versions[name] = self._publish(TABLES[name], [part], "overwrite")
        for name, mine in sorted(by_table.items()):
            versions[name] = self._publish(TABLES[name], mine, "append")
        row = {
            "run_id": self.run_id,
            "started": self.started,
            "finished": datetime.now(UTC),
            "versions": json.dumps(versions, sort_keys=True),
            "run_no": self.run_no,
            **facts,
        }
        root = pa.Table.from_pylist([row], schema=RUNS.schema)
        self._publish(RUNS, [self.write(RUNS, "root", root)], "append")
        self.lake.versions = self.lake._root_versions()

    def _publish(self, table: LakeTable, parts: Sequence[PartFile], mode: str) -> int:
        folder = self.lake.path / "tables" / table.name
        for part in parts:
            if not (folder / part.path).exists():
                raise MeterbeamError(str(folder / part.path), "no such file", "a part this run has written")
        delta = DeltaTable.create(str(folder), table.schema, mode="ignore")
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(p.path, p.size, {}, now, True, p.stats) for p in parts if p.rows
        ]
        marker = Transaction(f"meterbeam/{self.run_id}", self.run_no)
        delta.create_write_transaction(
            actions, mode, table.schema, commit_properties=CommitProperties(app_transactions=[marker])
        )
        return DeltaTable(str(folder)).version()


def latest(rows: pa.Table, table: LakeTable) -> pa.Table:
    """Of each key the row of the greatest revision, sorted by key."""
    if not rows.num_rows:
        return rows
    order = [(name, "ascending") for name in (*table.key, "revision")]
    rows = rows.take(pc.sort_indices(rows.select([name for name, _ in order]), sort_keys=order))
    last = pa.array([False] * 0, pa.bool_())
    same = None
    for name in table.key:
        column = rows[name].combine_chunks() if rows[name].num_chunks != 1 else rows[name].chunk(0)
        equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
        same = equal if same is None else pc.and_(same, equal)
    last = pa.concat_arrays([pc.invert(same), pa.array([True])])
    return rows.filter(last)
