"""One line of a bill: the days and slots it comes from, or the charges it is a share of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isqrt
from typing import Any

import numpy as np

from models.bill_prices import Prices, prices_on, version_stretches
from models.bill_window import UnpriceableError, Window
from models.calendar import DayGrid, epoch_day
from models.demand_charges import factors_of
from models.interval_parts import IntervalPart
from models.line_slots import LineSlots, line_slots
from models.series import Int
from pipelines.tariffs.bill_slots import Slots, by_day
from schemas.tariff import (
    AnyCharge,
    CoincidentDemand,
    Demand,
    Energy,
    Export,
    Reactive,
    Tariff,
    charged_channel,
)
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
            shown |= _from_slots(_Stretch(of, own, tariff, low, high), line, charge)
    return shown


@dataclass(frozen=True)
class _Stretch:
    """The days of a bill under one tariff version.

    Attributes:
        of: The bill.
        slots: Of the line's service point.
        tariff: In force on epoch days ``low`` … ``high``.
    """

    of: BillOf
    slots: Slots
    tariff: Tariff
    low: int
    high: int

    def lines(self, charge: AnyCharge, *, period: str | None, tier: int, kw: Int | None) -> list[_Found]:
        """Slots of a line, with their grid; demand is measured by each length of interval on its own."""
        grid = DayGrid(self.slots.grid.zone, self.slots.grid.interval_s, self.low, self.high - self.low + 1)
        measured = isinstance(charge, Demand | CoincidentDemand)
        parts = self.slots.grids(self.low, self.high) if measured else [(None, grid)]
        found = []
        for part, own in parts:
            window = self._window(own, part)
            line = line_slots(self.tariff, window, charge, period=period, tier=tier, kw=kw)
            if line is not None:
                real = line.chosen if measured else line.chosen & self.slots.real(own)
                found.append(_Found(replace(line, chosen=real), window))
        if isinstance(charge, Demand) or (isinstance(charge, CoincidentDemand) and charge.of == "highest"):
            minutes = charge.window_min
            return [max(found, key=lambda each: each.measured(minutes))]
        return found

    def _window(self, grid: DayGrid, part: IntervalPart | None) -> Window:
        slots, of = self.slots, self.of
        first, last = of.days
        try:
            prices = prices_on(self.tariff, grid, of.prices.series)
        except UnpriceableError:  # it held the bill, which has no lines then
            prices = {}
        return Window(
            grid=grid,
            imported=slots.micro(slots.drawn, grid, part),
            exported=slots.micro(slots.fed, grid, part) if slots.fed else None,
            month=of.bill["period_end"].year * 12 + of.bill["period_end"].month - 1,
            billed_days=last - first + 1,
            events=of.prices.events,
            of_bill=(slots.total(slots.drawn), slots.total(slots.kvarh["reactive_import"])),
            prices=prices,
            reactive={name: slots.micro(channel, grid, part) for name, channel in slots.kvarh.items()},
            closes=self.high == last,
        )


@dataclass(frozen=True)
class _Found:
    """Slots of a line, and the window that they are of."""

    line: LineSlots
    window: Window

    def measured(self, window_min: int) -> int:
        """Mean power of the slots of one demand window [micro-kW]."""
        return self._power(int(self.line.energy[self.line.chosen].sum()), window_min)

    def measured_apparent(self, window_min: int, channel: str) -> int:
        """Mean apparent power of the slots of one demand window [micro-kVA]."""
        energies = (self.line.energy, self.window.reactive[channel][0])
        squares = sum(int(energy[self.line.chosen].sum()) ** 2 for energy in energies)
        return self._power(isqrt(squares), window_min)

    def _power(self, energy: int, window_min: int) -> int:
        return energy * HOUR_S // max(window_min * 60, self.window.grid.interval_s)


def _from_slots(stretch: _Stretch, line: Mapping[str, Any], charge: AnyCharge) -> dict[str, Any]:
    of, slots, tariff = stretch.of, stretch.slots, stretch.tariff
    kw = _billed_kw(of, line, tariff, charge)
    try:
        found = stretch.lines(charge, period=line["period"], tier=line["tier"] or 0, kw=kw)
    except UnpriceableError:
        return {}
    if not found:
        return {}
    sold = isinstance(charge, Export) or getattr(charge, "direction", "import") == "export"
    source = slots.fed if sold else slots.drawn
    if isinstance(charge, Reactive):
        source = slots.kvarh[charge.channel]
    days = [day for each in found for day in by_day(each.line, each.window.grid, source, each=of.each)]
    shown: dict[str, Any] = {"days": days}
    if isinstance(charge, Demand):
        shown |= _demand(of, line, charge, found[0], tariff)
    if found[0].line.shared:
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
    of: BillOf, line: Mapping[str, Any], charge: Demand, found: _Found, tariff: Tariff
) -> dict[str, Any]:
    """Measured kW, and why the bill has more."""
    step = Decimal(1).scaleb(-tariff.rounding.kw_dp)
    channel = charged_channel(charge)
    micro = found.measured(charge.window_min)
    if channel is not None:
        micro = found.measured_apparent(charge.window_min, channel)
    measured, unit = Decimal(micro).scaleb(-6), charge.unit.lower()
    billed = sum((other["quantity"] for other in _tiers(of, line)), Decimal(0))
    shown: dict[str, Any] = {f"measured_{unit}": text_of(measured), f"billed_{unit}": text_of(billed)}
    factor = None if charge.pf is None else factors_of(found.window, charge.pf, tariff.rounding.mode)[0]
    if billed - measured < step:  # no more than rounding can make
        return shown
    if (
        charge.pf is not None
        and factor is not None
        and abs(billed * factor - measured * charge.pf.target) < step
    ):
        shown["because"] = f"for a power factor of {factor}, below {charge.pf.target}"
    elif billed == charge.min_kw or charge.ratchet is None:
        shown["because"] = f"at least {charge.min_kw} {charge.unit}"
    else:
        shown["because"] = f"{charge.ratchet.pct} of the highest demand of past bills"
    return shown


def text_of(value: Any) -> Any:
    """Numbers and days as text, without trailing zeros beyond the cent."""
    if value is None or isinstance(value, str | int):
        return value
    text = str(value)
    whole, dot, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}" if dot else text
