"""That every name used in a tariff is defined, and that its charges fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from schemas.tariff_calendar import Calendar, one_of
from schemas.tariff_charges import STAGE, AnyCharge, CashRounding, mentioned, named_event, priced_periods
from schemas.tariff_demand import Demand
from schemas.tariff_energy import Energy
from schemas.tariff_export import Export
from schemas.yaml_model import Address, MisfitError

__all__ = ["check_cash_rounding", "check_references"]


def check_references(charges: Sequence[AnyCharge], calendar: Calendar, unit: str, kw_dp: int) -> None:
    """Check that names are defined, and lines exist by the time another line needs them.

    Args:
        charges: In the order of the file.
        calendar: Has the periods and events.
        unit: Of energy.
        kw_dp: Decimals of billed kW, which limits in kW may not exceed.

    Raises:
        MisfitError: The first fault.
    """
    ids = [charge.id for charge in charges]
    for position, charge in enumerate(charges):
        at: Address = ("charges", position)
        if charge.id in ids[:position]:
            raise MisfitError((*at, "id"), f"a second {charge.id!r}", "ids that differ")
        _check_calendar(charge, calendar, at)
        _check_earlier(charge, charges, position)
        if isinstance(charge, Energy):
            _check_tiers(charge, charges, unit, at)
        if isinstance(charge, Demand) and charge.tiers is not None:
            for place, limit in enumerate(charge.tiers.limits):
                if limit.quantize(Decimal(1).scaleb(-kw_dp)) != limit:
                    address = (*at, "tiers", "limits", place)
                    raise MisfitError(address, str(limit), f"at most {kw_dp} decimals, as kw_dp has")
    _check_netting(charges)


def _check_calendar(charge: AnyCharge, calendar: Calendar, at: Address) -> None:
    of_charge = calendar.of_demand() if isinstance(charge, Demand) else calendar.periods
    periods = [period.id for period in of_charge]
    field, names = priced_periods(charge)
    for place, name in enumerate(names):
        if name not in periods:
            step = place if field == "periods" else name
            raise MisfitError((*at, field, step), repr(name), one_of(periods, "period"))
        if name in names[:place]:
            raise MisfitError((*at, field, place), f"a second {name!r}", "each period once")
    event = named_event(charge)
    if event is not None and event not in calendar.events:
        raise MisfitError((*at, "event"), repr(event), one_of(calendar.events, "event"))


def _check_earlier(charge: AnyCharge, charges: Sequence[AnyCharge], position: int) -> None:
    """A charge may only name charges whose lines come about before its own."""
    stage = STAGE[charge.type]
    known = [
        other.id
        for place, other in enumerate(charges)
        if STAGE[other.type] < stage or (place < position and STAGE[other.type] == stage)
    ]
    every = [other.id for other in charges]
    field, names = mentioned(charge)
    for place, name in enumerate(names):
        address: Address = ("charges", position, field, place)
        if name not in known:
            found = f"{name!r}, whose line comes after this one" if name in every else repr(name)
            raise MisfitError(address, found, one_of(known, "charge before it"))
        if name in names[:place]:
            raise MisfitError(address, f"a second {name!r}", "each charge once")


def _check_tiers(charge: Energy, charges: Sequence[AnyCharge], unit: str, at: Address) -> None:
    tiers = charge.tiers
    if tiers is None:
        return
    known = [unit + per for per in ("", "/day", "/kW", "/kW/day")]
    if tiers.unit not in known:
        raise MisfitError((*at, "tiers", "unit"), repr(tiers.unit), f"one of: {', '.join(known)}")
    demands = [c.id for c in charges if isinstance(c, Demand) and c.rates is None and c.unit == "kW"]
    if tiers.demand is not None and tiers.demand not in demands:
        address = (*at, "tiers", "demand")
        raise MisfitError(address, repr(tiers.demand), one_of(demands, "demand charge in kW with one rate"))


def _check_netting(charges: Sequence[AnyCharge]) -> None:
    """Registers can be netted in one way only, and netted registers have no time order."""
    first: Export | None = None
    for position, charge in enumerate(charges):
        if not isinstance(charge, Export):
            continue
        if first is not None and charge.netting != first.netting:
            address = ("charges", position, "netting")
            raise MisfitError(address, charge.netting, f"{first.netting}, as charge {first.id!r} nets")
        if first is not None and "kwh" in (charge.carry, first.carry):
            raise MisfitError(("charges", position), "a second export charge", "one, as it carries kWh")
        first = first or charge
    if first is None or first.netting != "month":
        return
    for position, charge in enumerate(charges):
        chronological = "bill_total_chronological"
        if isinstance(charge, Energy) and charge.tiers is not None and charge.tiers.scope == chronological:
            raise MisfitError(
                ("charges", position, "tiers", "scope"),
                chronological,
                f"bill_total_prorata or per_period, as charge {first.id!r} nets over the whole bill",
            )


def check_cash_rounding(charges: Sequence[AnyCharge], money_dp: int) -> None:
    """A total can be rounded once, to a multiple of what it is rounded to anyhow.

    Raises:
        MisfitError: There are two, or the multiple has more decimals.
    """
    found = [(place, charge) for place, charge in enumerate(charges) if isinstance(charge, CashRounding)]
    for place, charge in found[1:]:
        raise MisfitError(("charges", place), f"a second rounding, {charge.id!r}", f"only {found[0][1].id!r}")
    for place, charge in found:
        if charge.to.quantize(Decimal(1).scaleb(-money_dp)) != charge.to:
            wanted = f"at most {money_dp} decimals, as money_dp has"
            raise MisfitError(("charges", place, "to"), str(charge.to), wanted)
