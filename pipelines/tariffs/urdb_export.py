"""What a URDB rate pays for energy fed in, as an export charge of a tariff."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pipelines.tariffs.urdb_calendar import Schedule
from pipelines.tariffs.urdb_rate import Tier, UrdbRate

__all__ = ["export_charges", "rule_of"]

RULES = ("Net Metering", "Net Billing Instantaneous", "Net Billing Hourly", "Buy All Sell All")
LAST_MONTH = 12


def rule_of(rate: UrdbRate) -> str | None:
    """How energy fed in is paid; None where the rate does not say."""
    rule = rate.text("dgrules")
    if rule is None:
        return RULES[0] if rate.number("usenetmetering") else None
    known = {name.lower(): name for name in RULES}
    if rule.lower() not in known:
        raise rate.error("dgrules", repr(rule), f"one of: {', '.join(RULES)}")
    return known[rule.lower()]


def export_charges(
    rate: UrdbRate, rule: str | None, structure: list[list[Tier]], schedule: Schedule, payable: list[str]
) -> list[dict[str, Any]]:
    """The export charge of a rule, none where there is no rule."""
    if rule is None:
        rate.assumed.append("no dgrules: energy fed in is not paid, and not set off")
        return []
    if rule == "Net Metering":
        return [_net_metering(rate, structure, schedule)]
    sells = {number: _sell(rate, structure, number) for number in schedule.numbers()}
    missing = [number for number, sell in sells.items() if sell is None]
    if missing:
        place = f"energyratestructure[{missing[0]}][0].sell"
        raise rate.error(place, "nothing", f"what a kWh fed in is worth, as dgrules is {rule}")
    worth = {schedule.name(number): f"{sell:f}" for number, sell in sells.items()}
    charge: dict[str, Any] = {"id": "export", "type": "export"}
    if rule == "Buy All Sell All":
        return [{**charge, "mode": "buy_all_sell_all", "netting": "none", "carry": "paid", "rate": worth}]
    netting = "interval" if rule.endswith("Instantaneous") else "hour"
    rate.assumed.append(
        "export credits pay energy charges; what is left is carried on in money, without an end"
    )
    money = {"mode": "net_billing", "netting": netting, "carry": "dollars", "rate": worth}
    return [{**charge, **money, "applies_to": payable}]


def _net_metering(rate: UrdbRate, structure: list[list[Tier]], schedule: Schedule) -> dict[str, Any]:
    charge: dict[str, Any] = {"id": "export", "type": "export", "mode": "net_metering", "netting": "month"}
    charge["carry"] = "kwh"
    sells = {_sell(rate, structure, number) or Decimal(0) for number in schedule.numbers()}
    if len(sells) > 1:
        found = f"the sell rates {', '.join(f'{sell:f}' for sell in sorted(sells))}"
        expected = "one for all periods: under Net Metering it pays what is left at the end of the year"
        raise rate.error("energyratestructure", found, expected)
    sell = sells.pop()
    rate.assumed.append("kWh are set off and carried period by period")
    if not sell:
        rate.assumed.append("kWh that are left are carried on without an end")
        return charge
    rate.assumed.append("kWh that are left are paid at the sell rate with the bill of December")
    return {**charge, "true_up": {"month": LAST_MONTH, "rate": f"{sell:f}"}}


def _sell(rate: UrdbRate, structure: list[list[Tier]], number: int) -> Decimal | None:
    sells = {tier.sell for tier in structure[number]}
    if len(sells) > 1:
        found = " and ".join(sorted("none" if sell is None else f"{sell:f}" for sell in sells))
        place = f"energyratestructure[{number}]: sell"
        raise rate.error(place, f"{found} in one period", "the same in all its tiers")
    return sells.pop()
