"""``meterbeam tariff import-urdb``: what is written and priced, what is refused and where."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from schemas.tariff import load_tariff

SUMMER = range(5, 9)
WEEKDAY = [[1 if m in SUMMER and 16 <= h < 21 else 0 for h in range(24)] for m in range(12)]
ALWAYS = [[0] * 24 for _ in range(12)]
RATE: dict[str, Any] = {
    "label": "539fc2a8ec4f024d2f53f2a5",
    "utility": "City of Example",
    "name": "Home TOU",
    "startdate": 1388534400,
    "energyratestructure": [
        [{"rate": 0.1, "adj": 0.005, "max": 300, "unit": "kWh"}, {"rate": 0.12, "unit": "kWh"}],
        [{"rate": 0.25, "max": 300, "unit": "kWh"}, {"rate": 0.3, "unit": "kWh"}],
    ],
    "energyweekdayschedule": WEEKDAY,
    "energyweekendschedule": ALWAYS,
    "fixedchargefirstmeter": 12.5,
    "fixedchargeunits": "$/month",
}


def imported(tmp_path: Path, content: Any, *options: str) -> tuple[int, Path]:
    """Exit code, and the folder written to."""
    source, out = tmp_path / "rates.json", tmp_path / "out"
    source.write_text(content if isinstance(content, str) else json.dumps(content))
    return main(["tariff", "import-urdb", str(source), "--out", str(out), *options]), out


def test_an_imported_rate_prices_a_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """July of 1 kWh an hour, reckoned by hand: 23 weekdays of five dear hours, tiers shared by energy."""
    code, out = imported(tmp_path, {"items": [RATE]}, "--timezone", "America/Denver")
    assert code == 0
    path = out / "539fc2a8ec4f024d2f53f2a5.yaml"
    assert capsys.readouterr().out.split() == [str(path)]
    load = tmp_path / "load.csv"
    hours = [f"2026-07-{1 + (h + 6) // 24:02d}T{(h + 6) % 24:02d}:00:00Z,1" for h in range(738)]
    hours += [f"2026-08-01T{h:02d}:00:00Z,1" for h in range(6)]
    load.write_text("start_utc,import_kwh\n" + "\n".join(hours))
    days = ["--from", "2026-07-01", "--to", "2026-07-31"]
    assert main(["tariff", "price", str(path), "--load", str(load), *days, "--json"]) == 0
    bill = json.loads(capsys.readouterr().out)
    lines = [(line["charge"], line["period"], line["tier"], line["amount"]) for line in bill["lines"]]
    # Tier 1 is 300 of 744 kWh; of 115 dear kWh and 629 others it holds 46.370968 and 253.629032.
    assert lines == [
        ("customer", None, None, "12.500000"),
        ("energy", "p0", 1, "26.631048"),
        ("energy", "p0", 2, "45.044516"),
        ("energy", "p1", 1, "11.592742"),
        ("energy", "p1", 2, "20.588710"),
    ]
    assert bill["total"] == "116.36"


def test_assumptions_stand_in_the_file(tmp_path: Path) -> None:
    """Whatever URDB does not say is written down as a comment above the tariff."""
    code, out = imported(tmp_path, RATE)
    assert code == 0
    comments = [line for line in next(out.iterdir()).read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comments)
    for word in ("America/New_York", "no holidays", "taxes", "tiers fill", "prorated", "fed in", "in full"):
        assert word in text


@pytest.mark.parametrize(
    ("dgrules", "sell", "expected"),
    [
        pytest.param(
            "Net Metering", 0.03,
            {"mode": "net_metering", "netting": "month", "carry": "kwh", "true_up": (12, "0.03")},
            id="net metering",
        ),
        pytest.param(
            "Net Billing Hourly", 0.04,
            {"mode": "net_billing", "netting": "hour", "carry": "dollars", "true_up": None},
            id="net billing",
        ),
        pytest.param(
            "Buy All Sell All", 0.05,
            {"mode": "buy_all_sell_all", "netting": "none", "carry": "paid", "true_up": None},
            id="all sold",
        ),
    ],
)  # fmt: skip
def test_rules_for_energy_fed_in(tmp_path: Path, dgrules: str, sell: float, expected: dict[str, Any]) -> None:
    """Each rule of the database as the export charge of the same meaning."""
    structure = [[{**tier, "sell": sell} for tier in tiers] for tiers in RATE["energyratestructure"]]
    code, out = imported(tmp_path, {**RATE, "energyratestructure": structure, "dgrules": dgrules})
    assert code == 0
    export = next(c for c in load_tariff(next(out.iterdir())).charges if c.type == "export")
    true_up = export.true_up and (export.true_up.month, str(export.true_up.rate))
    found = {"mode": export.mode, "netting": export.netting, "carry": export.carry, "true_up": true_up}
    assert found == expected


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    """A field that holds something but charges nothing is named as left out; units and zeros are not."""
    unread = {
        "energycomments": "Summer: June 15 to September 15", "energyattrs": [{"Rider": "$0.01/kWh"}],
        "coincidentrateschedule": cell(1), "solarchargepermonth": 4, "lookbackmonths": [0] * 12,
        "demandrateunit": "kW", "minchargeunits": "$/month", "voltageminimum": 240, "sector": "Residential",
    }  # fmt: skip
    code, out = imported(tmp_path, {**RATE, **unread})
    assert code == 0
    lines = next(out.iterdir()).read_text().splitlines()
    named = [line.split()[2] for line in lines if "is left out" in line]
    assert named == ["energycomments", "energyattrs", "coincidentrateschedule", "solarchargepermonth"]


def test_demand_in_kva(tmp_path: Path) -> None:
    """Limits and rates are then in kVA; two units beside each other are refused."""
    tiers = [{"rate": 7, "max": 10, "unit": "kVA"}, {"rate": 8, "unit": "kVA"}]
    rate = {**RATE, "flatdemandstructure": [tiers], "flatdemandunit": "kVA"}
    code, out = imported(tmp_path, rate)
    assert code == 0
    demand = next(c for c in load_tariff(next(out.iterdir())).charges if c.type == "demand")
    assert demand.tiers is not None
    assert (demand.unit, demand.tiers.unit, demand.rate) == ("kVA", "kVA", (Decimal(7), Decimal(8)))


def test_coincident_demand_by_either_name_of_its_schedule(tmp_path: Path) -> None:
    """SAM calls the schedule otherwise than the database; neither may be passed over."""
    months = [[int(m in SUMMER)] * 24 for m in range(12)]
    rate = {**RATE, "coincidentratestructure": [[{"rate": 0}], [{"rate": 3}]], "coincidentschedule": months}
    code, out = imported(tmp_path, rate)
    assert code == 0
    charge = next(c for c in load_tariff(next(out.iterdir())).charges if c.type == "coincident_demand")
    assert (charge.rate, charge.months) == (Decimal(3), (6, 7, 8, 9))


def broken(**changes: Any) -> dict[str, Any]:
    """The rate with some fields changed; None takes a field away."""
    return {name: value for name, value in {**RATE, **changes}.items() if value is not None}


def cell(value: int) -> list[list[int]]:
    """A schedule with one odd cell: April, 17:00."""
    return [[value if (m, h) == (3, 17) else 0 for h in range(24)] for m in range(12)]


@pytest.mark.parametrize(
    ("rate", "place", "said"),
    [
        pytest.param(
            broken(energyweekendschedule=cell(2)), "energyweekendschedule[3][17]",
            "period 2 expected: a period of energyratestructure: 0 to 1", id="undefined period",
        ),
        pytest.param(
            broken(energyweekdayschedule=WEEKDAY[:11]), "energyweekdayschedule", "list of 11", id="11 months"
        ),
        pytest.param(
            broken(energyweekendschedule=None), "energyweekendschedule", "nothing", id="no weekend schedule"
        ),
        pytest.param(
            broken(energyratestructure=[[{"rate": 0.1, "max": 10}], [{"rate": 1}]]),
            "energyratestructure[0][0].max", "none on the last tier", id="last tier closed",
        ),
        pytest.param(
            broken(energyratestructure=[[{"rate": 0.1}, {"rate": 0.2}], [{"rate": 1}]]),
            "energyratestructure[0][0].max", "a limit above 0", id="middle tier open",
        ),
        pytest.param(
            broken(energyratestructure=[[{"unit": "kWh"}], [{"rate": 1}]]),
            "energyratestructure[0][0].rate", "nothing expected: a price", id="no price",
        ),
        pytest.param(
            broken(energyratestructure=[[{"rate": "0.1"}], [{"rate": 1}]]),
            "energyratestructure[0][0].rate", "'0.1' expected: a number", id="text for a number",
        ),
        pytest.param(
            broken(energyratestructure=[[{"rate": 0.1, "max": 5}, {"rate": 0.2}], [{"rate": 1}]]),
            "energyweekdayschedule[5]", "different limits", id="limits that differ in a month",
        ),
        pytest.param(
            broken(energyratestructure=[[{"rate": 0.1, "max": 5, "unit": "MWh"}, {"rate": 2}]] * 2),
            "energyratestructure[0]: unit", "'mwh'", id="unit of limits",
        ),
        pytest.param(
            broken(flatdemandstructure=[[{"rate": 5}]], flatdemandmonths=[0] * 11 + [1]),
            "flatdemandmonths[11]", "period 1", id="undefined flat period",
        ),
        pytest.param(
            broken(flatdemandstructure=[[{"rate": 5}]], flatdemandmonths=[0] * 12, flatdemandunit="hp"),
            "flatdemandunit", "'hp' expected: kW or kVA", id="horsepower",
        ),
        pytest.param(
            broken(demandweekdayschedule=cell(1), demandweekendschedule=ALWAYS),
            "demandweekdayschedule[3][17]", "period 1", id="demand schedule to nowhere",
        ),
        pytest.param(
            broken(flatdemandstructure=[[{"rate": 5, "unit": "kW"}]], flatdemandunit="kVA"),
            "flatdemandstructure[0]: unit", "'kW' beside 'kVA'", id="two units of demand",
        ),
        pytest.param(broken(dgrules="Net Billing Hourly"), ".sell", "nothing", id="no sell rate"),
        pytest.param(broken(dgrules="Net Guessing"), "dgrules", "'Net Guessing'", id="unknown rule"),
        pytest.param(broken(fixedchargeunits="$/fortnight"), "fixedchargeunits", "$/day", id="fixed unit"),
        pytest.param(broken(fixedchargeunits=None), "fixedchargeunits", "nothing", id="no fixed unit"),
        pytest.param(
            broken(mincharge=100, minchargeunits="$/year"), "mincharge", "a minimum of 100 a year",
            id="yearly minimum",
        ),
        pytest.param(
            broken(demandreactivepowercharge=0.3), "demandreactivepowercharge", "cannot express", id="kVAR"
        ),
        pytest.param(
            broken(lookbackPercent=80, lookbackRange=11, flatdemandstructure=[[{"rate": 5}]]),
            "lookbackpercent", "a share from 0 to 1", id="lookback as percent",
        ),
        pytest.param(broken(startdate="soon"), "startdate", "'soon'", id="no date"),
        pytest.param(broken(country="FRA"), "country", "'FRA'", id="currency unknown"),
        pytest.param({"label": "x"}, "energyratestructure", "no charge of any kind", id="nothing priced"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: dict[str, Any], place: str, said: str
) -> None:
    """One message that names file and place, says what stands there, and nothing is written."""
    code, out = imported(tmp_path, {"items": [rate]})
    assert code == 1
    error = " ".join(capsys.readouterr().err.split())
    assert f"rates.json: {place}" in error or (place.startswith(".") and place in error)
    assert said in error
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("{", "JSON", id="no JSON"),
        pytest.param("[]", "no rates", id="empty"),
        pytest.param('{"items": 3}', "no list of rates", id="no list"),
        pytest.param('[{"energyRateStrux": []}]', "bulk download", id="other form"),
        pytest.param('{"label": "a", "LABEL": "b"}', "twice", id="field twice"),
    ],
)
def test_files_without_rates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    """Exit code 1 and one message that names the file."""
    assert imported(tmp_path, content)[0] == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "rates.json" in error
    assert said in error


def test_one_bad_rate_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What can be imported is written, what cannot is named, and the exit code says so."""
    rates = [broken(label="good"), broken(label="bad", dgrules="?"), broken(label="Good")]
    code, out = imported(tmp_path, rates, "--json")
    assert code == 1
    assert [path.name for path in out.iterdir()] == ["good.yaml"]
    summary = json.loads(capsys.readouterr().out)
    assert summary["written"] == [str(out / "good.yaml")]
    assert [refused["where"].partition(", ")[2] for refused in summary["refused"]] == [
        "rate 2: dgrules", "rate 3: label",
    ]  # fmt: skip


def test_a_label_too_long_for_a_file_refuses_its_rate_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rates after it are written; the error says how long it is and what is taken."""
    code, out = imported(tmp_path, {"items": [{**RATE, "label": "x" * 300}, RATE]})
    assert code == 1
    assert [path.name for path in out.iterdir()] == ["539fc2a8ec4f024d2f53f2a5.yaml"]
    said = " ".join(capsys.readouterr().err.split())
    assert "of 300 characters expected: at most 120: it names the file" in said


def test_usage(tmp_path: Path) -> None:
    """A time zone that is none, and a missing --out, are wrong usage."""
    assert imported(tmp_path, RATE, "--timezone", "Mars/Olympus")[0] == 2
    assert main(["tariff", "import-urdb", str(tmp_path / "rates.json")]) == 2
