"""Faults of registers, pairs and master data in a lake: found, and the same in any order and cut."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.batch.detect_run import detect_lake
from tests.pipelines.stream_messages import Sent, disorder, stream
from tests.pipelines.towns import ZONE, run, tables, write

FIRST, DAYS, METERS = date(2026, 3, 2), 35, 7
LAST = FIRST + timedelta(days=DAYS - 1)
START = datetime(2026, 3, 1, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
SLOTS = 24 * DAYS - 1
"""The clock change of March 29 takes an hour."""
STOPPED, CROSSED, OTHER, COPY, EXPORTS, CLOSED, WEAK = (f"M{number}" for number in range(METERS))
RECORDS = ("IntervalBlock", "RegisterRead", "DeviceEvent", "ServicePoint")


def load(number: int) -> list[int]:
    """Hourly use of one home in Wh, with a profile and noise of its own."""
    chance = random.Random(number)
    high = {7, 19 + number % 3}
    return [
        100 + 200 * (number + 1) ** 2 * (hour % 24 in high) + chance.randrange(50) for hour in range(SLOTS)
    ]


def block(meter: str, channel: str, first: int, values: list[int]) -> Sent:
    start = START + first * HOUR
    received = start + (len(values) + 1) * HOUR
    return "IntervalBlock", {
        "meter_id": meter, "channel": channel, "start": start, "interval_s": 3600, "values": values,
        "unit": "Wh", "scaler": 0, "quality": [], "received_at": received, "source": None, "sequence": None,
    }  # fmt: skip


def town() -> list[Sent]:
    """A home of each fault; registers read every seven days."""
    loads = {f"M{number}": load(number) for number in range(METERS)}
    loads[COPY][24 * 20 : 24 * 25] = loads[STOPPED][24 * 20 : 24 * 25]
    sent: list[Sent] = []
    for meter, values in loads.items():
        sent += [block(meter, "import", at, values[at : at + 48]) for at in range(0, SLOTS, 48)]
        reader = {CROSSED: OTHER, OTHER: CROSSED}.get(meter, meter)
        for read in range(0, 28, 7):
            shown = sum(loads[reader][: 24 * (min(read, 14) if meter == STOPPED else read)])
            sent.append(("RegisterRead", register(meter, START + 24 * read * HOUR, shown)))
        sent.append(("ServicePoint", point(meter)))
    sent += [block(EXPORTS, "export", 24 * day, [0] * 11 + [800] * 3 + [0] * 10) for day in range(10, 20)]
    low = {"meter_id": WEAK, "event_type": "low_battery", "value": None, "detail": None, "source": None}
    at = START + 24 * 9 * HOUR
    sent.append(("DeviceEvent", {**low, "occurred_at": at, "received_at": at, "sequence": None}))
    closed = point(CLOSED) | {"valid_from": START + 24 * 21 * HOUR, "status": "closed"}
    return [*sent, ("ServicePoint", closed | {"received_at": START + 24 * 21 * HOUR})]


def register(meter: str, at: datetime, shown: int) -> dict[str, Any]:
    return {
        "meter_id": meter, "channel": "import", "read_at": at, "value": shown, "unit": "Wh", "scaler": 0,
        "dials": None, "tou_register": None, "quality": 0, "received_at": at, "source": None,
        "sequence": None,
    }  # fmt: skip


def point(meter: str) -> dict[str, Any]:
    return {
        "service_point_id": f"SP-{meter}", "meter_id": meter, "account_id": f"A-{meter}", "role": "customer",
        "commodity": "electricity", "tariff_id": None, "bill_cycle_day": 1, "interval_s": 3600,
        "channels": ["import"], "multiplier": 1.0, "dials": None, "capacity_kw": None, "phases": None,
        "feeder_id": None, "transformer_id": None, "customer_class": None, "status": "active",
        "valid_from": START - 720 * HOUR, "valid_to": None, "received_at": START - 720 * HOUR,
        "sequence": None, "source": None,
    }  # fmt: skip


def files(folder: Path, sent: list[Sent], parts: int = 1) -> list[Path]:
    """The records as Avro files of their kinds, each kind dealt out to some files."""
    return [
        write(folder / f"{kind}-{part}.avro", kind, [row for name, row in sent if name == kind][part::parts])
        for kind in RECORDS
        for part in range(parts)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of one backfill."""
    folder = tmp_path_factory.mktemp("faults")
    run(folder / "lake", *files(folder / "in", town()), through=LAST)
    return folder / "lake"


def faults(lake: Path) -> list[tuple[Any, ...]]:
    return tables(lake)["faults"]


def test_each_fault_of_the_town_is_in_the_lake(whole: Path) -> None:
    """Named on its meter with the day it began."""
    found = {(row[0], row[1]): row[2] for row in faults(whole)}
    day = {number: FIRST + timedelta(days=number) for number in (0, 9, 10, 14, 20, 21)}
    wanted = {
        (STOPPED, "register_stopped"): day[14], (CROSSED, "crossed_meters"): day[0],
        (OTHER, "crossed_meters"): day[0], (COPY, "duplicate"): day[20],
        (EXPORTS, "export_without_generation"): day[10], (CLOSED, "use_without_contract"): day[21],
        (WEAK, "battery"): day[9],
    }  # fmt: skip
    assert {key: found.get(key) for key in wanted} == wanted


def test_shuffled_in_several_runs_with_two_workers(whole: Path, tmp_path: Path) -> None:
    """Records shuffled, a third of them sent twice, in three runs over other shards: equal faults."""
    chance = random.Random(4)
    sent = town()
    sent += chance.sample(sent, len(sent) // 3)
    chance.shuffle(sent)
    paths = files(tmp_path / "in", sent, parts=3)
    chance.shuffle(paths)
    for first in range(0, len(paths), 4):
        run(
            tmp_path / "lake",
            *paths[first : first + 4],
            through=LAST,
            shards=5,
            workers=2 if not first else 0,
        )
    assert faults(tmp_path / "lake") == faults(whole)


def test_a_stream_in_disorder_ends_in_the_same_faults(whole: Path, tmp_path: Path) -> None:
    """The same records through the stream, then a detect run beside it."""
    fed = disorder(town(), random.Random(7), LAST, 8)
    stream(tmp_path / "lake", fed, shards=3, timezone=ZONE)
    detect_lake(tmp_path / "lake")
    assert faults(tmp_path / "lake") == faults(whole)
