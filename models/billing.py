"""Bills of one billing window for many service points at once, in integers.

The steps are those of the usual order: energy by register, fixed, energy, adders, demand, percent, export
credit, minimum, tax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np

from models.calendar import DayGrid
from models.days import half_away
from models.series import Int
from models.tou import Periods, classify, event_slots, run_sums
from schemas.tariff import (
    Demand,
    Energy,
    EnergyAdder,
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
    """

    peaks_kw: dict[int, Int]
    credit: Int

    @staticmethod
    def empty(count: int) -> BillState:
        """No past."""
        return BillState({}, np.zeros(count, np.int64))


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
        runs: Import of each run of one period within a day, where it is known already; shape (n, runs).
    """

    grid: DayGrid
    imported: Int
    exported: Int | None
    month: int
    billed_days: int
    events: Mapping[str, frozenset[int]] = field(default_factory=dict)
    power_factor: Sequence[Decimal | None] | None = None
    runs: Int | None = None


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
    """
    bill = _Bill(tariff, window)
    bill.fixed()
    bill.energy()
    bill.adders()
    peak = bill.demand(state)
    bill.percents()
    credit = bill.export(state)
    bill.minimum()
    bill.tax()
    total = (
        np.sum([line.amount for line in bill.lines], axis=0) if bill.lines else np.zeros(bill.count, np.int64)
    )
    total = half_away(total, np.array([bill.finer]))
    peaks = dict(state.peaks_kw)
    if peak is not None:
        peaks[window.month] = np.maximum(peaks.get(window.month, np.full(bill.count, -1)), peak)
    measured = np.full(bill.count, -1, np.int64) if peak is None else peak
    return Priced(bill.lines, total, BillState(peaks, credit), measured)


class _Bill:
    """Lines of n bills as they are built up, step by step."""

    def __init__(self, tariff: Tariff, window: Window) -> None:
        self.tariff, self.window = tariff, window
        self.count = len(window.imported)
        self.rounding = tariff.rounding
        # Money is kept in cents, or in millionths where only the total is rounded.
        self.finer = 1 if self.rounding.money_at == "line" else 10 ** (MICRO_DP - self.rounding.money_dp)
        self.dp = self.rounding.money_dp if self.finer == 1 else MICRO_DP
        self.lines: list[Line] = []
        self.periods = classify(tariff, window.grid)
        self.taken, self.fed = _netted(window)

    def add(
        self, charge: str, period: str | None, tier: int, unit: str, quantity: Int, dp: int, rate: Decimal
    ) -> None:
        """Append quantity × rate, rounded."""
        amount = times(quantity, dp, rate, self.dp)
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
        own, billed = self.window.grid.days, self.window.billed_days
        for charge in self.of(Fixed):
            assert isinstance(charge, Fixed)
            if charge.per == "day":
                quantity, dp = Fraction(own), 0
            else:
                quantity, dp = month_share(charge.prorate, billed) * own / billed, MICRO_DP
            scaled = round_fraction(quantity * 10**dp)
            quantities = np.full(self.count, scaled, np.int64)
            amount = round_fraction(quantity * Fraction(charge.amount) * 10**self.dp)
            self.lines.append(
                Line(
                    charge.id, None, 0, charge.per, quantities, dp, charge.amount, np.full(self.count, amount)
                )
            )

    def energy(self) -> None:
        """Steps 4, 5 and 7."""
        for charge in self.of(Energy):
            assert isinstance(charge, Energy)
            load = self.taken if charge.direction == "import" else self.fed
            if load is None:
                continue
            priced = sorted(charge.rates)
            runs = self.window.runs if charge.direction == "import" and self.fed is None else None
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
        return half_away(micro, np.array([10 ** (MICRO_DP - self.rounding.kwh_dp)]))

    def adders(self) -> None:
        """Step 8."""
        for charge in self.of(EnergyAdder):
            assert isinstance(charge, EnergyAdder)
            days = self.window.events.get(charge.event, frozenset())
            hours = event_slots(self.tariff, charge.event, days, self.window.grid)
            quantity = self.register(self.taken[:, hours].sum(axis=1))
            self.add(charge.id, None, 0, "kWh", quantity, self.rounding.kwh_dp, charge.rate)

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
        return round_fraction(kw / 10 ** (MICRO_DP - self.rounding.kw_dp))

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
            quantity, earned = np.zeros(self.count, np.int64), np.zeros(self.count, np.int64)
            for name in sorted(charge.rate):
                if self.fed is None:
                    break
                slots = self.periods.of_slot == self.periods.names.index(name)
                register = self.register(self.fed[:, slots].sum(axis=1))
                quantity += register
                earned += times(register, self.rounding.kwh_dp, charge.rate[name], MICRO_DP)
            earned = half_away(earned, np.array([10 ** (MICRO_DP - self.dp)]))
            available = credit + earned
            used = np.minimum(available, np.maximum(self.amounts(charge.applies_to), 0))
            self.lines.append(Line(charge.id, None, 0, "kWh", quantity, self.rounding.kwh_dp, None, -used))
            credit = available - used if charge.carry == "dollars" else np.zeros(self.count, np.int64)
        return half_away(credit, np.array([self.finer]))

    def minimum(self) -> None:
        """Step 12."""
        own, billed = self.window.grid.days, self.window.billed_days
        for charge in self.of(Minimum):
            assert isinstance(charge, Minimum)
            share = (
                Fraction(own) if charge.per == "day" else month_share(charge.prorate, billed) * own / billed
            )
            least = round_fraction(share * Fraction(charge.amount) * 10**self.dp)
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
            each = [times(amount, self.dp, charge.rate, self.dp) for amount in taxed]
            amount = np.sum(each, axis=0) if each else base
            self.lines.append(
                Line(charge.id, None, 0, self.tariff.currency, base, self.dp, charge.rate, amount)
            )


