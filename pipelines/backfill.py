"""Backfill: Avro files in, a complete run of the lake out."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.bill_parts import PARTS
from models.calendar import day_date, epoch_day, local_days
from models.sharding import shard_of
from pipelines.batch.account_bills import (
    account_parts,
    repriced_accounts,
    revised_bills,
    touched_accounts,
)
from pipelines.batch.detect import FeaturePieces, detect_parts
from pipelines.batch.ingest_pass import Arrivals, IngestPass, input_files, planned
from pipelines.batch.shard_job import (
    ProcessJob,
    ShardReceipt,
    contracts,
    fresh_prices,
    masters,
    prices,
    process_shards,
)
from pipelines.batch.shard_ranges import ShardRange, busy_shards, linked_ranges, shard_ranges
from pipelines.batch.tally import Tally
from pipelines.batch.workers import Workers, workers
from pipelines.console import progress
from pipelines.store.files import dataset
from pipelines.store.lake import Lake, Run
from pipelines.store.parts import PartFile
from pipelines.store.rules_kept import former_rules, rules_changed, rules_in_force
from pipelines.tariffs.tariff_store import kept_tariffs, tariffs_in_force
from schemas.lake import BILLS, DAYS, DIRTY_DAYS, RAW_KEPT, SERIES
from schemas.mapping import FieldMapping
from schemas.records import Kind
from schemas.rulebook import RuleBook, load_rule_book
from transforms.ingest import OnError
from transforms.storage import place

CELLS = 1 << 21
ROW_CELLS = 3
"""A raw row weighs as much as so many readings: it carries times, order and names of its own."""


@dataclass(frozen=True)
class BackfillOptions:
    """What a backfill is asked to do; see ``meterbeam backfill --help``."""

    inputs: tuple[Path, ...]
    lake: Path
    timezone: str | None = None
    shards: int = 64
    history_from: date | None = None
    rules: str | None = None
    tariffs: Path | None = None
    from_day: date | None = None
    to_day: date | None = None
    through: date | None = None
    on_error: OnError = "stop"
    workers: int = 2
    mapping: Path | None = None
    cells: int = CELLS
    detect: bool = True
    plugins: tuple[str, ...] = ()
    flink: str | None = None


def backfill(options: BackfillOptions) -> dict[str, Any]:
    """Run one backfill to its commit.

    Returns:
        The summary: run, range, account.

    Raises:
        MeterbeamError: An input, setting or file cannot be used; nothing is published then.
    """
    mapping = field_mapping(options.mapping)
    if options.rules is not None:
        load_rule_book(options.rules)
    paths = input_files(options.inputs)
    lake = open_lake(options)
    with _pool(options) as pool:
        return run_once(lake, pool, options, planned(paths, mapping))


def dirty_backfill(options: BackfillOptions) -> dict[str, Any]:
    """Process the days that the lake holds as dirty, without new input (SEMANTICS, Dirty days and horizon).

    The last closed day stays that of the last run, unless ``through`` is given.

    Returns:
        The summary of the run; where no day is dirty and neither rules nor tariffs changed, there is no
        run and ``run`` is the last one.

    Raises:
        MeterbeamError: There is no lake, or a setting cannot be used.
    """
    lake = Lake.open(options.lake)
    same = not rules_changed(lake, rules_in_force(lake, options.rules))
    same = same and not _tariffs_changed(lake.runs(), tariffs_in_force(lake, options.tariffs))
    if same and not lake.table(DIRTY_DAYS.name).num_rows and options.through is None:
        closed = _former_closed(lake.runs())
        day = last_closed_text(None if closed < 0 else closed)
        return {"run": lake.run_no, "lake": str(options.lake), "last_closed_day": day, "days_written": 0}
    with _pool(options) as pool:
        return run_once(lake, pool, options, Arrivals(), sparing=True)


def open_lake(options: BackfillOptions) -> Lake:
    """The lake of a backfill, made where it is new.

    Raises:
        MeterbeamError: It is new and has no time zone, or it is old and has another.
    """
    return Lake.open_or_create(
        options.lake,
        timezone=options.timezone,
        shards=options.shards,
        history_from=options.history_from,
    )


def run_once(
    lake: Lake,
    pool: Workers,
    options: BackfillOptions,
    arrivals: Arrivals,
    *,
    sparing: bool = False,
) -> dict[str, Any]:
    """Take arrivals in, compute what they change and publish it as one run.

    Args:
        lake: Held for the run.
        pool: Worker processes.
        options: What was asked for; its ``inputs`` are not looked at.
        arrivals: What to take in.
        sparing: Leave shards alone that nothing new can have changed, and do not count all that is stored.

    Returns:
        The summary: run, range, account.

    Raises:
        MeterbeamError: Something cannot be used; nothing is published then.
    """
    book, mapping = rules_in_force(lake, options.rules), field_mapping(options.mapping)
    with lake.begin() as run:
        tally, tariffs = Tally(), tariffs_in_force(lake, options.tariffs)
        taken = IngestPass(run, arrivals, tally)
        taken.ingest(pool, mapping=mapping, on_error=options.on_error)
        raw = taken.raw_files()
        last_closed = _last_closed(lake, raw, options, bool(arrivals.sources))
        job = _job(lake, run, raw, last_closed, book, tariffs, options)
        busy = _busy(job, lake) if sparing else range(lake.config.shards)
        ranges = _ranges(job, lake, _cells(raw), options, busy)
        shards = _process(pool, ranges, job, tally)
        tally.check()
        parts = [part for receipt in shards for part in receipt.parts]
        parts += _bills(run, lake, job, shards, parts, tally)
        found: dict[str, Any] = {}
        if options.detect and last_closed is not None:
            queues, found = pool.call(_detect, job, parts)
            parts += queues
        replaced = {**arrivals.replaced, **_replaced(lake, job, shards)}
        summary = {**tally.summary(whole=len(busy) == lake.config.shards), **found}
        facts = _run_facts(book, tariffs, last_closed, summary, arrivals.sources)
        run.commit([*parts, *taken.parts()], replaced, facts)
    return {
        "run": run.run_no,
        "lake": str(options.lake),
        "last_closed_day": last_closed_text(last_closed),
        **summary,
    }


def _ranges(
    job: ProcessJob, lake: Lake, cells: int, options: BackfillOptions, busy: Collection[int]
) -> list[ShardRange]:
    """All work of a run: the busy shards, and the linked meters that what is new can have changed."""
    count = lake.config.shards
    plain = shard_ranges(count, cells, options.cells, options.workers, busy)
    master = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ())).data
    return plain + linked_ranges(master.linked, len(master.spans), plain, count, cells, options.cells)


def _replaced(lake: Lake, job: ProcessJob, shards: list[ShardReceipt]) -> dict[str, pa.Table]:
    """Ranges of all series and dirty days; those of shards that were left alone stay as they are."""
    series = pa.concat_tables([SERIES.schema.empty_table(), *(receipt.series for receipt in shards)])
    dirty = pa.concat_tables([DIRTY_DAYS.schema.empty_table(), *(receipt.dirty for receipt in shards)])
    worked = {number for receipt in shards if not receipt.shards.linked for number in receipt.shards.numbers}
    if len(worked) < lake.config.shards:
        former = lake.table(SERIES.name)
        alone = ~np.isin(shard_of(former["meter_id"], lake.config.shards), sorted(worked))
        linked = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ())).data.linked
        if linked:
            ranges = [receipt.shards for receipt in shards]
            meters = former["meter_id"].to_pylist()
            alone = np.array([not any(one.serves(m, linked) for one in ranges) for m in meters], np.bool_)
        series = pa.concat_tables([series, former.filter(pa.array(alone))])
    order = [(name, "ascending") for name in ("meter_id", "channel", "interval_s")]
    return {SERIES.name: series.sort_by(order), DIRTY_DAYS.name: dirty}


def _pool(options: BackfillOptions) -> AbstractContextManager[Workers]:
    """Processes of this machine, or workers on a Flink cluster."""
    if options.flink is None:
        return workers(options.workers, options.plugins)
    from pipelines.cluster.flink_workers import flink_workers

    return flink_workers(options.flink, options.workers, options.plugins, options.lake / "receipts")


def last_closed_text(day: int | None) -> str:
    """The last closed day as text."""
    return "none" if day is None else day_date(day).isoformat()


def field_mapping(path: Path | None) -> FieldMapping | None:
    """The field mapping of a file.

    Raises:
        MeterbeamError: It cannot be used.
    """
    if path is None:
        return None
    from schemas.mapping import load_mapping

    return load_mapping(path)


def _process_transform(job: ProcessJob) -> Any:
    from transforms.process_transform import ProcessShards

    return ProcessShards(process_shards, job)


def _cells(raw: pa.Table) -> int:
    """What the lake's interval readings take in memory, a reading of a long block as one."""
    intervals = raw.filter(pa.compute.equal(raw["kind"], Kind.INTERVALS.value))
    readings, rows = (sum(intervals[name].to_pylist()) for name in ("readings", "rows"))
    return int(readings + ROW_CELLS * rows)


