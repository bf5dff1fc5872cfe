"""Small, nasty worlds of meter records, as the rows of the raw zone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from models.calendar import day_grid, epoch_day, local_midnight
from schemas.arrow import RAW
from schemas.records import Kind

ZONE = "Europe/Zurich"
MICROS = 1_000_000
FIRST = epoch_day(date(2026, 3, 22))
"""The clock changes on the eighth day."""
CHANNELS = ("import", "export", "voltage_l1")
UNITS = {"voltage_l1": "V", "reactive_import": "varh"}
SAYINGS = (
    "test_mode_on", "test_mode_off", "pulse_overflow",
    "meter_id_mismatch", "reverse_rotation", "clock_changed",
)  # fmt: skip
Record = tuple[Kind, dict[str, Any]]


@dataclass(frozen=True)
class World:
    """Records in no order, and the days they are about.

    Attributes:
        records: Kind and row, without exact repeats.
        last_day: Last epoch day a reading lies on.
        meters: Their ids.
    """

    records: list[Record]
    last_day: int
    meters: tuple[str, ...]


def world(chance: random.Random, *, days: int, meters: int = 2) -> World:
    """A world of its own for each state of ``chance``."""
    names = tuple(f"m{number}" for number in range(meters))
    interval = chance.choice((900, 1800, 3600))
    records: list[Record] = []
    with_master = chance.random() < 0.8
    for name in names:
        channels = ["import", *(c for c in CHANNELS[1:] if chance.random() < 0.25)]
        for channel in channels:
            records += _series(chance, name, channel, interval, days)
        records += _events(chance, name, days)
        records += _edits(chance, name, channels, days)
        if with_master and chance.random() < 0.95:
            records += _service_points(chance, name, names, channels, interval, days)
    for name in names:
        records += _sayings(chance, name, days)
        records += _more_reads(chance, [row for kind, row in records if kind is Kind.REGISTERS], interval)
        if chance.random() < 0.3:
            records += _series(chance, name, "reactive_import", interval, days)
        if chance.random() < 0.3:
            records += _series(chance, name, "import_check", interval, days)
    records += _references(random.Random(repr(records)), names, interval, days)
    return World(_unlike(records), FIRST + days - 1, names)


def tables(records: list[Record]) -> dict[Kind, pa.Table]:
    """Records as raw tables, in their order."""
    rows: dict[Kind, list[dict[str, Any]]] = {}
    for kind, row in records:
        rows.setdefault(kind, []).append(row)
    return {kind: pa.Table.from_pylist(found, schema=RAW[kind]) for kind, found in rows.items()}


def _unlike(records: list[Record]) -> list[Record]:
    return list({repr(record): record for record in records}.values())


def _series(chance: random.Random, meter: str, channel: str, interval: int, days: int) -> list[Record]:
    """Blocks with gaps, conflicts, late corrections and wrong values, and the register beside them."""
    grid = day_grid(ZONE, interval, FIRST, days)
    level = chance.randint(20, 400)
    values = [chance.randint(level // 2, level) for _ in range(grid.slots)]
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(grid.slots)
        values[at] = chance.choice((0, -5, level * 9, level * 40))
    if chance.random() < 0.3:
        at = chance.randrange(grid.slots)
        for slot in range(at, min(at + chance.randint(3, 60), grid.slots)):
            values[slot] = chance.choice((0, level))
    started = chance.choice((0, 0, 1, days // 2))
    found: list[Record] = []
    for day in range(started, days):
        low, high = int(grid.offsets[day]), int(grid.offsets[day + 1])
        if chance.random() < 0.12:
            continue
        if chance.random() < 0.3:
            low, high = sorted(chance.sample(range(low, high + 1), 2))
        received = int(grid.day_starts[day + 1]) * MICROS + chance.randint(0, 10**11)
        found.append(_block(meter, channel, interval, int(grid.starts[low]), values[low:high], received))
        if received % 8 == 0:  # readings that came one by one
            each = [received + place * (received % 1009) for place in range(high - low)]
            found[-1][1]["received_each"] = each
        if chance.random() < 0.15:
            other = [value + chance.choice((0, 0, 1, -1)) for value in values[low:high]]
            quality = [chance.choice((0, 8)) for _ in other] if chance.random() < 0.5 else None
            late = received + chance.choice((0, 1, 10**12))
            found.append(_block(meter, channel, interval, int(grid.starts[low]), other, late, quality))
    if channel != "voltage_l1":
        found += _registers(chance, meter, channel, grid, values)
    return found


def _block(
    meter: str, channel: str, interval: int, start: int, values: list[int], received: int,
    quality: list[int] | None = None,
) -> Record:  # fmt: skip
    return Kind.INTERVALS, {
        "meter_id": meter, "channel": channel, "start": start, "interval_s": interval,
        "unit": UNITS.get(channel, "Wh"), "scaler": 0, "received_at": received,
        "sequence": None, "source": "a", "values_int": values, "values_float": None, "quality": quality,
    }  # fmt: skip


def _references(chance: random.Random, meters: tuple[str, ...], interval: int, days: int) -> list[Record]:
    """What estimates may be made of where nothing is near: days in any year's likeness, some told twice."""
    found: list[Record] = []
    for meter in meters:
        for channel in ("import_previous_year", "import_proxy_day"):
            if chance.random() < 0.7:
                continue
            grid = day_grid(ZONE, interval, FIRST, days)
            for day in sorted(chance.sample(range(days), min(days, 4))):
                low, high = int(grid.offsets[day]), int(grid.offsets[day + 1])
                for _ in range(chance.choice((1, 1, 2))):
                    values = [chance.randint(-1, 300) for _ in range(low, high)]
                    received = int(grid.day_starts[day + 1]) * MICROS + chance.randint(0, 10**12)
                    start = int(grid.starts[low])
                    found.append(_block(meter, channel, interval, start, values, received, [8] * len(values)))
    return found


