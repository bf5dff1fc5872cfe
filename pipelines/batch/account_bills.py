"""The pass that joins what crosses shards: service points into account bills, where something changed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.bill_cycles import contracts
from models.bill_run import PARTS, Events, Tariffs, bill_loads, merge_account_bills
from models.calendar import day_grid
from models.group_bills import BILLED
from models.loads import Loads
from models.master import MICROS, MasterData
from models.series import Int
from pipelines.store.lake import Lake, latest
from pipelines.store.parts import PartFile
from pipelines.store.revise import revise
from schemas.lake import BILLS, DAYS
from schemas.quality import Quality


def revised_bills(parts: pa.Table, lake: Lake, accounts: set[str] | None) -> pa.Table:
    """Bills that changed, with their next revision.

    Args:
        parts: Shares of every due bill of the accounts in question.
        lake: Holds the bills of earlier runs.
        accounts: Accounts whose bills were priced again; None for all.
    """
    bills = merge_account_bills(parts)
    bills = bills.append_column("withdrawn", pa.repeat(pa.scalar(False), bills.num_rows))
    if not lake.files(BILLS.name):
        return bills.append_column("revision", pa.repeat(pa.scalar(1, pa.int32()), bills.num_rows))
    current = lake.current(BILLS.name)
    if accounts is not None:
        current = current.filter(pc.is_in(current["account_id"], pa.array(sorted(accounts), pa.string())))
    return revise(bills, current, BILLS)


def touched_accounts(
    master: MasterData, zone: str, meters: set[str], former_closed: int, last_closed: int
) -> set[str]:
    """Accounts of meters whose days changed, and of contracts that ended since the last run."""
    accounts = set()
    for contract in contracts(master, master.spans, zone):
        ended = contract.last_day is not None and former_closed <= contract.last_day + 1 <= last_closed
        if ended or not meters.isdisjoint(contract.meters):
            accounts.add(contract.account_id)
    return accounts


def account_parts(
    lake: Lake,
    written: list[PartFile],
    master: MasterData,
    book: Tariffs,
    events: Events,
    accounts: set[str],
    last_closed: int,
) -> pa.Table:
    """Shares of every due bill of some accounts, from the day rows of the lake and of this run.

    Args:
        lake: Read at its last complete run.
        written: Day parts of this run, not yet published.
        master: Service points.
        book: Tariffs.
        events: Days of tariff events.
        accounts: Their meters are priced from the first day on, so that states chain.
        last_closed: Last closed epoch day.
    """
    zone = lake.config.timezone
    mine = {
        meter
        for contract in contracts(master, master.spans, zone)
        if contract.account_id in accounts
        for meter in contract.meters
    }
    days = _days(lake, written, sorted(mine))
    tables = [PARTS.empty_table()]
    for loads in _loads(days, zone, last_closed):
        chosen = contracts(master, loads.meters, zone)
        tables.append(bill_loads(loads, chosen, book, events, last_closed))
    table = pa.concat_tables(tables)
    return table.filter(pc.is_in(table["account_id"], pa.array(sorted(accounts), pa.string())))


def _days(lake: Lake, written: list[PartFile], meters: list[str]) -> pa.Table:
    rows = [lake.current(DAYS.name, meters=meters)]
    for part in written:
        if part.table == DAYS.name:
            table = pq.read_table(Path(lake.path) / "tables" / DAYS.name / part.path, use_threads=False)
            rows.append(
                table.filter(pc.is_in(table["meter_id"], pa.array(meters, pa.string()))).cast(DAYS.schema)
            )
    return latest(pa.concat_tables(rows), DAYS).filter(~pc.field("withdrawn"))


def _loads(days: pa.Table, zone: str, last_closed: int) -> list[Loads]:
    """Dense loads of day rows up to the last closed day, one a length of interval."""
    found = []
    for interval in sorted(pc.unique(days["interval_s"]).to_pylist()):
        rows = days.filter(pc.equal(days["interval_s"], interval))
        meters = sorted(set(rows.filter(pc.is_in(rows["channel"], pa.array(BILLED)))["meter_id"].to_pylist()))
        if meters:
            found.append(_dense(rows, meters, interval, zone, last_closed))
    return found


def _dense(rows: pa.Table, meters: list[str], interval: int, zone: str, last_closed: int) -> Loads:
    numbers = rows["local_day"].cast(pa.int32()).to_numpy().astype(np.int64)
    first, last = int(numbers.min()), max(int(numbers.max()), last_closed)
    grid = day_grid(zone, interval, first, last - first + 1)
    shape = (len(meters), grid.slots)
    sold = bool(pc.any(pc.equal(rows["channel"], "export")).as_py())
    imported, exported = np.zeros(shape, np.int64), np.zeros(shape, np.int64) if sold else None
    lost, made = np.ones(shape, np.bool_), np.zeros(shape, np.bool_)
    first_day = np.full(len(meters), last + 1, np.int64)
    sells = np.zeros((len(meters), grid.days), np.bool_)
    row_of = {meter: row for row, meter in enumerate(meters)}
    by_channel: dict[str, list[int]] = defaultdict(list)
    for i, channel in enumerate(rows["channel"].to_pylist()):
        by_channel[channel].append(i)
    for channel, at in by_channel.items():
        if channel not in (*BILLED, "export"):
            continue
        part = rows.take(pa.array(at))
        row = np.array([row_of.get(m, -1) for m in part["meter_id"].to_pylist()], np.int64)
        day = numbers[at] - first
        part, row, day = part.filter(pa.array(row >= 0)), row[row >= 0], day[row >= 0]
        target = exported if channel == "export" else imported
        lists = part["values"].combine_chunks()
        flat = pc.fill_null(lists.flatten(), 0).to_numpy()
        length = pc.list_value_length(lists).to_numpy().astype(np.int64)
        start = part["start"].cast(pa.int64()).to_numpy() // MICROS
        base = row * grid.slots + (start - grid.origin) // interval
        slots = np.repeat(base - (np.cumsum(length) - length), length) + np.arange(len(flat))
        assert target is not None
        target.ravel()[slots] = flat
        if channel == "export":
            sells[row, day] = True
        if channel in BILLED:
            quality = _qualities(part, length)
            lost.ravel()[slots] = np.isin(quality, (Quality.MISSING, Quality.FAILED))
            made.ravel()[slots] = np.isin(quality, (Quality.ESTIMATED, Quality.SUBSTITUTED))
            np.minimum.at(first_day, row, day + first)
    return Loads(grid, meters, imported, exported, sells, first_day, lost, made)


def _qualities(part: pa.Table, length: Int) -> Int:
    """Quality of each slot of some day rows."""
    uniform = pc.fill_null(part["quality"], int(Quality.VALIDATED)).to_numpy().astype(np.int64)
    quality = np.repeat(uniform, length)
    lists = part["qualities"].combine_chunks()
    stated = np.repeat(lists.is_valid().to_numpy(zero_copy_only=False), length)
    quality[stated] = lists.flatten().to_numpy()
    return quality
