"""What a bill takes from slots, exactly: energy of runs, highest demand, energy at prices and in events.

Everything after this is arithmetic on a few numbers a bill.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.bill_window import UnpriceableError, Window
from models.calendar import DayGrid, local_days, standard_offset
from models.demand_windows import Windows, demand_windows, windows_within
from models.gas import energy_of_volume
from models.series import Bool, Int
from models.series_energy import Priceless, at_prices, series_rates, whole_rates
from models.tou import Periods, classify, event_slots, run_sums
from schemas.tariff import (
    CoincidentDemand,
    Demand,
    EnergyAdder,
    EnergySeries,
    Export,
    Reactive,
    Tariff,
    charged_channel,
)

__all__ = [
    "Coincident",
    "Loaded",
    "Quantities",
    "event_hours",
    "loaded",
    "measure",
    "netting_of",
]

CELLS = 1 << 16
"""Slots handled at once: three buffers of 512 KiB, which stay in the cache."""
HOUR_S = 3600
MICRO_DP = 6


@dataclass(frozen=True)
class Coincident:
    """Highest demand while the system peaked.

    Attributes:
        events: The local day of each event's first slot and its place among those of the day, ascending; of
            events with a window in their hours only.
        power: Shape (n, events). [micro-kW]
    """

    events: tuple[tuple[int, int], ...]
    power: Int


@dataclass
class Quantities:
    """What n bills take from slots.

    Attributes:
        periods: Of the slots.
        drawn: Energy drawn in each run of one period within a day, (n, runs). [micro-unit] Netted with what
            was fed in by slot or hour where the tariff says so, not yet over the bill.
        fed: The same of energy fed in; None where nothing can be.
        peaks: Highest demand by charge, or by charge and period; (n,). [micro-kW or micro-kVA]
        coincident: Highest demand of each event, by charge.
        events: Energy in event hours by charge; (n,). [micro-unit]
        series: Energy at prices by charge.
        reactive: Reactive energy, and the energy drawn at the same time, by charge; (n,) each.
    """

    periods: Periods
    drawn: Int
    fed: Int | None
    peaks: dict[tuple[str, ...], Int]
    coincident: dict[str, Coincident]
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


@dataclass(frozen=True)
class Loaded:
    """A load in micro-units of the tariff, as charges see it; shape (n, slots) each.

    Attributes:
        metered: What makes demand.
        drawn, fed: Energy in both directions after netting by slot or hour; ``fed`` None where there is none.
        over_bill: Whether the rest is netted over the bill.
    """

    metered: Int
    drawn: Int
    fed: Int | None
    over_bill: bool


def loaded(tariff: Tariff, window: Window) -> Loaded:
    """The load of a window in the tariff's unit, netted by slot or hour where the tariff says so."""
    buffers = np.empty((3, *window.imported.shape), np.int64)
    over_bill = netting_of(tariff) == "month" and window.exported is not None
    return Loaded(*_load(tariff, window, slice(None), buffers), over_bill)


