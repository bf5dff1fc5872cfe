"""Random rates as the US Utility Rate Database writes them, and the same as inputs of SAM's Utilityrate5.

Inside SAM's domain: a year of hours that begins on a Monday, without clock changes or holidays; equal tier
limits for all periods of a month; no demand before the year, as SAM counts it one month too long; no lookback
where all is bought and sold, as SAM adds it to the load there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOURS = 8760
OPEN = 1e38
RULES: dict[str, int] = {
    "Net Metering": 0,
    "Net Billing Instantaneous": 3,
    "Net Billing Hourly": 3,
    "Buy All Sell All": 4,
}
"""SAM's metering option for each rule; netting by the hour is by the slot on hourly values."""
SAM_UNITS = {"kWh": 0, "kWh/kW": 1, "kWh daily": 2, "kWh/kW daily": 3}
Random = np.random.Generator


@dataclass(frozen=True)
class SamCase:
    """One rate and one customer.

    Attributes:
        urdb: The rate as the database's JSON has it.
        load, made: What the customer uses and makes in each hour. [Wh]
    """

    urdb: dict[str, Any]
    load: NDArray[np.int64]
    made: NDArray[np.int64]


def random_case(rng: Random) -> SamCase:
    """A rate with a random choice of parts."""
    rule = str(rng.choice(list(RULES)))
    count = int(rng.integers(1, 5))
    urdb: dict[str, Any] = {"label": "case", "country": "USA", "dgrules": rule}
    urdb["energyratestructure"] = _energy(rng, count, sells=rule != "Net Metering")
    urdb["energyweekdayschedule"], urdb["energyweekendschedule"] = _schedules(rng, count)
    if rng.random() < 0.7:
        _add_demand(rng, urdb)
    urdb |= {"fixedchargefirstmeter": _cents(rng, 40), "fixedchargeunits": "$/month"}
    if rng.random() < 0.4:
        urdb |= {"mincharge": _cents(rng, 400), "minchargeunits": "$/month"}
    load = rng.integers(0, 4_000, HOURS)
    whole = count == 1 or rule != "Net Metering"
    # SAM carries kWh over periods in a way of its own: with several, each month uses more than it makes.
    made = (
        rng.integers(0, 9_000, HOURS) * (rng.random(HOURS) < 0.5)
        if whole
        else load * rng.integers(0, 2, HOURS)
    )
    if not whole:
        made = made + rng.integers(0, 200, HOURS)
    return SamCase(urdb, load, made)


def _cents(rng: Random, most: int) -> float:
    return int(rng.integers(0, most * 100)) / 100


def _price(rng: Random) -> float:
    return int(rng.integers(-2_000, 50_000)) / 100_000


def _energy(rng: Random, count: int, *, sells: bool) -> list[list[dict[str, Any]]]:
    tiers = int(rng.integers(1, 4))
    unit = str(rng.choice(["kWh", "kWh daily"]))
    step = 900 if unit == "kWh" else 30
    limits = np.cumsum(rng.integers(1, step, tiers - 1)).tolist()
    found = []
    for _ in range(count):
        sell = {"sell": int(rng.integers(0, 20_000)) / 100_000} if sells else {}
        period: list[dict[str, Any]] = [
            {"rate": _price(rng), "adj": _price(rng), "unit": unit, **sell} for _ in range(tiers)
        ]
        for tier, limit in zip(period, limits, strict=False):
            tier["max"] = limit
        found.append(period)
    return found


def _schedules(rng: Random, count: int) -> tuple[list[list[int]], list[list[int]]]:
    """Two to four seasons, in each of which hours change period a few times a day."""
    season = np.sort(rng.integers(0, 4, 12))
    tables: list[list[list[int]]] = []
    for _ in range(2):
        rows = [np.repeat(rng.integers(0, count, 6), 4).tolist() for _ in range(4)]
        tables.append([rows[s] for s in season])
    # A period that is in no schedule would be no period at all.
    tables[0][0] = [hour % count for hour in range(24)]
    return tables[0], tables[1]


def _add_demand(rng: Random, urdb: dict[str, Any]) -> None:
    flat = [_kw_tiers(rng, int(rng.integers(1, 6))) for _ in range(int(rng.integers(1, 4)))]
    urdb["flatdemandstructure"], urdb["flatdemandunit"] = flat, "kW"
    urdb["flatdemandmonths"] = rng.integers(0, len(flat), 12).tolist()
    urdb["demandwindow"] = 60
    if urdb["dgrules"] != "Buy All Sell All" and rng.random() < 0.5:
        urdb["lookbackPercent"] = float(rng.choice([0.5, 0.75, 0.9]))
        urdb["lookbackRange"] = int(rng.integers(1, 12))
        urdb["lookbackMonths"] = (rng.random(12) < 0.7).astype(int).tolist()
        urdb["lookbackMonths"][int(rng.integers(12))] = 1
    elif rng.random() < 0.7:
        count = int(rng.integers(1, 4))
        limit = int(rng.integers(1, 6))
        urdb["demandratestructure"] = [_kw_tiers(rng, limit) for _ in range(count)]
        urdb["demandweekdayschedule"], urdb["demandweekendschedule"] = _schedules(rng, count)


