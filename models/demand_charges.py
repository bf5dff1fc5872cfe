"""Lines for demand: step 9 of a bill."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

from models.bill_sheet import MICRO_DP, Sheet, days_of, month_share
from models.bill_state import BillState
from models.bill_window import Window
from models.money import Mode, round_fraction, rounded, times
from models.power_factor import power_factors
from models.series import Int
from schemas.tariff import CoincidentDemand, Demand, PowerFactor

__all__ = ["billed_kw", "coincident", "demand", "factors_of", "measured_peaks"]

ONE = Decimal(1)


def demand(sheet: Sheet, state: BillState) -> None:
    """The highest window of each demand charge, by tier; a window of part of the bill bears its share."""
    dp = sheet.tariff.rounding.kw_dp
    for charge in sheet.of(Demand):
        if sheet.window.month_of_year not in charge.months:
            continue
        limits = charge.tiers.limits if charge.tiers else ()
        edges = [0, *(int(limit.scaleb(dp)) for limit in limits), np.iinfo(np.int64).max]
        for part, rates in charge.parts().items():
            days = _season_days(sheet, part or charge.periods)
            if not days:
                continue
            share = month_share(charge.prorate, sheet.window.billed_days) * sheet.window.own_share
            if charge.per == "day":
                share = Fraction(days)
            kw = billed_kw(sheet, charge, part, state)
            for tier, rate in enumerate(rates):
                quantity = np.clip(kw, edges[tier], edges[tier + 1]) - edges[tier]
                sheet.charge(
                    charge.id,
                    quantity,
                    dp,
                    rate,
                    unit=charge.unit,
                    period=part[0] if part else None,
                    tier=tier + 1 if limits else 0,
                    share=share,
                )


def _season_days(sheet: Sheet, names: Sequence[str] | None) -> int:
    """Days of the window in a season that has one of some periods, on whatever day of it."""
    calendar, days = sheet.tariff.calendar, days_of(sheet.window)
    if names is None:
        return len(days)
    return calendar.season_days(names, days, demand=True)


def billed_kw(sheet: Sheet, charge: Demand, part: tuple[str, ...], state: BillState) -> Int:
    """Billed demand, (n,) [10^-kw_dp kW]: measured, raised for the power factor, ratchet, at least the floor.

    The greatest of rounded values is the rounded greatest.
    """
    dp = sheet.tariff.rounding.kw_dp
    peak = sheet.quantities.peaks[charge.id, *part]
    kw = rounded(peak, 10 ** (MICRO_DP - dp), sheet.mode)
    if charge.pf is not None:
        target, factors = Fraction(charge.pf.target), factors_of(sheet.window, charge.pf, sheet.mode)
        for factor in {f for f in factors if f is not None and 0 < f < charge.pf.target}:
            rows = np.array([f == factor for f in factors], np.bool_)
            kw[rows] = times(peak[rows], MICRO_DP, ONE, dp, sheet.mode, share=target / Fraction(factor))
    if charge.ratchet is not None:
        this = sheet.window.month
        past = np.zeros(sheet.count, np.int64)
        for month in state.months():
            if this - charge.ratchet.lookback <= month < this and month % 12 + 1 in charge.ratchet.months:
                past = np.maximum(past, state.past_peaks(charge.id, month, of_bill=charge.unit == "kW"))
        kw = np.maximum(kw, times(past, MICRO_DP, charge.ratchet.pct, dp, sheet.mode))
    return np.maximum(kw, round_fraction(Fraction(charge.min_kw) * 10**dp, sheet.mode))


def factors_of(window: Window, rule: PowerFactor, mode: Mode) -> list[Decimal | None]:
    """Power factor of each bill: the given one, else what is measured; None where neither is known."""
    none: list[Decimal | None] = [None] * len(window.imported)
    given = none if window.power_factor is None else window.power_factor
    measured = none if window.of_bill is None else power_factors(*window.of_bill, rule.dp, mode)
    return [known or found for known, found in zip(given, measured, strict=True)]


def coincident(sheet: Sheet) -> None:
    """Demand while the system peaked; nothing where no event fell into the window."""
    dp = sheet.tariff.rounding.kw_dp
    for charge in sheet.of(CoincidentDemand):
        if sheet.window.month_of_year not in charge.months:
            continue
        power = sheet.quantities.coincident[charge.id].power
        total, count = power.sum(axis=1), max(power.shape[1], 1)
        if charge.of == "highest":
            total, count = power.max(axis=1, initial=0), 1
        kw = rounded(total, count * 10 ** (MICRO_DP - dp), sheet.mode)
        sheet.charge(charge.id, kw, dp, charge.rate, unit="kW", share=sheet.window.own_share)


def measured_peaks(sheet: Sheet) -> tuple[Int | None, dict[str, Int]]:
    """Highest demand [micro-kW] of the bill over all demand charges in kW, and of each charge; (n,) each.

    The second is empty unless charges with a ratchet may have measured differently.
    """
    of: dict[str, Int] = {}
    for (name, *_), peak in sheet.quantities.peaks.items():
        of[name] = np.maximum(of[name], peak) if name in of else peak
    active = [of[charge.id] for charge in sheet.of(Demand) if charge.unit == "kW"]
    highest = np.maximum.reduce(active) if active else None
    ratcheted = any(charge.ratchet is not None for charge in sheet.of(Demand))
    return highest, of if ratcheted and (len(of) > 1 or not active) else {}
