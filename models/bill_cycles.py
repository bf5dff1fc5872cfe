"""Billing periods: which local days make one bill (SEMANTICS, Bills)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from models.calendar import day_date, epoch_day, local_day, local_midnight, slot_from
from models.master import FOREVER, MasterData, Span


@dataclass(frozen=True)
class Stay:
    """Seconds [start, end) of a meter at the service point of a contract."""

    meter_id: str
    start: int
    end: int


@dataclass(frozen=True)
class Contract:
    """A service point on one tariff, for one account, without interruption, whatever meter measures it.

    Attributes:
        meter_id: The latest meter.
        first_day, last_day: Epoch days, inclusive; ``last_day`` is None while it goes on.
        stays: The meters one after the other; each slot counts by its start.
        interval_s: Slot length; with another one begins another contract. [s]
    """

    service_point_id: str
    account_id: str
    meter_id: str
    commodity: str
    tariff_id: str | None
    bill_cycle_day: int
    first_day: int
    last_day: int | None
    stays: tuple[Stay, ...] = ()
    interval_s: int = 0

    @property
    def meters(self) -> tuple[str, ...]:
        """Its meters, each once, in the order of their first stay."""
        return tuple(dict.fromkeys(stay.meter_id for stay in self.stays))


@dataclass(frozen=True)
class BillingPeriod:
    """Epoch days first … last of one bill of a contract."""

    contract: Contract
    first: int
    last: int


def contracts_of(spans: Sequence[Span], zone: str) -> list[Contract]:
    """Contracts of a service point; versions that change nothing about billing are one contract.

    Between two accounts the slot decides. A change of tariff or cycle day within a local day counts from the
    next midnight: both are matters of whole days.

    Args:
        spans: Its spans, whatever their meters, in time order.
        zone: Of the local days.
    """
    found: list[Contract] = []
    carried = 0
    for span in spans:
        start = max(span.start, carried)
        if span.version.role != "customer" or not span.version.account_id or start >= span.end:
            continue
        before = found[-1] if found and _goes_on(found[-1], span, start) else None
        if before is None:
            found.append(_contract((), span, start, span.end, zone))
        elif (before.tariff_id, before.bill_cycle_day) == (
            span.version.tariff_id,
            span.version.bill_cycle_day,
        ):
            found[-1] = _contract(before.stays, span, start, span.end, zone)
        else:
            carried = min(_midnight_from(start, zone), span.end)
            if carried > start:
                former = {name: getattr(before, name) for name in ("tariff_id", "bill_cycle_day")}
                found[-1] = replace(_contract(before.stays, span, start, carried, zone), **former)
            if carried < span.end:
                found.append(_contract((), span, carried, span.end, zone))
    return found


def _goes_on(before: Contract, span: Span, start: int) -> bool:
    """Whether the account stays, with slots of the same length."""
    terms = (before.stays[-1].end, before.account_id, before.interval_s)
    return terms == (start, span.version.account_id, span.version.interval_s)


def _midnight_from(second: int, zone: str) -> int:
    """First local midnight at or after a second."""
    midnight = local_midnight(zone, local_day(zone, second))
    return midnight if midnight == second else local_midnight(zone, local_day(zone, second) + 1)


def _contract(stays: tuple[Stay, ...], span: Span, start: int, end: int, zone: str) -> Contract:
    """A contract on the terms of a span, after the stays it had before."""
    version = span.version
    if stays and stays[-1].meter_id == version.meter_id:
        stays, start = stays[:-1], stays[-1].start
    stays = (*stays, Stay(version.meter_id, start, end))
    low, high = (
        slot_from(zone, min(max(at, 0), FOREVER), version.interval_s) for at in (stays[0].start, end)
    )
    return Contract(
        service_point_id=version.service_point_id,
        account_id=version.account_id,
        meter_id=version.meter_id,
        commodity=version.commodity,
        tariff_id=version.tariff_id,
        bill_cycle_day=version.bill_cycle_day,
        first_day=local_day(zone, low),
        last_day=None if end >= FOREVER else local_day(zone, high - 1),
        stays=stays,
        interval_s=version.interval_s,
    )


def contracts(master: MasterData, meters: Iterable[str], zone: str) -> list[Contract]:
    """Contracts of every service point that some meters are, or were, at."""
    found: dict[str, list[Contract]] = {}
    for meter in meters:
        of_point: dict[str, list[Span]] = {}
        for span in master.spans.get(meter, ()):
            of_point.setdefault(span.version.service_point_id, []).append(span)
        for point, spans in of_point.items():
            if point not in found:
                found[point] = contracts_of(master.tenures.get(point, spans), zone)
    return [contract for point in found.values() for contract in point]


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
