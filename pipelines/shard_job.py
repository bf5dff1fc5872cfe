"""The work of one shard: raw files in, parts of the lake's tables out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.assemble import Name, ShardInputs, first_readings, result_range, series_rows
from models.bill_run import Events
from models.blocks import NEVER
from models.calendar import day_date, epoch_day, local_midnight
from models.dirty import (
    Days,
    DirtyDays,
    changed_events,
    changed_ranges,
    changed_reads,
    changed_slots,
    merge,
    read_days,
)
from models.feature_run import monday, touched_weeks
from models.master import MasterData, master_data
from models.place import Account
from models.shard_run import ShardRun
from models.sharding import shard_of_id
from pipelines.lake import Lake
from pipelines.parts import PartFile, write_part
from pipelines.revise import current_days, current_rows, revise
from pipelines.shard_bills import TariffBook, bill_group, contracts, event_days, tariff_book
from schemas.features import FEATURES
from schemas.lake import DAYS, DETERMINANTS, DIRTY_DAYS, SERIES, LakeTable
from schemas.records import Kind
from schemas.rulepack import RulePack
from transforms.raw_codec import read_raw_shard

RawNames = tuple[tuple[str, bool], ...]
"""Names of raw files, and whether each came with this run."""


@dataclass(frozen=True)
class ProcessJob:
    """What all shards of a run share.

    Attributes:
        lake: Folder of the lake.
        run_no: The run.
        raw: Raw files of each kind.
        last_closed: Last closed epoch day.
        pack: The rules in force.
        everything: Whether every day is dirty (no results yet, or the rules changed).
        limits: Epoch days first … last to process now (``--from``, ``--to``); other dirty days stay so.
        cells: Most slots held densely at once.
    """

    lake: str
    run_no: int
    raw: dict[Kind, RawNames]
    last_closed: int
    pack: RulePack
    everything: bool
    limits: Days | None
    cells: int
    tariffs: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every day of every meter is computed: then bills are priced on the way."""
        return self.everything and self.limits is None


@dataclass(frozen=True)
class ShardReceipt:
    """What became of one shard.

    Attributes:
        shard: Its number.
        parts: Parts written.
        account: Readings new, repeated, superseded.
        series: Range of results of every series.
        dirty: Days that stay dirty.
        days: Day rows written.
        findings: Findings written, by rule.
        meters: Meters whose days changed.
        bills: Shares of bills, where every day was computed.
    """

    shard: int
    parts: tuple[PartFile, ...]
    account: Account
    series: pa.Table
    dirty: pa.Table
    days: int
    findings: dict[str, int] = field(default_factory=dict)
    meters: tuple[str, ...] = ()
    bills: pa.Table | None = None


def process_shard(shard: int, job: ProcessJob) -> ShardReceipt:
    """Process one shard; the same raw files give the same parts under the same names."""
    lake = _lake(job.lake, job.run_no)
    folder = Path(job.lake)
    inputs = _inputs(shard, job, lake)
    scope, left = _scope(shard, inputs, job, lake)
    shard_run = ShardRun(inputs, job.pack, None if job.whole else scope)
    made = _compute(shard_run, job)
    served = _Served(shard, lake.config.shards)
    meters = master_meters(job, lake).get(shard, [])
    _missing_tariffs(shard_run, meters, job)
    addresses = shard_run.addresses(meters)
    rows = _stored(made.days, addresses)
    if lake.files(DAYS.name):
        rows = revise(rows, current_days(lake, scope, served), DAYS)
    parts = []
    if rows.num_rows:
        parts.append(write_part(folder, DAYS, job.run_no, f"{shard:04d}", rows))
    for table, tables, limits in (
        (DETERMINANTS, made.determinants, scope),
        (FEATURES, made.features, _weeks(scope)),
    ):
        changed = _changed(table, tables, lake, limits)
        if changed.num_rows:
            parts.append(write_part(folder, table, job.run_no, f"{shard:04d}", changed))
    return ShardReceipt(
        shard=shard,
        parts=tuple(parts),
        account=shard_run.account,
        series=shard_run.series(),
        dirty=left,
        days=rows.num_rows,
        findings=_count(rows),
        meters=tuple(sorted(set(pa.compute.unique(rows["meter_id"]).cast(pa.string()).to_pylist()))),
        bills=pa.concat_tables(made.shares) if made.shares else None,
    )