def _netted(window: Window) -> tuple[Int, Int | None]:
    """Import and export after netting by interval (step 3)."""
    if window.exported is None:
        return window.imported, None
    net = window.imported - window.exported
    return np.maximum(net, 0), np.maximum(-net, 0)


def tier_sums(runs: Int, periods: Periods, priced: Sequence[str], charge: Energy, days: int) -> Int:
    """Energy by priced period and tier, exact.

    Args:
        runs: Energy of each run of ``periods``, shape (n, runs). [micro-kWh]
        periods: Periods of the slots.
        priced: Periods the charge prices, in the order of the result.
        charge: Its tiers.
        days: Days the limits per day count for.

    Returns:
        Shape (n, periods, tiers). [micro-kWh] The sum over tiers is the energy of the period.
    """
    wanted = np.array([periods.names.index(name) for name in priced], np.int64)
    mine = [np.flatnonzero(periods.run_period == code) for code in wanted]
    if charge.tiers is None:
        return np.stack([runs[:, at].sum(axis=1) for at in mine], axis=1)[:, :, None]
    caps = [
        round_fraction(Fraction(limit) * MICRO * (days if charge.tiers.unit == "kWh/day" else 1))
        for limit in charge.tiers.limits
    ]
    edges = [0, *caps, np.iinfo(np.int64).max]
    if charge.tiers.scope == "bill_total_chronological":
        at = np.sort(np.concatenate(mine))
        energy = runs[:, at]
        before = np.cumsum(energy, axis=1) - energy
        split = [
            np.clip(high - before, 0, energy) - np.clip(low - before, 0, energy)
            for low, high in _pairs(edges)
        ]
        return np.stack(
            [
                np.stack([part[:, periods.run_period[at] == code].sum(axis=1) for part in split], axis=1)
                for code in wanted
            ],
            axis=1,
        )
    sums = np.stack([runs[:, at].sum(axis=1) for at in mine], axis=1)
    if charge.tiers.scope == "per_period":
        return np.stack([np.clip(sums, low, high) - low for low, high in _pairs(edges)], axis=2).clip(0)
    return _prorata(sums, edges)


def _pairs(edges: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(edges))


def _prorata(sums: Int, edges: Sequence[int]) -> Int:
    """The bill's total by tier, each tier split over the periods by their share of the total.

    Each period's running share ⌊period · filled / total⌋ is exact; its tiers sum to the period.
    """
    total = sums.sum(axis=1)
    parts = []
    filled_before = np.zeros_like(sums)
    for _, high in _pairs(edges):
        filled = np.minimum(total, high)
        share = [
            [int(e) * int(f) // int(t) if t else 0 for e in row]
            for row, f, t in zip(sums.tolist(), filled.tolist(), total.tolist(), strict=True)
        ]
        upto = np.array(share, np.int64).reshape(sums.shape)
        parts.append(upto - filled_before)
        filled_before = upto
    return np.stack(parts, axis=2)


def peak_kw(load: Int, grid: DayGrid, periods: Periods, charge: Demand) -> Int:
    """Highest window of the priced periods [micro-kW]; (n,).

    A block starts on the clock, a sliding window at every slot; both belong to the period of their last
    slot and lie within the grid.
    """
    width = charge.window_min * 60 // grid.interval_s
    if width < 1:
        width = 1
    sums = np.zeros((len(load), grid.slots + 1), np.int64)
    np.cumsum(load, axis=1, out=sums[:, 1:])
    energy = sums[:, width:] - sums[:, :-width]
    last = np.arange(width - 1, grid.slots)
    counts = np.ones(len(last), np.bool_)
    if charge.method == "block":
        counts &= grid.starts[: len(last)] % (width * grid.interval_s) == 0
    if charge.periods is not None:
        codes = [periods.names.index(name) for name in charge.periods]
        counts &= np.isin(periods.of_slot[last], codes)
    if not counts.any():
        return np.zeros(len(load), np.int64)
    seconds = width * grid.interval_s
    peak: Int = energy[:, counts].max(axis=1) * 3600 // seconds
    return peak


def month_share(prorate: Prorate | None, days: int) -> Fraction:
    """How much of a month's amount is due for a bill of so many days."""
    if prorate is None or prorate.normal[0] <= days <= prorate.normal[1]:
        return Fraction(1)
    return Fraction(days, prorate.denom)


def times(quantity: Int, quantity_dp: int, rate: Decimal, money_dp: int) -> Int:
    """Quantity × rate in units of 10^-money_dp, half away from zero."""
    sign, digits, exponent = rate.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits))) * (-1 if sign else 1)
    power = money_dp + exponent - quantity_dp
    if power >= 0:
        grown: Int = quantity * (number * 10**power)
        return grown
    peak = int(np.abs(quantity).max(initial=0))
    if 2 * peak * abs(number) + 10**-power < 1 << 62:
        return half_away(quantity * number, np.array([10**-power]))
    exact = [round_fraction(Fraction(int(q) * number, 10**-power)) for q in quantity.tolist()]
    return np.array(exact, np.int64)


def round_fraction(value: Fraction) -> int:
    """Nearest integer, half away from zero."""
    magnitude = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return -magnitude if value < 0 else magnitude
