"""What energy fed in is worth: steps 3, 11 and 15 of a bill."""

from __future__ import annotations

import numpy as np

from models.bill_sheet import Line, Sheet
from models.bill_state import BillState
from models.money import dot, rounded
from models.series import Int
from models.slot_quantities import netting_of
from schemas.tariff import Export

__all__ = ["export", "net_over_bill", "true_up"]


def net_over_bill(sheet: Sheet, state: BillState) -> tuple[Int | None, Int]:
    """Energy drawn and fed in by period, after netting.

    Args:
        sheet: Has the energy of both directions.
        state: Has the energy carried by period.

    Returns:
        What is billed where registers are netted over the bill, else None; and what was fed in beyond it,
        or all that was fed in after netting by slot or hour; (n, periods) each. [micro-unit]
    """
    if netting_of(sheet.tariff) != "month":
        return None, sheet.fed_by_period
    net = sheet.drawn_by_period - sheet.fed_by_period - _banked(sheet, state)
    return np.maximum(net, 0), np.maximum(-net, 0)


def _banked(sheet: Sheet, state: BillState) -> Int:
    names = sheet.quantities.periods.names
    none = np.zeros(sheet.count, np.int64)
    return np.stack([state.bank.get(name, none) for name in names], axis=1)


def export(sheet: Sheet, state: BillState, excess: Int) -> Int:
    """The credit for energy fed in, up to the charges it may pay; returns the credit carried on.

    Args:
        sheet: Gets the lines.
        state: Has the credit of the bill before.
        excess: Energy fed in by period, after netting; (n, periods). [micro-unit]
    """
    credit = state.credit * sheet.finer
    dp = sheet.tariff.rounding.kwh_dp
    for charge in sheet.of(Export):
        if charge.rate is None:
            continue
        quantity, earned = _earned(sheet, charge, excess)
        if charge.mode == "buy_all_sell_all":
            used = earned
        else:
            available = credit + earned
            eligible = np.maximum(sheet.amounts(charge.applies_to), 0)
            used = available if charge.carry == "paid" else np.minimum(available, eligible)
            credit = available - used if charge.carry == "dollars" else np.zeros(sheet.count, np.int64)
        sheet.append(Line(charge.id, None, 0, sheet.tariff.unit, quantity, dp, None, -used))
    return rounded(credit, sheet.finer, sheet.mode)


def _earned(sheet: Sheet, charge: Export, excess: Int) -> tuple[Int, Int]:
    """Energy fed in, register by register, and what it earns."""
    names = sheet.quantities.periods.names
    rates = [(code, rate) for code, name in enumerate(names) if (rate := charge.rate_of(name)) is not None]
    registers = sheet.register(excess[:, [code for code, _ in rates]])
    dp = sheet.tariff.rounding.kwh_dp
    earned = dot(registers, dp, [rate for _, rate in rates], sheet.dp, sheet.mode)
    return registers.sum(axis=1), earned


def true_up(sheet: Sheet, state: BillState, credit: Int, excess: Int) -> tuple[Int, Int, dict[str, Int]]:
    """Close the year's account where it is due.

    Args:
        sheet: Gets the lines.
        state: Of the bill before.
        credit: Carried on so far. [10^-money_dp]
        excess: As above.

    Returns:
        Credit, surplus and carried energy by period for the next bill.
    """
    names = sheet.quantities.periods.names
    bank = dict(state.bank)
    surplus = state.surplus
    for charge in sheet.of(Export):
        if charge.carry == "kwh":
            bank.update({name: excess[:, code] for code, name in enumerate(names)})
        if charge.true_up is None:
            continue
        if charge.carry != "kwh":
            surplus = surplus + sheet.fed_by_period.sum(axis=1) - sheet.drawn_by_period.sum(axis=1)
        if not sheet.window.closes or sheet.window.month_of_year != charge.true_up.month:
            continue
        left = np.sum(list(bank.values()), axis=0) if charge.carry == "kwh" else np.maximum(surplus, 0)
        _cash_out(sheet, charge, left, credit)
        if charge.carry == "kwh":
            bank = {}
        else:
            surplus = np.zeros(sheet.count, np.int64)
            credit = credit if charge.true_up.credit == "kept" else np.zeros(sheet.count, np.int64)
    return credit, surplus, bank


def _cash_out(sheet: Sheet, charge: Export, left: Int, credit: Int) -> None:
    """Pay energy left at the true-up rate, and the credit where the tariff says so."""
    assert charge.true_up is not None
    name, dp = f"{charge.id} true-up", sheet.tariff.rounding.kwh_dp
    quantity = sheet.register(left)
    sheet.charge(name, quantity, dp, -charge.true_up.rate, unit=sheet.tariff.unit)
    if charge.true_up.credit == "paid":
        amount = -credit * sheet.finer
        money_dp = sheet.tariff.rounding.money_dp
        sheet.append(Line(name, None, 0, sheet.tariff.currency, credit, money_dp, None, amount))
