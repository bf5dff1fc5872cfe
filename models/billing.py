"""Bills of one billing window for many service points at once, in integers.

| step | what | where |
|---|---|---|
| 1, 2 | split at versions, local days to slots, missing slots | the caller |
| 3 | classify each slot, net import and export | slot_quantities |
| 4, 5 | energy by period and tier, rounded by register | energy_charges, tiers |
| 6 | fixed charges with proration | money_charges |
| 7, 8 | energy; events, prices, reactive energy | energy_charges |
| 9 | demand: window, power factor, ratchet, floor; coincident demand | demand_windows, demand_charges |
| 10 | shares of rounded lines | money_charges |
| 11 | export credit up to the eligible lines, the rest carried | export_charges |
| 12, 13 | minimum, credits, tax | money_charges |
| 14 | true-up | export_charges |
| 15 | rounding to a multiple, sum | money_charges, here |
| 16 | state for the next bill | bill_state |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.bill_sheet import MICRO_DP, Line, Sheet
from models.bill_state import BillState
from models.bill_window import MissingPriceError, UnpriceableError, Window
from models.demand_charges import coincident, demand, measured_peaks
from models.energy_charges import energy, events_and_prices, reactive
from models.export_charges import export, net_over_bill, true_up
from models.money import rounded
from models.money_charges import cash_rounding, credits_off, fixed, minimum, percents, tax
from models.series import Int
from models.slot_quantities import Quantities, measure
from schemas.tariff import Tariff

__all__ = [
    "MICRO_DP",
    "BillState",
    "Line",
    "MissingPriceError",
    "Priced",
    "UnpriceableError",
    "Window",
    "price_quantities",
    "price_window",
]


@dataclass(frozen=True)
class Priced:
    """Lines in the order of the bill, and the state handed on.

    Attributes:
        lines: Without those that are zero for all.
        total: Shape (n,). [10^-money_dp of the rounding]
        state: For the next bill.
        measured_kw: Highest measured demand, −1 where nothing measures it; (n,). [micro-kW]
        line_dp: Decimals of the amounts on the lines.
    """

    lines: list[Line]
    total: Int
    state: BillState
    measured_kw: Int
    line_dp: int


def price_window(tariff: Tariff, window: Window, state: BillState) -> Priced:
    """Price one window.

    Args:
        tariff: The version in force.
        window: The load.
        state: Of the bill before.

    Returns:
        Lines, totals and the new state.

    Raises:
        UnpriceableError: A price, a channel or an event's hours are lacking, or slots make no windows.
    """
    return price_quantities(tariff, window, measure(tariff, window), state)


def price_quantities(tariff: Tariff, window: Window, quantities: Quantities, state: BillState) -> Priced:
    """Price one window whose slots are measured already; see :func:`price_window`."""
    sheet = Sheet(tariff, window, quantities)
    billed, excess = net_over_bill(sheet, state)
    fixed(sheet)
    energy(sheet, billed, state)
    events_and_prices(sheet)
    reactive(sheet)
    demand(sheet, state)
    coincident(sheet)
    percents(sheet)
    credit = export(sheet, state, excess)
    minimum(sheet)
    credits_off(sheet, taxed=True)
    tax(sheet)
    credits_off(sheet, taxed=False)
    credit, surplus, bank = true_up(sheet, state, credit, excess)
    cash_rounding(sheet)
    total = rounded(sheet.sum(sheet.lines), sheet.finer, sheet.mode)
    peak, of_charge = measured_peaks(sheet)
    new = BillState(dict(state.peaks_kw), credit, surplus, bank, dict(state.peaks_of))
    none = np.full(sheet.count, -1, np.int64)
    if peak is not None:
        new.peaks_kw[window.month] = np.maximum(new.peaks_kw.get(window.month, none), peak)
    for charge, own in of_charge.items():
        key = charge, window.month
        new.peaks_of[key] = np.maximum(new.peaks_of.get(key, none), own)
    return Priced(sheet.lines, total, new, none if peak is None else peak, sheet.dp)
