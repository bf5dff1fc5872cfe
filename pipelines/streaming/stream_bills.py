"""Account bills of a stream's commit: those that became due, and those whose past changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds

from models.bill_cycles import billing_periods
from models.bill_prices import Prices
from models.calendar import epoch_day
from models.contracts import ContractBook
from models.shard_scope import EVER
from pipelines.batch.account_bills import account_parts, repriced_accounts, revised_bills
from pipelines.batch.shard_job import ProcessJob, contracts, fresh_prices, masters, prices
from pipelines.store.lake import Lake, Run
from pipelines.store.parts import PartFile
from pipelines.streaming.bill_starts import bill_starts, first_states, reaches
from pipelines.tariffs.tariff_book import event_days, received_tariffs, tariff_book
from pipelines.tariffs.tariff_store import kept_tariffs
from schemas.lake import BILLS, RAW_FILES
from schemas.records import Kind

if TYPE_CHECKING:
    from pipelines.streaming.stream_commit import CommitRules

__all__ = ["StreamPrices", "bill_part", "due_accounts"]


class StreamPrices:
    """Tariffs of a folder and of the records that came; picklable, for ``LedgerRules.prices``.

    Args:
        folder: Tariff files, or None.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = None if folder is None else str(folder.resolve())

    def check(self) -> None:
        """Read the folder once, so that a wrong tariff is told before anything starts.

        Raises:
            MeterbeamError: A tariff is wrong; names it.
        """
        tariff_book(self.folder, ())

    def __call__(self, tariffs: pa.Table, events: pa.Table) -> Prices:
        """Prices from ``RAW_TARIFFS`` and ``RAW_TARIFF_EVENTS``."""
        return Prices(tariff_book(self.folder, received_tariffs(tariffs)), event_days(events))


def bill_part(
    lake: Lake,
    run: Run,
    raw: pa.Table,
    days: pa.Table,
    series: pa.Table,
    former: int,
    last: int,
    rules: CommitRules,
) -> PartFile | None:
    """Bills that are new or changed, as a part of the run; None where there are none.

    Args:
        lake: Read at its last complete run.
        run: The commit.
        raw: Its new rows of ``raw_files``; the files are written.
        days: Its changed day rows.
        series: Range of results of every series.
        former: Last closed epoch day of the lake before.
        last: And now.
        rules: Of the stream.
    """
    job = _job(lake, run, raw, former, last, rules)
    priced = prices(job)
    points = masters(job.lake, job.raw.get(Kind.SERVICE_POINTS, ()))
    master = points.data
    if not priced.book or master.empty:
        return None
    repriced = any(fresh for kind in (Kind.TARIFFS, Kind.TARIFF_EVENTS) for _, fresh in job.raw.get(kind, ()))
    changed = dict.fromkeys(master.spans, -1) if repriced else _first_changed(days)
    changed |= dict.fromkeys(points.meters, -1)
    book = contracts(job)
    accounts = due_accounts(book, changed, _first_days(series), former, last)
    accounts |= dict.fromkeys(points.accounts | repriced_accounts(book, priced.book, fresh_prices(job)), EVER)
    if not accounts:
        return None
    wanted = [contract for contract in book.every if contract.account_id in accounts]
    written = [ds.dataset(days)] if days.num_rows else []
    tables = []
    for start, some in bill_starts(accounts, wanted, reaches(series), first_states(lake), last).items():
        mine = [contract for contract in wanted if contract.account_id in some]
        parts = account_parts(lake, written, master, mine, priced, last, since=start)
        tables.append(revised_bills(parts, lake, some, since=start))
    bills = pa.concat_tables(tables)
    return run.write(BILLS, "stream", bills) if bills.num_rows else None


def due_accounts(
    contracts: ContractBook,
    changed: Mapping[str, int],
    first_days: Mapping[str, int],
    former: int,
    last: int,
) -> dict[str, int]:
    """Accounts with a bill that became due, or with a due bill whose days changed.

    And the first day of the first such bill of each.

    Args:
        contracts: Of the lake.
        changed: First changed epoch day of each meter.
        first_days: First epoch day of each meter's range.
        former: Last closed epoch day before.
        last: And now.
    """
    accounts: dict[str, int] = {}
    for contract in contracts.every:
        meters = [meter for meter in contracts.meters(contract) if meter in first_days]
        since = min((changed[meter] for meter in meters if meter in changed), default=last + 1)
        if not meters or (since > last and former == last):
            continue
        periods = billing_periods(contract, min(first_days[meter] for meter in meters), last)
        new = [period.first for period in periods if period.last >= since or period.last + 1 > former]
        if new:
            account = contract.account_id
            accounts[account] = min(new[0], accounts.get(account, new[0]))
    return accounts


def _job(lake: Lake, run: Run, raw: pa.Table, former: int, last: int, rules: CommitRules) -> ProcessJob:
    names: dict[Kind, list[tuple[str, bool]]] = {}
    for table, fresh in ((lake.table(RAW_FILES.name), False), (raw, True)):
        for kind, name in zip(table["kind"].to_pylist(), table["name"].to_pylist(), strict=True):
            names.setdefault(Kind(kind), []).append((name, fresh))
    return ProcessJob(
        lake=str(lake.path),
        run_no=run.run_no,
        raw={kind: tuple(found) for kind, found in names.items()},
        last_closed=last,
        former_closed=former,
        book=rules.book,
        everything=False,
        limits=None,
        cells=0,
        tariffs=None if rules.tariffs is None else str(kept_tariffs(lake.path, rules.tariffs).resolve()),
    )


def _first_changed(days: pa.Table) -> dict[str, int]:
    """First changed epoch day of each meter."""
    table = pa.table({"meter": days["meter_id"].cast(pa.string()), "day": days["local_day"].cast(pa.int32())})
    least = table.group_by("meter", use_threads=False).aggregate([("day", "min")])
    return dict(zip(least["meter"].to_pylist(), least["day_min"].to_pylist(), strict=True))


def _first_days(series: pa.Table) -> dict[str, int]:
    found: dict[str, int] = {}
    for meter, day in zip(series["meter_id"].to_pylist(), series["first_day"].to_pylist(), strict=True):
        found[meter] = min(found.get(meter, epoch_day(day)), epoch_day(day))
    return found
