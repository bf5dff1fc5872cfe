"""The charges of a URDB rate as charges of a tariff."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pipelines.tariffs.urdb_calendar import Schedule
from pipelines.tariffs.urdb_rate import MONTHS, Tier, UrdbRate

__all__ = [
    "coincident_charges",
    "demand_charges",
    "energy_charges",
    "fixed_charges",
    "fuel_charges",
    "minimum",
]

UNITS = {"kwh": "kWh", "kwh daily": "kWh/day", "kwh/kw": "kWh/kW", "kwh/kw daily": "kWh/kW/day"}
WINDOWS = (5, 10, 15, 20, 30, 60)
PERS = {"$/month": "month", "$/day": "day", "$/year": "year"}
COUNTED = "limits_kw"
Charge = dict[str, Any]
_Ladder = tuple[str, tuple[Decimal, ...]]


def energy_charges(
    rate: UrdbRate, structure: list[list[Tier]], schedule: Schedule, scope: str
) -> list[Charge]:
    """One charge for each set of tier limits; periods of one month must have the same."""
    ladders: dict[_Ladder, list[int]] = {}
    ladder_of = {n: _ladder(rate, structure[n], f"energyratestructure[{n}]") for n in schedule.numbers()}
    for number, ladder in ladder_of.items():
        ladders.setdefault(ladder, []).append(number)
    _check_months(rate, ladder_of, schedule)
    charges = []
    for place, ((unit, limits), numbers) in enumerate(ladders.items()):
        charge: Charge = {"id": "energy" if not place else f"energy_{place + 1}", "type": "energy"}
        if limits:
            charge["tiers"] = {"scope": scope, "unit": unit, "limits": [_text(limit) for limit in limits]}
            if "/kW" in unit:
                charge["tiers"]["demand"] = COUNTED
        charge["rates"] = {schedule.name(n): _rates(structure[n]) for n in numbers}
        charges.append(charge)
    if any("tiers" in charge for charge in charges):
        how = "in time order" if scope.endswith("chronological") else "with each tier split over the periods"
        rate.assumed.append(f"tiers fill over the whole bill, {how}, and are not prorated")
    if len(charges) > 1:
        rate.assumed.append("limits differ by month: bills follow calendar months")
    return charges


def _check_months(rate: UrdbRate, ladder_of: dict[int, _Ladder], schedule: Schedule) -> None:
    for month in range(MONTHS):
        first, *others = schedule.months_of(month)
        for other in others:
            if ladder_of[other] != ladder_of[first]:
                raise rate.error(
                    f"energyweekdayschedule[{month}]",
                    f"periods {first} and {other} in one month, whose tiers end at different limits",
                    "the same limits for all periods of a month, as URDB does not say how they meet",
                )


def _ladder(rate: UrdbRate, tiers: list[Tier], place: str) -> _Ladder:
    """Unit and limits; the unit of an open tier is filled in by the database and says nothing."""
    limits = tuple(tier.limit for tier in tiers if tier.limit is not None)
    units = {(tier.unit or "kWh").lower() for tier in tiers if tier.limit is not None}
    for unit in units:
        if unit not in UNITS:
            raise rate.error(f"{place}: unit", repr(unit), "one of: kWh, kWh daily, kWh/kW, kWh/kW daily")
    if len(units) > 1:
        raise rate.error(f"{place}: unit", " beside ".join(sorted(units)), "one unit for all limits")
    return UNITS[units.pop()] if units else "kWh", limits


def fuel_charges(rate: UrdbRate, schedule: Schedule) -> list[Charge]:
    """Adjustments by month: a charge for each value."""
    values = rate.monthly("fueladjustmentsmonthly")
    if values is None:
        return []
    months: dict[Decimal, list[int]] = {}
    for month, value in enumerate(values, 1):
        months.setdefault(value, []).append(month)
    months.pop(Decimal(0), None)
    return [
        {
            "id": f"fuel_{place}",
            "type": "energy",
            "months": of,
            "rates": {schedule.name(n): _text(value) for n in schedule.numbers()},
        }
        for place, (value, of) in enumerate(months.items(), 1)
    ]


def demand_charges(
    rate: UrdbRate, structure: list[list[Tier]], schedule: Schedule | None, *, counted: bool
) -> list[Charge]:
    """Flat demand by month, demand by period, and the demand that limits per kW count."""
    window, ratchet = _window(rate), _ratchet(rate)
    common: Charge = {"type": "demand", "window_min": window}
    if ratchet is not None:
        common["ratchet"] = ratchet
    charges = [{"id": charge["id"], **common, **charge} for charge in _flat(rate)]
    for number in schedule.numbers() if schedule is not None else ():
        tiers = structure[number]
        unit = _unit(rate, tiers, f"demandratestructure[{number}]", "demandrateunit")
        if _priced(tiers):
            named = {"id": f"demand_{number}", **common, "periods": [_name(schedule, number)]}
            charges.append({**named, **_kw_rates(tiers, unit)})
    if counted:
        charges.append({"id": COUNTED, **common, "rate": "0"})
        rate.assumed.append("limits per kW count the bill's highest demand")
    if charges:
        given = "as given" if rate.has("demandwindow") else "assumed, as none is given"
        rate.assumed.append(f"demand is the highest block of {window} minutes ({given})")
    if charges and ratchet is not None:
        rate.assumed.append("the lookback applies to every demand charge, each by its own past peaks")
    return charges


def _name(schedule: Schedule | None, number: int) -> str:
    assert schedule is not None
    return schedule.name(number)


def _flat(rate: UrdbRate) -> list[Charge]:
    structure = rate.structure("flatdemandstructure")
    months = rate.by_month("flatdemandmonths")
    if months is None and len(structure) > 1:
        raise rate.error("flatdemandmonths", "nothing", "a period of flatdemandstructure for each month")
    if not structure and (months is None or not any(months)):
        return []
    by_period: dict[int, list[int]] = {}
    for month, number in enumerate(months or [0] * MONTHS):
        if number >= len(structure):
            known = f"0 to {len(structure) - 1}" if structure else "none"
            place = f"flatdemandmonths[{month}]"
            raise rate.error(place, f"period {number}", f"a period of flatdemandstructure: {known}")
        by_period.setdefault(number, []).append(month + 1)
    charges = []
    for number, of in sorted(by_period.items()):
        tiers = structure[number]
        unit = _unit(rate, tiers, f"flatdemandstructure[{number}]", "flatdemandunit")
        if _priced(tiers):
            charge: Charge = {"id": f"flat_demand_{number}", **_kw_rates(tiers, unit)}
            charges.append(charge if len(of) == MONTHS else {**charge, "months": of})
    return charges


def _priced(tiers: list[Tier]) -> bool:
    return any(tier.rate for tier in tiers)


def _unit(
    rate: UrdbRate, tiers: list[Tier], place: str, field: str, units: tuple[str, ...] = ("kW", "kVA")
) -> str:
    """What priced demand is measured in: one of the units that a tariff knows."""
    known = {unit.lower(): unit for unit in units}
    found = "kW"
    if not _priced(tiers):
        return found
    written = [(field, rate.text(field)), *((f"{place}: unit", tier.unit) for tier in tiers)]
    given = [(where, unit) for where, unit in written if unit is not None]
    for where, unit in given:
        if unit.lower() not in known:
            raise rate.error(where, repr(unit), " or ".join(units))
        found = known[given[0][1].lower()]
        if known[unit.lower()] != found:
            raise rate.error(where, f"{unit!r} beside {given[0][1]!r} in {given[0][0]}", "one unit")
    if found == "kVA":
        rate.assumed.append("demand in kVA is of the energy and the reactive_import of its window")
    return found


def _kw_rates(tiers: list[Tier], unit: str) -> Charge:
    limits = [_text(tier.limit) for tier in tiers if tier.limit is not None]
    rates: Charge = {"rate": _rates(tiers)}
    apparent = {} if unit == "kW" else {"unit": unit}
    return {**apparent, **({"tiers": {**apparent, "limits": limits}} if limits else {}), **rates}


def _window(rate: UrdbRate) -> int:
    if not rate.has("demandwindow"):
        return 15
    minutes = rate.whole("demandwindow")
    if minutes not in WINDOWS:
        raise rate.error("demandwindow", str(minutes), f"one of {', '.join(map(str, WINDOWS))} minutes")
    return minutes


def _ratchet(rate: UrdbRate) -> Charge | None:
    share = rate.number("lookbackpercent")
    if not share:
        return None
    if not 0 < share <= 1:
        raise rate.error("lookbackpercent", str(share), "a share from 0 to 1")
    months, span = rate.flags("lookbackmonths"), rate.whole("lookbackrange")
    if not span and (months is None or not any(months)):
        raise rate.error("lookbackpercent", f"{share} without lookbackrange or lookbackmonths", "one of them")
    ratchet: Charge = {"pct": _text(share)}
    if months is not None and any(months) and not all(months):
        ratchet["months"] = [month for month, counts in enumerate(months, 1) if counts]
    if not span:
        rate.assumed.append("the lookback counts the named months among the 11 before the bill's")
    elif not 1 <= span <= 36:
        raise rate.error("lookbackrange", str(span), "1 to 36 months")
    ratchet["lookback"] = span or 11
    return ratchet


def coincident_charges(rate: UrdbRate) -> list[Charge]:
    """Demand while the system peaks, by month; when it peaks is for the event feed to say."""
    structure = rate.structure("coincidentratestructure")
    if not structure:
        return []
    names = ("coincidentrateschedule", "coincidentschedule")
    name = next(filter(rate.has, names), names[0])
    table = rate.schedule(name)
    if table is None and len(structure) > 1:
        raise rate.error("coincidentrateschedule", "nothing", "12 × 24 periods of coincidentratestructure")
    by_period: dict[int, list[int]] = {}
    for month in range(MONTHS):
        row = table[month] if table is not None else [0]
        if len(set(row)) > 1:
            expected = "one period for all hours of a month"
            raise rate.error(f"{name}[{month}]", f"the periods {sorted(set(row))}", expected)
        if row[0] >= len(structure):
            expected = f"a period of coincidentratestructure: 0 to {len(structure) - 1}"
            raise rate.error(f"{name}[{month}][0]", f"period {row[0]}", expected)
        by_period.setdefault(row[0], []).append(month + 1)
    charges = []
    for number, of in sorted(by_period.items()):
        tiers = structure[number]
        _unit(rate, tiers, f"coincidentratestructure[{number}]", "coincidentrateunit", ("kW",))
        if len(tiers) > 1:
            raise rate.error(f"coincidentratestructure[{number}]", f"{len(tiers)} tiers", "one")
        if _priced(tiers):
            named: Charge = {
                "id": f"coincident_{number}",
                "type": "coincident_demand",
                "event": "system_peak",
            }
            charges.append({**named, "window_min": _window(rate), "rate": _rates(tiers), "months": of})
    if charges:
        rate.assumed.append("the system's peak hours come as stretches of the event system_peak (--events)")
    return charges


def fixed_charges(rate: UrdbRate) -> list[Charge]:
    """The first meter's charge."""
    charges: list[Charge] = []
    for field, unit in (("fixedchargefirstmeter", "fixedchargeunits"), ("fixedmonthlycharge", None)):
        amount = rate.money(rate.number(field), field)
        if not amount:
            continue
        per = "month" if unit is None else _per(rate, unit)
        if per == "year":
            amount, per = rate.money(amount / MONTHS, f"{field} / 12"), "month"
        name = "customer" if not charges else "customer_2"
        charges.append({"id": name, "type": "fixed", "amount": _text(amount), "per": per})
    if rate.number("fixedchargeeaaddl"):
        rate.assumed.append("one meter: fixedchargeeaaddl, for each further one, is left out")
    if any(charge["per"] == "month" for charge in charges):
        rate.assumed.append("a month's fixed charge is due in full, however many days the bill has")
    return charges


