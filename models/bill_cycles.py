"""Billing periods: which local days make one bill (SEMANTICS, Bills)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from models.calendar import day_date, epoch_day, local_day, local_midnight
from models.master import FOREVER, Span


@dataclass(frozen=True)
class Contract:
    """A service point on one tariff, for one account, without interruption.

    Attributes:
        first_day, last_day: Epoch days, inclusive; ``last_day`` is None while it goes on.
    """

    service_point_id: str
    account_id: str
    meter_id: str
    commodity: str
    tariff_id: str | None
    bill_cycle_day: int
    first_day: int
    last_day: int | None


@dataclass(frozen=True)
class BillingPeriod:
    """Epoch days first … last of one bill of a contract."""

    contract: Contract
    first: int
    last: int


def contracts_of(meter: str, spans: Sequence[Span], zone: str) -> list[Contract]:
    """Contracts of a meter; versions that change nothing about billing are one contract."""
    found: list[Contract] = []
    for span in spans:
        version = span.version
        if version.role != "customer" or not version.account_id:
            continue
        first = local_day(zone, max(span.start, 0))
        first += local_midnight(zone, first) < span.start
        last = None if span.end >= FOREVER else local_day(zone, span.end) - 1
        same = (version.service_point_id, version.account_id, version.tariff_id, version.bill_cycle_day)
        if found:
            before = found[-1]
            touching = before.last_day is not None and before.last_day + 1 == first
            kept = (before.service_point_id, before.account_id, before.tariff_id, before.bill_cycle_day)
            if touching and kept == same:
                found[-1] = Contract(*same[:2], meter, version.commodity, *same[2:], before.first_day, last)
                continue
        if last is None or last >= first:
            found.append(Contract(*same[:2], meter, version.commodity, *same[2:], first, last))
    return found


def billing_periods(contract: Contract, first_day: int, last_closed: int) -> list[BillingPeriod]:
    """Periods of a contract that are due.

    Args:
        contract: Cuts the cycle at its first and last day.
        first_day: First epoch day of the meter's range: a period that begins before it is not billed.
        last_closed: Last closed epoch day; a period is due when the day after its last day has closed.
    """
    low = max(contract.first_day, first_day)
    last = last_closed if contract.last_day is None else contract.last_day
    periods: list[BillingPeriod] = []
    start = _cycle_start(low, contract.bill_cycle_day)
    while start <= min(last, last_closed):
        following = _next_start(start, contract.bill_cycle_day)
        first, end = (
            max(start, contract.first_day),
            min(following - 1, last if contract.last_day is not None else following),
        )
        whole = first >= first_day
        if whole and end + 1 <= last_closed:
            periods.append(BillingPeriod(contract, first, end))
        start = following
    return periods


@lru_cache(maxsize=4096)
def _cycle_start(day: int, cycle_day: int) -> int:
    """Last cycle start at or before a day."""
    here = day_date(day)
    start = _in_month(here.year, here.month, cycle_day)
    if start > here:
        year, month = (here.year, here.month - 1) if here.month > 1 else (here.year - 1, 12)
        start = _in_month(year, month, cycle_day)
    return epoch_day(start)


@lru_cache(maxsize=4096)
def _next_start(start: int, cycle_day: int) -> int:
    here = day_date(start)
    year, month = (here.year, here.month + 1) if here.month < 12 else (here.year + 1, 1)
    return epoch_day(_in_month(year, month, cycle_day))


def _in_month(year: int, month: int, cycle_day: int) -> date:
    return date(year, month, min(max(cycle_day, 1), monthrange(year, month)[1]))
