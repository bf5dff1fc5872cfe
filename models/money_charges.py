"""Lines that need no slots: fixed amounts, shares of other lines, minimum, credits, tax."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

from models.bill_sheet import MICRO_DP, Line, Sheet
from models.money import round_fraction, rounded, times
from models.series import Int
from schemas.tariff import CashRounding, Credit, Fixed, Minimum, Percent, Tax

__all__ = ["cash_rounding", "credits_off", "fixed", "minimum", "percents", "tax"]


def fixed(sheet: Sheet) -> None:
    """Step 6."""
    for charge in sheet.of(Fixed):
        _due(sheet, charge, sign=1)


def credits_off(sheet: Sheet, *, taxed: bool) -> None:
    """Amounts taken off, before or after the tax."""
    for charge in sheet.of(Credit):
        if charge.taxed == taxed:
            _due(sheet, charge, sign=-1)


def _due(sheet: Sheet, charge: Fixed | Credit, *, sign: int) -> None:
    """Append an amount per day, month or year."""
    if sheet.window.month_of_year not in charge.months:
        return
    share, dp = sheet.due_share(charge.per, charge.prorate), 0 if charge.per == "day" else MICRO_DP
    quantity = np.full(sheet.count, round_fraction(share * 10**dp), np.int64)
    amount = sign * round_fraction(share * Fraction(charge.amount) * 10**sheet.dp, sheet.mode)
    amounts = np.full(sheet.count, amount, np.int64)
    sheet.append(Line(charge.id, None, 0, charge.per, quantity, dp, charge.amount, amounts))


def percents(sheet: Sheet) -> None:
    """Step 10: on lines as rounded."""
    for charge in sheet.of(Percent):
        base = sheet.amounts(charge.of)
        sheet.charge(charge.id, base, sheet.dp, charge.rate, unit=sheet.tariff.currency)


def minimum(sheet: Sheet) -> None:
    """Step 12: what the covered lines lack."""
    for charge in sheet.of(Minimum):
        share = sheet.due_share(charge.per, charge.prorate)
        least = round_fraction(share * Fraction(charge.amount) * 10**sheet.dp, sheet.mode)
        lacking = np.maximum(least - sheet.amounts(charge.covers), 0)
        sheet.append(Line(charge.id, None, 0, sheet.tariff.currency, lacking, sheet.dp, Decimal(1), lacking))


def tax(sheet: Sheet) -> None:
    """Step 13: on the sum of lines, or the sum of the tax of each line."""
    currency = sheet.tariff.currency
    taxes = [charge.id for charge in sheet.of(Tax)]
    for charge in sheet.of(Tax):
        taxed = [
            line
            for line in sheet.lines
            if (line.charge not in taxes if charge.of == "subtotal" else line.charge in charge.of)
        ]
        base = sheet.sum(taxed)
        if charge.included:
            whole = sheet.tariff.rounding.tax_on == "subtotal"
            _included(sheet, charge, [base] if whole else [line.amount for line in taxed])
            continue
        if sheet.tariff.rounding.tax_on == "subtotal":
            sheet.charge(charge.id, base, sheet.dp, charge.rate, unit=currency)
            continue
        amount = np.zeros(sheet.count, np.int64)
        for line in taxed:
            amount += times(line.amount, sheet.dp, charge.rate, sheet.dp, sheet.mode)
        sheet.append(Line(charge.id, None, 0, currency, base, sheet.dp, charge.rate, amount))


def _included(sheet: Sheet, charge: Tax, bases: Sequence[Int]) -> None:
    """How much of prices a tax is that they hold already: a line that adds nothing."""
    contained = np.zeros(sheet.count, np.int64)
    for base in bases:
        part = 1 / (1 + Fraction(charge.rate))
        contained += times(base, sheet.dp, charge.rate, sheet.dp, sheet.mode, share=part)
    unit = f"{sheet.tariff.currency} included"
    nothing = np.zeros(sheet.count, np.int64)
    sheet.append(Line(charge.id, None, 0, unit, contained, sheet.dp, None, nothing, told=True))


def cash_rounding(sheet: Sheet) -> None:
    """Step 15: what the sum of all lines lacks to the nearest multiple."""
    for charge in sheet.of(CashRounding):
        step = round_fraction(Fraction(charge.to) * 10**sheet.dp)
        total = sheet.sum(sheet.lines)
        lacking = rounded(total, step, sheet.mode) * step - total
        unit = sheet.tariff.currency
        sheet.append(Line(charge.id, None, 0, unit, lacking, sheet.dp, Decimal(1), lacking))
