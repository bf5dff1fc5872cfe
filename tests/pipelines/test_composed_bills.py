"""Bills of loads that several meters make up: exchanges, formulas, shares of generation, moves."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from models.account_bills import AT_ONCE
from pipelines.batch import account_bills
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from pipelines.tariffs.explain_bill import explain_bill
from tests.pipelines.stream_messages import Sent, disorder, stream
from tests.pipelines.towns import assert_equal, run, scalar, write

MIDNIGHT = datetime(2026, 4, 30, 22, tzinfo=UTC)
"""2026-05-01 00:00 in Zurich."""
FLAT = """
id: flat
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar: {periods: [{id: all}]}
charges:
  - {id: energy, type: energy, rates: {all: "1.00"}}
  - {id: demand, type: demand, window_min: 60, rate: "10.00", ratchet: {pct: "1"}}
"""
SOLAR = """
id: solar
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar: {periods: [{id: all}]}
charges:
  - {id: energy, type: energy, rates: {all: "1.00"}}
  - {id: sun, type: export, netting: interval, rate: "0.50", applies_to: [energy], carry: dollars}
"""
RULES = """
loads:
  - id: SITE
    effective: {from: 2026-05-01, to: 2026-05-31}
    account: A9
    tariff: flat
    add: [SP1, SP2]
    subtract: [SP3]
    instead_of: [SP1]
  - {id: SITE, effective: {from: 2026-06-01}, account: A9, tariff: flat, add: [SP1, SP2]}
shares:
  - id: roof
    effective: {from: 2026-05-01}
    service_point: PV
    to: {SP4: "0.333333", SP5: "0.666667"}
holding:
  - {effective: {from: 2026-01-01, to: 2026-05-31}}
  - {effective: {from: 2026-06-01}, estimated: "0.001"}
"""


def at(day: int, hour: int = 0) -> datetime:
    """A local moment of May 2026, day 1 being the first."""
    return MIDNIGHT + timedelta(days=day - 1, hours=hour)


def point(number: str, meter: str, account: str, tariff: str | None = "flat", **other: Any) -> dict[str, Any]:
    """A service point from 2020."""
    return {"service_point_id": number, "meter_id": meter, "account_id": account, "tariff_id": tariff,
            "interval_s": 3600, "channels": ["import"], "bill_cycle_day": 1,
            "valid_from": datetime(2020, 1, 1, tzinfo=UTC), **other}  # fmt: skip


def block(meter: str, day: int, wh: list[int], channel: str = "import") -> dict[str, Any]:
    """An hourly local day."""
    return {"meter_id": meter, "channel": channel, "start": at(day), "interval_s": 3600, "values": wh,
            "unit": "Wh", "received_at": at(day, 25)}  # fmt: skip


def load(meter: str, day: int) -> list[int]:
    """About as many kWh an hour as the meter's number, a little more each hour, so that no rule hits."""
    return [int(meter[1]) * 1000 + hour * 3 + day % 7 for hour in range(24)]


def kwh(meters: str, first: int, last: int) -> Decimal:
    """Σ of meters such as ``+m1 -m3`` over days."""
    total = 0
    for term in meters.split():
        sign = -1 if term[0] == "-" else 1
        total += sign * sum(sum(load(term[1:], day)) for day in range(first, last + 1))
    return Decimal(total) / 1000


