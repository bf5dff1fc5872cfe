"""Backfill: Avro files in, a complete run of the lake out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from models.bill_run import PARTS
from models.calendar import day_date, epoch_day, local_days
from models.master import MICROS
from models.place import Account
from pipelines.account_bills import account_parts, revised_bills, touched_accounts
from pipelines.console import progress
from pipelines.detect import FeaturePieces, detect_parts
from pipelines.lake import Lake, Run
from pipelines.parts import PartFile
from pipelines.shard_job import (
    ProcessJob,
    ShardRange,
    ShardReceipt,
    masters,
    prices,
    process_shards,
    shard_ranges,
)
from pipelines.tariff_store import keep_tariffs, kept_tariffs
from pipelines.workers import Workers, workers
from schemas.errors import MeterbeamError
from schemas.lake import BILLS, DEAD_LETTERS, DIRTY_DAYS, RAW_FILES, SERIES
from schemas.mapping import FieldMapping
from schemas.records import Kind
from schemas.rulepack import RulePack, load_rule_pack
from transforms.ingest import IngestReceipt
from transforms.ingest_plan import FileSplit, plan_splits

SPLIT_BYTES = 24 << 20
CELLS = 1 << 21
FORESIGHT_S = 366 * 86_400
"""A reading that carries no received_at closes no days if it starts this much later than the run."""


@dataclass(frozen=True)
class BackfillOptions:
    """What a backfill is asked to do; see ``meterbeam backfill --help``."""

    inputs: tuple[Path, ...]
    lake: Path
    timezone: str | None = None
    shards: int = 64
    history_from: date | None = None
    rules: str = "default"
    tariffs: Path | None = None
    from_day: date | None = None
    to_day: date | None = None
    through: date | None = None
    on_error: Literal["stop", "dead-letter"] = "stop"
    workers: int = 2
    mapping: Path | None = None
    cells: int = CELLS
    detect: bool = True
    plugins: tuple[str, ...] = ()
    flink: str | None = None


@dataclass
class Tally:
    """The account of a run: decoded readings = new + repeats + dead, to the reading."""

    files: int = 0
    repeated_files: int = 0
    rows: int = 0
    readings: int = 0
    dead: int = 0
    undecodable_rows: int = 0
    dead_letters: int = 0
    processed: Account = field(default_factory=Account)
    repeated_readings: int = 0
    days: int = 0
    bills: int = 0
    findings: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Raise when a reading is unaccounted for: then nothing is published."""
        stored = self.readings - self.dead - self.repeated_readings
        if stored != self.processed.fresh:
            raise MeterbeamError(
                "account of the run",
                f"{self.processed.fresh} readings processed",
                f"{stored}, as many as were stored",
            )

    def summary(self) -> dict[str, Any]:
        """The account as it is printed and kept in ``runs``."""
        repeats = self.repeated_readings + self.processed.repeats
        return {
            "readings_in": self.readings,
            "new": self.processed.fresh - self.processed.repeats,
            "exact_repeats": repeats,
            "dead": self.dead,
            "superseded": self.processed.superseded,
            "undecodable_rows": self.undecodable_rows,
            "dead_letters": self.dead_letters,
            "files": self.files,
            "repeated_files": self.repeated_files,
            "days_written": self.days,
            "bills_written": self.bills,
            "findings": dict(sorted(self.findings.items())),
        }


