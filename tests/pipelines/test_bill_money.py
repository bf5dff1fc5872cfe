"""Bills of a lake whose money does not add up, and demand raised for a measured power factor."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.store.lake import Lake
from pipelines.tariffs.explain_bill import explain_bill
from tests.pipelines.test_composed_bills import at, bills, block, kwh, load, point
from tests.pipelines.towns import run, scalar, write

SUN = """
id: {id}
version: {version}
effective: {{from: {first}}}
currency: {currency}
timezone: Europe/Zurich
calendar: {{periods: [{{id: all}}]}}
charges:
  - {{id: energy, type: energy, rates: {{all: "1.00"}}}}
  - {{id: sun, type: export, netting: interval, rate: "0.50", applies_to: [energy], carry: dollars}}
"""
FACTOR = """
id: factor
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar: {periods: [{id: all}]}
charges:
  - {id: demand, type: demand, window_min: 60, rate: "10.00", pf: {target: "0.95", dp: 3}}
"""
FILES = {
    "francs": SUN.format(id="francs", version=1, first="2026-01-01", currency="CHF"),
    "euros": SUN.format(id="euros", version=1, first="2026-01-01", currency="EUR"),
    "old": SUN.format(id="turned", version=1, first="2026-01-01", currency="CHF"),
    "new": SUN.format(id="turned", version=2, first="2026-06-01", currency="EUR"),
    "factor": FACTOR,
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of eight meters."""
    folder = tmp_path_factory.mktemp("money")
    (folder / "tariffs").mkdir()
    for name, text in FILES.items():
        (folder / "tariffs" / f"{name}.yaml").write_text(text)
    both, lagging = ["import", "export"], ["import", "reactive_import"]
    points = [
        point("SP1", "m1", "A1", "francs"),
        point("SP2", "m2", "A1", "euros"),
        point("SP3", "m3", "A3", "turned", channels=both),
        point("SP4", "m4", "A4", "turned"),
        point("SP5", "m5", "A5", "factor", channels=lagging),
        point("SP6", "m6", "A6", "factor"),
        point("SP7", "m7", "A7", "francs", valid_to=at(16)),
        point("SP8", "m8", "A7", "francs"),
    ]
    write(folder / "in" / "points.avro", "ServicePoint", points)
    meters = {f"m{n}": 16 if n == 7 else 64 for n in range(1, 9)}
    blocks = [block(meter, day, load(meter, day)) for meter, end in meters.items() for day in range(1, end)]
    blocks += [block("m3", day, [9000 + hour for hour in range(24)], "export") for day in range(1, 64)]
    lags = [{**block("m5", day, [wh // 2 for wh in load("m5", day)]), "unit": "varh"} for day in range(1, 64)]
    blocks += [{**row, "channel": "reactive_import"} for row in lags]
    write(folder / "in" / "loads.avro", "IntervalBlock", blocks)
    run(folder / "lake", folder / "in", tariffs=folder / "tariffs")
    return folder / "lake"


def test_one_bill_in_two_currencies_is_held(lake: Path) -> None:
    """Francs and euros of two service points of one account and cycle are never added."""
    bill = bills(lake)["A1", "2026-05-01"]
    assert (bill["status"], bill["lines"]) == ("held", None)
    said = "service points of one bill in several currencies: SP1 in CHF, SP2 in EUR, expected one currency"
    assert bill["reason"] == said
    assert scalar(lake, "SELECT count(*) FROM bills WHERE total IS NOT NULL AND account_id = 'A1'") == 0


def test_a_credit_in_another_currency_holds(lake: Path) -> None:
    """Who has a credit in francs is not billed in euros with it; who has none is."""
    found = bills(lake)
    surplus = Decimal(sum(9000 + hour for hour in range(24)) * 31) / 1000 - kwh("+m3", 1, 31)
    held = found["A3", "2026-06-01"]
    assert held["status"] == "held"
    assert held["reason"] == (
        f"tariff turned: a credit of {round(surplus / 2, 2)} CHF from the bill before, "
        "expected one in EUR with 2 decimals"
    )
    assert found["A4", "2026-06-01"]["lines"] == [
        ("energy", kwh("+m4", 32, 61), round(kwh("+m4", 32, 61), 2))
    ]


def test_demand_is_raised_for_the_power_factor_of_the_bill(lake: Path) -> None:
    """From the month's kWh and kvarh; as measured where no kvarh are."""
    found = bills(lake)
    active = sum(sum(load("m5", day)) for day in range(1, 32))
    reactive = sum(wh // 2 for day in range(1, 32) for wh in load("m5", day))
    factor = round(Decimal(active) / (Decimal(active**2) + Decimal(reactive**2)).sqrt(), 3)
    assert factor == Decimal("0.894")
    peak = Decimal(5000 + 3 * 23 + 6) / 1000
    raised = round(peak * Decimal("0.95") / factor, 2)
    assert found["A5", "2026-05-01"]["lines"] == [("demand", raised, raised * 10)]
    plain = round(peak + 1, 2)
    assert found["A6", "2026-05-01"]["lines"] == [("demand", plain, plain * 10)]
    bill = scalar(lake, "SELECT bill_id FROM bills WHERE account_id = 'A5' AND period_start = '2026-05-01'")
    (line,) = explain_bill(Lake.open(lake), bill)["lines"]
    assert (line["measured_kw"], line["because"]) == ("5.075", "for a power factor of 0.894, below 0.95")


def test_who_leaves_early_is_on_the_account_bill(lake: Path) -> None:
    """One bill over the days of both service points, each with its own energy."""
    bill = bills(lake)["A7", "2026-05-01"]
    assert (bill["status"], f"{bill['last']}") == ("active", "2026-05-31")
    wanted = [kwh("+m7", 1, 15), kwh("+m8", 1, 31)]
    assert bill["lines"] == [("energy", energy, round(energy, 2)) for energy in wanted]


def test_a_missing_kvarh_holds_until_it_comes(tmp_path: Path) -> None:
    """What is measured of reactive energy must be whole where a power factor counts."""
    first: list[dict[str, Any]] = [block("m9", day, load("m9", day)) for day in range(1, 40)]
    lags = [{**row, "channel": "reactive_import", "unit": "varh"} for row in first]
    late = {**lags[9], "received_at": at(45)}
    night, day = ({**lags[9], "values": load("m9", 10)[part]} for part in (slice(6), slice(10, 24)))
    lags[9:10] = [night, {**day, "start": at(10, 10)}]
    mine = point("SP9", "m9", "A9", "factor", channels=["import", "reactive_import"])
    write(tmp_path / "in" / "points.avro", "ServicePoint", [mine])
    write(tmp_path / "in" / "loads.avro", "IntervalBlock", [*first, *lags])
    (tmp_path / "tariffs").mkdir()
    (tmp_path / "tariffs" / "factor.yaml").write_text(FACTOR)
    rules = "holding: [{effective: {from: 2026-01-01}, estimated: '0'}]"
    (tmp_path / "tariffs" / "billing.yaml").write_text(rules)
    run(tmp_path / "lake", tmp_path / "in", tariffs=tmp_path / "tariffs")
    held = bills(tmp_path / "lake")["A9", "2026-05-01"]
    assert held["reason"] == "reactive_import: 4 of 744 slots are estimated: 0.54 %, at most 0 %"
    run(tmp_path / "lake", write(tmp_path / "late.avro", "IntervalBlock", [late]))
    assert bills(tmp_path / "lake")["A9", "2026-05-01"]["status"] == "active"