def _kw_tiers(rng: Random, limit: int) -> list[dict[str, Any]]:
    return [{"rate": _cents(rng, 9), "max": limit}, {"rate": _cents(rng, 9)}]


def sam_bill(case: SamCase, option: int | None = None) -> dict[str, NDArray[np.float64]]:
    """SAM's monthly amounts [$]: energy after credits, demand, minimum and the bill."""
    from PySAM import Utilityrate5

    urdb = case.urdb
    model = Utilityrate5.new()
    rates = model.ElectricityRates
    model.Lifetime.assign({"analysis_period": 1, "inflation_rate": 0, "system_use_lifetime_output": 0})
    model.SystemOutput.assign({"degradation": [0], "gen": (case.made / 1000).tolist()})
    model.Load.assign({"load": (case.load / 1000).tolist(), "load_escalation": [0]})
    flat, months = urdb.get("flatdemandstructure", [[{"rate": 0}]]), urdb.get("flatdemandmonths", [0] * 12)
    shares = [100 * urdb.get("lookbackPercent", 0) * on for on in urdb.get("lookbackMonths", [1] * 12)]
    demand = urdb.get("demandratestructure", [[{"rate": 0}]])
    always = [[0] * 24] * 12
    rates.assign(
        {
            "en_electricity_rates": 1, "rate_escalation": [0], "ur_sell_eq_buy": 0,
            "TOU_demand_single_peak": 0,
            "ur_metering_option": RULES[urdb["dgrules"]] if option is None else option,
            "ur_monthly_fixed_charge": urdb["fixedchargefirstmeter"],
            "ur_monthly_min_charge": urdb.get("mincharge", 0), "ur_annual_min_charge": 0,
            "ur_nm_yearend_sell_rate": 0, "ur_nm_credit_month": 11, "ur_nm_credit_rollover": 1,
            "ur_nb_credit_expire": 1, "ur_nb_apply_credit_current_month": 1,
            "ur_en_ts_buy_rate": 0, "ur_en_ts_sell_rate": 0,
            "ur_ec_tou_mat": [
                [p + 1, t + 1, tier.get("max", OPEN), SAM_UNITS[tier["unit"]], tier["rate"] + tier["adj"],
                 tier.get("sell", 0)]
                for p, tiers in enumerate(urdb["energyratestructure"]) for t, tier in enumerate(tiers)
            ],
            "ur_ec_sched_weekday": _from_one(urdb["energyweekdayschedule"]),
            "ur_ec_sched_weekend": _from_one(urdb["energyweekendschedule"]),
            "ur_dc_enable": 1,
            "ur_dc_flat_mat": [
                [month, t + 1, tier.get("max", OPEN), tier["rate"]]
                for month in range(12) for t, tier in enumerate(flat[months[month]])
            ],
            "ur_dc_tou_mat": [
                [p + 1, t + 1, tier.get("max", OPEN), tier["rate"]]
                for p, tiers in enumerate(demand) for t, tier in enumerate(tiers)
            ],
            "ur_dc_sched_weekday": _from_one(urdb.get("demandweekdayschedule", always)),
            "ur_dc_sched_weekend": _from_one(urdb.get("demandweekendschedule", always)),
            "ur_enable_billing_demand": int("lookbackPercent" in urdb), "ur_billing_demand_minimum": 0,
            "ur_billing_demand_lookback_period": urdb.get("lookbackRange", 0),
            "ur_billing_demand_lookback_percentages": [[share, 1] for share in shares],
            "ur_dc_billing_demand_periods": [[p + 1, 1] for p in range(len(demand))],
            "ur_yearzero_usage_peaks": [0] * 12,
        }
    )  # fmt: skip
    model.execute(0)
    out = model.Outputs
    names = {
        "energy": "year1_monthly_ec_charge_with_system",
        "flat": "year1_monthly_dc_fixed_with_system",
        "demand": "year1_monthly_dc_tou_with_system",
        "minimum": "year1_monthly_minimum_with_system",
        "bill": "year1_monthly_utility_bill_w_sys",
    }
    return {name: np.array(getattr(out, field)[:12]) for name, field in names.items()}


def _from_one(table: list[list[int]]) -> list[list[int]]:
    return [[cell + 1 for cell in row] for row in table]
