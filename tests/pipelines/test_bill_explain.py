"""``meterbeam bill explain``: lines back to their slots, and what a correction changed."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from tests.pipelines.towns import run, scalar, write

MIDNIGHT = datetime(2026, 4, 30, 22, tzinfo=UTC)
"""2026-05-01 00:00 in Zurich."""
TARIFF = """
id: two
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar:
  periods: [{id: peak, days: weekday, at: ["17:00", "22:00"]}, {id: off}]
charges:
  - {id: energy, type: energy, rates: {peak: "0.40", off: "0.20"}}
  - {id: demand, type: demand, window_min: 60, rate: "2.00"}
  - {id: levy, type: percent, of: [energy], rate: "0.10"}
"""


def block(day: int, values: list[int | None], received: int = 25) -> dict[str, Any]:
    """An hourly day of the meter in Wh."""
    start = MIDNIGHT + timedelta(days=day)
    return {"meter_id": "m1", "channel": "import", "start": start, "interval_s": 3600, "values": values,
            "unit": "Wh", "received_at": start + timedelta(hours=received)}  # fmt: skip


def loads(day: int) -> list[int | None]:
    """One kWh an hour, a little more each day of the week and each hour, so that no rule hits."""
    return [1000 + hour * 3 + day % 7 for hour in range(24)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month billed; 1.5 kWh at 12:00 on 20 May arrive later in place of 1.041."""
    folder = tmp_path_factory.mktemp("explain")
    (folder / "tariffs").mkdir()
    (folder / "tariffs" / "two.yaml").write_text(TARIFF)
    point = {"service_point_id": "SP1", "meter_id": "m1", "account_id": "A1", "tariff_id": "two",
             "interval_s": 3600, "channels": ["import"], "bill_cycle_day": 1,
             "valid_from": datetime(2020, 1, 1, tzinfo=UTC)}  # fmt: skip
    write(folder / "in" / "points.avro", "ServicePoint", [point])
    write(folder / "in" / "loads.avro", "IntervalBlock", [block(day, loads(day)) for day in range(40)])
    run(folder / "lake", folder / "in", tariffs=folder / "tariffs")
    later = loads(19)
    later[12] = 1500
    write(folder / "late" / "one.avro", "IntervalBlock", [block(19, later, received=400)])
    run(folder / "lake", folder / "late")
    return folder / "lake"