def _last_closed(lake: Lake, raw: pa.Table, options: BackfillOptions, new: bool) -> int | None:
    """Last local day that has wholly ended by the end of the latest plausible reading, or ``--through``.

    Where nothing is ``new``, it is for whoever wrote the last run to say what has closed.
    """
    if options.through is not None:
        return epoch_day(options.through)
    if not new:
        former = _former_closed(lake.runs())
        return None if former < 0 else former
    latest = pa.compute.max(raw["latest_end"]).as_py()
    if latest is None:
        return None
    return int(local_days(lake.config.timezone, np.array([latest], np.int64))[0]) - 1


def _job(
    lake: Lake,
    run: Run,
    raw: pa.Table,
    last_closed: int | None,
    book: RuleBook,
    tariffs: str | None,
    options: BackfillOptions,
) -> ProcessJob:
    names: dict[Kind, list[tuple[str, bool]]] = {}
    for row in raw.select(["kind", "name", "run_no"]).to_pylist():
        names.setdefault(Kind(row["kind"]), []).append((row["name"], row["run_no"] == run.run_no))
    runs = lake.runs()
    former = former_rules(lake)
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
        book=book,
        everything=former is None or _tariffs_changed(runs, tariffs) or _tariffs_came(names),
        former_book=None if former == book else former,
        tariffs=None if tariffs is None else str(kept_tariffs(lake.path, tariffs).resolve()),
        limits=limits,
        frozen=lake.table(RAW_KEPT.name).num_rows > 0,
        cells=options.cells,
    )


