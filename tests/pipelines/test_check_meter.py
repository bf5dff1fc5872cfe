"""A check meter's readings stand in for those that never came, whenever they arrive."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from models.calendar import DayGrid, epoch_day
from pipelines.cli import main
from tests.pipelines.towns import ZONE, assert_equal, rows, run, write

DAYS = 12
GRID = DayGrid(ZONE, 3600, epoch_day(date(2026, 3, 20)), DAYS)
"""Over the clock change of 29 March 2026."""
MICROS = 1_000_000
POINT = {
    "service_point_id": "SP", "meter_id": "m", "account_id": "A", "interval_s": 3600,
    "channels": ["import", "import_check"], "valid_from": datetime(2020, 1, 1, tzinfo=UTC),
}  # fmt: skip
LOST = (9, 11, 15)
"""Day and hours that the meter lost."""


def day_block(day: int, low: int, high: int, *, channel: str, more: int = 0) -> dict[str, Any]:
    """Hours of a day; the check meter measures a little more."""
    start = int(GRID.day_starts[day])
    return {
        "meter_id": "m", "channel": channel, "start": (start + low * 3600) * MICROS, "interval_s": 3600,
        "values": [900 + 37 * ((day * 5 + hour) % 13) + more for hour in range(low, high)], "unit": "Wh",
        "scaler": 0, "quality": [], "received_at": (start + 25 * 3600) * MICROS,
    }  # fmt: skip


def readings() -> list[dict[str, Any]]:
    """The meter's blocks, without what it lost."""
    day, low, high = LOST
    whole = [day_block(d, 0, int(GRID.lengths[d]), channel="import") for d in range(DAYS) if d != day]
    return [
        *whole,
        day_block(day, 0, low, channel="import"),
        day_block(day, high, int(GRID.lengths[day]), channel="import"),
    ]


def register(day: int, value: int) -> dict[str, Any]:
    at = int(GRID.day_starts[day]) * MICROS
    return {"meter_id": "m", "channel": "import", "read_at": at, "value": value, "unit": "Wh", "scaler": 0,
            "received_at": at}  # fmt: skip


def lost(lake: Path) -> list[tuple[int, str, str]]:
    """Value [micro], quality and method of the lost hours, of the meter's own channel."""
    day, low, high = LOST
    first = int(GRID.starts[GRID.offsets[day] + low])
    last = int(GRID.starts[GRID.offsets[day] + high])
    found = rows(
        lake,
        "SELECT (value * 1000000)::BIGINT AS value, quality, method FROM readings WHERE channel = 'import' "
        f"AND epoch(start) >= {first} AND epoch(start) < {last} ORDER BY start",
    )
    return [(int(row["value"]), str(row["quality"]), str(row["method"])) for row in found.to_pylist()]


def test_late_readings_of_a_check_meter_take_the_place_of_an_estimate(tmp_path: Path) -> None:
    """Estimated first; then, as the check meter has it; scaled where a register judges both; and in one run
    the same.
    """
    day, low, high = LOST
    checks = [day_block(d, 0, int(GRID.lengths[d]), channel="import_check", more=4) for d in range(DAYS)]
    reads = [register(8, 100_000), register(11, 200_000)]
    write(tmp_path / "points" / "points.avro", "ServicePoint", [POINT])
    write(tmp_path / "first" / "loads.avro", "IntervalBlock", readings())
    write(tmp_path / "second" / "loads.avro", "IntervalBlock", checks)
    write(tmp_path / "third" / "reads.avro", "RegisterRead", reads)
    run(tmp_path / "lake", tmp_path / "points", tmp_path / "first", detect=False)
    assert {quality for _, quality, _ in lost(tmp_path / "lake")} == {"ESTIMATED"}
    assert "check" not in {method for *_, method in lost(tmp_path / "lake")}
    run(tmp_path / "lake", tmp_path / "second", detect=False)
    wanted = [900 + 37 * ((day * 5 + hour) % 13) + 4 for hour in range(low, high)]
    assert lost(tmp_path / "lake") == [(1000 * value, "ESTIMATED", "check") for value in wanted]
    run(tmp_path / "lake", tmp_path / "third", detect=False)
    scaled = lost(tmp_path / "lake")
    assert {method for *_, method in scaled} == {"check_scaled"}
    own = sum(sum(block["values"]) for block in readings()
              if GRID.day_starts[8] <= block["start"] // MICROS < GRID.day_starts[11])  # fmt: skip
    assert sum(value for value, *_ in scaled) == 1000 * (100_000 - own)
    every = [tmp_path / name for name in ("third", "second", "first", "points")]
    run(tmp_path / "once", *every, detect=False)
    assert_equal(tmp_path / "lake", tmp_path / "once")


def test_a_green_button_feed_leaves_the_check_meter_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its readings would come back as the meter's own; the export says that it left them out."""
    checks = [day_block(d, 0, int(GRID.lengths[d]), channel="import_check", more=4) for d in range(DAYS)]
    write(tmp_path / "in" / "points.avro", "ServicePoint", [POINT])
    write(tmp_path / "in" / "loads.avro", "IntervalBlock", [*readings(), *checks])
    run(tmp_path / "lake", tmp_path / "in", detect=False)
    out = ["--out", str(tmp_path / "out"), "--format", "espi"]
    assert main(["export", "readings", "--lake", str(tmp_path / "lake"), *out]) == 0
    assert "import check" in capsys.readouterr().out
    (feed,) = (tmp_path / "out").rglob("*.xml")
    assert feed.read_text("utf-8").count("<MeterReading") == 1