@dataclass
class _Made:
    days: list[pa.Table] = field(default_factory=list)
    shares: list[pa.Table] = field(default_factory=list)
    determinants: list[pa.Table] = field(default_factory=list)
    features: list[pa.Table] = field(default_factory=list)


def _compute(shard_run: ShardRun, job: ProcessJob) -> _Made:
    """Day rows, shares of bills, determinants and features, group by group."""
    made = _Made()
    book, events = prices(job)
    master, zone = shard_run.inputs.master, shard_run.inputs.zone
    for computed in shard_run.groups():
        if not computed.wanted.any():
            continue
        made.days.append(shard_run.rows(computed))
        weeks = touched_weeks(computed, job.last_closed)
        if weeks is not None:
            made.features.append(weeks)
        if book and not master.empty:
            billed, used = bill_group(computed, master, zone, book, events, job.last_closed)
            if used is not None:
                made.determinants.append(used)
            if billed is not None and job.whole:
                made.shares.append(billed)
    return made


def _weeks(scope: dict[Name, list[Days]]) -> dict[Name, list[Days]]:
    """The Mondays of the weeks that hold the days in scope."""
    return {name: merge((monday(first), last) for first, last in days) for name, days in scope.items()}


def _missing_tariffs(shard_run: ShardRun, meters: list[str], job: ProcessJob) -> None:
    """A finding for each reporting meter of a customer whose tariff is not known: it gets no bill."""
    book, _ = prices(job)
    if not book:
        return
    reported = {meter for meter, _ in shard_run.inputs.first_readings}
    master, zone = shard_run.inputs.master, shard_run.inputs.zone
    for contract in contracts(master, [meter for meter in meters if meter in reported], zone):
        if contract.tariff_id not in book:
            first = shard_run.inputs.first_readings
            seconds = [second for (meter, _), (second, _) in first.items() if meter == contract.meter_id]
            start = max(local_midnight(zone, max(contract.first_day, 0)), min(seconds))
            seen = "no tariff" if contract.tariff_id is None else f"tariff {contract.tariff_id}"
            shard_run.add_problem("no_tariff", contract.meter_id, start, seen, "a known tariff")


def prices(job: ProcessJob) -> tuple[TariffBook, Events]:
    """Tariffs and event days of a run."""
    tariffs = job.raw.get(Kind.TARIFFS, ())
    received = _received_tariffs(job.lake, tariffs)
    return tariff_book(job.tariffs, received), _events(job.lake, job.raw.get(Kind.TARIFF_EVENTS, ()))


@lru_cache(maxsize=1)
def _received_tariffs(lake: str, names: RawNames) -> tuple[tuple[str, str, str], ...]:
    rows = _read(lake, Kind.TARIFFS, names, 0).to_pylist()
    held: dict[tuple[str, str], tuple[int, str]] = {}
    for row in rows:
        key, order = (row["tariff_id"], row["version"]), (row["received_at"] or NEVER, row["yaml"])
        held[key] = max(held.get(key, order), order)
    return tuple((*key, text) for key, (_, text) in sorted(held.items()))


@lru_cache(maxsize=1)
def _events(lake: str, names: RawNames) -> Events:
    return event_days(_read(lake, Kind.TARIFF_EVENTS, names, 0))


def _changed(table: LakeTable, tables: list[pa.Table], lake: Lake, scope: dict[Name, list[Days]]) -> pa.Table:
    """Rows of a versioned table that are new or differ from the current ones."""
    schema = pa.schema([field for field in table.schema if field.name != "run_no"])
    rows = pa.concat_tables([table.content.empty_table(), *tables])
    rows = rows.append_column("revision", pa.repeat(pa.scalar(1, pa.int32()), rows.num_rows))
    rows = rows.append_column("withdrawn", pa.repeat(pa.scalar(False), rows.num_rows)).select(schema.names)
    if not lake.files(table.name):
        return rows
    return revise(rows, current_rows(lake, table, scope), table)