def _former_closed(runs: pa.Table) -> int:
    day = runs["last_closed"][-1].as_py() if runs.num_rows else None
    return -1 if day is None else epoch_day(day)


def _tariffs_came(names: dict[Kind, list[tuple[str, bool]]]) -> bool:
    """Whether tariff versions or events came with this run: then every day is priced again."""
    kinds = (Kind.TARIFFS, Kind.TARIFF_EVENTS)
    return any(fresh for kind in kinds for _, fresh in names.get(kind, ()))


def _tariffs_changed(runs: pa.Table, tariffs: str | None) -> bool:
    """Whether the tariff files differ from those of the last run."""
    return bool(runs.num_rows) and runs["tariffs"][-1].as_py() != tariffs


def _rules_text(book: RuleBook) -> str:
    return book.model_dump_json(by_alias=True)


def _busy(job: ProcessJob, lake: Lake) -> Collection[int]:
    """Shards that what is new can have changed."""
    points = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()))
    return busy_shards(job, lake, points.meters, first_master=points.first)


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
    return sorted(receipts, key=lambda receipt: receipt.shards.name)


def _bills(
    run: Run, lake: Lake, job: ProcessJob, shards: list[ShardReceipt], days: list[PartFile], tally: Tally
) -> list[PartFile]:
    """Account bills that are new or changed, as parts."""
    priced = prices(job)
    points = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()))
    master = points.data
    if not priced.book or master.empty:
        return []
    book, accounts = contracts(job), None
    if job.whole:
        shares = [receipt.bills for receipt in shards if receipt.bills is not None]
        parts = pa.concat_tables([PARTS.empty_table(), *shares])
        wanted = book.composed
    else:
        meters = {meter for receipt in shards for meter in receipt.meters}
        if job.everything and job.frozen:
            meters |= set(master.spans)  # days that stay as they are may be priced anew
        accounts = touched_accounts(book, meters, job.former_closed, job.last_closed)
        accounts |= points.accounts | repriced_accounts(book, priced.book, fresh_prices(job))
        parts = PARTS.empty_table()
        wanted = [contract for contract in book.every if contract.account_id in accounts]
    files = [str(lake.path / "tables" / DAYS.name / part.path) for part in days if part.table == DAYS.name]
    fresh = [dataset([name], DAYS.schema) for name in files]
    rest = account_parts(lake, fresh, master, wanted, priced, job.last_closed)
    parts = pa.concat_tables([parts, rest])
    bills = revised_bills(parts, lake, accounts)
    tally.bills = bills.num_rows
    return [run.write(BILLS, "accounts", bills)] if bills.num_rows else []


def _detect(job: ProcessJob, written: list[PartFile]) -> tuple[list[PartFile], dict[str, Any]]:
    """Queues and faults over the lake's features and those just written."""
    folder = place(job.lake)
    master = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ())).data
    features = FeaturePieces(Lake.open(folder), written)
    events, registers = (
        [name for name, _ in job.raw.get(kind, ())] for kind in (Kind.EVENTS, Kind.REGISTERS)
    )
    return detect_parts(job.run_no, features, master, job.last_closed, events, registers)


def _run_facts(
    book: RuleBook,
    tariffs: str | None,
    last_closed: int | None,
    summary: dict[str, Any],
    sources: list[str],
) -> dict[str, Any]:
    return {
        "inputs": json.dumps(sources),
        "counts": json.dumps(summary),
        "code_version": code_version(),
        "rules": _rules_text(book),
        "tariffs": tariffs,
        "last_closed": None if last_closed is None else day_date(last_closed),
    }


def code_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("meterbeam")
    except PackageNotFoundError:
        return "source checkout"