def backfill(options: BackfillOptions) -> dict[str, Any]:
    """Run one backfill to its commit.

    Returns:
        The summary: run, range, account.

    Raises:
        MeterbeamError: An input, setting or file cannot be used; nothing is published then.
    """
    pack = load_rule_pack(options.rules)
    mapping = _mapping(options.mapping)
    paths = input_files(options.inputs)
    lake = Lake.open_or_create(
        options.lake,
        timezone=options.timezone,
        shards=options.shards,
        history_from=options.history_from,
    )
    with lake.begin() as run, _pool(options) as pool:
        tariffs = _tariffs(lake, options)
        known = _known_raw(lake)
        tally = Tally()
        splits, repeated = _plan(paths, known, tally, mapping)
        receipts = _ingest(pool, lake, splits, mapping, options, tally)
        _count_repeated_files(repeated, known, receipts, tally)
        raw = _all_raw(lake, receipts, run)
        last_closed = _last_closed(lake, raw, options)
        job = _job(lake, run, raw, last_closed, pack, tariffs, options)
        ranges = shard_ranges(lake.config.shards, _readings(raw), options.cells, options.workers)
        shards = _process(pool, ranges, job, tally)
        tally.check()
        parts = [part for receipt in shards for part in receipt.parts]
        parts += _bills(run, lake, job, shards, parts, tally)
        found: dict[str, Any] = {}
        if options.detect and last_closed is not None:
            queues, found = pool.call(_detect, job, parts)
            parts += queues
        parts += _ledger_parts(run, raw, receipts)
        replaced = {
            SERIES.name: pa.concat_tables([r.series for r in shards]).sort_by(
                [(name, "ascending") for name in ("meter_id", "channel", "interval_s")]
            ),
            DIRTY_DAYS.name: pa.concat_tables([r.dirty for r in shards]),
        }
        summary = {**tally.summary(), **found}
        run.commit(parts, replaced, _run_facts(pack, tariffs, last_closed, summary, paths))
    return {
        "run": run.run_no,
        "lake": str(options.lake),
        "last_closed_day": last_closed_text(last_closed),
        **summary,
    }


def _pool(options: BackfillOptions) -> AbstractContextManager[Workers]:
    """Processes of this machine, or workers on a Flink cluster."""
    if options.flink is None:
        return workers(options.workers, options.plugins)
    from pipelines.cluster.flink_workers import flink_workers

    return flink_workers(options.flink, options.workers, options.lake / "receipts")


def last_closed_text(day: int | None) -> str:
    """The last closed day as text."""
    return "none" if day is None else day_date(day).isoformat()


def input_files(inputs: Sequence[Path]) -> list[Path]:
    """Files to read: those named, and all Avro files below the folders named, sorted.

    Raises:
        MeterbeamError: A path does not exist, or a folder holds no Avro file.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*.avro") if p.is_file())
            if not found:
                raise MeterbeamError(str(path), "no .avro file", "a folder with Avro files")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise MeterbeamError(str(path), "no such file or folder", "Avro files or folders of them")
    return list(dict.fromkeys(files))


def _mapping(path: Path | None) -> FieldMapping | None:
    if path is None:
        return None
    from schemas.mapping import load_mapping

    return load_mapping(path)


@dataclass(frozen=True)
class _KnownRaw:
    rows: pa.Table
    readings_of_source: dict[str, int]


def _known_raw(lake: Lake) -> _KnownRaw:
    rows = lake.table(RAW_FILES.name)
    readings: dict[str, int] = {}
    for row in rows.select(["source_hash", "readings", "kind"]).to_pylist():
        count = row["readings"] if row["kind"] == Kind.INTERVALS else 0
        readings[row["source_hash"]] = readings.get(row["source_hash"], 0) + count
    return _KnownRaw(rows, readings)


def _plan(
    paths: list[Path], known: _KnownRaw, tally: Tally, mapping: FieldMapping | None
) -> tuple[list[FileSplit], list[FileSplit]]:
    """Splits of files not seen before; a file's content is ingested once, whatever its name."""
    splits = plan_splits(paths, SPLIT_BYTES, mapping=mapping)
    seen: set[str] = set()
    new, repeated = [], []
    for path in dict.fromkeys(split.path for split in splits):
        mine = [split for split in splits if split.path == path]
        digest = mine[0].source_hash
        tally.files += 1
        if digest in known.readings_of_source or digest in seen:
            repeated += mine
        else:
            new += mine
            seen.add(digest)
    return new, repeated


def _ingest(
    pool: Workers,
    lake: Lake,
    splits: list[FileSplit],
    mapping: FieldMapping | None,
    options: BackfillOptions,
    tally: Tally,
) -> list[IngestReceipt]:
    now = int(datetime.now(UTC).timestamp())
    make = partial(
        _ingest_transform,
        shards=lake.config.shards,
        raw_dir=str(lake.path / "raw"),
        timezone=lake.config.timezone,
        mapping=mapping,
        on_error=options.on_error,
        arrived_by=(now + FORESIGHT_S) * MICROS,
    )
    receipts: list[IngestReceipt] = []
    with progress("Ingest", total=sum(s.rows for s in splits), unit="rows") as advance:
        for receipt in pool.run("IngestSplits", make, splits, lambda s: s.end - s.start):
            receipts.append(receipt)
            tally.rows += receipt.rows
            tally.undecodable_rows += receipt.undecodable_rows
            tally.dead_letters += receipt.dead_letters.num_rows
            if _is_intervals(receipt):
                tally.readings += receipt.readings
                tally.dead += receipt.dead_readings
            advance(receipt.rows)
    return receipts


