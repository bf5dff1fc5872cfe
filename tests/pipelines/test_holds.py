"""Rules of severity ``hold-billing``: what they find holds the bill, and lets go of it when it is gone."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml

from models.calendar import DayGrid, epoch_day
from schemas.rulepack import load_rule_pack
from tests.pipelines.towns import ZONE, assert_equal, rows, run, write

FIRST = epoch_day(date(2026, 3, 1))
INTERVAL = 900
GRID = DayGrid(ZONE, INTERVAL, FIRST, 33)
MICROS = 1_000_000
SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"


def blocks(received: int, *days: int, high: int | None = None) -> list[dict[str, Any]]:
    """A block a day of 200 and 210 Wh in turn, of one day ten times as much."""
    return [
        {"meter_id": "m", "channel": "import", "start": int(GRID.day_starts[day]) * MICROS,
         "interval_s": INTERVAL, "unit": "Wh", "scaler": 0, "quality": [], "received_at": received,
         "values": [(200 + slot % 2 * 10) * (10 if day == high else 1) for slot in range(GRID.lengths[day])]}
        for day in days
    ]  # fmt: skip


def holding_pack(folder: Path) -> Path:
    """The default pack, in which a high day holds the bill."""
    pack = load_rule_pack("default").model_dump(by_alias=True, mode="json")
    pack["id"] = "holding"
    pack["rules"]["high_usage"]["severity"] = "hold-billing"
    (folder / "holding.yaml").write_text(yaml.safe_dump(pack))
    return folder / "holding.yaml"


def test_a_hold_names_its_rule_and_is_released(tmp_path: Path) -> None:
    """Held while the high day stands, active once a correction came; as one run of everything ends."""
    point = {
        "service_point_id": "sp", "meter_id": "m", "account_id": "a", "interval_s": INTERVAL,
        "tariff_id": "home-tou", "bill_cycle_day": 1, "channels": ["import"],
        "valid_from": 0, "received_at": 0,
    }  # fmt: skip
    days = range(GRID.days)
    points = write(tmp_path / "points.avro", "ServicePoint", [point])
    readings = write(tmp_path / "readings.avro", "IntervalBlock", blocks(2**51, *days, high=20))
    better = write(tmp_path / "better.avro", "IntervalBlock", blocks(2**51 + 1, 20))
    options: dict[str, Any] = {"rules": holding_pack(tmp_path), "tariffs": SAMPLE, "detect": False}
    bills = "SELECT status, total, reason FROM bills WHERE period_start = '2026-03-01' ORDER BY revision"

    run(tmp_path / "lake", points, readings, **options)
    held = rows(tmp_path / "lake", bills).to_pylist()
    reason = "held by the rule high_usage on 2026-03-21"
    assert held == [{"status": "held", "total": None, "reason": reason}]
    assert rows(tmp_path / "lake", "SELECT * FROM bill_lines").num_rows == 0
    severity = "SELECT DISTINCT severity FROM findings WHERE rule = 'high_usage'"
    assert rows(tmp_path / "lake", severity).to_pylist() == [{"severity": "hold-billing"}]

    run(tmp_path / "lake", better, **options)
    first, second = rows(tmp_path / "lake", bills).to_pylist()
    assert first["status"] == "reversed"
    assert (second["status"], second["reason"]) == ("active", "")
    assert second["total"] > 0
    run(tmp_path / "once", points, readings, better, **options)
    assert_equal(tmp_path / "once", tmp_path / "lake")

    run(tmp_path / "lake", readings, **options)  # an exact repeat changes nothing
    worse = write(tmp_path / "worse.avro", "IntervalBlock", blocks(2**51 + 2, 20, high=20))
    run(tmp_path / "lake", worse, **options)
    assert rows(tmp_path / "lake", bills).to_pylist()[-1]["reason"] == reason
