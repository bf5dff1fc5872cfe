"""Billing periods: which local days make one bill (SEMANTICS, Bills)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache

from models.calendar import day_date, epoch_day


@dataclass(frozen=True)
class Term:
    """A meter's part in a load, in the UTC seconds [start, end).

    Attributes:
        point: Service point at which the meter is.
        interval_s: Length of its slots. [s]
        sign: 1 or −1.
        share: Edges of the part of what is fed in that counts as fed in; None for the whole load.
    """

    point: str
    meter_id: str
    start: int
    end: int
    interval_s: int
    sign: int = 1
    share: tuple[Fraction, Fraction] | None = None


@dataclass(frozen=True)
class Contract:
    """A service point on one tariff, for one account, without interruption.

    Attributes:
        load: Name of its row among the loads: its meter, or a name of its own where it has several.
        first_day, last_day: Epoch days, inclusive; ``last_day`` is None while it goes on.
        terms: Meters that make up the load, where it is no single meter's.
        lack: What is missing from the terms; empty for nothing.
        formula: Whether it is a load by formula, and no service point of the master data.
    """

    service_point_id: str
    account_id: str
    load: str
    commodity: str
    tariff_id: str | None
    bill_cycle_day: int
    first_day: int
    last_day: int | None
    terms: tuple[Term, ...] = ()
    lack: str = ""
    formula: bool = False

    @property
    def chain(self) -> tuple[str, str]:
        """Service point and account: bills of one chain hand their state on."""
        return self.service_point_id, self.account_id


@dataclass(frozen=True)
class BillingPeriod:
    """Epoch days first … last of one bill of a contract."""

    contract: Contract
    first: int
    last: int


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
