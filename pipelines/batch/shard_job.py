"""The work of a few shards: raw files in, parts of the lake's tables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.assemble import Name, ShardInputs, first_readings
from models.bill_prices import Events, Prices, PriceSeries
from models.calendar import day_date, epoch_day
from models.contracts import ContractBook, contract_book
from models.dirty import Days, DirtyDays
from models.master import MasterData, master_data
from models.place import Account
from models.scope_rows import weeks_of
from models.shard_results import first_revisions, shard_results
from models.shard_run import ShardRun
from models.shard_scope import (
    Scope,
    closed_only,
    mark_changed_rules,
    mark_everything,
    mark_new_facts,
    ranges_of,
    series_ranges,
    series_table,
    split,
    whole_meters,
)
from models.sharding import shard_of_id
from pipelines.batch.retired import Retired, retired
from pipelines.batch.shard_ranges import ShardRange
from pipelines.store.lake import Lake
from pipelines.store.parts import PartFile, write_part
from pipelines.store.revise import current_days, current_rows, revise
from pipelines.tariffs.price_records import price_series, priced_days
from pipelines.tariffs.tariff_book import billing_rules, event_days, received_tariffs, tariff_book
from schemas.features import FEATURES
from schemas.lake import DAYS, DETERMINANTS, DIRTY_DAYS, SERIES, LakeTable
from schemas.records import Kind
from schemas.rulebook import RuleBook
from transforms.raw_codec import read_raw_shards
from transforms.storage import place

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
        former_closed: Last closed epoch day of the run before; −1 where there is none.
        book: The rules in force.
        former_book: Those of the run before, None where they are the same.
        everything: Whether every day is dirty (no results yet, or prices changed).
        limits: Epoch days first … last to process now (``--from``, ``--to``); other dirty days stay so.
        cells: Most slots held densely at once.
        tariffs: Folder of tariff files, named by their content.
        frozen: Whether raw readings have left the lake, so that there are days that stay as they are.
    """

    lake: str
    run_no: int
    raw: dict[Kind, RawNames]
    last_closed: int
    former_closed: int
    book: RuleBook
    everything: bool
    limits: Days | None
    cells: int
    tariffs: str | None = None
    frozen: bool = False
    former_book: RuleBook | None = None

    @property
    def whole(self) -> bool:
        """Whether every day of every meter is computed: then bills are priced on the way."""
        return self.everything and self.limits is None and not self.frozen


@dataclass(frozen=True)
class ShardReceipt:
    """What became of a range of shards.

    Attributes:
        shards: Which.
        parts: Parts written.
        account: Readings new, repeated, superseded.
        series: Range of results of every series.
        dirty: Days that stay dirty.
        days: Day rows written.
        findings: Findings written, by rule.
        meters: Meters whose days changed.
        bills: Shares of bills, where every day was computed.
    """

    shards: ShardRange
    parts: tuple[PartFile, ...]
    account: Account
    series: pa.Table
    dirty: pa.Table
    days: int
    findings: dict[str, int] = field(default_factory=dict)
    meters: tuple[str, ...] = ()
    bills: pa.Table | None = None

    @property
    def work(self) -> ShardRange:
        """The element that this answers."""
        return self.shards


def process_shards(shards: ShardRange, job: ProcessJob) -> ShardReceipt:
    """Process a range of shards; the same raw files give the same parts under the same names."""
    lake = _lake(job.lake, job.run_no)
    inputs = shard_inputs(shards, job, lake)
    scope, left = _scope(shards, inputs, job, lake)
    shard_run = ShardRun(inputs, job.book, None if job.whole else scope)
    meters = _meters(shards, job, lake)
    made = shard_results(shard_run, meters, prices(job), bills=job.whole)
    rows = made.days
    if lake.files(DAYS.name):
        linked = inputs.master.linked
        rows = revise(rows, current_days(lake, scope, partial(shards.serves, linked=linked)), DAYS)
    written = (
        (DAYS, rows),
        (DETERMINANTS, _changed(DETERMINANTS, made.determinants, lake, scope)),
        (FEATURES, _changed(FEATURES, made.features, lake, weeks_of(scope))),
    )
    return ShardReceipt(
        shards=shards,
        parts=tuple(
            write_part(place(job.lake), table, job.run_no, shards.name, changed)
            for table, changed in written
            if changed.num_rows
        ),
        account=shard_run.account,
        series=series_table(series_ranges(inputs)),
        dirty=left,
        days=rows.num_rows,
        findings=_count(rows),
        meters=tuple(sorted(set(pa.compute.unique(rows["meter_id"]).cast(pa.string()).to_pylist()))),
        bills=made.shares,
    )


