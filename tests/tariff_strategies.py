"""Hypothesis strategies: tariffs with every kind of charge, and loads around clock changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from models.calendar import DayGrid, day_date, epoch_day
from schemas.tariff import EnergySeries, Tariff

PLACES = {
    "America/Los_Angeles": [date(2026, 3, 8), date(2026, 11, 1), date(2028, 2, 29)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],
    "Asia/Kathmandu": [date(2026, 7, 4)],
    "UTC": [date(2027, 12, 31)],
}
"""Zones and days near which bills are laid: changes of an hour and half an hour, a leap day, odd offsets."""
MODES = ("half_up", "half_even", "down", "up")
SEASONAL = {"summer": ["04-01", "09-30"], "winter": ["10-01", "03-31"]}

cents = st.integers(-500, 900).map(lambda n: str(Decimal(n).scaleb(-3)))
money = st.integers(0, 99_999).map(lambda n: str(Decimal(n).scaleb(-3)))
months = st.lists(st.integers(1, 12), min_size=1, max_size=12, unique=True)
prorates = st.none() | st.fixed_dictionaries(
    {"normal": st.sampled_from([[1, 3], [3, 40], [27, 35]]), "denom": st.sampled_from([30, 7])}
)


@st.composite
def calendars(draw: st.DrawFn) -> dict[str, Any]:
    """Two to four periods with edges on any quarter of an hour, seasons, holidays, an event."""
    cuts = sorted(draw(st.lists(st.integers(0, 95), min_size=2, max_size=2, unique=True)))
    low, high = (f"{cut // 4:02d}:{cut % 4 * 15:02d}" for cut in cuts)
    at = draw(st.sampled_from([[low, high], [high, low]]))
    days = draw(st.sampled_from(["weekday", "all", ["saturday", "monday"], "weekend"]))
    seasonal = draw(st.booleans())
    peak: dict[str, Any] = {"id": "peak", "days": days, "at": at}
    periods = [peak, {"id": "off"}]
    if seasonal:
        peak["season"] = "summer"
        periods = [peak, {"id": "cold", "season": "winter"}, {"id": "off"}]
    if draw(st.booleans()):
        again = draw(st.integers(0, 95))
        span = {
            "days": draw(st.sampled_from(["weekend", "wednesday"])),
            "at": [f"{again // 4:02d}:{again % 4 * 15:02d}", "24:00"],
        }
        periods[-2]["also"] = [span | ({"season": "winter"} if seasonal else {})]
    cut = draw(st.integers(1, 95))
    day = [{"id": "day", "at": [f"{cut // 4:02d}:{cut % 4 * 15:02d}", "24:00"]}, {"id": "night"}]
    event_at = draw(st.sampled_from([["16:00", "21:00"], ["22:30", "01:15"], None]))
    return {
        "periods": periods,
        "demand_periods": draw(st.sampled_from([[], day])),
        "seasons": SEASONAL if seasonal else {},
        "holidays": {
            "dates": draw(st.sampled_from([[], [date(2026, 3, 9), date(2026, 4, 5)]])),
            "named": draw(st.sampled_from([[], ["independence", "new_year"]])),
            "shift": {"sun": "mon", "sat": draw(st.sampled_from(["none", "fri"]))},
            "as": draw(st.sampled_from(["weekend", "saturday"])),
        },
        "events": {"cpp": {} if event_at is None else {"at": event_at}},
    }


@st.composite
def energies(draw: st.DrawFn, periods: list[str], name: str, netted: bool) -> dict[str, Any]:
    """A charge by period and tier, in any scope that netting allows."""
    scopes = ["bill_total_prorata", "per_period"] + ([] if netted else ["bill_total_chronological"])
    limits = draw(st.sampled_from([[], ["3"], ["0.5", "12.345"]]))
    priced = draw(st.lists(st.sampled_from(periods), min_size=1, unique=True))
    charge: dict[str, Any] = {
        "id": name,
        "type": "energy",
        "months": draw(st.just(list(range(1, 13))) | months),
    }
    charge["rates"] = {p: [draw(cents) for _ in range(len(limits) + 1)] for p in priced}
    if limits:
        unit = draw(st.sampled_from(["kWh", "kWh/day", "kWh/kW", "kWh/kW/day"]))
        charge["tiers"] = {"scope": draw(st.sampled_from(scopes)), "unit": unit, "limits": limits}
        if "/kW" in unit:
            charge["tiers"]["demand"] = "demand"
        charge["tiers"]["days"] = draw(st.sampled_from(["bill", "season"]))
        if "/day" not in unit:
            charge["tiers"]["prorate"] = draw(prorates)
    return charge


@st.composite
def demands(draw: st.DrawFn, periods: list[str]) -> list[dict[str, Any]]:
    """One demand charge, sometimes another by period, with all that raises demand."""
    limits = draw(st.sampled_from([[], ["1.5"], ["0.5", "4"]]))
    window = draw(st.sampled_from([15, 30, 60]))
    charge: dict[str, Any] = {
        "id": "demand",
        "type": "demand",
        "window_min": window,
        "method": draw(st.sampled_from(["block", "sliding"])),
        "rate": [draw(money) for _ in range(len(limits) + 1)],
        "periods": draw(st.none() | st.lists(st.sampled_from(periods), min_size=1, unique=True)),
        "ratchet": draw(st.sampled_from([None, {"pct": "0.75"}, {"pct": "0.8", "months": [1, 2, 3, 6, 10]}])),
        "min_kw": draw(st.sampled_from(["0", "2"])),
        "pf": draw(st.sampled_from([None, {"target": "0.9"}])),
        "per": draw(st.sampled_from(["month", "day"])),
        "months": draw(months),
    }
    if charge["per"] == "month":
        charge["prorate"] = draw(prorates)
    if charge["pf"] is None:
        charge["unit"] = draw(st.sampled_from(["kW", "kVA"]))
    if limits:
        charge["tiers"] = {"limits": limits, "unit": charge.get("unit", "kW")}
    other = {
        "id": "tou_demand",
        "type": "demand",
        "window_min": 60,
        "rates": {periods[0]: "3", periods[-1]: "1.25"},
    }
    return [charge, other] if draw(st.booleans()) else [charge]


@st.composite
def exports(draw: st.DrawFn, periods: list[str]) -> dict[str, Any]:
    """Energy fed in, in any mode, netted, carried and trued up in any way that goes together."""
    charge: dict[str, Any] = {"id": "export", "type": "export"}
    charge["mode"] = draw(st.sampled_from(["net_billing", "net_metering", "buy_all_sell_all"]))
    rate = draw(st.sampled_from([None, *periods]))
    worth = "0.07" if rate is None else {rate: draw(cents)}
    if charge["mode"] == "buy_all_sell_all":
        return {**charge, "rate": worth}
    if charge["mode"] == "net_billing":
        charge["netting"] = draw(st.sampled_from(["interval", "hour", "month", "none"]))
        charge["carry"] = draw(st.sampled_from(["dollars", "paid", "none"]))
    else:
        charge["carry"] = draw(st.sampled_from(["kwh", "dollars", "paid", "none"]))
    if charge["mode"] == "net_billing" or charge["carry"] in ("dollars", "paid"):
        charge |= {"rate": worth, "applies_to": ["energy", "fee"]}
    if charge["carry"] in ("dollars", "kwh"):
        credit = draw(st.sampled_from(["lapse", "paid", "kept"])) if charge["carry"] == "dollars" else "lapse"
        due = {"month": draw(st.integers(1, 12)), "rate": "0.031", "credit": credit}
        charge["true_up"] = draw(st.sampled_from([None, due]))
    return charge


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    """A tariff with most kinds of charge; a combination that the model refuses is not drawn."""
    calendar = draw(calendars())
    periods = [period["id"] for period in calendar["periods"]]
    counted = [period["id"] for period in calendar["demand_periods"]] or periods
    export = draw(st.none() | exports(periods))
    netted = export is not None and (export.get("netting") == "month" or export["mode"] == "net_metering")
    per = draw(st.sampled_from(["day", "month", "year"]))
    fee = {"amount": draw(money), "per": per, "prorate": draw(prorates), "months": draw(months)}
    spot = {"id": "spot", "type": "energy_series", "series": "s", "multiplier": "1.07", "adder": "0.002"}
    kvarh = {"free_per_kwh": "0.33", "rate": "0.013", "periods": periods[:1]}
    of_all = {
        "window_min": draw(st.sampled_from([30, 60])),
        "method": draw(st.sampled_from(["block", "sliding"])),
        "of": draw(st.sampled_from(["highest", "average"])),
    }
    covered = ["fee", "energy"]
    base = draw(st.sampled_from(["subtotal", ["energy", "vat"]]))
    charges: list[dict[str, Any] | None] = [
        {"id": "fee", "type": "fixed", **fee},
        draw(energies(periods, "energy", netted)),
        draw(st.none() | energies(periods, "delivery", netted)),
        {"id": "call", "type": "energy_adder", "event": "cpp", "rate": draw(cents)},
        draw(st.sampled_from([None, spot])),
        draw(st.sampled_from([None, {"id": "kvarh", "type": "reactive", **kvarh}])),
        *draw(demands(counted)),
        {"id": "peak_of_all", "type": "coincident_demand", "event": "cpp", "rate": "7.5", **of_all},
        {"id": "rider", "type": "percent", "of": ["energy", "demand"], "rate": draw(cents)},
        {"id": "more", "type": "percent", "of": ["rider", "fee"], "rate": "0.05"},
        export,
        {"id": "least", "type": "minimum", "amount": draw(money), "per": per, "covers": covered},
        {"id": "off", "type": "credit", "amount": draw(money), "per": per, "taxed": draw(st.booleans())},
        {"id": "vat", "type": "tax", "rate": "0.081", "included": draw(st.booleans())},
        {"id": "city", "type": "tax", "rate": "0.0125", "of": base},
        draw(st.sampled_from([None, {"id": "coins", "type": "rounding", "to": "5"}])),
    ]
    fields = {
        "id": "t",
        "version": 1,
        "effective": {"from": date(2020, 1, 1)},
        "currency": "USD",
        "timezone": draw(st.sampled_from(list(PLACES))),
        "clock": draw(st.sampled_from(["prevailing", "standard"])),
        "rounding": {
            "mode": draw(st.sampled_from(MODES)),
            "kwh_dp": draw(st.sampled_from([3, 0, 6])),
            "kw_dp": draw(st.sampled_from([2, 1, 3])),
            "money_dp": draw(st.sampled_from([2, 4, 0])),
            "money_at": draw(st.sampled_from(["line", "total"])),
            "tax_on": draw(st.sampled_from(["subtotal", "line"])),
        },
        "calendar": calendar,
        "charges": [charge for charge in charges if charge is not None],
    }
    try:
        return Tariff.model_validate(fields)
    except ValidationError:
        reject()  # a season that hides a period, and the like


@dataclass(frozen=True)
class Case:
    """Loads of three meters over one window, and all else a bill depends on."""

    grid: DayGrid
    imported: NDArray[np.int64]
    exported: NDArray[np.int64] | None
    reactive: NDArray[np.int64]
    month: int
    billed_days: int
    events: dict[str, frozenset[date]]
    stretches: dict[str, list[tuple[int, int]]]
    prices: list[Decimal]
    factors: list[Decimal | None]
    closes: bool


@st.composite
def cases(draw: st.DrawFn, version: Tariff, days: int | None = None) -> Case:
    """A load of one to five days near something odd in the tariff's zone."""
    near = draw(st.sampled_from(PLACES[version.timezone]))
    count = days or draw(st.integers(1, 5))
    first = epoch_day(near) - draw(st.integers(0, count - 1))
    interval = draw(st.sampled_from([900, 1800, 3600]))
    grid = DayGrid(version.timezone, interval, first, count)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (3, grid.slots)
    most = draw(st.sampled_from([10**6, 10**9, 3]))
    imported = rng.integers(0, most, shape) * rng.integers(0, 2, shape)
    exported = rng.integers(0, most, shape) * rng.integers(0, 2, shape) if draw(st.booleans()) else None
    event_day = day_date(first) + timedelta(days=draw(st.integers(-1, count)))
    begin = int(grid.starts[draw(st.integers(0, grid.slots - 1))])
    hours = version.calendar.events["cpp"].at is not None
    return Case(
        grid=grid,
        imported=imported,
        exported=exported,
        reactive=rng.integers(0, most, shape),
        month=day_date(grid.last_day).year * 12 + day_date(grid.last_day).month - 1,
        billed_days=count + draw(st.sampled_from([0, 0, 3, 25])),
        events={"cpp": frozenset({event_day})} if hours else {},
        stretches={"cpp": [(begin, begin + draw(st.sampled_from([900, 3600, 90_000])))]}
        if draw(st.booleans())
        else {},
        prices=[Decimal(int(p)).scaleb(-5) for p in rng.integers(-2_000, 60_000, grid.slots)],
        factors=[None, Decimal("0.85"), Decimal("0.97")],
        closes=draw(st.booleans()),
    )


def series_of(version: Tariff) -> list[str]:
    """Series that a tariff charges by."""
    return [charge.series for charge in version.charges if isinstance(charge, EnergySeries)]