@dataclass(frozen=True)
class _Served:
    shard: int
    shards: int

    def __call__(self, meter: str) -> bool:
        return shard_of_id(meter, self.shards) == self.shard


@lru_cache(maxsize=1)
def _lake(path: str, run_no: int) -> Lake:
    return Lake.open(Path(path))


def _read(lake: str, kind: Kind, names: RawNames, shard: int) -> pa.Table:
    """Rows of one shard of raw files of a kind, with a ``fresh`` column."""
    folder = Path(lake) / "raw" / kind.value
    table, rows = read_raw_shard([folder / name for name, _ in names], kind, shard)
    fresh = np.repeat(np.array([fresh for _, fresh in names], np.bool_), rows)
    return table.append_column("fresh", pa.array(fresh))


@lru_cache(maxsize=1)
def masters(lake: str, names: RawNames) -> tuple[MasterData, frozenset[str]]:
    """Master data of all shards, and the meters whose service points came with this run."""
    table = _read(lake, Kind.SERVICE_POINTS, names, 0)
    touched = set(table.filter(table["fresh"])["service_point_id"].to_pylist())
    ids = zip(table["service_point_id"].to_pylist(), table["meter_id"].to_pylist(), strict=True)
    meters = frozenset(meter for point, meter in ids if point in touched)
    return master_data(table.drop_columns(["fresh"])), meters


def master_meters(job: ProcessJob, lake: Lake) -> dict[int, list[str]]:
    """Meters that master data name, by shard."""
    return _by_shard(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()), lake.config.shards)


@lru_cache(maxsize=1)
def _by_shard(lake: str, names: RawNames, shards: int) -> dict[int, list[str]]:
    master, _ = masters(lake, names)
    found: dict[int, list[str]] = {}
    for meter in sorted(master.spans):
        found.setdefault(shard_of_id(meter, shards), []).append(meter)
    return found


def _inputs(shard: int, job: ProcessJob, lake: Lake) -> ShardInputs:
    intervals = _read(job.lake, Kind.INTERVALS, job.raw.get(Kind.INTERVALS, ()), shard)
    master, _ = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()))
    history = lake.config.history_from
    return ShardInputs(
        intervals=intervals,
        registers=_read(job.lake, Kind.REGISTERS, job.raw.get(Kind.REGISTERS, ()), shard),
        events=_read(job.lake, Kind.EVENTS, job.raw.get(Kind.EVENTS, ()), shard),
        master=master,
        zone=lake.config.timezone,
        last_closed=job.last_closed,
        first_readings=first_readings(intervals),
        history_from=None if history is None else epoch_day(history),
        cells=job.cells,
    )


def _scope(
    shard: int, inputs: ShardInputs, job: ProcessJob, lake: Lake
) -> tuple[dict[Name, list[Days]], pa.Table]:
    """Dirty days to compute now, and those that stay dirty."""
    ranges = {
        row.name: days for row in series_rows(inputs) if (days := result_range(row, inputs)) is not None
    }
    dirty = DirtyDays()
    served = _Served(shard, lake.config.shards)
    if job.everything:
        for name, (first, last) in ranges.items():
            dirty.add(name, first, last)
        for name in inputs.first_readings:
            dirty.add(name, -(1 << 20), inputs.last_closed)
    else:
        _new_facts(dirty, inputs, job, ranges, _former(lake, served))
        for row in lake.table(DIRTY_DAYS.name).to_pylist():
            if served(row["meter_id"]):
                dirty.add(
                    (row["meter_id"], row["channel"]), epoch_day(row["from_day"]), epoch_day(row["to_day"])
                )
    now: dict[Name, list[Days]] = {}
    left: list[dict[str, Any]] = []
    for name, spans in sorted(dirty.merged().items()):
        spans = [
            (first, min(last, inputs.last_closed)) for first, last in spans if first <= inputs.last_closed
        ]
        inside, outside = _limit(spans, job.limits)
        if inside:
            now[name] = inside
        left += [
            {
                "meter_id": name[0],
                "channel": name[1],
                "from_day": day_date(max(first, 0)),
                "to_day": day_date(last),
            }
            for first, last in outside
            if last >= 0
        ]
    return now, pa.Table.from_pylist(left, schema=DIRTY_DAYS.schema)