def _count_repeated_files(
    repeated: list[FileSplit], known: _KnownRaw, receipts: list[IngestReceipt], tally: Tally
) -> None:
    """Every reading of a file whose content is already in the lake is an exact repeat."""
    stored = dict(known.readings_of_source)
    for receipt in receipts:
        if _is_intervals(receipt):
            digest = receipt.split.source_hash
            stored[digest] = stored.get(digest, 0) + receipt.readings - receipt.dead_readings
    for _, digest in sorted({(split.path, split.source_hash) for split in repeated}):
        tally.repeated_files += 1
        tally.readings += stored.get(digest, 0)
        tally.repeated_readings += stored.get(digest, 0)


def _is_intervals(receipt: IngestReceipt) -> bool:
    return receipt.record in ("IntervalBlock", "MeterReading")


def _ingest_transform(**settings: Any) -> Any:
    from transforms.ingest_transform import IngestSplits

    return IngestSplits(**settings)


def _process_transform(job: ProcessJob) -> Any:
    from transforms.process_transform import ProcessShards

    return ProcessShards(process_shards, job)


def _all_raw(lake: Lake, receipts: list[IngestReceipt], run: Run) -> pa.Table:
    """Raw files of the lake and of this run; ``run_no`` tells them apart."""
    rows = [
        {
            "kind": file.kind.value,
            "name": file.name,
            "source": receipt.split.path,
            "source_hash": receipt.split.source_hash,
            "rows": file.stats.rows,
            "readings": file.stats.readings,
            "min_start": file.stats.min_start,
            "max_end": file.stats.max_end,
            "latest_end": file.stats.latest_end,
            "run_no": run.run_no,
        }
        for receipt in receipts
        for file in receipt.files
    ]
    rows.sort(key=lambda row: (row["kind"], row["name"]))
    return pa.concat_tables([_known_raw(lake).rows, pa.Table.from_pylist(rows, schema=RAW_FILES.schema)])


def _readings(raw: pa.Table) -> int:
    return sum(raw.filter(pa.compute.equal(raw["kind"], Kind.INTERVALS.value))["readings"].to_pylist())


def _last_closed(lake: Lake, raw: pa.Table, options: BackfillOptions) -> int | None:
    """Last local day that has wholly ended by the end of the latest plausible reading, or ``--through``."""
    if options.through is not None:
        return epoch_day(options.through)
    latest = pa.compute.max(raw["latest_end"]).as_py()
    if latest is None:
        return None
    return int(local_days(lake.config.timezone, np.array([latest], np.int64))[0]) - 1


def _job(
    lake: Lake,
    run: Run,
    raw: pa.Table,
    last_closed: int | None,
    pack: RulePack,
    tariffs: str | None,
    options: BackfillOptions,
) -> ProcessJob:
    names: dict[Kind, list[tuple[str, bool]]] = {}
    for row in raw.select(["kind", "name", "run_no"]).to_pylist():
        names.setdefault(Kind(row["kind"]), []).append((row["name"], row["run_no"] == run.run_no))
    runs = lake.runs()
    former = runs["rules"][-1].as_py() if runs.num_rows else None
    limits = None
    if options.from_day is not None or options.to_day is not None:
        low = epoch_day(options.from_day) if options.from_day else -(1 << 20)
        limits = low, epoch_day(options.to_day) if options.to_day else 1 << 24
    return ProcessJob(
        lake=str(lake.path),
        run_no=run.run_no,
        raw={kind: tuple(found) for kind, found in names.items()},
        last_closed=-1 if last_closed is None else last_closed,
        former_closed=_former_closed(runs),
        pack=pack,
        everything=former != _rules_text(pack) or _tariffs_changed(runs, tariffs) or _tariffs_came(names),
        tariffs=None if tariffs is None else str(kept_tariffs(lake.path, tariffs).resolve()),
        limits=limits,
        cells=options.cells,
    )


def _former_closed(runs: pa.Table) -> int:
    day = runs["last_closed"][-1].as_py() if runs.num_rows else None
    return -1 if day is None else epoch_day(day)


