"""The view data_quality: completeness, estimated share and timeliness of each series, and of the fleet."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from models.calendar import DayGrid, epoch_day
from tests.pipelines.towns import ZONE, rows, run, write

GRID = DayGrid(ZONE, 3600, epoch_day(date(2026, 3, 30)), 4)
MICROS = 1_000_000
HOUR = 3600


def block(meter: str, day: int, late_h: int, hours: int = 24) -> dict[str, Any]:
    """The first hours of a day, 1 and 2 kWh in turn, received so many hours after its end."""
    return {
        "meter_id": meter, "channel": "import", "start": int(GRID.day_starts[day]) * MICROS,
        "interval_s": HOUR, "unit": "kWh", "scaler": 0, "quality": [],
        "values": [1 + slot % 2 for slot in range(hours)],
        "received_at": (int(GRID.day_starts[day + 1]) + late_h * HOUR) * MICROS,
    }  # fmt: skip


def test_each_series_and_the_fleet_by_month(tmp_path: Path) -> None:
    """Six of 48 hours lost and estimated, a day out of two late; the fleet sums slots, not meters."""
    sent = [block("a", day, 1) for day in range(4)]
    sent += [block("b", 0, 1), block("b", 1, 25, hours=18), block("b", 2, 24), block("b", 3, 23)]
    run(tmp_path / "lake", write(tmp_path / "in.avro", "IntervalBlock", sent), detect=False)
    columns = (
        "meter_id, month::VARCHAR AS month, days, slots, completeness, estimated_share, timeliness, score"
    )
    found = rows(tmp_path / "lake", f"SELECT {columns} FROM data_quality ORDER BY month, meter_id NULLS LAST")
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("a", "2026-03-01", 2, 48, 1.0, 0.0, 1.0, 100.0),
        ("b", "2026-03-01", 2, 48, 42 / 48, 6 / 48, 24 / 42, 77.4),
        (None, "2026-03-01", 4, 96, 90 / 96, 6 / 96, 72 / 90, 89.2),
        ("a", "2026-04-01", 2, 48, 1.0, 0.0, 1.0, 100.0),
        ("b", "2026-04-01", 2, 48, 1.0, 0.0, 1.0, 100.0),
        (None, "2026-04-01", 4, 96, 1.0, 0.0, 1.0, 100.0),
    ]