def explained(lake: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The bill of May as JSON."""
    bill = scalar(lake, "SELECT bill_id FROM bills WHERE period_start = '2026-05-01' LIMIT 1")
    assert main(["bill", "explain", bill, "--lake", str(lake), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_lines_come_back_to_their_days(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Days, slots and energy of each line; they sum to the line."""
    bill = explained(lake, capsys)
    lines = {(line["charge"], line["period"]): line for line in bill["lines"]}
    assert set(lines) == {("energy", "peak"), ("energy", "off"), ("demand", None), ("levy", None)}
    peak, off = lines["energy", "peak"], lines["energy", "off"]
    # 1 May 2026 is a Friday: 21 weekdays of five hours in the month; the other hours are off.
    assert [day["slots"] for day in peak["days"]] == [5] * 21
    assert sum(day["slots"] for day in off["days"]) == 31 * 24 - 105
    for line in (peak, off):
        assert sum(Decimal(day["quantity"]) for day in line["days"]) == Decimal(line["quantity"])
    assert peak["days"][0]["local_day"] == "2026-05-01"
    assert peak["days"][0]["first_slot"] == "2026-05-01T15:00Z"
    assert set(peak["days"][0]["qualities"]) <= {"VALIDATED", "VERIFIED"}
    assert lines["levy", None]["of"] == ["energy"]
    demand = lines["demand", None]["days"]
    assert [(day["local_day"], day["first_slot"], day["quantity"]) for day in demand] == [
        ("2026-05-20", "2026-05-20T10:00Z", "1.500000"),
    ]  # fmt: skip


def test_what_a_correction_changed(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The one slot, before and after, and the lines that it moved."""
    changes = explained(lake, capsys)["changes"]
    slots = [(slot["start"], slot["before"]["value"], slot["after"]["value"]) for slot in changes["slots"]]
    assert slots == [("2026-05-20T10:00Z", "1.041", "1.50")]
    moved = {line["charge"]: (line["before"]["amount"], line["after"]["amount"]) for line in changes["lines"]}
    assert set(moved) == {"energy", "demand", "levy"}
    assert Decimal(moved["energy"][1]) - Decimal(moved["energy"][0]) == Decimal("0.09")
    assert (changes["revision_before"], changes["causes"]) == (1, ["slots"])
    first = explained(lake, capsys, "--as-of", "1")
    assert (first["revision"], first["changes"]) == (1, None)


def test_page_and_text(lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The customer's page stands alone and has every amount; the text has every line."""
    bill = explained(lake, capsys, "--html", str(tmp_path / "bill.html"))
    page = (tmp_path / "bill.html").read_text("utf-8")
    assert all(line["amount"] in page for line in bill["lines"])
    assert page.count("<rect") == 2 * 31
    assert "http" not in page
    assert main(["bill", "explain", bill["bill_id"], "--lake", str(lake)]) == 0
    text = capsys.readouterr().out
    assert "energy peak: " in text
    assert "2026-05-01: 5 slots" in text
    assert "since revision 1" in text


def test_bills_that_are_not_there(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown bill is one clear message."""
    assert main(["bill", "explain", "nobody", "--lake", str(lake)]) == 1
    assert "no bill 'nobody'" in capsys.readouterr().err


KVARH: list[int | None] = [400 + hour for hour in range(24)]
EVERY = """
id: every
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar:
  periods: [{id: peak, days: weekday, at: ["17:00", "22:00"]}, {id: off}]
  events: {cpp: {source: event_feed, at: ["16:00", "18:00"]}}
charges:
  - id: energy
    type: energy
    tiers: {scope: bill_total_chronological, unit: kWh, limits: ["100"]}
    rates: {peak: ["0.40", "0.50"], off: ["0.20", "0.30"]}
  - id: grid
    type: energy
    tiers: {scope: bill_total_prorata, unit: kWh, limits: ["300"]}
    rates: {peak: ["0.02", "0.01"], off: ["0.02", "0.01"]}
  - {id: cpp, type: energy_adder, event: cpp, rate: "0.60"}
  - {id: spot, type: energy_series, series: day-ahead, adder: "0.01"}
  - {id: system, type: coincident_demand, event: cpp, window_min: 60, of: average, rate: "3.00"}
  - {id: demand, type: demand, window_min: 60, rate: "2.00", min_kw: "4"}
  - {id: kvarh, type: reactive, free_per_kwh: "0.1", rate: "0.05"}
  - {id: vat, type: tax, rate: "0.08"}
"""


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same meter on a tariff with tiers of two kinds, two event days and a price series."""
    folder = tmp_path_factory.mktemp("every")
    (folder / "tariffs").mkdir()
    (folder / "tariffs" / "every.yaml").write_text(EVERY)
    point = {"service_point_id": "SP1", "meter_id": "m1", "account_id": "A1", "tariff_id": "every",
             "interval_s": 3600, "channels": ["import", "reactive_import"], "bill_cycle_day": 1,
             "valid_from": datetime(2020, 1, 1, tzinfo=UTC)}  # fmt: skip
    write(folder / "in" / "points.avro", "ServicePoint", [point])
    blocks = [block(day, loads(day)) for day in range(33)]
    blocks += [{**block(day, KVARH), "channel": "reactive_import", "unit": "varh"} for day in range(33)]
    write(folder / "in" / "loads.avro", "IntervalBlock", blocks)
    events = [{"event": "cpp", "local_date": date(2026, 5, day)} for day in (12, 20)]
    write(folder / "in" / "events.avro", "TariffEvent", events)
    prices = [{"series_id": "day-ahead", "start": MIDNIGHT + timedelta(days=day), "interval_s": 86_400,
               "price": Decimal("0.05") + Decimal(day % 2) / 100, "currency": "CHF"}
              for day in range(33)]  # fmt: skip
    write(folder / "in" / "prices.avro", "PriceSignal", prices)
    run(folder / "lake", folder / "in", tariffs=folder / "tariffs")
    return folder / "lake"


def test_tiers_events_and_prices_come_back_to_their_slots(
    every: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each tier its own part of the slots, each event line its hours, each price its slot."""
    bill = explained(every, capsys, "--slots")
    lines: dict[tuple[str, str | None, int | None], Any] = {
        (line["charge"], line["period"], line["tier"]): line for line in bill["lines"]
    }
    of = {
        key: {slot["start"]: slot["quantity"] for day in line.get("days", ()) for slot in day["each"]}
        for key, line in lines.items()
    }
    first = {**of["energy", "peak", 1], **of["energy", "off", 1]}
    rest = [of["energy", period, 2] for period in ("peak", "off")]
    assert sum(map(Decimal, first.values())) == 100
    (split,) = set(first) & {start for slots in rest for start in slots}
    drawn = [Decimal(wh) / 1000 for day in range(31) for wh in loads(day) if wh]
    full = next(i for i in range(len(drawn)) if sum(drawn[: i + 1]) > 100)
    assert datetime.fromisoformat(split) == MIDNIGHT + timedelta(hours=full)
    assert Decimal(first[split]) == 100 - sum(drawn[:full])
    for key in (("energy", "peak", 2), ("energy", "off", 2), ("spot", None, None), ("cpp", None, None)):
        assert sum(map(Decimal, of[key].values())) == Decimal(lines[key]["quantity"])
    assert list(of["cpp", None, None]) == [
        f"2026-05-{day}T{hour}:00Z" for day in (12, 20) for hour in (14, 15)
    ]
    assert list(of["system", None, None]) == ["2026-05-12T15:00Z", "2026-05-20T15:00Z"]
    total = sum(drawn)
    assert lines["grid", "off", 1]["share"] == f"{300 / total:.4f}"
    spot = lines["spot", None, None]["days"]
    assert Decimal(spot[1]["amount"]) == sum(drawn[24:48]) * Decimal("0.07")
    assert spot[1]["each"][0]["rate"] == "0.07"
    assert {slot["quality"] for day in spot for slot in day["each"]} <= {"VALIDATED", "VERIFIED"}
    demand = lines["demand", None, None]
    assert (demand["measured_kw"], demand["because"]) == ("1.075", "at least 4 kW")
    assert lines["vat", None, None]["of"] == ["subtotal"]
    kvarh = lines["kvarh", None, None]
    seen = sum((Decimal(day["quantity"]) for day in kvarh["days"]), Decimal(0))
    assert seen == 31 * Decimal(sum(range(400, 424))) / 1000
    assert Decimal(kvarh["quantity"]) == round(seen - sum(drawn, Decimal(0)) / 10, 3)
