"""Bills of one billing window for many service points at once, in integers.

The steps are those of the usual order: energy by register, fixed, energy, adders and series, demand,
percent, export credit, minimum, credits, tax, true-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import numpy as np

from models.bill_quantities import peak_kw, tier_sums
from models.calendar import DayGrid
from models.money import Mode, round_fraction, rounded, scaled, times
from models.series import Int
from models.tou import classify, event_slots, run_sums
from schemas.tariff import (
    Credit,
    Demand,
    Energy,
    EnergyAdder,
    EnergySeries,
    Export,
    Fixed,
    Minimum,
    Percent,
    Prorate,
    Tariff,
    Tax,
)

MICRO = 1_000_000
MICRO_DP = 6


@dataclass(frozen=True)
class Line:
    """One charge line of n bills.

    Attributes:
        charge, period, tier, unit: What it is for; tiers count from 1, 0 = none.
        quantity: Shape (n,). [10^-quantity_dp unit]
        quantity_dp: Decimals of the quantity.
        rate: Price of a unit; None where the line has no single one.
        amount: Shape (n,). [10^-money_dp of the currency]
    """

    charge: str
    period: str | None
    tier: int
    unit: str
    quantity: Int
    quantity_dp: int
    rate: Decimal | None
    amount: Int


@dataclass
class BillState:
    """What one bill hands to the next, of n service points.

    Attributes:
        peaks_kw: Measured demand by month, (year · 12 + month − 1) → shape (n,), micro-kW, −1 = none.
        credit: Carried credit, shape (n,). [10^-money_dp]
        surplus: Energy fed in beyond what was drawn since the last true-up, shape (n,). [micro-kWh]
    """

    peaks_kw: dict[int, Int]
    credit: Int
    surplus: Int

    @staticmethod
    def empty(count: int) -> BillState:
        """No past."""
        return BillState({}, np.zeros(count, np.int64), np.zeros(count, np.int64))


class MissingPriceError(ValueError):
    """A slot has no price in a series that the tariff charges by.

    Attributes:
        series: Its id.
        second: Start of the first such slot, UTC; None where there is no such series at all.
    """

    def __init__(self, series: str, second: int | None) -> None:
        at = "" if second is None else f" at {second} s UTC"
        super().__init__(f"no price of series {series}{at}")
        self.series, self.second = series, second


@dataclass(frozen=True)
class Window:
    """The load of n service points over one billing window of one tariff version.

    Attributes:
        grid: Exactly the window's days.
        imported: Shape (n, slots). [micro-kWh]
        exported: Shape (n, slots), or None. [micro-kWh]
        month: Month of the bill's last local day, year · 12 + month − 1.
        billed_days: Days of the whole bill; more than the grid's where versions change inside it.
        events: Days of each event.
        power_factor: Of each service point, None where unknown.
        prices: Price of each slot of each series in force, shape (slots,); None where there is none.
        closes: Whether the bill ends with this window; another version's window follows otherwise.
        runs: Import of each run of one period within a day, where it is known already; shape (n, runs).
    """

    grid: DayGrid
    imported: Int
    exported: Int | None
    month: int
    billed_days: int
    events: Mapping[str, frozenset[int]] = field(default_factory=dict)
    power_factor: Sequence[Decimal | None] | None = None
    prices: Mapping[str, Sequence[Decimal | None]] = field(default_factory=dict)
    runs: Int | None = None
    closes: bool = True


@dataclass(frozen=True)
class Priced:
    """Lines in the order of the bill, and the state handed on."""

    lines: list[Line]
    total: Int
    state: BillState
    measured_kw: Int


def price_window(tariff: Tariff, window: Window, state: BillState) -> Priced:
    """Price one window.

    Args:
        tariff: The version in force.
        window: The load.
        state: Of the bill before.

    Returns:
        Lines with an amount (zero lines are left out where all n are zero), totals and the new state.

    Raises:
        MissingPriceError: A slot has no price in a series the tariff charges by.
    """
    bill = _Bill(tariff, window)
    bill.fixed()
    bill.energy()
    bill.adders()
    peak = bill.demand(state)
    bill.percents()
    credit = bill.export(state)
    bill.minimum()
    bill.credits(taxed=True)
    bill.tax()
    bill.credits(taxed=False)
    credit, surplus = bill.true_up(state, credit)
    total = (
        np.sum([line.amount for line in bill.lines], axis=0) if bill.lines else np.zeros(bill.count, np.int64)
    )
    total = rounded(total, bill.finer, bill.mode)
    peaks = dict(state.peaks_kw)
    if peak is not None:
        peaks[window.month] = np.maximum(peaks.get(window.month, np.full(bill.count, -1)), peak)
    measured = np.full(bill.count, -1, np.int64) if peak is None else peak
    return Priced(bill.lines, total, BillState(peaks, credit, surplus), measured)


class _Bill:
    """Lines of n bills as they are built up, step by step."""

    def __init__(self, tariff: Tariff, window: Window) -> None:
        self.tariff, self.window = tariff, window
        self.count = len(window.imported)
        self.rounding = tariff.rounding
        self.mode: Mode = tariff.rounding.mode
        # Money is kept in cents, or in millionths where only the total is rounded.
        self.finer = 1 if self.rounding.money_at == "line" else 10 ** (MICRO_DP - self.rounding.money_dp)
        self.dp = self.rounding.money_dp if self.finer == 1 else MICRO_DP
        self.lines: list[Line] = []
        self.periods = classify(tariff, window.grid)
        self.taken, self.fed = _netted(tariff, window)

    def add(
        self, charge: str, period: str | None, tier: int, unit: str, quantity: Int, dp: int, rate: Decimal
    ) -> None:
        """Append quantity × rate, rounded."""
        amount = times(quantity, dp, rate, self.dp, self.mode)
        self.lines.append(Line(charge, period, tier, unit, quantity, dp, rate, amount))

    def amounts(self, charges: Sequence[str]) -> Int:
        """Sum of the lines of some charges."""
        mine = [line.amount for line in self.lines if line.charge in charges]
        return np.sum(mine, axis=0) if mine else np.zeros(self.count, np.int64)

    def of(self, kind: type) -> list[object]:
        """Charges of one type, in the order of the tariff."""
        return [charge for charge in self.tariff.charges if isinstance(charge, kind)]

    def fixed(self) -> None:
        """Step 6."""
        for charge in self.of(Fixed):
            assert isinstance(charge, Fixed)
            self.due(charge, sign=1)

    def credits(self, *, taxed: bool) -> None:
        """Amounts taken off, before or after the tax."""
        for charge in self.of(Credit):
            assert isinstance(charge, Credit)
            if charge.taxed == taxed:
                self.due(charge, sign=-1)

    def due(self, charge: Fixed | Credit, *, sign: int) -> None:
        """Append an amount per day or per month."""
        share, dp = self.share(charge.per, charge.prorate), 0 if charge.per == "day" else MICRO_DP
        quantity = np.full(self.count, round_fraction(share * 10**dp), np.int64)
        amount = sign * round_fraction(share * Fraction(charge.amount) * 10**self.dp, self.mode)
        amounts = np.full(self.count, amount)
        self.lines.append(Line(charge.id, None, 0, charge.per, quantity, dp, charge.amount, amounts))

    def share(self, per: str, prorate: Prorate | None) -> Fraction:
        """Days of the window, or its part of the month that the whole bill counts as."""
        own, billed = self.window.grid.days, self.window.billed_days
        return Fraction(own) if per == "day" else month_share(prorate, billed) * own / billed

    def energy(self) -> None:
        """Steps 4, 5 and 7."""
        for charge in self.of(Energy):
            assert isinstance(charge, Energy)
            load = self.taken if charge.direction == "import" else self.fed
            if load is None:
                continue
            priced = sorted(charge.rates)
            runs = self.window.runs if load is self.window.imported else None
            if runs is None:
                runs = run_sums(load, self.periods)
            sums = tier_sums(runs, self.periods, priced, charge, self.window.grid.days)
            for p, name in enumerate(priced):
                for tier, rate in enumerate(charge.of_period(name)):
                    quantity = self.register(sums[:, p, tier])
                    self.add(
                        charge.id,
                        name,
                        tier + 1 if charge.tiers else 0,
                        "kWh",
                        quantity,
                        self.rounding.kwh_dp,
                        rate,
                    )

    def register(self, micro: Int) -> Int:
        """Round a register's energy."""
        return rounded(micro, 10 ** (MICRO_DP - self.rounding.kwh_dp), self.mode)

    def adders(self) -> None:
        """Step 8."""
        for charge in self.tariff.charges:
            if isinstance(charge, EnergyAdder):
                load = self.load(charge.direction)
                days = self.window.events.get(charge.event, frozenset())
                hours = event_slots(self.tariff, charge.event, days, self.window.grid)
                quantity = self.register(load[:, hours].sum(axis=1))
                self.add(charge.id, None, 0, "kWh", quantity, self.rounding.kwh_dp, charge.rate)
            elif isinstance(charge, EnergySeries):
                self.series(charge)

    def series(self, charge: EnergySeries) -> None:
        """Every slot at its own price; the amount is rounded once."""
        prices = self.window.prices.get(charge.series)
        if prices is None:
            raise MissingPriceError(charge.series, None)
        known = [price for price in prices if price is not None]
        if len(known) < self.window.grid.slots:
            lost = next(i for i, price in enumerate(prices) if price is None)
            raise MissingPriceError(charge.series, int(self.window.grid.starts[lost]))
        rates = [price * charge.multiplier + charge.adder for price in known]
        decimals = max(scaled(rate)[1] for rate in rates)
        each = np.array([int(rate.scaleb(decimals)) for rate in rates], object)
        load = self.load(charge.direction)
        unit = Fraction(10**self.dp, 10 ** (decimals + MICRO_DP))
        exact = load.astype(object).dot(each).tolist()
        amount = np.array([round_fraction(int(e) * unit, self.mode) for e in exact], np.int64)
        quantity = self.register(load.sum(axis=1))
        self.lines.append(Line(charge.id, None, 0, "kWh", quantity, self.rounding.kwh_dp, None, amount))

    def load(self, direction: str) -> Int:
        """Energy drawn or fed in, zeros where nothing can be; (n, slots)."""
        if direction == "import":
            return self.taken
        return np.zeros_like(self.taken) if self.fed is None else self.fed

    def demand(self, state: BillState) -> Int | None:
        """Step 9; returns the measured demand [micro-kW] of the bill."""
        measured: Int | None = None
        for charge in self.of(Demand):
            assert isinstance(charge, Demand)
            peak = peak_kw(self.taken, self.window.grid, self.periods, charge)
            measured = peak if measured is None else np.maximum(measured, peak)
            floor = round_fraction(Fraction(charge.min_kw) * MICRO)
            kw = [self._billed_kw(charge, int(peak[i]), floor, i, state) for i in range(self.count)]
            quantity = np.array(kw, np.int64)
            self.add(charge.id, None, 0, "kW", quantity, self.rounding.kw_dp, charge.rate)
        return measured

    def _billed_kw(self, charge: Demand, peak: int, floor: int, i: int, state: BillState) -> int:
        kw = Fraction(peak)
        factor = self.window.power_factor[i] if self.window.power_factor is not None else None
        if charge.pf is not None and factor is not None and 0 < factor < charge.pf.target:
            kw = kw * Fraction(charge.pf.target) / Fraction(factor)
        if charge.ratchet is not None:
            past = [
                int(peaks[i])
                for month, peaks in state.peaks_kw.items()
                if self.window.month - charge.ratchet.lookback <= month < self.window.month
                and month % 12 + 1 in charge.ratchet.months
            ]
            kw = max(kw, Fraction(charge.ratchet.pct) * max(past, default=0))
        kw = max(kw, Fraction(floor))
        return round_fraction(kw / 10 ** (MICRO_DP - self.rounding.kw_dp), self.mode)

    def percents(self) -> None:
        """Step 10."""
        for charge in self.of(Percent):
            assert isinstance(charge, Percent)
            self.add(charge.id, None, 0, self.tariff.currency, self.amounts(charge.of), self.dp, charge.rate)

    def export(self, state: BillState) -> Int:
        """Step 11; returns the credit carried on."""
        credit = state.credit * self.finer
        for charge in self.of(Export):
            assert isinstance(charge, Export)
            quantity, earned = self.earned(charge)
            if charge.mode == "buy_all_sell_all":
                used = earned
            else:
                available = credit + earned
                used = np.minimum(available, np.maximum(self.amounts(charge.applies_to), 0))
                credit = available - used if charge.carry == "dollars" else np.zeros(self.count, np.int64)
            self.lines.append(Line(charge.id, None, 0, "kWh", quantity, self.rounding.kwh_dp, None, -used))
        return rounded(credit, self.finer, self.mode)

    def earned(self, charge: Export) -> tuple[Int, Int]:
        """Energy fed in, register by register, and what it earns."""
        quantity, earned = np.zeros(self.count, np.int64), np.zeros(self.count, np.int64)
        for name in sorted(charge.rate) if self.fed is not None else ():
            slots = self.periods.of_slot == self.periods.names.index(name)
            register = self.register(self.load("export")[:, slots].sum(axis=1))
            quantity += register
            earned += times(register, self.rounding.kwh_dp, charge.rate[name], MICRO_DP, self.mode)
        return quantity, rounded(earned, 10 ** (MICRO_DP - self.dp), self.mode)

    def true_up(self, state: BillState, credit: Int) -> tuple[Int, Int]:
        """Step 15; returns the credit and the surplus of energy carried on."""
        closing = [c for c in self.of(Export) if isinstance(c, Export) and c.true_up is not None]
        if not closing:
            return credit, state.surplus
        surplus = state.surplus + self.load("export").sum(axis=1) - self.taken.sum(axis=1)
        for charge in closing:
            assert charge.true_up is not None
            if not self.window.closes or self.window.month % 12 + 1 != charge.true_up.month:
                continue
            quantity = self.register(np.maximum(surplus, 0))
            paid = times(quantity, self.rounding.kwh_dp, charge.true_up.rate, self.dp, self.mode)
            name = f"{charge.id} true-up"
            rate = charge.true_up.rate
            self.lines.append(Line(name, None, 0, "kWh", quantity, self.rounding.kwh_dp, rate, -paid))
            surplus, credit = np.zeros(self.count, np.int64), np.zeros(self.count, np.int64)
        return credit, surplus

    def minimum(self) -> None:
        """Step 12."""
        for charge in self.of(Minimum):
            assert isinstance(charge, Minimum)
            share = self.share(charge.per, charge.prorate)
            least = round_fraction(share * Fraction(charge.amount) * 10**self.dp, self.mode)
            missing = np.maximum(least - self.amounts(charge.covers), 0)
            self.lines.append(
                Line(charge.id, None, 0, self.tariff.currency, missing, self.dp, Decimal(1), missing)
            )

    def tax(self) -> None:
        """Step 13."""
        for charge in self.of(Tax):
            assert isinstance(charge, Tax)
            charges = [line.charge for line in self.lines] if charge.of == "subtotal" else list(charge.of)
            if self.rounding.tax_on == "subtotal":
                self.add(
                    charge.id, None, 0, self.tariff.currency, self.amounts(charges), self.dp, charge.rate
                )
                continue
            taxed = [line.amount for line in self.lines if line.charge in charges]
            base = np.sum(taxed, axis=0) if taxed else np.zeros(self.count, np.int64)
            each = [times(amount, self.dp, charge.rate, self.dp, self.mode) for amount in taxed]
            amount = np.sum(each, axis=0) if each else base
            self.lines.append(
                Line(charge.id, None, 0, self.tariff.currency, base, self.dp, charge.rate, amount)
            )


def _netted(tariff: Tariff, window: Window) -> tuple[Int, Int | None]:
    """Import and export, netted slot by slot where an export charge says so (step 3)."""
    if window.exported is None:
        return window.imported, None
    if not any(isinstance(c, Export) and c.netting == "interval" for c in tariff.charges):
        return window.imported, window.exported
    net = window.imported - window.exported
    return np.maximum(net, 0), np.maximum(-net, 0)


def month_share(prorate: Prorate | None, days: int) -> Fraction:
    """How much of a month's amount is due for a bill of so many days."""
    if prorate is None or prorate.normal[0] <= days <= prorate.normal[1]:
        return Fraction(1)
    return Fraction(days, prorate.denom)