def minimum(rate: UrdbRate, covered: list[str]) -> list[Charge]:
    """What the bill comes to at least."""
    found: list[Charge] = []
    for field, unit in (("mincharge", "minchargeunits"), ("minmonthlycharge", None)):
        amount = rate.money(rate.number(field), field)
        if not amount:
            continue
        per = "month" if unit is None else _per(rate, unit)
        if per == "year":
            raise rate.error(field, f"a minimum of {amount} a year", "one a month or a day")
        name = "minimum" if not found else "minimum_2"
        amounts = {"amount": _text(amount), "per": per}
        found.append({"id": name, "type": "minimum", **amounts, "covers": covered})
    if found:
        rate.assumed.append(f"the minimum counts {', '.join(covered)}")
    return found


def _per(rate: UrdbRate, field: str) -> str:
    unit = rate.text(field)
    if unit is None or unit.lower() not in PERS:
        found = "nothing" if unit is None else repr(unit)
        raise rate.error(field, found, f"one of: {', '.join(PERS)}")
    return PERS[unit.lower()]


def _rates(tiers: list[Tier]) -> str | list[str]:
    rates = [_text(tier.rate) for tier in tiers]
    return rates[0] if len(rates) == 1 else rates


def _text(number: Decimal | None) -> str:
    """A number without trailing zeros."""
    assert number is not None
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