def _new_facts(
    dirty: DirtyDays, inputs: ShardInputs, job: ProcessJob, ranges: dict[Name, Days], former: dict[Name, Days]
) -> None:
    """Mark what this run's new facts can reach."""
    channels: dict[str, list[str]] = {}
    for meter, channel in sorted(set(ranges) | set(inputs.first_readings)):
        channels.setdefault(meter, []).append(channel)
    reads = read_days(inputs.registers, inputs.zone)
    changed_slots(dirty, inputs.intervals, inputs.zone)
    changed_events(dirty, inputs.events, inputs.zone, channels)
    changed_reads(dirty, inputs.registers, inputs.zone, reads)
    changed_ranges(dirty, former, ranges)
    _, meters = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()))
    for meter in meters & channels.keys():
        for channel in channels[meter]:
            dirty.add((meter, channel), -(1 << 20), inputs.last_closed)
    dirty.close_over_reads(reads, job.pack.registers.max_read_gap_days)


def _former(lake: Lake, served: _Served) -> dict[Name, Days]:
    """Ranges at the end of the last run."""
    return {
        (row["meter_id"], row["channel"]): (epoch_day(row["first_day"]), epoch_day(row["last_day"]))
        for row in lake.table(SERIES.name).to_pylist()
        if served(row["meter_id"])
    }


def _limit(spans: list[Days], limits: Days | None) -> tuple[list[Days], list[Days]]:
    """Parts of sorted disjoint spans inside and outside the limits."""
    if limits is None:
        return spans, []
    low, high = limits
    inside = [(max(a, low), min(b, high)) for a, b in spans if a <= high and b >= low]
    outside = [(a, min(b, low - 1)) for a, b in spans if a < low] + [
        (max(a, high + 1), b) for a, b in spans if b > high
    ]
    return merge(inside), merge(outside)


def _stored(pieces: list[pa.Table], addresses: pa.Table) -> pa.Table:
    """Rows as a table of the days' content, results first, each with ``revision`` 1."""
    schema = pa.schema([f for f in DAYS.schema if f.name != "run_no"])
    tables = []
    for table, withdrawn in (*((piece, False) for piece in pieces), (addresses, True)):
        if table.num_rows:
            table = table.append_column("revision", pa.repeat(pa.scalar(1, pa.int32()), table.num_rows))
            table = table.append_column("withdrawn", pa.repeat(pa.scalar(withdrawn), table.num_rows))
            missing = [name for name in schema.names if name not in table.schema.names]
            for name in missing:
                table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
            tables.append(table.select(schema.names))
    if not tables:
        return schema.empty_table()
    return _concat(tables, schema)


def _concat(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """One table; text columns stay dictionary-encoded, so that they are written without a copy."""
    encoded = []
    for table in tables:
        for name in ("meter_id", "channel", "unit"):
            column = table[name]
            if not pa.types.is_dictionary(column.type):
                table = table.set_column(schema.get_field_index(name), name, column.dictionary_encode())
        encoded.append(table)
    return pa.concat_tables(encoded).unify_dictionaries()


def _count(rows: pa.Table) -> dict[str, int]:
    """Findings by rule."""
    found = rows["findings"].combine_chunks()
    structs = (
        found.flatten()
        if not isinstance(found, pa.ChunkedArray)
        else pa.concat_arrays(
            [chunk.flatten() for chunk in found.chunks] or [pa.array([], found.type.value_type)]
        )
    )
    if not len(structs):
        return {}
    counts = pa.compute.value_counts(structs.field("rule"))
    return {item["values"]: item["counts"] for item in counts.to_pylist()}
