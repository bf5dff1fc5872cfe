"""The pass that joins what crosses shards: service points into account bills, where something changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.bill_cycles import contracts_of
from models.bill_prices import Prices, Tariffs
from models.bill_run import PARTS, bill_loads, merge_account_bills
from models.calendar import day_grid
from models.group_bills import BILLED, contracts
from models.loads import Loads
from models.master import MasterData
from pipelines.store.files import dataset
from pipelines.store.lake import Lake, latest
from pipelines.store.parts import PartFile
from pipelines.store.revise import revise
from schemas.lake import BILLS, DAYS
from schemas.quality import Quality
from schemas.tariff import EnergySeries


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
    for meter, spans in master.spans.items():
        for contract in contracts_of(meter, spans, zone):
            ended = contract.last_day is not None and former_closed <= contract.last_day + 1 <= last_closed
            if meter in meters or ended:
                accounts.add(contract.account_id)
    return accounts


def repriced_accounts(
    master: MasterData, zone: str, book: Tariffs, fresh: Sequence[tuple[str, int, int]]
) -> set[str]:
    """Accounts with a tariff that charges by a series, on days on which new prices of it are in force.

    Args:
        master: Service points.
        zone: Of the lake.
        book: Tariffs.
        fresh: (series, first, last epoch day).
    """
    days: dict[str, tuple[int, int]] = {}
    for tariff_id, versions in book.items():
        named = {c.series for tariff in versions for c in tariff.charges if isinstance(c, EnergySeries)}
        touched = [(first, last) for series, first, last in fresh if series in named]
        if touched:
            days[tariff_id] = min(first for first, _ in touched), max(last for _, last in touched)
    accounts = set()
    for meter, spans in master.spans.items() if days else ():
        for contract in contracts_of(meter, spans, zone):
            first, last = days.get(str(contract.tariff_id), (0, -1))
            ends = last if contract.last_day is None else contract.last_day
            if first <= last and contract.first_day <= last and first <= ends:
                accounts.add(contract.account_id)
    return accounts


def account_parts(
    lake: Lake,
    written: list[PartFile],
    master: MasterData,
    prices: Prices,
    accounts: set[str],
    last_closed: int,
) -> pa.Table:
    """Shares of every due bill of some accounts, from the day rows of the lake and of this run.

    Args:
        lake: Read at its last complete run.
        written: Day parts of this run, not yet published.
        master: Service points.
        prices: Tariffs, events and series.
        accounts: Their meters are priced from the first day on, so that states chain.
        last_closed: Last closed epoch day.
    """
    zone = lake.config.timezone
    mine = {
        meter
        for meter, spans in master.spans.items()
        if any(contract.account_id in accounts for contract in contracts_of(meter, spans, zone))
    }
    days = _days(lake, written, sorted(mine))
    tables = [PARTS.empty_table()]
    for loads in _loads(days, zone):
        chosen = contracts(master, list(loads.meters), zone)
        tables.append(bill_loads(loads, chosen, prices, last_closed))
    table = pa.concat_tables(tables)
    return table.filter(pc.is_in(table["account_id"], pa.array(sorted(accounts), pa.string())))


def _days(lake: Lake, written: list[PartFile], meters: list[str]) -> pa.Table:
    rows = [lake.current(DAYS.name, meters=meters)]
    for part in written:
        if part.table == DAYS.name:
            table = dataset([lake.path / "tables" / DAYS.name / part.path], DAYS.schema).to_table(
                use_threads=False
            )
            rows.append(
                table.filter(pc.is_in(table["meter_id"], pa.array(meters, pa.string()))).cast(DAYS.schema)
            )
    return latest(pa.concat_tables(rows), DAYS).filter(~pc.field("withdrawn"))


def _loads(days: pa.Table, zone: str) -> list[Loads]:
    """Dense loads of day rows, one a length of interval."""
    found = []
    for interval in sorted(pc.unique(days["interval_s"]).to_pylist()):
        rows = days.filter(pc.equal(days["interval_s"], interval))
        meters = sorted(set(rows.filter(pc.is_in(rows["channel"], pa.array(BILLED)))["meter_id"].to_pylist()))
        if meters:
            found.append(_dense(rows, meters, interval, zone))
    return found


def _dense(rows: pa.Table, meters: list[str], interval: int, zone: str) -> Loads:
    numbers = rows["local_day"].cast(pa.int32()).to_numpy().astype(np.int64)
    first, last = int(numbers.min()), int(numbers.max())
    grid = day_grid(zone, interval, first, last - first + 1)
    shape = (len(meters), grid.slots)
    sold = bool(pc.any(pc.equal(rows["channel"], "export")).as_py())
    imported, exported = np.zeros(shape, np.int64), np.zeros(shape, np.int64) if sold else None
    missing = np.repeat(grid.lengths[None, :], len(meters), axis=0)
    estimated = np.zeros((len(meters), grid.days), np.int64)
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
        length = grid.lengths[day]
        base = row * grid.slots + grid.offsets[day]
        assert target is not None
        target.ravel()[np.repeat(base - (np.cumsum(length) - length), length) + np.arange(len(flat))] = flat
        if channel == "export":
            sells[row, day] = True
        if channel in BILLED:
            missing[row, day] = _lost(part, length)
            estimated[row, day] = part["estimated_slots"].to_numpy()
            np.minimum.at(first_day, row, day + first)
    return Loads(grid, meters, imported, exported, sells, first_day, missing, estimated)


def _lost(
    part: pa.Table, length: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Missing and failed slots of each day row."""
    worst = (Quality.MISSING, Quality.FAILED)
    uniform = pc.fill_null(part["quality"], int(Quality.VALIDATED)).to_numpy()
    lost = np.where(np.isin(uniform, worst), length, 0)
    for i in np.flatnonzero(part["qualities"].is_valid().to_numpy()).tolist():
        lost[i] = sum(quality in worst for quality in part["qualities"][i].as_py())
    return lost.astype(np.int64)
