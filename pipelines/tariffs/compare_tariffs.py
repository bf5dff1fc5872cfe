"""Rank one load under several tariffs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipelines.tariffs.bill_inputs import BillInputs
from pipelines.tariffs.load_file import Load
from pipelines.tariffs.price_load import price_load, tariff_versions
from schemas.errors import MeterbeamError
from schemas.tariff import Tariff

__all__ = ["compare_tariffs"]


def compare_tariffs(paths: Sequence[Path], load: Load, inputs: BillInputs) -> dict[str, Any]:
    """The bill under the first tariff, and all tariffs by total, the cheapest first.

    A tariff that has no event of a name charges nothing for it; what past bills carried by period or by
    charge counts for the first tariff only.

    Args:
        paths: Tariff files or folders of versions.
        load: As for one bill.
        inputs: As for one bill; an event must be known to one of the tariffs.

    Raises:
        MeterbeamError: A tariff cannot price the load, or the currencies differ.
    """
    tariffs = [tariff_versions(path) for path in paths]
    known = {event for versions in tariffs for version in versions for event in version.calendar.events}
    for event, feed in inputs.events.items():
        if event not in known and (feed.days or feed.stretches):
            raise MeterbeamError.unknown(inputs.events_file, event, sorted(known))
    bills = [
        price_load(versions, load, _for(versions, inputs, own=place == 0))
        for place, versions in enumerate(tariffs)
    ]
    for path, bill in zip(paths, bills, strict=True):
        if bill["currency"] != bills[0]["currency"]:
            found = f"totals in {bill['currency']}"
            raise MeterbeamError(str(path), found, f"{bills[0]['currency']}, as {paths[0]} has")
    order = sorted(range(len(bills)), key=lambda i: (Decimal(bills[i]["total"]), i))
    least = Decimal(bills[order[0]]["total"])
    ranked = [
        {
            "rank": rank,
            "tariff": bills[i]["tariff"],
            "file": str(paths[i]),
            "total": bills[i]["total"],
            "currency": bills[i]["currency"],
            "more": str(Decimal(bills[i]["total"]) - least),
        }
        for rank, i in enumerate(order, 1)
    ]
    return {**bills[0], "compare": ranked}


def _for(versions: Sequence[Tariff], inputs: BillInputs, *, own: bool) -> BillInputs:
    known = {event for version in versions for event in version.calendar.events}
    events = {event: feed for event, feed in inputs.events.items() if event in known}
    carried = inputs if own else replace(inputs, charge_peaks_kw={}, rollover_kwh={})
    return replace(carried, events=events)
