"""What a bill takes from slots, exactly: energy of runs, highest demand, energy at prices and in events.

Everything after this is arithmetic on a few numbers a bill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from models.bill_window import MissingPriceError, UnpriceableError, Window
from models.calendar import DayGrid, local_days, standard_offset
from models.demand_windows import Windows, demand_windows, windows_within
from models.gas import energy_of_volume
from models.series import Bool, Int
from models.tou import Periods, classify, event_slots, run_sums
from schemas.tariff import (
    CoincidentDemand,
    Demand,
    EnergyAdder,
    EnergySeries,
    Export,
    Reactive,
    Tariff,
)

__all__ = ["Priceless", "Quantities", "measure", "netting_of"]

CELLS = 1 << 16
"""Slots handled at once: three buffers of 512 KiB, which stay in the cache."""
HOUR_S = 3600
MICRO_DP = 6


@dataclass
class Priceless:
    """Energy at the prices of a series, before it is rounded to money.

    Attributes:
        energy: Shape (n,). [micro-unit]
        products: Σ energy × price of each service point, exact. [10^-decimals × micro-unit]
        decimals: Of the prices.
    """

    energy: Int
    products: list[int]
    decimals: int


@dataclass
class Quantities:
    """What n bills take from slots.

    Attributes:
        periods: Of the slots.
        drawn: Energy drawn in each run of one period within a day, (n, runs). [micro-unit] Netted with what
            was fed in by slot or hour where the tariff says so, not yet over the bill.
        fed: The same of energy fed in; None where nothing can be.
        peaks: Highest demand by charge, or by charge and period; (n,). [micro-kW]
        coincident: Sum over events of the demand that counts, and the number of events it is the mean of.
        events: Energy in event hours by charge; (n,). [micro-unit]
        series: Energy at prices by charge.
        reactive: Reactive energy, and the energy drawn at the same time, by charge; (n,) each.
    """

    periods: Periods
    drawn: Int
    fed: Int | None
    peaks: dict[tuple[str, ...], Int]
    coincident: dict[str, tuple[Int, int]]
    events: dict[str, Int]
    series: dict[str, Priceless]
    reactive: dict[str, tuple[Int, Int]]


def netting_of(tariff: Tariff) -> str:
    """How import and export are set off against each other; ``none`` where no charge says so."""
    return next((c.netting for c in tariff.charges if isinstance(c, Export)), "none")


def measure(tariff: Tariff, window: Window) -> Quantities:
    """Reduce the slots of one window.

    Args:
        tariff: The version in force.
        window: The load.

    Raises:
        UnpriceableError: A price, a channel or an event's hours are lacking.
    """
    return _Measure(tariff, window).all()


class _Measure:
    """The plan of one window, and the arrays filled block of rows by block of rows."""

    def __init__(self, tariff: Tariff, window: Window) -> None:
        self.tariff, self.window, self.grid = tariff, window, window.grid
        self.count = len(window.imported)
        self.periods = classify(tariff, window.grid)
        self.demand_periods = (
            classify(tariff, window.grid, demand=True) if tariff.calendar.demand_periods else self.periods
        )
        self.netting = netting_of(tariff) if window.exported is not None else "none"
        self.windows = self._windows()
        self.hours = {
            c.id: event_hours(tariff, c.event, window)
            for c in tariff.charges
            if isinstance(c, EnergyAdder | CoincidentDemand)
        }
        self.prices = {c.id: _prices(c, window) for c in tariff.charges if isinstance(c, EnergySeries)}

    def _windows(self) -> dict[tuple[str, ...], Windows]:
        found = {}
        for charge in self.tariff.charges:
            if isinstance(charge, Demand):
                for part in charge.parts():
                    found[charge.id, *part] = demand_windows(
                        self.tariff,
                        self.grid,
                        self.demand_periods,
                        window_min=charge.window_min,
                        method=charge.method,
                        of=part or charge.periods,
                    )
        return found

    def all(self) -> Quantities:
        """Every quantity of the bills."""
        shape = (self.count, len(self.periods.edges))
        known = self.window.runs if self.window.exported is None and self.tariff.conversion is None else None
        found = Quantities(
            periods=self.periods,
            drawn=np.empty(shape, np.int64) if known is None else known,
            fed=None if self.window.exported is None else np.empty(shape, np.int64),
            peaks={key: np.empty(self.count, np.int64) for key in self.windows},
            coincident={},
            events={},
            series={},
            reactive={},
        )
        if known is None or self.windows:
            buffers = np.empty((3, _block_rows(self.count, self.grid.slots), self.grid.slots), np.int64)
            for low in range(0, self.count, buffers.shape[1]):
                rows = slice(low, min(low + buffers.shape[1], self.count))
                self._fill(found, rows, buffers[:, : rows.stop - low], summed=known is not None)
        self._rare(found)
        return found

    def _fill(self, found: Quantities, rows: slice, buffers: Int, *, summed: bool) -> None:
        metered, drawn, fed = self._load(rows, buffers)
        if not summed:
            found.drawn[rows] = run_sums(drawn, self.periods)
        if fed is not None and found.fed is not None:
            found.fed[rows] = run_sums(fed, self.periods)
        for key, windows in self.windows.items():
            found.peaks[key][rows] = windows.highest(metered)

    def _load(self, rows: slice, buffers: Int) -> tuple[Int, Int, Int | None]:
        """Load that makes demand, and energy drawn and fed in after netting by slot or hour."""
        net, metered, excess = buffers
        drawn = self.window.imported[rows]
        if self.tariff.conversion is not None:
            drawn = energy_of_volume(drawn, self.tariff.conversion.factor)
        if self.window.exported is None:
            return drawn, drawn, None
        fed = self.window.exported[rows]
        if self.netting in ("none", "month"):
            return drawn, drawn, fed
        np.subtract(drawn, fed, out=net)
        np.maximum(net, 0, out=metered)
        if self.netting == "interval":
            return metered, metered, np.subtract(metered, net, out=excess)
        hourly = _by_hour(self.tariff, self.grid, net)
        drawn = np.maximum(hourly, 0)
        return metered, drawn, drawn - hourly

    def _rare(self, found: Quantities) -> None:
        """Quantities of charges that few tariffs have, over all rows at once."""
        charges = [
            c
            for c in self.tariff.charges
            if isinstance(c, EnergyAdder | EnergySeries | CoincidentDemand | Reactive)
        ]
        if not charges:
            return
        for charge in charges:
            if isinstance(charge, EnergyAdder) and not self.hours[charge.id].any():
                found.events[charge.id] = np.zeros(self.count, np.int64)
        waiting = [c for c in charges if c.id not in found.events]
        if not waiting:
            return
        metered, drawn, fed = self._load(slice(None), np.empty((3, self.count, self.grid.slots), np.int64))
        for charge in waiting:
            if isinstance(charge, CoincidentDemand):
                found.coincident[charge.id] = self._coincident(charge, metered)
            elif isinstance(charge, Reactive):
                found.reactive[charge.id] = self._reactive(charge, drawn)
            else:
                load = drawn if charge.direction == "import" else fed
                load = np.zeros_like(drawn) if load is None else load
                if isinstance(charge, EnergyAdder):
                    found.events[charge.id] = load[:, self.hours[charge.id]].sum(axis=1)
                else:
                    found.series[charge.id] = _at_prices(load, *self.prices[charge.id])

    def _coincident(self, charge: CoincidentDemand, metered: Int) -> tuple[Int, int]:
        hours = self.hours[charge.id]
        windows = windows_within(
            self.tariff, self.grid, hours, window_min=charge.window_min, method=charge.method
        )
        if not len(windows.first):
            return np.zeros(self.count, np.int64), 1
        power = windows.demand(metered)
        if charge.of == "highest":
            return power.max(axis=1), 1
        begins = np.cumsum(np.diff(hours.astype(np.int8), prepend=0) == 1)
        event = begins[windows.first]
        edges = np.flatnonzero(np.diff(event, prepend=0))
        highest: Int = np.maximum.reduceat(power, edges, axis=1)
        return highest.sum(axis=1), len(edges)

    def _reactive(self, charge: Reactive, drawn: Int) -> tuple[Int, Int]:
        load = self.window.reactive.get(charge.channel)
        if load is None:
            raise UnpriceableError(f"no {charge.channel}", f"kvarh in every slot for charge {charge.id}")
        chosen = np.ones(self.grid.slots, np.bool_)
        if charge.periods is not None:
            codes = [self.periods.names.index(name) for name in charge.periods]
            chosen = np.isin(self.periods.of_slot, codes)
        return load[:, chosen].sum(axis=1), drawn[:, chosen].sum(axis=1)


def event_hours(tariff: Tariff, event: str, window: Window) -> Bool:
    """Slots in an event's hours, on its days and in its stretches; (slots,)."""
    days = window.events.get(event, frozenset())
    if days and tariff.calendar.events[event].at is None:
        raise UnpriceableError(f"days of event {event}", "stretches of time, as the tariff gives it no hours")
    hours = event_slots(tariff, event, days, window.grid)
    for low, high in window.stretches.get(event, ()):
        hours |= (window.grid.starts >= low) & (window.grid.starts < high)
    return hours


