"""Imported rates priced month by month, against SAM's Utilityrate5 on 500 random rates and customers."""

from __future__ import annotations

import calendar
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from models.billing import BillState, Line, Window, price_window
from models.calendar import DayGrid
from pipelines.tariffs.import_urdb import tariff_fields
from pipelines.tariffs.urdb_rate import UrdbRate
from schemas.tariff import Export, Tariff
from tests.sam_cases import SamCase, random_case, sam_bill

YEAR = 2018
"""Begins on a Monday, as SAM's year does."""
FIRST_DAY = 17_532
CUSTOMERS = 1_000
"""The kernel bills so many times the customer: its amounts are rounded to a millionth, SAM's to nothing."""
BATCHES, SIZE = 20, 25


def tariff_of(case: SamCase) -> Tariff:
    """The rate imported, with limits and amounts of so many customers."""
    fields = tariff_fields(UrdbRate("case", _exact(_scaled(case.urdb))), "UTC")
    # A carried credit is money, rounded on each bill: to a ten-thousandth here.
    fields["rounding"]["money_dp"] = 4
    return Tariff.model_validate(fields)


def _scaled(urdb: dict[str, Any]) -> dict[str, Any]:
    fields = dict(urdb)
    for name in ("energyratestructure", "flatdemandstructure", "demandratestructure"):
        if name in fields:
            fields[name] = [
                [{**tier, "max": tier["max"] * CUSTOMERS} if "max" in tier else tier for tier in tiers]
                for tiers in fields[name]
            ]
    for name in ("fixedchargefirstmeter", "mincharge"):
        if name in fields:
            fields[name] = str(Decimal(str(fields[name])) * CUSTOMERS)
    return fields


def _exact(value: Any) -> Any:
    """Floats as the decimals that they print, as the importer reads them from JSON."""
    if isinstance(value, dict):
        return {name: Decimal(each) if name in ("fixedchargefirstmeter", "mincharge") else _exact(each)
                for name, each in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [_exact(each) for each in value]
    return Decimal(str(value)) if isinstance(value, float) else value


def monthly(tariff: Tariff, case: SamCase) -> dict[str, list[float]]:
    """Amounts of the twelve bills of the year [$], the state handed on from each to the next."""
    sold = any(isinstance(c, Export) and c.mode == "buy_all_sell_all" for c in tariff.charges)
    net = case.load - case.made
    drawn, fed = (case.load, case.made) if sold else (np.maximum(net, 0), np.maximum(-net, 0))
    state = BillState.empty(1)
    found: dict[str, list[float]] = {"energy": [], "flat": [], "demand": [], "minimum": [], "bill": []}
    first = 0
    for month in range(12):
        days = calendar.monthrange(YEAR, month + 1)[1]
        slots = slice(first * 24, (first + days) * 24)
        window = Window(
            grid=DayGrid("UTC", 3600, FIRST_DAY + first, days),
            imported=drawn[None, slots] * 1_000 * CUSTOMERS,
            exported=fed[None, slots] * 1_000 * CUSTOMERS,
            month=YEAR * 12 + month,
            billed_days=days,
        )
        priced = price_window(tariff, window, state)
        state = priced.state
        for part, amounts in found.items():
            amounts.append(_sum(priced.lines, part) / 10**priced.line_dp / CUSTOMERS)
        first += days
    return found


def _sum(lines: list[Line], part: str) -> int:
    return sum(int(line.amount[0]) for line in lines if part == "bill" or _part(line.charge) == part)


def _part(charge: str) -> str:
    for part in ("flat", "demand", "minimum"):
        if charge.startswith(part):
            return part
    return "energy" if charge != "customer" else "fixed"


def compare(case: SamCase, tariff: Tariff, option: int | None) -> None:
    """Every part of every month within a millionth of a dollar."""
    found, expected = monthly(tariff, case), sam_bill(case, option)
    # Where kWh are worth money, SAM pays with the bill of December what is left of it.
    months = slice(11 if option == 1 else 12)
    for part, amounts in expected.items():
        worst = np.abs(np.array(found[part]) - amounts)[months].max()
        assert worst < 1e-6, (part, case.urdb, found[part], amounts.tolist())


@pytest.mark.parametrize("batch", range(BATCHES))
def test_imported_rates_cost_what_sam_says(batch: int) -> None:
    """Periods, tiers, flat and TOU demand, lookback, minimum, and every rule for what is fed in."""
    for seed in range(batch * SIZE, (batch + 1) * SIZE):
        case = random_case(np.random.default_rng(seed))
        compare(case, tariff_of(case), None)


@pytest.mark.parametrize(
    ("option", "export"),
    [
        pytest.param(1, {"mode": "net_metering", "netting": "month", "carry": "dollars"}, id="kWh in money"),
        pytest.param(
            2, {"mode": "net_billing", "netting": "interval", "carry": "paid"}, id="credit paid out"
        ),
    ],
)
def test_export_rules_that_urdb_does_not_have(option: int, export: dict[str, Any]) -> None:
    """SAM's two other metering options, on rates whose export charge is replaced."""
    for seed in range(10_000, 10_050):
        case = random_case(np.random.default_rng(seed))
        for tiers in case.urdb["energyratestructure"]:
            for tier in tiers:  # What a credit does to a negative amount is SAM's own.
                tier |= {"rate": abs(tier["rate"]), "adj": abs(tier["adj"])}
        if case.urdb["dgrules"] not in ("Net Billing Instantaneous", "Net Billing Hourly"):
            continue
        fields = tariff_of(case).model_dump(by_alias=True, exclude_unset=True)
        for charge in fields["charges"]:
            if charge["type"] == "export":
                charge |= export
            if option == 1 and "tiers" in charge and charge["type"] == "energy":
                charge["tiers"]["scope"] = "bill_total_prorata"
        compare(case, Tariff.model_validate(fields), option)