def prices(job: ProcessJob) -> Prices:
    """Tariffs, event days and price series of a run."""
    return Prices(
        book=tariff_book(job.tariffs, _received_tariffs(job.lake, job.raw.get(Kind.TARIFFS, ()))),
        events=_events(job.lake, job.raw.get(Kind.TARIFF_EVENTS, ())),
        series=_series(job.lake, job.raw.get(Kind.PRICES, ())),
        rules=billing_rules(job.tariffs),
    )


def contracts(job: ProcessJob) -> ContractBook:
    """Who is billed for what, as of a run."""
    master = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ())).data
    return contract_book(master, prices(job).rules, _lake(job.lake, job.run_no).config.timezone)


def fresh_prices(job: ProcessJob) -> list[tuple[str, int, int]]:
    """(series, first, last epoch day) that prices which came with this run are in force on."""
    names = tuple(item for item in job.raw.get(Kind.PRICES, ()) if item[1])
    return priced_days(_read(job.lake, Kind.PRICES, names), Lake.open(place(job.lake)).config.timezone)


@lru_cache(maxsize=1)
def _received_tariffs(lake: str, names: RawNames) -> tuple[tuple[str, str, str], ...]:
    return received_tariffs(_read(lake, Kind.TARIFFS, names))


@lru_cache(maxsize=1)
def _events(lake: str, names: RawNames) -> Events:
    return event_days(_read(lake, Kind.TARIFF_EVENTS, names))


@lru_cache(maxsize=1)
def _series(lake: str, names: RawNames) -> dict[str, PriceSeries]:
    return price_series(_read(lake, Kind.PRICES, names))


def _changed(table: LakeTable, content: pa.Table, lake: Lake, scope: Scope) -> pa.Table:
    """Rows of a versioned table that are new or differ from the current ones."""
    rows = first_revisions(table, content)
    if not lake.files(table.name):
        return rows
    return revise(rows, current_rows(lake, table, scope), table)


@lru_cache(maxsize=1)
def _lake(path: str, run_no: int) -> Lake:
    return Lake.open(place(path))


def _read(lake: str, kind: Kind, names: RawNames, shards: Sequence[int] = (0,)) -> pa.Table:
    """Rows of some shards of raw files of a kind, with a ``fresh`` column; kinds without meters lie in 0."""
    folder = place(lake) / "raw" / kind.value
    table, rows = read_raw_shards([folder / name for name, _ in names], kind, shards)
    fresh = np.repeat(np.array([fresh for _, fresh in names], np.bool_), rows)
    return table.append_column("fresh", pa.array(fresh))


@dataclass(frozen=True)
class Masters:
    """Master data of all shards.

    Attributes:
        data: The service-point versions.
        meters, accounts: Those that any version, superseded ones included, of the service points that came
            with this run names.
        first: Whether all came with this run.
    """

    data: MasterData
    meters: frozenset[str]
    accounts: frozenset[str]
    first: bool


@lru_cache(maxsize=1)
def masters(lake: str, names: RawNames) -> Masters:
    """Master data of a run and what of it is new."""
    table = _read(lake, Kind.SERVICE_POINTS, names)
    points = table["service_point_id"]
    touched = table.filter(pa.compute.is_in(points, pa.compute.unique(points.filter(table["fresh"]))))
    return Masters(
        data=master_data(table.drop_columns(["fresh"])),
        meters=frozenset(touched["meter_id"].drop_null().to_pylist()),
        accounts=frozenset(touched["account_id"].drop_null().to_pylist()),
        first=table.num_rows > 0 and bool(pa.compute.all(table["fresh"]).as_py()),
    )


def master_meters(job: ProcessJob, lake: Lake) -> dict[int, list[str]]:
    """Meters that master data name, by shard."""
    return _by_shard(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()), lake.config.shards)


@lru_cache(maxsize=1)
def _by_shard(lake: str, names: RawNames, shards: int) -> dict[int, list[str]]:
    master = masters(lake, names).data
    found: dict[int, list[str]] = {}
    for meter in sorted(master.spans):
        found.setdefault(shard_of_id(meter, shards), []).append(meter)
    return found


def _meters(shards: ShardRange, job: ProcessJob, lake: Lake) -> list[str]:
    """Meters of a range that master data name, sorted."""
    of_shard, linked = master_meters(job, lake), _master(job).linked
    if shards.linked:
        return sorted(
            meter for meter in linked if meter in _master(job).spans and shards.serves(meter, linked)
        )
    return sorted(m for shard in shards.numbers for m in of_shard.get(shard, ()) if m not in linked)


def _master(job: ProcessJob) -> MasterData:
    return masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ())).data