def _tariffs_came(names: dict[Kind, list[tuple[str, bool]]]) -> bool:
    """Whether tariff versions or events came with this run: then every day is priced again."""
    kinds = (Kind.TARIFFS, Kind.TARIFF_EVENTS)
    return any(fresh for kind in kinds for _, fresh in names.get(kind, ()))


def _tariffs(lake: Lake, options: BackfillOptions) -> str | None:
    """The tariff files of this run: those it was given, or those of the last one."""
    if options.tariffs is not None:
        return keep_tariffs(lake.path, options.tariffs)
    runs = lake.runs()
    return runs["tariffs"][-1].as_py() if runs.num_rows else None


def _tariffs_changed(runs: pa.Table, tariffs: str | None) -> bool:
    """Whether the tariff files differ from those of the last run."""
    return bool(runs.num_rows) and runs["tariffs"][-1].as_py() != tariffs


def _rules_text(pack: RulePack) -> str:
    return pack.model_dump_json(by_alias=True)


def _process(pool: Workers, ranges: list[ShardRange], job: ProcessJob, tally: Tally) -> list[ShardReceipt]:
    receipts: list[ShardReceipt] = []
    transform = partial(_process_transform, job)
    with progress("Process", total=sum(len(r.numbers) for r in ranges), unit="shards") as advance:
        for receipt in pool.run("ProcessShards", transform, ranges, lambda r: float(len(r.numbers))):
            receipts.append(receipt)
            tally.processed += receipt.account
            tally.days += receipt.days
            for rule, count in receipt.findings.items():
                tally.findings[rule] = tally.findings.get(rule, 0) + count
            advance(len(receipt.shards.numbers))
    return sorted(receipts, key=lambda receipt: receipt.shards.first)


def _bills(
    run: Run, lake: Lake, job: ProcessJob, shards: list[ShardReceipt], days: list[PartFile], tally: Tally
) -> list[PartFile]:
    """Account bills that are new or changed, as parts."""
    priced = prices(job)
    book, events = priced.book, priced.events
    points = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()))
    master = points.data
    if not book or master.empty:
        return []
    accounts = None
    if job.whole:
        shares = [receipt.bills for receipt in shards if receipt.bills is not None]
        parts = pa.concat_tables([PARTS.empty_table(), *shares])
    else:
        meters = {meter for receipt in shards for meter in receipt.meters}
        zone = lake.config.timezone
        accounts = touched_accounts(master, zone, meters, job.former_closed, job.last_closed)
        accounts |= points.accounts
        parts = account_parts(lake, days, master, book, events, accounts, job.last_closed)
    bills = revised_bills(parts, lake, accounts)
    tally.bills = bills.num_rows
    return [run.write(BILLS, "accounts", bills)] if bills.num_rows else []


def _detect(job: ProcessJob, written: list[PartFile]) -> tuple[list[PartFile], dict[str, Any]]:
    """Queues and faults over the lake's features and those just written."""
    folder = Path(job.lake)
    master = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ())).data
    features = FeaturePieces(Lake.open(folder), written)
    events = [name for name, _ in job.raw.get(Kind.EVENTS, ())]
    return detect_parts(job.run_no, features, master, job.last_closed, events)


def _ledger_parts(run: Run, raw: pa.Table, receipts: list[IngestReceipt]) -> list[PartFile]:
    """Raw files and dead letters of this run as parts."""
    parts = []
    new = raw.filter(pa.compute.equal(raw["run_no"], run.run_no))
    if new.num_rows:
        parts.append(run.write(RAW_FILES, "ingest", new))
    letters = [receipt.dead_letters for receipt in receipts if receipt.dead_letters.num_rows]
    if letters:
        rows = pa.concat_tables(letters).sort_by([("source", "ascending"), ("offset", "ascending")])
        rows = rows.append_column("run_id", pa.repeat(pa.scalar(run.run_id), rows.num_rows))
        parts.append(run.write(DEAD_LETTERS, "ingest", rows))
    return parts


def _run_facts(
    pack: RulePack,
    tariffs: str | None,
    last_closed: int | None,
    summary: dict[str, Any],
    paths: list[Path],
) -> dict[str, Any]:
    return {
        "inputs": json.dumps([str(path) for path in paths]),
        "counts": json.dumps(summary),
        "code_version": code_version(),
        "rules": _rules_text(pack),
        "tariffs": tariffs,
        "last_closed": None if last_closed is None else day_date(last_closed),
    }


def code_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("meterbeam")
    except PackageNotFoundError:
        return "source checkout"