def _block_rows(count: int, slots: int) -> int:
    return max(min(CELLS // max(slots, 1), count), 1)


def _by_hour(tariff: Tariff, grid: DayGrid, net: Int) -> Int:
    """Net energy of each hour of the standard clock, at the hour's first slot."""
    days = local_days(tariff.timezone, grid.starts)
    offsets = np.array([standard_offset(tariff.timezone, d) for d in range(days[0], days[-1] + 1)], np.int64)
    hour = (grid.starts + offsets[days - days[0]]) // HOUR_S
    edges = np.flatnonzero(np.diff(hour, prepend=hour[0] - 1))
    hourly = np.zeros_like(net)
    hourly[:, edges] = np.add.reduceat(net, edges, axis=1)
    return hourly


def _prices(charge: EnergySeries, window: Window) -> tuple[list[int], int]:
    """Price of each slot as an integer, and the decimals they share."""
    prices: Sequence[Decimal | None] | None = window.prices.get(charge.series)
    if prices is None:
        raise MissingPriceError(charge.series, None)
    known = [price for price in prices if price is not None]
    if len(known) < window.grid.slots:
        lost = next(i for i, price in enumerate(prices) if price is None)
        raise MissingPriceError(charge.series, int(window.grid.starts[lost]))
    rates = {
        price: Fraction(price) * Fraction(charge.multiplier) + Fraction(charge.adder) for price in set(known)
    }
    decimals = 0
    while any((rate * 10**decimals).denominator != 1 for rate in rates.values()):
        decimals += 1
    whole = {price: int(rate * 10**decimals) for price, rate in rates.items()}
    return [whole[price] for price in known], decimals


def _at_prices(load: Int, prices: list[int], decimals: int) -> Priceless:
    energy = load.sum(axis=1)
    highest = max((abs(price) for price in prices), default=0)
    if highest * int(np.abs(load).sum(axis=1).max(initial=0)) < 1 << 62:
        products = (load @ np.array(prices, np.int64)).tolist()
    else:
        products = [sum(e * p for e, p in zip(row, prices, strict=True)) for row in load.tolist()]
    return Priceless(energy, products, decimals)
