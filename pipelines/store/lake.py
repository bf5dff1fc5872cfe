"""The lake: Delta tables that become visible together, run by run, and can be read as of each run."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from models.calendar import day_date
from models.sharding import shard_of_id
from pipelines.store.commit import Run, begun
from pipelines.store.files import dataset, delta_table, is_delta_table
from pipelines.store.parts import shards_of_part, whole_file
from schemas.errors import MeterbeamError
from schemas.lake import RUNS, LakeTable, lake_table
from transforms.storage import place

__all__ = ["AsOf", "DataFile", "Lake", "LakeConfig", "Run", "latest"]

FORMAT = 1
CONFIG = "lake.json"
AsOf = datetime | int | str
"""A moment, a run number or a run id."""


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


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table: absolute path, its runs and its greatest revision (0 where it has none)."""

    path: str
    rows: int
    first_run: int
    last_run: int
    last_revision: int


class Lake:
    """A lake on disk, read as its last complete run left it, or as of a past one.

    What a reader sees is fixed when it opens the lake (or calls ``refresh``): a run that commits
    meanwhile changes nothing for it.

    Attributes:
        path: Its folder.
        config: What it was made with.
        run_no: The run it is read as of; 0 before the first one.
        finished: When that run was complete, UTC.
        versions: Delta version of every table at that run.
    """

    def __init__(self, path: Path, config: LakeConfig) -> None:
        self.path = path
        self.config = config
        self._appended: dict[str, tuple[frozenset[str], pa.Table]] = {}
        self.refresh()

    @classmethod
    def create(cls, path: Path, *, timezone: str, shards: int = 64, history_from: date | None = None) -> Lake:
        """Make a new, empty lake.

        Raises:
            MeterbeamError: There is one already, or the time zone or shard count is no such thing.
        """
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            expected = "an IANA name such as Europe/Zurich"
            raise MeterbeamError("--timezone", repr(timezone), expected) from error
        if not 1 <= shards <= 1024:
            raise MeterbeamError("--shards", str(shards), "a count from 1 to 1024")
        path = place(path)
        if (path / CONFIG).exists():
            raise MeterbeamError(str(path), "a lake", "a folder without one")
        path.mkdir(parents=True, exist_ok=True)
        content = {
            "format": FORMAT,
            "timezone": timezone,
            "shards": shards,
            "history_from": None if history_from is None else history_from.isoformat(),
        }
        try:
            with whole_file(path / CONFIG, new=True) as out:
                out.write((json.dumps(content, indent=1) + "\n").encode())
        except FileExistsError as error:
            raise MeterbeamError(str(path), "a lake made just now", "a folder without one") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, as_of: AsOf | None = None) -> Lake:
        """Open a lake.

        Args:
            path: Its folder.
            as_of: See ``at``; None for the present.

        Raises:
            MeterbeamError: There is none, or it is of a format this version does not know.
        """
        path = place(path)
        try:
            content = json.loads((path / CONFIG).read_text("utf-8"))
            history = content["history_from"]
            config = LakeConfig(
                content["timezone"],
                content["shards"],
                None if history is None else date.fromisoformat(history),
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MeterbeamError(
                str(path), "no lake.json", "a lake (made by `meterbeam backfill --lake DIR --timezone TZ`)"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise MeterbeamError(
                str(path / CONFIG), f"unreadable content: {error}", "the file a lake was made with"
            ) from error
        if content.get("format") != FORMAT:
            raise MeterbeamError(str(path / CONFIG), f"format {content.get('format')}", f"format {FORMAT}")
        lake = cls(path, config)
        return lake if as_of is None else lake.at(as_of)

    @classmethod
    def open_or_create(
        cls, path: Path, *, timezone: str | None, shards: int = 64, history_from: date | None = None
    ) -> Lake:
        """Open the lake of a folder, or make it there; shards and history count for a new one only.

        Raises:
            MeterbeamError: A new lake needs a time zone; an old one has another.
        """
        path = place(path)
        if not (path / CONFIG).exists():
            if timezone is None:
                raise MeterbeamError(
                    "--timezone", "nothing", "the IANA time zone of the new lake's local days"
                )
            return cls.create(path, timezone=timezone, shards=shards, history_from=history_from)
        lake = cls.open(path)
        if timezone not in (None, lake.config.timezone):
            expected = f"{lake.config.timezone}, as the lake was made with"
            if not lake.run_no:
                expected += f"; no run is complete in it yet: remove {path} to begin anew"
            raise MeterbeamError("--timezone", str(timezone), expected)
        return lake

    def refresh(self) -> None:
        """Read as of the last complete run from now on."""
        self.run_no, self.finished, self.versions = 0, datetime(1970, 1, 1, tzinfo=UTC), {}
        self._snapshots: dict[tuple[str, int], list[DataFile]] = {}
        if not is_delta_table(self.path / "tables" / RUNS.name):
            return
        self.versions = {RUNS.name: self._delta(RUNS.name).version()}
        files = self._snapshot(RUNS.name, self.versions[RUNS.name])
        if not files:
            return
        newest = max(files, key=lambda file: file.last_run)
        rows = dataset([newest.path], RUNS.schema).to_table().sort_by("run_no").to_pylist()
        self._pin(rows[-1])

    def _pin(self, row: dict[str, Any]) -> None:
        self.run_no, self.finished = row["run_no"], row["finished"]
        self.versions = {**json.loads(row["versions"]), RUNS.name: self.versions[RUNS.name]}

    def at(self, as_of: AsOf) -> Lake:
        """This lake as it stood after a past run.

        Args:
            as_of: A moment (the last run that was complete by then), a run number or a run id.

        Raises:
            MeterbeamError: No run was complete by that moment, or there is no such run.
        """
        rows = self.runs().to_pylist()
        if isinstance(as_of, datetime):
            found = [row for row in rows if row["finished"] <= as_of]
            told = "a moment at which a run was complete"
        elif isinstance(as_of, int):
            found = [row for row in rows if row["run_no"] <= as_of <= rows[-1]["run_no"]]
            told = "the number of a run"
        else:
            found = [row for row in rows if row["run_id"] == as_of]
            told = "the id of a run"
        if not found:
            known = "there is no run yet"
            if rows:
                first, last = rows[0], rows[-1]
                known = f"the runs are {first['run_no']} ({first['finished']:%Y-%m-%dT%H:%M:%SZ})"
                known += f" to {last['run_no']} ({last['finished']:%Y-%m-%dT%H:%M:%SZ})"
            raise MeterbeamError("--as-of", str(as_of), f"{told}; {known}")
        past = copy.copy(self)
        past._pin(found[-1])
        # Rows carry their run, so the present files tell the past: files that were packed into others
        # may be gone. A table that is replaced whole is read at the version of that run.
        for name, version in self.versions.items():
            if lake_table(name).growth != "replace":
                past.versions[name] = version
        return past

    def _delta(self, table: str, version: int | None = None) -> DeltaTable:
        return delta_table(self.path / "tables" / table, version)

    def _snapshot(self, table: str, version: int) -> list[DataFile]:
        """Files of a table at a version, in the order in which runs wrote them: their names say so."""
        if (table, version) not in self._snapshots:
            actions = pa.table(self._delta(table, version).get_add_actions(flatten=True)).to_pylist()
            folder = (self.path / "tables" / table).resolve()
            self._snapshots[table, version] = sorted(
                (
                    DataFile(
                        str(folder / action["path"]),
                        action["num_records"],
                        action.get("min.run_no") or 0,
                        action.get("max.run_no") or 0,
                        action.get("max.revision") or 0,
                    )
                    for action in actions
                ),
                key=lambda file: file.path,
            )
        return self._snapshots[table, version]

    def data_files(self, table: str) -> list[DataFile]:
        """Parquet files that hold rows of a table as of this lake's run.

        A file may hold rows of later runs too (``last_run`` says so): those must be filtered out.
        """
        version = self.versions.get(table)
        if version is None:
            return []
        return [file for file in self._snapshot(table, version) if file.first_run <= self.run_no]

    def files(self, table: str) -> list[str]:
        """Paths of ``data_files``."""
        return [file.path for file in self.data_files(table)]

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of a table, superseded ones included."""
        return self._read(name, self.data_files(name), None, columns)

    def appended(self, name: str) -> pa.Table:
        """All rows of a table that only grows; a file that this lake has read once is not opened again.

        So a process that makes many runs reads what is new, however many runs there were.
        """
        files = self.data_files(name)
        if any(file.last_run > self.run_no for file in files):
            return self.table(name)
        paths = frozenset(file.path for file in files)
        known, rows = self._appended.get(name, (frozenset(), lake_table(name).schema.empty_table()))
        if not known <= paths:  # they were packed together meanwhile
            known, rows = frozenset(), rows.slice(0, 0)
        new = [file for file in files if file.path not in known]
        if new:
            rows = pa.concat_tables([rows, self._read(name, new, None, None)]).combine_chunks()
            self._appended[name] = paths, rows
        return rows

    def _read(self, name: str, files: list[DataFile], wanted: Any, columns: Sequence[str] | None) -> pa.Table:
        schema = lake_table(name).schema
        names = schema.names if columns is None else list(columns)
        if not files:
            return pa.schema([schema.field(column) for column in names]).empty_table()
        if max(file.last_run for file in files) > self.run_no:
            in_time = ds.field("run_no") <= self.run_no
            wanted = in_time if wanted is None else wanted & in_time
        rows = dataset([file.path for file in files], schema)
        return rows.to_table(columns=names, filter=wanted, use_threads=False)

    def current(
        self,
        name: str,
        *,
        meters: Sequence[str] | None = None,
        days: tuple[date | int, date | int] | None = None,
        channel: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The greatest revision of each key of a versioned table, withdrawn ones included; by key.

        Args:
            name: A versioned table.
            meters: Only these meters; files of other shards are not opened.
            days: Only local days (Mondays, in ``features``) first … last (dates or epoch days).
            channel: Only this channel.
            columns: Only these columns, in this order.
        """
        table = lake_table(name)
        files = self.data_files(name)
        wanted = None
        if meters is not None:
            shards = {shard_of_id(meter, self.config.shards) for meter in meters}
            files = [file for file in files if _may_hold(file, shards)]
            wanted = ds.field("meter_id").isin(pa.array(meters, pa.string()))
        if days is not None:
            first, last = (d if isinstance(d, date) else day_date(d) for d in days)
            day = "week" if "week" in table.key else "local_day"
            inside = (ds.field(day) >= first) & (ds.field(day) <= last)
            wanted = inside if wanted is None else wanted & inside
        if channel is not None:
            same = ds.field("channel") == channel
            wanted = same if wanted is None else wanted & same
        read = None if columns is None else list(dict.fromkeys([*columns, *table.key, "revision"]))
        rows = latest(self._read(name, files, wanted, read), table)
        return rows if columns is None else rows.select(list(columns))

    def runs(self) -> pa.Table:
        """All runs, oldest first."""
        return self.appended(RUNS.name).sort_by("run_no")

    def begin(self) -> AbstractContextManager[Run]:
        """Hold the lake for one run; what a killed run left half published is set back first.

        Raises:
            MeterbeamError: Another run holds the lake; says which process, since when.
        """
        return begun(self)


def _may_hold(file: DataFile, shards: set[int]) -> bool:
    span = shards_of_part(file.path)
    return span is None or any(shard in span for shard in shards)


def latest(rows: pa.Table, table: LakeTable, *, ordered: bool = True) -> pa.Table:
    """Of each key the row of the greatest revision.

    Args:
        rows: With the table's key and ``revision`` at least.
        table: Says what the key is.
        ordered: Sorted by key; otherwise they stay where they are, and nothing is copied where all hold.
    """
    if not rows.num_rows:
        return rows
    names = (*table.key, "revision")
    order = pc.sort_indices(rows.select(names), sort_keys=[(name, "ascending") for name in names])
    rises = pa.nulls(rows.num_rows - 1, pa.bool_()).fill_null(False)
    for name in table.key:
        column = pa.concat_arrays(rows[name].take(order).chunks)
        rises = pc.or_(rises, pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)))
    chosen = order.filter(pa.concat_arrays([rises, pa.array([True])]))
    every = len(chosen) == rows.num_rows
    if not ordered:
        kept = np.zeros(rows.num_rows, np.bool_)
        kept[chosen.to_numpy()] = True
        return rows if every else rows.filter(pa.array(kept))
    unmoved = every and bool((np.diff(chosen.to_numpy()) == 1).all())
    return rows if unmoved else rows.take(chosen)