def bills(lake: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Current bills by account and first day, with the amounts of their lines by charge."""
    with connect(Lake.open(lake)) as connection:
        found = connection.execute(
            "SELECT account_id, period_start, period_end, status, reason, estimated_share, "
            "  (SELECT list((charge, quantity, amount) ORDER BY line) FROM bill_lines l "
            "   WHERE l.bill_id = b.bill_id AND l.revision = b.revision) "
            "FROM bills b WHERE status IN ('active', 'held')"
        ).fetchall()
    names = ("last", "status", "reason", "estimated_share", "lines")
    return {(row[0], f"{row[1]}"): dict(zip(names, row[2:], strict=True)) for row in found}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months: a site of three meters, two tenants under one roof, an exchange, a move."""
    folder = tmp_path_factory.mktemp("composed")
    (folder / "tariffs").mkdir()
    for name, text in (("flat", FLAT), ("solar", SOLAR), ("billing", RULES)):
        (folder / "tariffs" / f"{name}.yaml").write_text(text)
    points = [
        point("SP1", "m1", "A1"),
        point("SP2", "m2", "A2", None, role="check"),
        point("SP3", "m3", "A3", None, role="generation"),
        point("SP4", "m4", "A4", "solar"),
        point("SP5", "m5", "A5", "solar"),
        point("PV", "m6", "A6", None, role="generation", channels=["export"]),
        point("SP7", "m7", "A7"),  # exchanged on the 16th
        point("SP7", "m8", "A7", valid_from=at(16)),
        point("SP8", "m9", "A8", "solar", channels=["import", "export"]),  # moves on 1 June
        point("SP8", "m9", "B8", "solar", channels=["import", "export"], valid_from=at(32)),
    ]
    write(folder / "in" / "points.avro", "ServicePoint", points)
    blocks = [block(f"m{n}", day, load(f"m{n}", day)) for n in (1, 2, 3, 4, 5, 9) for day in range(1, 64)]
    blocks += [block("m7", day, load("m7", day)) for day in range(1, 16)]
    blocks += [block("m8", day, load("m8", day)) for day in range(16, 64)]
    blocks += [block("m6", day, [1000 + day] * 12 + [7] * 12, "export") for day in range(1, 64)]
    sun = [30_000 + hour for hour in range(24)]
    blocks += [block("m9", day, sun, "export") for day in range(1, 64)]
    blocks = [b for b in blocks if (b["meter_id"], b["start"]) != ("m1", at(40))]
    night, day = load("m1", 40)[:5], load("m1", 40)[8:]  # three hours are lost
    blocks += [block("m1", 40, night), {**block("m1", 40, day), "start": at(40, 8)}]
    write(folder / "in" / "loads.avro", "IntervalBlock", blocks)
    run(folder / "lake", folder / "in", tariffs=folder / "tariffs")
    return folder / "lake"


def test_a_load_by_formula(lake: Path) -> None:
    """A + B − C in May, A + B from June, each with the demand of the sum; A itself has no bill in May."""
    found = bills(lake)
    may = found["A9", "2026-05-01"]
    energy = kwh("+m1 +m2 -m3", 1, 31)
    peak = Decimal("0.08")  # 1.075 + 2.075 − 3.075 = 0.075
    assert [line[:2] for line in may["lines"]] == [("energy", energy), ("demand", peak)]
    assert may["lines"][0][2] == round(energy, 2)
    assert ("A1", "2026-05-01") not in found
    june = found["A9", "2026-06-01"]
    assert june["status"] == "held"
    assert june["reason"] == "3 of 720 slots are estimated: 0.42 %, at most 0.1 %"


def test_an_exchange_is_one_bill(lake: Path) -> None:
    """Both meters' energy on one line; the ratchet of the second month knows the peak of the first."""
    found = bills(lake)
    may, june = found["A7", "2026-05-01"], found["A7", "2026-06-01"]
    energy = kwh("+m7", 1, 15) + kwh("+m8", 16, 31)
    peak = Decimal(8000 + 3 * 23 + 6) / 1000
    assert f"{may['last']}" == "2026-05-31"
    assert [line[:2] for line in may["lines"]] == [("energy", energy), ("demand", round(peak, 2))]
    assert [line[1] for line in june["lines"]] == [kwh("+m8", 32, 61), round(peak, 2)]


def test_shares_of_a_roof_leave_nothing_over(lake: Path) -> None:
    """What two tenants get of each slot makes the whole slot, in whole micro-units; the rest is their own."""
    found = bills(lake)
    exact = [(1000 + day) * 1000 for day in range(1, 32) for _ in range(12)] + [7000] * 12 * 31
    first = sum(slot * 333333 // 1000000 for slot in exact)
    for account, meter, fed in (("A4", "m4", first), ("A5", "m5", sum(exact) - first)):
        lines = found[account, "2026-05-01"]["lines"]
        drawn = kwh(f"+{meter}", 1, 31) - Decimal(fed).scaleb(-6)
        assert lines[0][1] == round(drawn, 3)
        assert [line[0] for line in lines] == ["energy"]


def test_credit_stays_with_its_account(lake: Path) -> None:
    """Who moves in does not get the credit of who moved out."""
    states = {
        account: scalar(lake, f"SELECT state FROM stored.bills_current WHERE account_id = '{account}'")
        for account in ("A8", "B8")
    }
    per_day = Decimal(sum(30_000 + hour for hour in range(24))) / 1000
    left = {"A8": per_day * 31 - kwh("+m9", 1, 31), "B8": per_day * 30 - kwh("+m9", 32, 61)}
    for account, surplus in left.items():
        assert f'"credit": "{round(surplus / 2, 2)}"' in states[account]


def test_the_held_bill_is_released(lake: Path, tmp_path: Path) -> None:
    """Once the three slots arrive, the bill of June is issued with them, and nothing else changes."""
    late = block("m1", 40, load("m1", 40)) | {"received_at": at(45)}
    done = run(lake, write(tmp_path / "late.avro", "IntervalBlock", [late]))
    assert done["bills_written"] >= 1
    june = bills(lake)["A9", "2026-06-01"]
    assert (june["status"], june["estimated_share"]) == ("active", 0)
    assert june["lines"][0][1] == kwh("+m1 +m2", 32, 61)


def test_slots_of_a_formula_are_explained(lake: Path) -> None:
    """Each slot of A + B − C names its three meters, and sums to them."""
    bill = scalar(lake, "SELECT bill_id FROM bills WHERE account_id = 'A9' AND period_start = '2026-05-01'")
    energy = explain_bill(Lake.open(lake), bill, each=True)["lines"][0]
    first = energy["days"][0]["each"][7]
    wh = [load(meter, 1)[7] for meter in ("m1", "m2", "m3")]
    assert (first["meter_id"], first["start"]) == ("m1 m2 m3", "2026-05-01T05:00Z")
    assert Decimal(first["quantity"]) * 1000 == wh[0] + wh[1] - wh[2]
    assert sum(Decimal(day["quantity"]) for day in energy["days"]) == Decimal(energy["quantity"])


@pytest.mark.parametrize("cells", [account_bills.CELLS, 1])
def test_a_stream_of_composed_loads_ends_where_the_backfill_ends(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    """A formula, a roof's shares and limits over records in disorder, all accounts priced at once or one by
    one; every table is equal.
    """
    monkeypatch.setattr(account_bills, "CELLS", cells)
    monkeypatch.setattr("models.account_bills.AT_ONCE", min(cells, AT_ONCE))
    points = [point("SP1", "m1", "A1"), point("SP2", "m2", "A2", None, role="check"),
              point("SP3", "m3", "A3", None, role="generation"), point("SP4", "m4", "A4", "solar"),
              point("SP5", "m5", "A5", "solar"),
              point("PV", "m6", "A6", None, role="generation", channels=["export"])]  # fmt: skip
    blocks = [block(f"m{n}", day, load(f"m{n}", day)) for n in range(1, 6) for day in range(1, 40)]
    blocks += [block("m6", day, load("m6", day), "export") for day in range(1, 40)]
    fixes = [{**block("m2", day, load("m3", day)), "received_at": at(45)} for day in (7, 33)]
    sent: list[Sent] = [("ServicePoint", row) for row in points]
    sent += [("IntervalBlock", row) for row in [*blocks, *fixes]]
    through = date(2026, 6, 8)
    options: dict[str, Any] = {"tariffs": lake.parent / "tariffs", "timezone": "Europe/Zurich"}
    stream(tmp_path / "stream", disorder(sent, random.Random(3), through, 7), shards=3, **options)
    write(tmp_path / "in" / "points.avro", "ServicePoint", points)
    write(tmp_path / "in" / "loads.avro", "IntervalBlock", [*blocks, *fixes])
    run(tmp_path / "backfill", tmp_path / "in", detect=False, through=through, **options)
    assert_equal(tmp_path / "backfill", tmp_path / "stream")
    assert {key for key, bill in bills(tmp_path / "stream").items() if bill["status"] == "active"} == {
        ("A9", "2026-05-01"), ("A4", "2026-05-01"), ("A5", "2026-05-01"),
    }  # fmt: skip
