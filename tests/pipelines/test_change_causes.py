"""Why a bill came out anew: every cause is named, on the bill it touches and on those after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.backfill import BackfillOptions, dirty_backfill
from pipelines.cli import main
from tests.pipelines.towns import run, scalar, write

FIRST = datetime(2026, 4, 30, 22, tzinfo=UTC)
"""2026-05-01 00:00 in Zurich."""
DAYS = 63
TARIFF = """
id: home
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar:
  periods: [{id: all}]
  events: {cpp: {source: event_feed, at: ["16:00", "18:00"]}}
charges:
  - {id: energy, type: energy, rates: {all: "0.20"}}
  - {id: demand, type: demand, window_min: 60, rate: "2.00", ratchet: {pct: "0.9"}}
  - {id: apparent, type: demand, window_min: 60, unit: kVA, rate: "1.00", min_kw: "5"}
  - {id: cpp, type: energy_adder, event: cpp, rate: "0.60"}
  - {id: spot, type: energy_series, series: day-ahead}
"""
POINT: dict[str, Any] = {
    "service_point_id": "SP1", "meter_id": "m1", "account_id": "A1", "tariff_id": "home",
    "interval_s": 3600, "channels": ["import", "reactive_import"], "bill_cycle_day": 1,
    "valid_from": datetime(2020, 1, 1, tzinfo=UTC),
}  # fmt: skip


def block(day: int, values: list[int], received: int = 25, **fields: Any) -> dict[str, Any]:
    """An hourly day of the meter in Wh."""
    start = FIRST + timedelta(days=day)
    return {"meter_id": "m1", "channel": "import", "start": start, "interval_s": 3600, "values": values,
            "unit": "Wh", "received_at": start + timedelta(hours=received), **fields}  # fmt: skip


def loads(day: int) -> list[int]:
    """About a kWh an hour."""
    return [1000 + hour * 3 + day % 7 for hour in range(24)]


def price(day: int, amount: str) -> dict[str, Any]:
    """A price of one day."""
    start = FIRST + timedelta(days=day)
    later = start + timedelta(days=400)
    return {"series_id": "day-ahead", "start": start, "interval_s": 86_400, "price": Decimal(amount),
            "currency": "CHF", "received_at": later if amount == "0.09" else start}  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The bills of May and June."""
    (tmp_path / "tariffs").mkdir()
    (tmp_path / "tariffs" / "home.yaml").write_text(TARIFF)
    write(tmp_path / "in" / "points.avro", "ServicePoint", [POINT])
    blocks = [block(day, loads(day)) for day in range(DAYS)]
    kvarh: dict[str, Any] = {"channel": "reactive_import", "unit": "varh"}
    blocks += [block(day, [400 + hour for hour in range(24)], **kvarh) for day in range(DAYS)]
    write(tmp_path / "in" / "loads.avro", "IntervalBlock", blocks)
    write(tmp_path / "in" / "prices.avro", "PriceSignal", [price(day, "0.05") for day in range(DAYS)])
    run(tmp_path / "lake", tmp_path / "in", tariffs=tmp_path / "tariffs")
    return tmp_path / "lake"


def late_peak(lake: Path) -> None:
    """2 kWh in an hour of May."""
    values = loads(11)
    values[10] = 2000
    write(lake.parent / "late" / "a.avro", "IntervalBlock", [block(11, values, received=1000)])
    run(lake, lake.parent / "late")


def corrected_tariff(lake: Path) -> None:
    """Another rate in the same version."""
    folder = lake.parent / "corrected"
    folder.mkdir()
    (folder / "home.yaml").write_text(TARIFF.replace('"0.20"', '"0.21"'))
    dirty_backfill(BackfillOptions(inputs=(), lake=lake, workers=0, tariffs=folder))


def event_day(lake: Path) -> None:
    """A critical day in June."""
    events = [{"event": "cpp", "local_date": date(2026, 6, 9)}]
    write(lake.parent / "late" / "a.avro", "TariffEvent", events)
    run(lake, lake.parent / "late")


def new_price(lake: Path) -> None:
    """A price of June is corrected."""
    write(lake.parent / "late" / "a.avro", "PriceSignal", [price(40, "0.09")])
    run(lake, lake.parent / "late")


def move(lake: Path) -> None:
    """The account left on 21 June."""
    moved = {**POINT, "account_id": "A2", "valid_from": FIRST + timedelta(days=51)}
    write(lake.parent / "late" / "a.avro", "ServicePoint", [moved])
    run(lake, lake.parent / "late")


Causes = list[str] | None
HANDED = "what the bill before hands on"


@pytest.mark.parametrize(
    ("change", "may", "june"),
    [
        pytest.param(late_peak, ["slots"], [HANDED], id="a late peak goes on through the ratchet"),
        pytest.param(corrected_tariff, ["tariff home version 1"], ["tariff home version 1"], id="tariff"),
        pytest.param(event_day, None, ["event cpp"], id="event"),
        pytest.param(new_price, None, ["price series day-ahead"], id="price"),
        pytest.param(move, None, ["master data"], id="account moved"),
    ],
)
def test_causes_are_named(
    lake: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], may: Causes, june: Causes
) -> None:
    """As data and as text; a bill that was not touched has no changes."""
    change(lake)
    for month, causes in ((5, may), (6, june)):
        where = f"account_id = 'A1' AND period_start = '2026-{month:02d}-01'"
        bill = scalar(lake, f"SELECT bill_id FROM bills WHERE {where} LIMIT 1")
        assert main(["bill", "explain", bill, "--lake", str(lake), "--json"]) == 0
        changes = json.loads(capsys.readouterr().out)["changes"]
        assert (changes and changes["causes"]) == causes
        assert main(["bill", "explain", bill, "--lake", str(lake)]) == 0
        text = capsys.readouterr().out
        assert "of the highest demand" not in text or causes == [HANDED]
        assert causes is None or f"because of {', '.join(causes)}" in text
        assert "kVA, billed at least 5 kVA" in text


def test_a_withdrawn_bill_is_named_in_the_view(lake: Path) -> None:
    """Its reversal stands under the account and the days that it was for."""
    moved = {**POINT, "account_id": "A2", "received_at": FIRST + timedelta(days=400)}
    write(lake.parent / "late" / "a.avro", "ServicePoint", [moved])
    run(lake, lake.parent / "late")
    seen = "SELECT string_agg(revision || ' ' || period_end || ' ' || status || ' ' || reason, ', ' "
    rows = scalar(
        lake, seen + "ORDER BY revision) FROM bills WHERE account_id = 'A1' AND period_start < '2026-06-01'"
    )
    assert rows == "1 2026-05-31 reversed , 2 2026-05-31 reversed billed no more"
