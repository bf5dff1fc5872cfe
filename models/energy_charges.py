"""Lines for energy: steps 4, 5, 7 and 8 of a bill."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from models.bill_sheet import MICRO_DP, Line, Sheet, days_of, month_share
from models.bill_state import BillState
from models.bill_window import Window
from models.demand_charges import billed_kw
from models.money import round_fraction, rounded, times
from models.series import Int
from models.tiers import by_code, chronological, per_period, prorata
from schemas.tariff import Demand, Energy, EnergyAdder, EnergySeries, Reactive, Tariff

__all__ = ["energy", "events_and_prices", "reactive", "tier_caps"]

MICRO = 10**MICRO_DP


def energy(sheet: Sheet, billed: Int | None, state: BillState) -> None:
    """Energy by period and tier.

    Args:
        sheet: Gets the lines.
        billed: Energy drawn by period after netting over the bill, (n, periods); None where nothing is
            netted over the bill. [micro-unit]
        state: Of the bill before; limits per kW of billed demand depend on it.
    """
    dp = sheet.tariff.rounding.kwh_dp
    for charge in sheet.of(Energy):
        runs = sheet.quantities.drawn if charge.direction == "import" else sheet.quantities.fed
        if runs is None or sheet.window.month_of_year not in charge.months:
            continue
        priced = sorted(charge.rates)
        registers = _registers(
            sheet, charge, priced, runs, billed if charge.direction == "import" else None, state
        )
        for p, name in enumerate(priced):
            for tier, rate in enumerate(charge.of_period(name)):
                quantity, number = registers[:, p, tier], tier + 1 if charge.tiers else 0
                sheet.charge(charge.id, quantity, dp, rate, unit=sheet.tariff.unit, period=name, tier=number)


def _registers(
    sheet: Sheet, charge: Energy, priced: list[str], runs: Int, billed: Int | None, state: BillState
) -> Int:
    """Rounded energy by priced period and tier; (n, P, T)."""
    periods = sheet.quantities.periods
    codes = np.array([periods.names.index(name) for name in priced], np.int64)
    place = np.full(len(periods.names), -1, np.int64)
    place[codes] = np.arange(len(codes))
    of_run = place[periods.run_period]
    if charge.tiers is not None and charge.tiers.scope == "bill_total_chronological":
        mine = of_run >= 0
        return sheet.register(
            chronological(
                runs.compress(mine, axis=1),
                of_run[mine],
                len(codes),
                _caps(sheet, charge, state),
            )
        )
    sums = by_code(runs, of_run, len(codes)) if billed is None else billed[:, codes]
    if charge.tiers is None:
        return sheet.register(sums[:, :, None])
    caps = _caps(sheet, charge, state)
    if charge.tiers.scope == "per_period":
        return sheet.register(per_period(sums, caps))
    return prorata(sums, caps, 10 ** (MICRO_DP - sheet.tariff.rounding.kwh_dp), sheet.mode)


def _caps(sheet: Sheet, charge: Energy, state: BillState) -> Int:
    kw, tiers = None, charge.tiers
    if tiers is not None and tiers.per_kw:
        demand = next(other for other in sheet.of(Demand) if other.id == tiers.demand)
        kw = billed_kw(sheet, demand, (), state)
    return tier_caps(sheet.tariff, sheet.window, charge, kw)


def tier_caps(tariff: Tariff, window: Window, charge: Energy, kw: Int | None) -> Int:
    """Upper edges [micro-unit] of the tiers but the last; (n, L) or (1, L).

    Args:
        tariff: Its seasons, and to how many decimals kW are billed.
        window: Its days and those of the bill.
        charge: Its limits, and the periods that it prices.
        kw: Billed demand (n,) [10^-kw_dp kW] of limits per kW; not looked at for others.
    """
    tiers, days = charge.tiers, window.grid.days
    if tiers is None:
        raise ValueError(f"{charge.id} has no tiers")
    if tiers.days == "season":
        days = tariff.calendar.season_days(charge.rates, days_of(window))
    share = Fraction(days)
    if not tiers.per_day:
        share = Fraction(days, window.grid.days) * window.own_share
        share *= month_share(tiers.prorate, window.billed_days)
    if not tiers.per_kw:
        return np.array(
            [[round_fraction(Fraction(limit) * share * MICRO) for limit in tiers.limits]], np.int64
        )
    if kw is None:
        raise ValueError(f"limits in {tiers.unit} need the billed kW")
    dp = tariff.rounding.kw_dp
    return np.stack([times(kw, dp, limit, MICRO_DP, share=share) for limit in tiers.limits], axis=1)


def events_and_prices(sheet: Sheet) -> None:
    """An extra price in event hours, and every slot at its own price; the amount is rounded once."""
    dp, unit = sheet.tariff.rounding.kwh_dp, sheet.tariff.unit
    for charge in sheet.tariff.charges:
        if isinstance(charge, EnergyAdder):
            quantity = sheet.register(sheet.quantities.events[charge.id])
            sheet.charge(charge.id, quantity, dp, charge.rate, unit=unit)
        elif isinstance(charge, EnergySeries):
            found = sheet.quantities.series[charge.id]
            below = 10 ** (found.decimals + MICRO_DP)
            exact = [Fraction(product * 10**sheet.dp, below) for product in found.products]
            amount = np.array([round_fraction(each, sheet.mode) for each in exact], np.int64)
            quantity = sheet.register(found.energy)
            sheet.append(Line(charge.id, None, 0, unit, quantity, dp, None, amount))


def reactive(sheet: Sheet) -> None:
    """Reactive energy beyond what is free for the energy drawn at the same time."""
    dp = sheet.tariff.rounding.kwh_dp
    for charge in sheet.of(Reactive):
        kvarh, kwh = sheet.quantities.reactive[charge.id]
        free = Fraction(charge.free_per_kwh)
        beyond = np.maximum(kvarh * free.denominator - kwh * free.numerator, 0)
        quantity = rounded(beyond, free.denominator * 10 ** (MICRO_DP - dp), sheet.mode)
        sheet.charge(charge.id, quantity, dp, charge.rate, unit="kvarh")
