"""Bills as decimal lines, one by one: what a person reads and an auditor signs."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from models.billing import Line, Priced

__all__ = ["BillLine", "decimal_bills"]


class BillLine(NamedTuple):
    """One line of one bill.

    Attributes:
        charge, period, tier, unit: What it is for; None where it has no period or tier.
        quantity: In units.
        rate: Price of a unit, None where the line has no single one.
        amount: Money.
    """

    charge: str
    period: str | None
    tier: int | None
    quantity: Decimal
    unit: str
    rate: Decimal | None
    amount: Decimal


def decimal_bills(priced: Priced) -> list[list[BillLine]]:
    """Lines of each bill in its order; zero lines are left out."""
    bills: list[list[BillLine]] = [[] for _ in range(len(priced.total))]
    for line in priced.lines:
        head = line.charge, line.period, line.tier or None
        quantities = _decimals(line)
        money = -priced.line_dp
        for bill, quantity, amount in zip(bills, quantities, line.amount.tolist(), strict=True):
            if amount or (line.told and quantity):
                bill.append(BillLine(*head, quantity, line.unit, line.rate, Decimal(amount).scaleb(money)))
    return bills


def _decimals(line: Line) -> list[Decimal]:
    """Quantities of one line; counts of days, months and years without trailing zeros."""
    exponent = -line.quantity_dp
    if line.unit not in ("day", "month", "year"):
        return [Decimal(quantity).scaleb(exponent) for quantity in line.quantity.tolist()]
    first = Decimal(int(line.quantity[0])).scaleb(exponent).normalize()
    plain = first.quantize(Decimal(1)) if first == first.to_integral_value() else first
    return [plain] * len(line.quantity)
