"""One line of a bill: the days and slots it comes from, or the charges it is a share of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from models.bill_prices import Prices, prices_on, version_stretches
from models.bill_window import UnpriceableError, Window
from models.calendar import DayGrid, epoch_day
from models.line_slots import LineSlots, line_slots
from models.series import Int
from pipelines.tariffs.bill_slots import Slots, by_day
from schemas.tariff import AnyCharge, Demand, Energy, Export, Tariff
from schemas.tariff_charges import mentioned

__all__ = ["BillOf", "explain_line", "text_of"]

SHOWN = ("charge", "period", "tier", "quantity", "unit", "rate", "amount", "tariff_id", "tariff_version")
TRUE_UP = " true-up"
HOUR_S = 3600


@dataclass(frozen=True)
class BillOf:
    """A bill and what its lines came from.

    Attributes:
        bill: A row of ``bills`` with its lines.
        prices: Of its run.
        slots: By service point.
        each: Whether to list every slot.
    """

    bill: Mapping[str, Any]
    prices: Prices
    slots: Mapping[str, Slots]
    each: bool

    @property
    def days(self) -> tuple[int, int]:
        """First and last epoch day."""
        return epoch_day(self.bill["period_start"]), epoch_day(self.bill["period_end"])

    def beside(self, line: Mapping[str, Any], charge: str) -> list[Mapping[str, Any]]:
        """Lines of a charge of the same service point and tariff version."""
        same = "service_point_id", "tariff_id", "tariff_version"
        return [
            other
            for other in self.bill["lines"]
            if other["charge"] == charge and all(other[name] == line[name] for name in same)
        ]


def explain_line(of: BillOf, line: Mapping[str, Any]) -> dict[str, Any]:
    """A line with ``days`` (what it takes from slots) or ``of`` (the charges it is a share of).

    A tier that takes its part of every slot has its ``share`` beside; demand has ``measured_kw``, and
    ``because`` where more is billed.
    """
    shown = {"line": line["line"], "service_point_id": line["service_point_id"]}
    shown |= {name: text_of(line[name]) for name in SHOWN}
    for low, high, tariff in version_stretches(of.prices.book.get(line["tariff_id"], []), *of.days):
        if tariff.version != line["tariff_version"]:
            continue
        name = line["charge"].removesuffix(TRUE_UP)
        charge = next((charge for charge in tariff.charges if charge.id == name), None)
        if charge is None:
            continue
        others = mentioned(charge)[1] or (("subtotal",) if charge.type == "tax" else ())
        if others:
            shown["of"] = list(others)
        own = of.slots.get(line["service_point_id"])
        if own is not None and not line["charge"].endswith(TRUE_UP):
            window = _window(of, own, tariff, low, high)
            shown |= _from_slots(of, line, tariff, charge, own, window)
    return shown


def _window(of: BillOf, slots: Slots, tariff: Tariff, low: int, high: int) -> Window:
    grid = DayGrid(slots.grid.zone, slots.grid.interval_s, low, high - low + 1)
    first, last = of.days
    try:
        prices = prices_on(tariff, grid, of.prices.series)
    except UnpriceableError:  # it held the bill, which has no lines then
        prices = {}
    return Window(
        grid=grid,
        imported=slots.micro(slots.drawn, grid),
        exported=slots.micro(slots.fed, grid) if slots.fed else None,
        month=of.bill["period_end"].year * 12 + of.bill["period_end"].month - 1,
        billed_days=last - first + 1,
        events=of.prices.events,
        prices=prices,
        closes=high == last,
    )


def _from_slots(
    of: BillOf, line: Mapping[str, Any], tariff: Tariff, charge: AnyCharge, slots: Slots, window: Window
) -> dict[str, Any]:
    kw = _billed_kw(of, line, tariff, charge)
    try:
        found = line_slots(tariff, window, charge, period=line["period"], tier=line["tier"] or 0, kw=kw)
    except UnpriceableError:
        return {}
    if found is None:
        return {}
    sold = isinstance(charge, Export) or getattr(charge, "direction", "import") == "export"
    days = by_day(found, window.grid, slots.fed if sold else slots.drawn, each=of.each)
    shown: dict[str, Any] = {"days": days}
    if isinstance(charge, Demand):
        shown |= _demand(of, line, charge, found, window, Decimal(1).scaleb(-tariff.rounding.kw_dp))
    if found.shared:
        whole = sum((other["quantity"] for other in _tiers(of, line)), Decimal(0))
        shown["share"] = f"{line['quantity'] / whole:.4f}"
    return shown


def _tiers(of: BillOf, line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [other for other in of.beside(line, line["charge"]) if other["period"] == line["period"]]


def _billed_kw(of: BillOf, line: Mapping[str, Any], tariff: Tariff, charge: AnyCharge) -> Int | None:
    """Billed demand that a charge's limits per kW count by, as the bill itself has it."""
    if not isinstance(charge, Energy) or charge.tiers is None or not charge.tiers.per_kw:
        return None
    kw = sum((other["quantity"] for other in of.beside(line, str(charge.tiers.demand))), Decimal(0))
    return np.array([int(kw.scaleb(tariff.rounding.kw_dp))], np.int64)


def _demand(
    of: BillOf, line: Mapping[str, Any], charge: Demand, found: LineSlots, window: Window, step: Decimal
) -> dict[str, Any]:
    """Measured kW, and why the bill has more."""
    seconds = max(charge.window_min * 60, window.grid.interval_s)
    micro = int(found.energy[found.chosen].sum()) * HOUR_S // seconds
    measured = Decimal(micro).scaleb(-6)
    billed = sum((other["quantity"] for other in _tiers(of, line)), Decimal(0))
    shown: dict[str, Any] = {"measured_kw": text_of(measured), "billed_kw": text_of(billed)}
    if billed - measured >= step:  # more than rounding can make
        floor = billed == charge.min_kw
        shown["because"] = (
            f"at least {charge.min_kw} kW"
            if floor or charge.ratchet is None
            else f"{charge.ratchet.pct} of the highest demand of past bills"
        )
    return shown


def text_of(value: Any) -> Any:
    """Numbers and days as text, without trailing zeros beyond the cent."""
    if value is None or isinstance(value, str | int):
        return value
    text = str(value)
    whole, dot, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}" if dot else text