def _registers(chance: random.Random, meter: str, channel: str, grid: Any, values: list[int]) -> list[Record]:
    style = chance.choice(("none", "daily", "sparse", "off midnight"))
    if style == "none":
        return []
    found: list[Record] = []
    by_day = [value if 7 <= wall // 3600 < 21 else 0 for value, wall in zip(values, grid.wall, strict=True)]
    by_time = chance.random() < 0.4
    for day in range(grid.days + 1):
        if chance.random() < (0.1 if style == "daily" else 0.6):
            continue
        slot = min(
            int(grid.offsets[day]) + (chance.randint(0, 9) if style == "off midnight" else 0), grid.slots
        )
        at = int(grid.day_starts[-1]) if slot == grid.slots else int(grid.starts[slot])
        at += chance.randint(1, grid.interval_s - 1) if style == "off midnight" else 0
        count = 1_000_000 + sum(values[:slot]) + chance.choice((0, 0, 0, 0, 7, -4000))
        received = at * MICROS + chance.randint(0, 10**11)
        row = {
            "meter_id": meter, "channel": channel, "read_at": at * MICROS, "value_int": count,
            "value_float": None, "unit": UNITS.get(channel, "Wh"), "scaler": 0, "dials": 7,
            "tou_register": None, "quality": None, "received_at": received, "sequence": None, "source": "a",
        }  # fmt: skip
        found.append((Kind.REGISTERS, row))
        if chance.random() < 0.1:
            found.append((Kind.REGISTERS, {**row, "value_int": count + 3, "received_at": received + 9}))
        if by_time and chance.random() < 0.9:
            peak = 500_000 + sum(by_day[:slot])
            for name, value in (("peak", peak), ("off", count - peak + chance.choice((0, 0, 0, 9_000)))):
                late = received + chance.choice((0, 10**12))
                told = {"tou_register": name, "value_int": value, "received_at": late}
                found.append((Kind.REGISTERS, {**row, **told}))
    return found


def _events(chance: random.Random, meter: str, days: int) -> list[Record]:
    found: list[Record] = []
    for _ in range(chance.choice((0, 0, 1, 2))):
        down = local_midnight(ZONE, FIRST + chance.randrange(days)) + chance.randint(0, 86_399)
        restored = down + chance.choice((600, 7200, 90_000, 9 * 86_400))
        for text, at in (("3.26.9.185", down), ("3.26.9.216", restored)):
            if chance.random() < 0.9:
                row = {
                    "meter_id": meter, "event_type": text, "occurred_at": at * MICROS, "value": None,
                    "detail": None, "received_at": at * MICROS + 5, "sequence": None, "source": "a",
                }  # fmt: skip
                found.append((Kind.EVENTS, row))
    return found


def _sayings(chance: random.Random, meter: str, days: int) -> list[Record]:
    """Events that speak of the slots they occur in."""
    found: list[Record] = []
    for _ in range(chance.choice((0, 1, 6))):
        at = local_midnight(ZONE, FIRST + chance.randrange(days)) + chance.randint(0, 86_399)
        row = {
            "meter_id": meter, "event_type": chance.choice(SAYINGS), "occurred_at": at * MICROS,
            "value": None, "detail": None, "received_at": at * MICROS + 5, "sequence": None, "source": "a",
        }  # fmt: skip
        found.append((Kind.EVENTS, row))
    return found


def _more_reads(chance: random.Random, reads: list[dict[str, Any]], interval: int) -> list[Record]:
    """Reads that only repeat an earlier one."""
    found: list[Record] = []
    for row in reads:
        if row["tou_register"] is None and chance.random() < 0.1:
            again = row["received_at"] + interval * chance.choice((MICROS, 10 * MICROS, 1))
            found.append((Kind.REGISTERS, {**row, "received_at": again}))
    return found


def _edits(chance: random.Random, meter: str, channels: list[str], days: int) -> list[Record]:
    """Decisions of any kind on any range; some decided anew, some revoked."""
    found: list[Record] = []
    for number in range(chance.choice((0, 0, 1, 3))):
        start = local_midnight(ZONE, FIRST + chance.randrange(days)) + 900 * chance.randrange(96)
        kind = chance.choice(("set", "estimate", "accept", "reject"))
        at = (start + chance.randint(0, 10**6)) * MICROS
        row: dict[str, Any] = {
            "edit_id": f"e{number}-{meter}", "kind": kind, "meter_id": meter,
            "channel": chance.choice(channels), "from": start * MICROS,
            "to": (start + 900 * chance.choice((1, 7, 96, 300))) * MICROS,
            "value": chance.choice(("0.0", "0.25", "-1.5")) if kind == "set" else None,
            "method": chance.choice((None, "linear", "flat", "similar")) if kind == "estimate" else None,
            "user": "u", "reason": "r", "edited_at": at, "received_at": at, "sequence": None, "source": "a",
        }  # fmt: skip
        found.append((Kind.EDITS, row))
        if chance.random() < 0.4:
            later = {"edited_at": at + MICROS, "received_at": at + MICROS}
            changed = chance.choice(({"kind": "revoke"}, {"from": row["from"] - 900 * MICROS}))
            found.append((Kind.EDITS, {**row, **changed, **later}))
    return found


def _service_points(
    chance: random.Random, meter: str, meters: tuple[str, ...], channels: list[str], interval: int, days: int
) -> list[Record]:
    """A service point of the meter, often with a second version: a move, a tariff, a status, an exchange."""
    base: dict[str, Any] = {
        "service_point_id": f"sp-{meter}", "meter_id": meter, "account_id": f"a-{meter}", "role": "customer",
        "commodity": "electricity", "tariff_id": chance.choice(("home-tou", "home-tou", None)),
        "bill_cycle_day": chance.choice((1, 28, 30)), "interval_s": interval, "channels": channels,
        "multiplier": chance.choice(("1", "1", "20", "0.5")), "dials": None,
        "capacity_kw": chance.choice((None, 9.0)), "phases": 1, "feeder_id": None, "transformer_id": None,
        "customer_class": None, "status": "active", "valid_from": 0, "valid_to": None,
        "received_at": 0, "sequence": None, "source": "a",
    }  # fmt: skip
    base = {name: base[name] for name in RAW[Kind.SERVICE_POINTS].names}
    found: list[Record] = [(Kind.SERVICE_POINTS, base)]
    if chance.random() < 0.5:
        day = FIRST + chance.randrange(days)
        moment = local_midnight(ZONE, day) + chance.choice((0, 0, 5 * 3600, 37_620, 86_300))
        change = chance.choice(
            (
                {"account_id": "a-new"},
                {"status": "disconnected"},
                {"tariff_id": None},
                {"multiplier": "2"},
                {"meter_id": chance.choice(meters)},
                {"meter_id": chance.choice(meters), "received_at": chance.choice((0, moment * MICROS))},
                {"meter_id": chance.choice(meters), "multiplier": "3"},
                {"valid_from": 0, "capacity_kw": 5.0},
            )
        )
        row = {**base, "valid_from": moment * MICROS, "received_at": moment * MICROS, **change}
        found.append((Kind.SERVICE_POINTS, row))
    return found
