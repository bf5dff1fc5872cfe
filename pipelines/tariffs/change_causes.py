"""Why a bill came out anew: what differs between the runs that made two of its revisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.bill_cycles import Contract
from models.bill_prices import Prices, version_stretches
from models.calendar import local_midnight
from schemas.tariff import EnergySeries, Tariff
from schemas.tariff_charges import named_event

__all__ = ["Basis", "change_causes"]


@dataclass(frozen=True)
class Basis:
    """What one revision of a bill was made from, beside its slots.

    Attributes:
        prices: Of the run that made it.
        contracts: Of its account, those on its days.
        handed_on: State by service point that the bills before handed on.
    """

    prices: Prices
    contracts: Sequence[Contract]
    handed_on: Mapping[str, Any]


def change_causes(was: Basis, now: Basis, days: tuple[int, int], zone: str) -> list[str]:
    """Causes but the slots, as words: tariff versions, events, prices, master data, the bill before.

    Args:
        was: Of the revision before.
        now: Of this revision.
        days: First and last epoch day of the bill.
        zone: Of the local days.
    """
    causes = []
    if _plain(was.contracts) != _plain(now.contracts):
        causes.append("master data")
    both = _tariffs(was) & _tariffs(now)
    old, new = (_versions(basis.prices, both, days) for basis in (was, now))
    for name, version in sorted({*old, *new}):
        if old.get((name, version)) != new.get((name, version)):
            causes.append(f"tariff {name} version {version}")
    used = [tariff for _, _, tariff in (*old.values(), *new.values())]
    charges = [charge for tariff in used for charge in tariff.charges]
    events = sorted({name for name in map(named_event, charges) if name is not None})
    causes += [
        f"event {name}" for name in events if _event_days(was, name, days) != _event_days(now, name, days)
    ]
    begin, end = local_midnight(zone, days[0]), local_midnight(zone, days[1] + 1)
    causes += [
        f"price series {name}"
        for name in sorted({charge.series for charge in charges if isinstance(charge, EnergySeries)})
        if _series_prices(was, name, begin, end) != _series_prices(now, name, begin, end)
    ]
    if was.prices.rules.holding != now.prices.rules.holding:
        causes.append("limits that hold bills")
    if was.handed_on != now.handed_on:
        causes.append("what the bill before hands on")
    return causes


def _plain(contracts: Iterable[Contract]) -> list[str]:
    return sorted(map(repr, contracts))


def _tariffs(basis: Basis) -> set[str]:
    return {contract.tariff_id for contract in basis.contracts if contract.tariff_id is not None}


def _versions(
    prices: Prices, names: Iterable[str], days: tuple[int, int]
) -> dict[tuple[str, int], tuple[int, int, Tariff]]:
    """Days and content of each tariff version in force on the bill's days."""
    return {
        (name, tariff.version): (low, high, tariff)
        for name in names
        for low, high, tariff in version_stretches(prices.book.get(name, []), *days)
    }


def _event_days(basis: Basis, event: str, days: tuple[int, int]) -> set[int]:
    """Days of an event; the day before the bill too, as its hours may run over midnight."""
    return {day for day in basis.prices.events.get(event, ()) if days[0] - 1 <= day <= days[1]}


def _series_prices(basis: Basis, name: str, begin: int, end: int) -> list[tuple[Any, ...]]:
    series = basis.prices.series.get(name)
    if series is None:
        return []
    rows = zip(series.starts.tolist(), series.ends.tolist(), series.prices, series.currencies, strict=True)
    return [row for row in rows if row[0] < end and row[1] > begin]
