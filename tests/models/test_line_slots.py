"""A line read back to its slots has just the energy that the bill has, over random tariffs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.bill_lines import BillLine, decimal_bills
from models.billing import BillState, Window, price_window
from models.line_slots import line_slots
from models.money import rounded
from models.series import Int
from models.slot_quantities import netting_of
from schemas.tariff import CoincidentDemand, Demand, Energy, EnergyAdder, EnergySeries, Tariff
from tests.models.test_billing_reference import window_of
from tests.tariff_strategies import cases, tariffs


def alone(window: Window) -> Window:
    """The first meter of a window."""
    return replace(
        window,
        imported=window.imported[:1],
        exported=None if window.exported is None else window.exported[:1],
        power_factor=None,
        reactive={channel: values[:1] for channel, values in window.reactive.items()},
    )


def billed(version: Tariff, lines: list[BillLine], energy: Energy) -> Int | None:
    """Billed kW that limits per kW count by, as the bill has it; None where its lines do not tell."""
    if energy.tiers is None or not energy.tiers.per_kw:
        return np.zeros(1, np.int64)
    kw = [line.quantity for line in lines if line.charge == energy.tiers.demand]
    return np.array([int(sum(kw, Decimal(0)).scaleb(version.rounding.kw_dp))], np.int64) if kw else None


@given(data=st.data(), version=tariffs())
def test_energy_of_a_line_is_that_of_its_slots(data: st.DataObject, version: Tariff) -> None:
    """Energy by period and tier, in event hours and at prices: chosen slots sum to the register, exactly."""
    window = alone(window_of(version, data.draw(cases(version))))
    lines = decimal_bills(price_window(version, window, BillState.empty(1)))[0]
    unit = 10 ** (6 - version.rounding.kwh_dp)
    over_bill = netting_of(version) == "month"
    for line in lines:
        charge = next((c for c in version.charges if c.id == line.charge), None)
        if not isinstance(charge, Energy | EnergyAdder | EnergySeries):
            continue
        kw = billed(version, lines, charge) if isinstance(charge, Energy) else None
        if isinstance(charge, Energy) and (kw is None or over_bill):
            continue
        found = line_slots(version, window, charge, period=line.period, tier=line.tier or 0, kw=kw)
        assert found is not None
        energy = int(found.energy[found.chosen].sum())
        whole = [line.quantity]
        if found.shared:
            if isinstance(charge, Energy) and not all(charge.of_period(str(line.period))):
                continue  # a tier that costs nothing has no line
            whole = [o.quantity for o in lines if (o.charge, o.period) == (line.charge, line.period)]
            assert abs(Decimal(energy).scaleb(-6) - sum(whole)) <= Decimal(unit * 4).scaleb(-6)
            continue
        exact = rounded(np.array([energy]), unit, version.rounding.mode)[0]
        assert Decimal(int(exact)).scaleb(-version.rounding.kwh_dp) == line.quantity
        if found.rates is not None:
            slots = zip(found.energy.tolist(), found.rates, strict=True)
            worth = [Decimal(slot).scaleb(-6) * rate for slot, rate in slots]
            assert abs(sum(worth, Decimal(0)) - line.amount) <= Decimal(1).scaleb(-version.rounding.money_dp)


@given(data=st.data(), version=tariffs())
def test_demand_of_a_line_is_that_of_its_slots(data: st.DataObject, version: Tariff) -> None:
    """Without ratchet, floor and tiers the window's mean power is the billed one."""
    window = alone(window_of(version, data.draw(cases(version))))
    for line in decimal_bills(price_window(version, window, BillState.empty(1)))[0]:
        charge = next((c for c in version.charges if c.id == line.charge), None)
        if not isinstance(charge, Demand | CoincidentDemand) or line.tier:
            continue
        if (isinstance(charge, Demand) and charge.min_kw) or getattr(charge, "of", "highest") == "average":
            continue
        found = line_slots(version, window, charge, period=line.period, tier=0)
        assert found is not None
        seconds = max(charge.window_min * 60, window.grid.interval_s)
        assert int(found.chosen.sum()) == seconds // window.grid.interval_s
        power = np.array([int(found.energy[found.chosen].sum()) * 3600 // seconds])
        kw = rounded(power, 10 ** (6 - version.rounding.kw_dp), version.rounding.mode)[0]
        assert Decimal(int(kw)).scaleb(-version.rounding.kw_dp) == line.quantity