class _Measure:
    """The plan of one window, and the arrays filled block of rows by block of rows."""

    def __init__(self, tariff: Tariff, window: Window) -> None:
        self.tariff, self.window, self.grid = tariff, window, window.grid
        self.count = len(window.imported)
        self.periods = classify(tariff, window.grid)
        self.demand_periods = (
            classify(tariff, window.grid, demand=True) if tariff.calendar.demand_periods else self.periods
        )
        self.windows = self._windows()
        self.apparent = {c.id for c in tariff.charges if isinstance(c, Demand) and c.unit == "kVA"}
        self.hours = {
            c.id: event_hours(tariff, c.event, window)
            for c in tariff.charges
            if isinstance(c, EnergyAdder | CoincidentDemand)
        }
        self.prices = {
            c.id: whole_rates(series_rates(c, window)) for c in tariff.charges if isinstance(c, EnergySeries)
        }

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
        metered, drawn, fed = _load(self.tariff, self.window, rows, buffers)
        if not summed:
            found.drawn[rows] = run_sums(drawn, self.periods)
        if fed is not None and found.fed is not None:
            found.fed[rows] = run_sums(fed, self.periods)
        for key, windows in self.windows.items():
            if key[0] not in self.apparent:
                found.peaks[key][rows] = windows.highest(metered)

    def _rare(self, found: Quantities) -> None:
        """Quantities of charges that few tariffs have, over all rows at once."""
        charges = [
            c
            for c in self.tariff.charges
            if isinstance(c, EnergyAdder | EnergySeries | CoincidentDemand | Reactive)
            or (isinstance(c, Demand) and c.id in self.apparent)
        ]
        if not charges:
            return
        for charge in charges:
            if isinstance(charge, EnergyAdder) and not self.hours[charge.id].any():
                found.events[charge.id] = np.zeros(self.count, np.int64)
        waiting = [c for c in charges if c.id not in found.events]
        if not waiting:
            return
        whole = loaded(self.tariff, self.window)
        metered, drawn, fed = whole.metered, whole.drawn, whole.fed
        for charge in waiting:
            if isinstance(charge, CoincidentDemand):
                found.coincident[charge.id] = self._coincident(charge, metered)
            elif isinstance(charge, Reactive):
                found.reactive[charge.id] = self._reactive(charge, drawn)
            elif isinstance(charge, Demand):
                self._apparent(charge, metered, found)
            else:
                load = drawn if charge.direction == "import" else fed
                load = np.zeros_like(drawn) if load is None else load
                if isinstance(charge, EnergyAdder):
                    found.events[charge.id] = load[:, self.hours[charge.id]].sum(axis=1)
                else:
                    found.series[charge.id] = at_prices(load, *self.prices[charge.id])

    def _coincident(self, charge: CoincidentDemand, metered: Int) -> Coincident:
        hours = self.hours[charge.id]
        windows = windows_within(
            self.tariff, self.grid, hours, window_min=charge.window_min, method=charge.method
        )
        if not len(windows.first):
            return Coincident((), np.zeros((self.count, 0), np.int64))
        begin = np.flatnonzero(np.diff(hours.astype(np.int8), prepend=0) == 1)
        event = np.searchsorted(begin, windows.first, side="right") - 1
        edges = np.flatnonzero(np.diff(event, prepend=-1))
        highest: Int = np.maximum.reduceat(windows.demand(metered), edges, axis=1)
        day = self.grid.first_day + self.grid.day_of_slot[begin].astype(np.int64)
        place = np.arange(len(day)) - np.searchsorted(day, day)
        names = zip(day[event[edges]].tolist(), place[event[edges]].tolist(), strict=True)
        return Coincident(tuple(names), highest)

    def _reactive(self, charge: Reactive, drawn: Int) -> tuple[Int, Int]:
        load = self._kvarh(charge)
        chosen = np.ones(self.grid.slots, np.bool_)
        if charge.periods is not None:
            codes = [self.periods.names.index(name) for name in charge.periods]
            chosen = np.isin(self.periods.of_slot, codes)
        return load[:, chosen].sum(axis=1), drawn[:, chosen].sum(axis=1)

    def _apparent(self, charge: Demand, metered: Int, found: Quantities) -> None:
        kvarh = self._kvarh(charge)
        for key, windows in self.windows.items():
            if key[0] == charge.id:
                found.peaks[key] = windows.highest_apparent(metered, kvarh)

    def _kvarh(self, charge: Reactive | Demand) -> Int:
        """Reactive energy of every slot; (n, slots). [micro-kvarh]."""
        channel = charged_channel(charge)
        load = None if channel is None else self.window.reactive.get(channel)
        if load is None:
            raise UnpriceableError(f"no {channel}", f"kvarh in every slot for charge {charge.id}")
        return load


def _load(tariff: Tariff, window: Window, rows: slice, buffers: Int) -> tuple[Int, Int, Int | None]:
    """Load that makes demand, and energy drawn and fed in after netting by slot or hour."""
    net, metered, excess = buffers
    drawn = window.imported[rows]
    if tariff.conversion is not None:
        drawn = energy_of_volume(drawn, tariff.conversion.factor)
    if window.exported is None:
        return drawn, drawn, None
    fed, netting = window.exported[rows], netting_of(tariff)
    if netting in ("none", "month"):
        return drawn, drawn, fed
    np.subtract(drawn, fed, out=net)
    np.maximum(net, 0, out=metered)
    if netting == "interval":
        return metered, metered, np.subtract(metered, net, out=excess)
    hourly = _by_hour(tariff, window.grid, net)
    drawn = np.maximum(hourly, 0)
    return metered, drawn, drawn - hourly


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
