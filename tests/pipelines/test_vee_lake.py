"""What time brings: a monthly read moves the estimates since the one before, slots change their length."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from models.calendar import DayGrid, epoch_day
from tests.pipelines.towns import ZONE, assert_equal, rows, run, scalar, write

FIRST = epoch_day(date(2026, 3, 2))
DAYS = 35
MICROS = 1_000_000
LOST = (10, 11, 20)
"""Days whose readings never came."""


def blocks(grid: DayGrid, days: range, value: int) -> list[dict[str, Any]]:
    """A block of equal values a day, but for the lost days."""
    return [
        {"meter_id": "m", "channel": "import", "start": int(grid.day_starts[day]) * MICROS,
         "interval_s": grid.interval_s, "unit": "Wh", "scaler": 0, "quality": [],
         "values": [value + slot % 2 for slot in range(int(grid.lengths[day]))],
         "received_at": int(grid.day_starts[day + 1]) * MICROS}
        for day in days
        if day not in LOST
    ]  # fmt: skip


def point(valid_from: int, interval_s: int) -> dict[str, Any]:
    """A version of the one service point."""
    return {
        "service_point_id": "sp", "meter_id": "m", "account_id": "a", "interval_s": interval_s,
        "channels": ["import"], "valid_from": valid_from * MICROS, "received_at": valid_from * MICROS,
    }  # fmt: skip


def read(at: int, value: int) -> dict[str, Any]:
    """A register read in Wh."""
    return {
        "meter_id": "m", "channel": "import", "read_at": at * MICROS, "value": value, "unit": "Wh",
        "scaler": 0, "received_at": at * MICROS,
    }  # fmt: skip


def test_a_monthly_read_moves_the_estimates_back_to_the_read_before(tmp_path: Path) -> None:
    """The lost days get a new revision and then sum with the others to the register, to the micro-unit."""
    grid = DayGrid(ZONE, 1800, FIRST, DAYS)
    readings = write(tmp_path / "readings.avro", "IntervalBlock", blocks(grid, range(DAYS), 200))
    points = write(tmp_path / "points.avro", "ServicePoint", [point(grid.origin, 1800)])
    first, last = int(grid.day_starts[1]), int(grid.day_starts[31])
    before = write(tmp_path / "before.avro", "RegisterRead", [read(first, 1_000_000)])
    after = write(tmp_path / "after.avro", "RegisterRead", [read(last, 1_313_131)])

    run(tmp_path / "lake", readings, points, before, detect=False)
    assert scalar(tmp_path / "lake", "SELECT max(revision) FROM days") == 1
    run(tmp_path / "lake", after, detect=False)
    moved = rows(tmp_path / "lake", "SELECT local_day FROM days WHERE estimated_share > 0 AND revision = 2")
    lost = [epoch_day(day) - FIRST for day in moved["local_day"].to_pylist()]
    assert sorted(lost) == list(LOST)
    between = f"start >= to_timestamp({first}) AND start < to_timestamp({last})"
    total = f"SELECT sum(value) FROM readings WHERE {between}"
    assert str(scalar(tmp_path / "lake", total)) == "313.131000"

    run(tmp_path / "once", readings, points, before, after, detect=False)
    assert_equal(tmp_path / "once", tmp_path / "lake")


def test_slots_that_change_their_length(tmp_path: Path) -> None:
    """Half hours until a day, quarters from it on: every day has its own slots, also where they were lost."""
    halves, quarters = DayGrid(ZONE, 1800, FIRST, DAYS), DayGrid(ZONE, 900, FIRST, DAYS)
    change = int(halves.day_starts[15])
    sent = [*blocks(halves, range(15), 200), *blocks(quarters, range(15, DAYS), 100)]
    readings = write(tmp_path / "readings.avro", "IntervalBlock", sent)
    points = write(tmp_path / "points.avro", "ServicePoint", [point(halves.origin, 1800), point(change, 900)])
    run(tmp_path / "lake", readings, points, detect=False)
    found = rows(
        tmp_path / "lake",
        f"SELECT (start AT TIME ZONE '{ZONE}')::DATE AS local_day, interval_s, "
        "count(*) AS slots, sum(value)::DOUBLE AS total, "
        "count(*) FILTER (quality = 'ESTIMATED') AS made FROM readings GROUP BY ALL ORDER BY local_day",
    ).to_pylist()
    assert len(found) == DAYS
    for number, row in enumerate(found):
        grid, value = (halves, 200) if number < 15 else (quarters, 100)
        slots = int(grid.lengths[number])
        assert (row["interval_s"], row["slots"]) == (grid.interval_s, slots)
        assert row["made"] == (slots if number in LOST else 0)
        if number not in LOST:
            assert round(row["total"] * 1000) == slots * value + slots // 2
    lost = found[20]["total"]
    assert 96 * 0.1 <= lost <= 96 * 0.101
