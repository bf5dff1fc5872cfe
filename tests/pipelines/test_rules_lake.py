"""Rules of events, repeated reads, sibling channels and status, from Avro records to findings and values."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from models.calendar import DayGrid, epoch_day
from tests.pipelines.towns import ZONE, assert_equal, rows, run, write

GRID = DayGrid(ZONE, 3600, epoch_day(date(2026, 3, 2)), 6)
MICROS = 1_000_000


def second(day: int, hour: int, minute: int = 0) -> int:
    """UTC second of a local time of a day of the grid."""
    return int(GRID.day_starts[day]) + hour * 3600 + minute * 60


def block(channel: str, unit: str, day: int, values: list[int], hour: int = 0) -> dict[str, Any]:
    """Hours of a day of a channel of the meter, received at its end."""
    return {
        "meter_id": "m", "channel": channel, "start": second(day, hour) * MICROS, "interval_s": 3600,
        "unit": unit, "scaler": 0, "quality": [], "received_at": second(day, 24) * MICROS,
        "values": values,
    }  # fmt: skip


def event(name: str, at: int) -> dict[str, Any]:
    """A device event of the meter."""
    return {"meter_id": "m", "event_type": name, "occurred_at": at * MICROS, "received_at": at * MICROS}


def read(at: int, value: int, *, received: int | None = None, register: str | None = None) -> dict[str, Any]:
    """A register read of the import channel in Wh."""
    return {
        "meter_id": "m", "channel": "import", "read_at": at * MICROS, "value": value, "unit": "Wh",
        "scaler": 0, "tou_register": register,
        "received_at": (at + 60 if received is None else received) * MICROS,
    }  # fmt: skip


def files(folder: Path) -> list[Path]:
    """A meter of 100 and 150 Wh in turn, with something wrong on each day."""
    usual = [100 + hour % 2 * 50 for hour in range(24)]
    stale = [*usual[:7], 0, 250, *usual[9:]]
    idle = [0 if hour in (2, 3) else value for hour, value in enumerate(usual)]
    sent = [block("import", "Wh", day, day_of) for day, day_of in enumerate((usual, usual, stale))]
    sent += [block("import", "Wh", 3, usual[:4]), block("import", "Wh", 3, usual[5:], hour=5)]
    sent += [block("import", "Wh", 4, idle), block("import", "Wh", 5, usual)]
    sent += [block("reactive_import", "varh", day, [200, 210] * 12) for day in range(6)]
    events = [
        event("test_mode_started", second(0, 5, 10)), event("test_mode_stopped", second(0, 6, 10)),
        event("pulse_overflow", second(1, 9, 59)), event("3.26.93.219", second(1, 12)),
    ]  # fmt: skip
    at = second(2, 7)
    reads = [read(at, 50_000), read(at, 50_000, received=at + 7200)]
    for day, total, parts in ((4, 60_000, (20_000, 40_000)), (5, 62_700, (21_000, 40_700))):
        reads += [read(second(day, 0), total), read(second(day, 0), parts[0], register="peak")]
        reads += [read(second(day, 0), parts[1], register="off")]
    points = [
        {"service_point_id": "sp", "meter_id": "m", "account_id": "a", "interval_s": 3600,
         "channels": ["import", "reactive_import"], "status": status, "valid_from": start * MICROS,
         "received_at": 0}
        for start, status in ((0, "active"), (second(5, 0), "disconnected"))
    ]  # fmt: skip
    kinds = {"IntervalBlock": sent, "DeviceEvent": events, "RegisterRead": reads, "ServicePoint": points}
    return [write(folder / f"{name}.avro", name, records) for name, records in kinds.items()]


def test_each_rule_finds_what_happened(tmp_path: Path) -> None:
    """Rule, channel, day, first hour and both sides of every finding; any order of files ends there."""
    inputs = files(tmp_path)
    run(tmp_path / "lake", *inputs, detect=False)
    local = f"start AT TIME ZONE '{ZONE}'"
    found = rows(
        tmp_path / "lake",
        f"SELECT rule, channel, day({local}) AS day, hour({local}) AS hour, seen, expected FROM findings "
        "WHERE rule NOT IN ('missing', 'read_interval') ORDER BY local_day, channel, start, rule",
    )
    more = "reactive_import"
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("test_mode", "import", 2, 5, "0.25 kWh", "no test mode"),
        ("test_mode", more, 2, 5, "0.41 kvarh", "no test mode"),
        ("pulse_overflow", "import", 3, 9, "0.15 kWh", "no pulses lost"),
        ("reverse_rotation", "import", 3, 12, "0.1 kWh", "rotation forward"),
        ("pulse_overflow", more, 3, 9, "0.21 kvarh", "no pulses lost"),
        ("reverse_rotation", more, 3, 12, "0.2 kvarh", "rotation forward"),
        ("stale_snapshot", "import", 4, 7, "0.25 kWh", "a new register and clock in each read"),
        ("reactive_without_active", more, 4, 7, "0.21 kvarh", "at most 0.1 kvarh"),
        ("sibling_missing", "import", 5, 4, "1 slots that other channels of the meter have",
         "a reading in them too"),
        ("tou_registers", "import", 6, 0, "1.7 kWh", "2.7 kWh"),
        ("reactive_without_active", more, 6, 2, "0.41 kvarh", "at most 0.1 kvarh"),
        ("disconnected_usage", "import", 7, 0, "3 kWh", "at most 0 kWh"),
        ("disconnected_usage", more, 7, 0, "4.92 kvarh", "at most 0 kvarh"),
    ]  # fmt: skip
    failed = rows(
        tmp_path / "lake",
        f"SELECT day({local}), hour({local}), measured::DOUBLE, quality FROM readings "
        "WHERE channel = 'import' AND quality = 'SUBSTITUTED' ORDER BY start",
    )
    assert [tuple(row.values()) for row in failed.to_pylist()] == [
        (2, 5, 0.15, "SUBSTITUTED"), (2, 6, 0.1, "SUBSTITUTED"), (3, 9, 0.15, "SUBSTITUTED"),
        (4, 7, 0.0, "SUBSTITUTED"), (4, 8, 0.25, "SUBSTITUTED"),
    ]  # fmt: skip
    for path in reversed(inputs):
        run(tmp_path / "parts", path, detect=False)
    assert_equal(tmp_path / "lake", tmp_path / "parts")
