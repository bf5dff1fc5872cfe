"""Which slots a line of a bill comes from, and how much of each: the bill's arithmetic, read backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from models.bill_window import Window
from models.demand_windows import Windows, demand_windows, windows_within
from models.energy_charges import tier_caps
from models.series import Bool, Int
from models.series_energy import series_rates
from models.slot_quantities import Loaded, event_hours, loaded
from models.tou import classify
from schemas.tariff import (
    AnyCharge,
    CoincidentDemand,
    Demand,
    Energy,
    EnergyAdder,
    EnergySeries,
    Export,
    Reactive,
    Tariff,
)

__all__ = ["LineSlots", "line_slots"]


@dataclass(frozen=True)
class LineSlots:
    """Slots of a window that a line comes from; shape (slots,) each.

    Attributes:
        chosen: Which.
        energy: How much of each slot the line counts [micro-unit of the tariff]; of demand, what was drawn.
        rates: Price of each slot, where a series gives it.
        shared: Whether a tier takes its part of every slot alike; ``energy`` is then that of all tiers.
    """

    chosen: Bool
    energy: Int
    rates: Sequence[Decimal] | None = None
    shared: bool = False


def line_slots(
    tariff: Tariff, window: Window, charge: AnyCharge, *, period: str | None, tier: int, kw: Int | None = None
) -> LineSlots | None:
    """Where a line comes from; None for one that comes from other lines or from days alone.

    Tiers in time order (and those of one period) take each slot as far as it lies between their edges. A
    tier that is split over the periods by share takes of every slot of its period alike: its energy is
    that of the period. So it is with energy that is netted over the bill: what was drawn less what was
    fed in.

    Args:
        tariff: The version that priced it.
        window: The load of one service point.
        charge: Its charge.
        period: Of the line.
        tier: Of the line; 0 for none.
        kw: Billed demand (1,) that limits per kW count by. [10^-kw_dp kW]
    """
    load = loaded(tariff, window)
    if isinstance(charge, Energy):
        return _energy(tariff, window, charge, load, str(period), tier, kw)
    if isinstance(charge, EnergyAdder):
        return LineSlots(event_hours(tariff, charge.event, window), _side(load, charge.direction))
    if isinstance(charge, EnergySeries):
        everywhere = np.ones(window.grid.slots, np.bool_)
        return LineSlots(everywhere, _side(load, charge.direction), series_rates(charge, window))
    if isinstance(charge, Demand):
        windows = _demand(tariff, window, charge, period)
        kvarh = window.reactive["reactive_import"] if charge.unit == "kVA" else None
        return LineSlots(_of_highest(windows, load.metered, kvarh=kvarh), load.metered[0])
    if isinstance(charge, CoincidentDemand):
        return LineSlots(_coincident(tariff, window, charge, load.metered), load.metered[0])
    if isinstance(charge, Export) and charge.rate is not None:
        names = [name for name in classify(tariff, window.grid).names if charge.rate_of(name) is not None]
        fed = -_netted(load) if charge.netting == "month" else _side(load, "export")
        return LineSlots(_within(tariff, window, names), fed)
    if isinstance(charge, Reactive):
        return LineSlots(_within(tariff, window, charge.periods), window.reactive[charge.channel][0])
    return None


def _side(load: Loaded, direction: str) -> Int:
    side = load.drawn if direction == "import" else load.fed
    found: Int = np.zeros_like(load.drawn[0]) if side is None else side[0]
    return found


def _netted(load: Loaded) -> Int:
    net: Int = load.drawn[0] if load.fed is None else load.drawn[0] - load.fed[0]
    return net


def _within(tariff: Tariff, window: Window, names: Sequence[str] | None) -> Bool:
    periods = classify(tariff, window.grid)
    if names is None:
        return np.ones(window.grid.slots, np.bool_)
    return np.isin(periods.of_slot, [periods.names.index(name) for name in names])


def _energy(
    tariff: Tariff, window: Window, charge: Energy, load: Loaded, period: str, tier: int, kw: Int | None
) -> LineSlots:
    mine = _within(tariff, window, [period])
    if load.over_bill and charge.direction == "import":
        return LineSlots(mine, _netted(load), shared=tier > 0)
    energy = _side(load, charge.direction)
    if charge.tiers is None or charge.tiers.scope == "bill_total_prorata":
        return LineSlots(mine, energy, shared=tier > 0)
    together = charge.tiers.scope == "bill_total_chronological"
    counted = _within(tariff, window, list(charge.rates) if together else [period])
    until = np.cumsum(np.where(counted, energy, 0))
    before = until - np.where(counted, energy, 0)
    caps = tier_caps(tariff, window, charge, kw)[0].tolist()
    edges = [np.iinfo(np.int64).min, *caps, np.iinfo(np.int64).max]
    low, high = edges[tier - 1], edges[tier]
    part = np.clip(until, low, high) - np.clip(before, low, high)
    idle = (energy == 0) & (until > low) & (until <= high)
    return LineSlots(mine & ((part != 0) | idle), part)


def _demand(tariff: Tariff, window: Window, charge: Demand, period: str | None) -> Windows:
    own = bool(tariff.calendar.demand_periods)
    return demand_windows(
        tariff,
        window.grid,
        classify(tariff, window.grid, demand=own),
        window_min=charge.window_min,
        method=charge.method,
        of=charge.periods if period is None else (period,),
    )


def _of_highest(
    windows: Windows, metered: Int, among: Bool | None = None, *, kvarh: Int | None = None
) -> Bool:
    """Slots of the first of the highest windows, of apparent energy where reactive energy is given."""
    chosen = np.zeros(metered.shape[1], np.bool_)
    if not len(windows.first):
        return chosen
    power = windows.demand(metered)[0] if kvarh is None else windows.apparent(metered, kvarh)[0]
    if among is not None:
        power = np.where(among, power, -1)
    begin = int(windows.first[int(power.argmax())])
    chosen[begin : begin + windows.width] = True
    return chosen


def _coincident(tariff: Tariff, window: Window, charge: CoincidentDemand, metered: Int) -> Bool:
    """Slots of the highest window in the event's hours, or of that of each event."""
    hours = event_hours(tariff, charge.event, window)
    windows = windows_within(tariff, window.grid, hours, window_min=charge.window_min, method=charge.method)
    if charge.of == "highest" or not len(windows.first):
        return _of_highest(windows, metered)
    event = np.cumsum(np.diff(hours.astype(np.int8), prepend=0) == 1)[windows.first]
    found = [_of_highest(windows, metered, event == each) for each in np.unique(event)]
    chosen: Bool = np.logical_or.reduce(found)
    return chosen
