"""The lines of n bills as they are built up."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

import numpy as np

from models.bill_window import Window
from models.calendar import day_date
from models.money import Mode, rounded, times
from models.series import Int
from models.slot_quantities import Quantities
from models.tiers import by_code
from schemas.tariff import AnyCharge, Prorate, Tariff

__all__ = ["MICRO_DP", "Line", "Sheet", "days_of", "month_share"]

MICRO_DP = 6
_C = TypeVar("_C", bound=AnyCharge)


@dataclass(frozen=True)
class Line:
    """One charge line of n bills.

    Attributes:
        charge, period, tier, unit: What it is for; tiers count from 1, 0 = none.
        quantity: Shape (n,). [10^-quantity_dp unit]
        quantity_dp: Decimals of the quantity.
        rate: Price of a unit; None where the line has no single one.
        amount: Shape (n,). [10^-money_dp of the currency]
        told: Whether the line stands on a bill although its amount is zero.
    """

    charge: str
    period: str | None
    tier: int
    unit: str
    quantity: Int
    quantity_dp: int
    rate: Decimal | None
    amount: Int
    told: bool = False


def days_of(window: Window) -> list[date]:
    """The local days of a window."""
    return [day_date(day) for day in range(window.grid.first_day, window.grid.last_day + 1)]


class Sheet:
    """Lines of n bills under one tariff version, and what steps need to add to them.

    Attributes:
        tariff, window, quantities: What is priced.
        count: Number of bills.
        mode: How to round.
        dp: Decimals of money on the lines: cents, or millionths where only the total is rounded.
        finer: Units of the lines in one of the total.
        lines: So far; lines on which every amount is zero are left out.
    """

    def __init__(self, tariff: Tariff, window: Window, quantities: Quantities) -> None:
        self.tariff, self.window, self.quantities = tariff, window, quantities
        self.count = len(window.imported)
        self.mode: Mode = tariff.rounding.mode
        at_line = tariff.rounding.money_at == "line"
        self.dp = tariff.rounding.money_dp if at_line else MICRO_DP
        self.finer = 10 ** (self.dp - tariff.rounding.money_dp)
        self.lines: list[Line] = []

    def of(self, kind: type[_C]) -> Iterator[_C]:
        """Charges of one type, in the order of the tariff."""
        return (charge for charge in self.tariff.charges if isinstance(charge, kind))

    def charge(
        self,
        charge: str,
        quantity: Int,
        dp: int,
        rate: Decimal,
        *,
        unit: str,
        period: str | None = None,
        tier: int = 0,
        share: Fraction = Fraction(1),
    ) -> None:
        """Append quantity × rate × share, rounded once."""
        amount = times(quantity, dp, rate, self.dp, self.mode, share=share)
        self.append(Line(charge, period, tier, unit, quantity, dp, rate, amount))

    def append(self, line: Line) -> None:
        """Append a line unless it is zero for all, and says nothing else."""
        if line.amount.any() or (line.told and line.quantity.any()):
            self.lines.append(line)

    def amounts(self, charges: Sequence[str]) -> Int:
        """Sum of the lines of some charges."""
        return self.sum([line for line in self.lines if line.charge in charges])

    def sum(self, lines: Sequence[Line]) -> Int:
        """Sum of some lines."""
        total = np.zeros(self.count, np.int64)
        for line in lines:
            total += line.amount
        return total

    def register(self, micro: Int) -> Int:
        """Round a register's energy to the decimals of the bill."""
        return rounded(micro, 10 ** (MICRO_DP - self.tariff.rounding.kwh_dp), self.mode)

    def due_share(self, per: str, prorate: Prorate | None) -> Fraction:
        """Days of the window, their part of a year, or its part of the month that the bill counts as."""
        if per == "day":
            return Fraction(self.window.grid.days)
        if per == "year":
            years = [366 if isleap(day.year) else 365 for day in days_of(self.window)]
            return sum((Fraction(1, days) for days in years), Fraction(0))
        return month_share(prorate, self.window.billed_days) * self.window.own_share

    def by_period(self, runs: Int) -> Int:
        """Energy of each period of the tariff, exact; (n, runs) to (n, periods)."""
        periods = self.quantities.periods
        return by_code(runs, periods.run_period, len(periods.names))

    @cached_property
    def drawn_by_period(self) -> Int:
        """Energy drawn by period [micro-unit] before netting over the bill; (n, periods)."""
        return self.by_period(self.quantities.drawn)

    @cached_property
    def fed_by_period(self) -> Int:
        """Energy fed in by period [micro-unit] before netting over the bill; (n, periods)."""
        if self.quantities.fed is None:
            return np.zeros((self.count, len(self.quantities.periods.names)), np.int64)
        return self.by_period(self.quantities.fed)


def month_share(prorate: Prorate | None, days: int) -> Fraction:
    """How much of a month's amount is due for a bill of so many days."""
    if prorate is None or prorate.normal[0] <= days <= prorate.normal[1]:
        return Fraction(1)
    return Fraction(days, prorate.denom)