def _records(shards: ShardRange, job: ProcessJob, kind: Kind, linked: Mapping[str, str]) -> pa.Table:
    """Rows of the meters of a range."""
    of_range = [meter for meter in linked if shards.serves(meter, linked)]
    numbers, apart = shards.numbers, set(linked)
    if shards.linked:
        numbers, apart = tuple(sorted({shard_of_id(m, shards.count) for m in of_range})), set(of_range)
    table = _read(job.lake, kind, job.raw.get(kind, ()), numbers)
    if not apart or not table.num_rows:
        return table
    column = table["meter_id"].combine_chunks()
    chosen = pc.is_in(column.cast(pa.string()), pa.array(sorted(apart), pa.string()))
    return table.filter(chosen if shards.linked else pc.invert(chosen))


def shard_inputs(shards: ShardRange, job: ProcessJob, lake: Lake) -> ShardInputs:
    """The raw records of a range, and the range they are judged in."""
    master = _master(job)
    intervals = _records(shards, job, Kind.INTERVALS, master.linked)
    history = lake.config.history_from
    return ShardInputs(
        intervals=intervals,
        registers=_records(shards, job, Kind.REGISTERS, master.linked),
        events=_records(shards, job, Kind.EVENTS, master.linked),
        master=master,
        zone=lake.config.timezone,
        last_closed=job.last_closed,
        first_readings=_retired(job.lake, job.run_no).first_readings(first_readings(intervals)),
        history_from=None if history is None else epoch_day(history),
        cells=job.cells,
        edits=_edits(job.lake, job.raw.get(Kind.EDITS, ())),
        joined=shards.linked,
    )


@lru_cache(maxsize=1)
def _retired(lake: str, run_no: int) -> Retired:
    return retired(_lake(lake, run_no))


@lru_cache(maxsize=1)
def _edits(lake: str, names: RawNames) -> pa.Table:
    return _read(lake, Kind.EDITS, names)


def _scope(shards: ShardRange, inputs: ShardInputs, job: ProcessJob, lake: Lake) -> tuple[Scope, pa.Table]:
    """Dirty days to compute now, and those that stay dirty."""
    ranges, linked = ranges_of(series_ranges(inputs)), inputs.master.linked
    dirty = DirtyDays()
    if job.everything:
        mark_everything(dirty, inputs, ranges)
    else:
        if inputs.joined:  # first, so that they spread to the meters that are joined
            _still_dirty(dirty, lake, shards, linked)
        if job.former_book is not None:  # before what closes over read intervals, check channels and links
            mark_changed_rules(dirty, inputs, ranges, job.former_book, job.book)
        points = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()))
        longest = max((job.former_book or job.book).max_read_gap_days, job.book.max_read_gap_days)
        mark_new_facts(
            dirty,
            inputs,
            ranges,
            _former(lake, shards, linked),
            points.meters,
            longest,
            closed_since=job.former_closed,
            first_master=points.first,
        )
        if not inputs.joined:
            _still_dirty(dirty, lake, shards, linked)
    names = {*ranges, *inputs.first_readings}
    for name in names:  # with an earlier --through than the last run's, the days after it are withdrawn
        dirty.add(name, inputs.last_closed + 1, job.former_closed)
    # Edits and master data are those of all shards.
    mine = {name: days for name, days in dirty.merged().items() if shards.serves(name[0], linked)}
    whole = whole_meters(mine, names, linked if inputs.joined else {})
    closed = closed_only(whole, max(inputs.last_closed, job.former_closed))
    closed = _retired(job.lake, job.run_no).open_days(closed, job.book)
    if job.limits is None:
        return closed, DIRTY_DAYS.schema.empty_table()
    now, left = split(closed, job.limits)
    return now, dirty_rows(left)


def _still_dirty(dirty: DirtyDays, lake: Lake, shards: ShardRange, linked: Mapping[str, str]) -> None:
    """Mark the days that earlier runs left."""
    for row in lake.table(DIRTY_DAYS.name).to_pylist():
        if shards.serves(row["meter_id"], linked):
            name = (row["meter_id"], row["channel"])
            dirty.add(name, epoch_day(row["from_day"]), epoch_day(row["to_day"]))


def dirty_rows(scope: Scope) -> pa.Table:
    """Days as rows of ``dirty_days``."""
    rows = [
        {
            "meter_id": meter,
            "channel": channel,
            "from_day": day_date(max(first, 0)),
            "to_day": day_date(last),
        }
        for (meter, channel), days in scope.items()
        for first, last in days
        if last >= 0
    ]
    return pa.Table.from_pylist(rows, schema=DIRTY_DAYS.schema)


def _former(lake: Lake, shards: ShardRange, linked: Mapping[str, str]) -> dict[Name, Days]:
    """Ranges at the end of the last run."""
    ranges: dict[Name, Days] = {}
    for row in lake.table(SERIES.name).to_pylist():
        if shards.serves(row["meter_id"], linked):
            name, days = (
                (row["meter_id"], row["channel"]),
                (epoch_day(row["first_day"]), epoch_day(row["last_day"])),
            )
            held = ranges.get(name, days)
            ranges[name] = min(held[0], days[0]), max(held[1], days[1])
    return ranges


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
