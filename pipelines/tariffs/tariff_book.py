"""Tariffs and tariff events as they were read: from a folder, and from received records."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from models.bill_prices import Events
from models.blocks import NEVER
from models.calendar import epoch_day
from schemas.tariff import BillingRules, Tariff, load_billing_rules, load_tariffs, parse_tariff
from transforms.storage import place

TariffBook = dict[str, list[Tariff]]


@lru_cache(maxsize=4)
def tariff_book(folder: str | None, received: tuple[tuple[str, str, str], ...]) -> TariffBook:
    """Tariffs of a folder and of received ``TariffVersion`` records, by id.

    Args:
        folder: YAML files, or None.
        received: (tariff_id, version, yaml) that hold.

    Raises:
        MeterbeamError: A tariff is wrong; names it.
    """
    book = {} if folder is None else load_tariffs(place(folder))
    for name, version, text in received:
        tariff = parse_tariff(text, f"TariffVersion {name} {version}")
        versions = [t for t in book.get(name, []) if t.version != tariff.version]
        book[name] = sorted([*versions, tariff], key=lambda t: (t.effective.from_, t.version))
    return book


@lru_cache(maxsize=4)
def billing_rules(folder: str | None) -> BillingRules:
    """What the tariff folder says beside tariffs; empty without one.

    Raises:
        MeterbeamError: It is wrong; names the line.
    """
    return BillingRules() if folder is None else load_billing_rules(place(folder))


def received_tariffs(rows: pa.Table) -> tuple[tuple[str, str, str], ...]:
    """(tariff_id, version, yaml) of the ``TariffVersion`` records that hold, sorted."""
    held: dict[tuple[str, str], tuple[int, int, str]] = {}
    for row in rows.to_pylist():
        key = row["tariff_id"], row["version"]
        received, sequence = row["received_at"], row["sequence"]
        order = NEVER if received is None else received, -1 if sequence is None else sequence, row["yaml"]
        held[key] = max(held.get(key, order), order)
    return tuple((*key, text) for key, (*_, text) in sorted(held.items()))


def event_days(table: pa.Table) -> Events:
    """Days of each tariff event."""
    days: dict[str, set[int]] = {}
    for event, day in zip(table["event"].to_pylist(), table["local_date"].to_pylist(), strict=True):
        days.setdefault(event, set()).add(epoch_day(day))
    return {event: frozenset(found) for event, found in days.items()}
