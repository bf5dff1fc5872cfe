"""The pass that joins what crosses shards: service points into account bills, where something changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from models.account_bills import merge_account_bills
from models.bill_cycles import Contract
from models.bill_parts import PARTS
from models.bill_prices import Prices, Tariffs
from models.bill_run import bill_loads
from models.calendar import DAY_S, day_date
from models.composed_loads import compose
from models.contracts import ContractBook
from models.holds import holds_of
from models.master import MasterData
from models.shard_scope import EVER
from models.sharding import shard_of_id
from pipelines.batch.day_loads import day_loads
from pipelines.store.lake import Lake, latest
from pipelines.store.revise import LATEST, revise
from schemas.lake import BILLS, DAYS
from schemas.tariff import EnergySeries

CELLS = 1 << 24
"""Most slots of a channel that are held at once, as far as whole accounts allow."""
_BILLED = ("start", "interval_s", "values", "quality", "qualities", "findings")
"""Columns of day rows that bills are made of."""


def revised_bills(parts: pa.Table, lake: Lake, accounts: set[str] | None, *, since: int = EVER) -> pa.Table:
    """Bills that changed, with their next revision.

    Args:
        parts: Shares of every due bill, from ``since`` on, of the accounts in question.
        lake: Holds the bills of earlier runs.
        accounts: Accounts whose bills were priced again; None for all.
        since: Bills that begin before this epoch day stay as they are.
    """
    bills = merge_account_bills(parts)
    bills = bills.append_column("withdrawn", pa.repeat(pa.scalar(False), bills.num_rows))
    if not lake.files(BILLS.name):
        return bills.append_column("revision", pa.repeat(pa.scalar(1, pa.int32()), bills.num_rows))
    current = lake.current(BILLS.name)
    if accounts is not None:
        current = current.filter(pc.is_in(current["account_id"], pa.array(sorted(accounts), pa.string())))
    if since != EVER:
        current = current.filter(pc.greater_equal(current["period_start"], pa.scalar(day_date(since))))
    return revise(bills, current, BILLS)


def touched_accounts(
    contracts: ContractBook, meters: set[str], former_closed: int, last_closed: int
) -> set[str]:
    """Accounts of meters whose days changed, and of contracts that ended since the last run."""
    accounts = set()
    for contract in contracts.every:
        ended = contract.last_day is not None and former_closed <= contract.last_day + 1 <= last_closed
        if ended or not meters.isdisjoint(contracts.meters(contract)):
            accounts.add(contract.account_id)
    return accounts


def repriced_accounts(
    contracts: ContractBook, book: Tariffs, fresh: Sequence[tuple[str, int, int]]
) -> set[str]:
    """Accounts with a tariff that charges by a series, on days on which new prices of it are in force.

    Args:
        contracts: Of the lake.
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
    for contract in contracts.every if days else ():
        first, last = days.get(str(contract.tariff_id), (0, -1))
        ends = last if contract.last_day is None else contract.last_day
        if first <= last and contract.first_day <= last and first <= ends:
            accounts.add(contract.account_id)
    return accounts


def account_parts(
    lake: Lake,
    written: Sequence[ds.Dataset],
    master: MasterData,
    contracts: Collection[Contract],
    prices: Prices,
    last_closed: int,
    *,
    since: int = EVER,
) -> pa.Table:
    """Shares of due bills of some contracts, from the day rows of the lake and of this run.

    Args:
        lake: Read at its last complete run.
        written: Day rows of this run, not yet published.
        master: Service points.
        contracts: All of their chains, so that states are handed on.
        prices: Tariffs, events and series.
        last_closed: Last closed epoch day.
        since: Only bills that begin on or after this epoch day, and nothing was handed on to.
    """
    meters = sorted(set().union(*map(_meters, contracts)))
    span = _span(lake, written, meters, since) if meters else None
    if span is None:
        return PARTS.empty_table()
    first, last, least = span
    slots = (last - first + 1) * DAY_S // least
    tables = []
    for some in _by_account(contracts, CELLS // slots, lake.config.shards):
        rows = _rows(lake, written, sorted(set().union(*map(_meters, some))), since)
        loads, holds = day_loads(rows, lake.config.timezone, master, (first, last)), holds_of(rows)
        plain = [contract for contract in some if not contract.terms]
        composed = [contract for contract in some if contract.terms]
        tables += [bill_loads([each], plain, prices, last_closed, holds) for each in loads]
        joined = [compose(each, composed) for each in loads]
        tables.append(bill_loads(joined, composed, prices, last_closed, holds))
    return pa.concat_tables(tables)


def _meters(contract: Contract) -> set[str]:
    """Meters whose slots a contract is billed by."""
    return {term.meter_id for term in contract.terms} if contract.terms else {contract.load}


def _by_account(contracts: Collection[Contract], meters: int, shards: int) -> Iterator[list[Contract]]:
    """Contracts of whole accounts, of about so many meters at a time.

    In the order of the shards of their first meters: so each file is read for few of them.
    """
    of_account: dict[str, list[Contract]] = defaultdict(list)
    for contract in contracts:
        of_account[contract.account_id].append(contract)
    held: list[Contract] = []
    count = 0

    def place(own: list[Contract]) -> tuple[int, str]:
        first = min(min(_meters(each)) for each in own)
        return shard_of_id(first, shards), first

    for mine in sorted(of_account.values(), key=place):
        here = len(set().union(*map(_meters, mine)))
        if held and count + here > meters:
            yield held
            held, count = [], 0
        held += mine
        count += here
    if held:
        yield held


def _span(
    lake: Lake, written: Sequence[ds.Dataset], meters: list[str], since: int
) -> tuple[int, int, int] | None:
    """First and last epoch day of some meters' day rows, and their least interval [s]; None without rows."""
    rows = _with_result(_every_row(lake, written, meters, since, ("local_day", "interval_s")))
    if not rows.num_rows:
        return None
    days = pc.min_max(rows["local_day"].cast(pa.int32()))
    return days["min"].as_py(), days["max"].as_py(), pc.min(rows["interval_s"]).as_py()


def _rows(lake: Lake, written: Sequence[ds.Dataset], meters: list[str], since: int) -> pa.Table:
    """Day rows of some meters that hold, of the lake and of this run, in no order."""
    rows = _every_row(lake, written, meters, since, (*DAYS.key, *_BILLED, "revision"))
    return _with_result(latest(rows, DAYS, ordered=False))


def _with_result(rows: pa.Table) -> pa.Table:
    return rows.filter(~pc.field("withdrawn")) if pc.any(rows["withdrawn"]).as_py() else rows


def _every_row(
    lake: Lake, written: Sequence[ds.Dataset], meters: list[str], since: int, columns: Sequence[str]
) -> pa.Table:
    """Day rows of some meters, those of this run beside those they stand for."""
    names, wanted = [*columns, "withdrawn"], pc.field("meter_id").isin(pa.array(meters, pa.string()))
    days = None
    if since != EVER:
        days = since, LATEST
        wanted &= pc.field("local_day") >= day_date(since)
    rows = [lake.current(DAYS.name, meters=meters, days=days, columns=names)]
    for part in written:
        found = part.to_table(columns=names, filter=wanted, use_threads=False)
        rows.append(found.cast(rows[0].schema))
    return pa.concat_tables(rows)
