"""Numbers and dates at the edge: kept aside with a reason or stored with a finding, never a wrong sum."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest

from pipelines.cli import main
from schemas.records import avro_schema
from tests.pipelines.test_backfill_inputs import MIDNIGHT, block, blocks, point
from tests.pipelines.towns import assert_equal, make_town, run, scalar, write

MOST_WH = 10**10
"""The most a slot holds: 10 GWh."""


def lake_of(folder: Path, rows: list[dict[str, Any]], *points: dict[str, Any], **options: Any) -> Path:
    """A lake of some blocks and service points."""
    files = [write(folder / "in" / "blocks.avro", "IntervalBlock", rows)]
    if points:
        files.append(write(folder / "in" / "points.avro", "ServicePoint", list(points)))
    run(folder / "lake", *files, on_error="dead-letter", **options)
    return folder / "lake"


def dead_reason(lake: Path) -> Any:
    """The one dead letter's reason."""
    assert scalar(lake, "SELECT count(*) FROM dead_letters") == 1
    return scalar(lake, "SELECT reason FROM dead_letters")


def test_the_largest_slots_sum_exactly(tmp_path: Path) -> None:
    """Forty days of the largest value a slot takes: totals are exact decimals, nothing wraps."""
    lake = lake_of(tmp_path, [block("m", day, [MOST_WH] * 24) for day in range(40)])
    assert scalar(lake, "SELECT count(*) FROM dead_letters") == 0
    assert scalar(lake, "SELECT sum(total) FROM days") == Decimal(MOST_WH) * 24 * 40 / 1000
    assert scalar(lake, "SELECT sum(value) FROM readings") == Decimal(MOST_WH) * 24 * 40 / 1000


def test_a_slot_beyond_is_a_dead_letter(tmp_path: Path) -> None:
    """One watt hour more than a slot holds: the block is kept aside, its meter's other days go on."""
    rows = blocks("m", 3)
    rows[1]["values"][5] = MOST_WH + 1
    lake = lake_of(tmp_path, rows)
    assert dead_reason(lake) == "a value beyond what micro-units can hold"
    assert scalar(lake, "SELECT count(*) FROM raw") == 48


def test_a_multiplier_that_carries_values_beyond(tmp_path: Path) -> None:
    """The reading stays in raw, has no result and a finding; the meter's other slots are as ever."""
    rows = blocks("m", 6)
    rows[2]["values"][5] = MOST_WH // 10
    lake = lake_of(tmp_path, rows, point("m", multiplier=1000.0))
    assert scalar(lake, "SELECT count(*) FROM raw") == 6 * 24
    found = "SELECT {} FROM findings WHERE rule = 'beyond_limit'"
    assert scalar(lake, found.format("count(*)")) == 1
    assert scalar(lake, found.format('"end" - start')) == timedelta(hours=1)
    start = MIDNIGHT + timedelta(days=2, hours=5)
    slot = f"SELECT {{}} FROM readings WHERE start = '{start.isoformat()}'"
    assert scalar(lake, slot.format("measured")) is None
    assert scalar(lake, slot.format("quality")) == "ESTIMATED"
    assert scalar(lake, "SELECT count(*) FROM readings WHERE measured IS NULL") == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"multiplier": 0.0}, "multiplier is not between 1e-09 and 1e+09", id="multiplier-0"),
        pytest.param({"multiplier": -2.0}, "multiplier is not between", id="multiplier-negative"),
        pytest.param({"multiplier": 1e300}, "multiplier is not between", id="multiplier-huge"),
        pytest.param({"multiplier": float("nan")}, "multiplier is not a number", id="multiplier-nan"),
        pytest.param({"interval_s": 700}, "interval_s 700 does not divide a day of 86400 s", id="interval"),
        pytest.param({"interval_s": -900}, "interval_s -900 does not divide", id="interval-negative"),
        pytest.param({"dials": -1}, "dials is not between 0 and 18", id="dials-negative"),
        pytest.param({"dials": 19}, "dials is not between 0 and 18", id="dials-many"),
        pytest.param({"capacity_kw": float("nan")}, "capacity_kw is not between 0 and 1e+09", id="nan"),
        pytest.param({"capacity_kw": float("inf")}, "capacity_kw is not between", id="infinite"),
        pytest.param({"capacity_kw": -1.0}, "capacity_kw is not between", id="capacity-negative"),
        pytest.param({"bill_cycle_day": 0}, "bill_cycle_day is not between 1 and 31", id="cycle-day"),
        pytest.param({"service_point_id": ""}, "service_point_id is empty", id="no-id"),
    ],
)
def test_service_points_that_cannot_be(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    """Each is a dead letter that says why; the meter with a sound one goes on."""
    lake = lake_of(tmp_path, blocks("m", 3) + blocks("n", 3), point("m") | fields, point("n"))
    assert dead_reason(lake).startswith(reason)
    assert scalar(lake, "SELECT count(*) FROM readings WHERE meter_id = 'n'") == 72


def test_zero_with_the_largest_scaler(tmp_path: Path) -> None:
    """Nothing times 10^20 is nothing, in a block and in a register."""
    rows = [block("m", day, [0] * 24, scaler=20) for day in range(3)]
    reads = [
        {"meter_id": "m", "channel": "import", "read_at": MIDNIGHT + timedelta(days=day), "value": 0,
         "unit": "Wh", "scaler": 20, "dials": 6, "received_at": MIDNIGHT + timedelta(days=4)}
        for day in range(3)
    ]  # fmt: skip
    files = [
        write(tmp_path / "in" / "b.avro", "IntervalBlock", rows),
        write(tmp_path / "in" / "r.avro", "RegisterRead", reads),
        write(tmp_path / "in" / "p.avro", "ServicePoint", [point("m")]),
    ]
    run(tmp_path / "lake", *files)
    assert scalar(tmp_path / "lake", "SELECT sum(total) FROM days") == 0


def test_service_points_older_than_the_epoch(tmp_path: Path) -> None:
    """Valid from 1900 to 9999: in force like any other."""
    old = {"valid_from": datetime(1900, 1, 1, tzinfo=UTC), "valid_to": datetime(9999, 12, 31, tzinfo=UTC)}
    lake = lake_of(tmp_path, blocks("m", 3), point("m", **old))
    assert scalar(lake, "SELECT count(*) FROM readings") == 72
    assert scalar(lake, "SELECT count(*) FROM findings WHERE rule = 'no_service_point'") == 0


def test_a_reading_of_the_far_future_closes_no_days(tmp_path: Path) -> None:
    """Without received_at and a hundred years ahead: stored, and the fleet's days stay as they were."""
    far = block("n", 36_500, [1] * 24)
    rows = blocks("m", 3)
    for row in (*rows, far):
        row["received_at"] = None
    lake = lake_of(tmp_path, [*rows, far])
    assert scalar(lake, "SELECT count(*) FROM raw") == 96
    assert scalar(lake, "SELECT max(local_day) FROM days").isoformat() == "2026-05-06"


def test_leading_gaps_are_no_readings(tmp_path: Path) -> None:
    """A block of two days whose first day is all null begins on the second."""
    schema = avro_schema("IntervalBlock")
    for field in schema["fields"]:
        if field["name"] == "values":
            field["type"] = {"type": "array", "items": "double"}
    row = block("m", 0, [float("nan")] * 24 + list(range(1, 25)) + [7] * 24)
    row["received_at"] += timedelta(days=2)
    path = tmp_path / "blocks.avro"
    with path.open("wb") as file:
        fastavro.writer(file, schema, [row])
    lake = tmp_path / "lake"
    run(lake, path)
    assert scalar(lake, "SELECT min(local_day) FROM days").isoformat() == "2026-05-05"


def test_a_run_without_tariffs_prices_by_the_last_ones(tmp_path: Path) -> None:
    """The tariff files stay with the lake: late readings in a run that names none are priced alike."""
    town = make_town(tmp_path / "town", meters=4, days=40)
    files = sorted(town.rglob("*.avro"))
    first, late = files[:-1], files[-1:]
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, *files, tariffs=town / "tariffs")
    run(two, *first, tariffs=town / "tariffs")
    run(two, *late)
    for table in ("determinants", "bills WHERE status = 'active'"):
        assert (
            scalar(one, f"SELECT count(*) FROM {table}") == scalar(two, f"SELECT count(*) FROM {table}") > 0
        )


def test_a_corrected_account_takes_the_bills_along(tmp_path: Path) -> None:
    """The same service point and moment with another account: the old account's bills are reversed."""
    town = make_town(tmp_path / "town", meters=2, days=5)
    rows = blocks("m", 70)
    lake = lake_of(tmp_path, rows, point("m", received_at=MIDNIGHT), tariffs=town / "tariffs")
    active = "SELECT {} FROM bills WHERE status = 'active'"
    assert scalar(lake, active.format("any_value(account_id)")) == "A-m"
    corrected = point("m", account_id="A-new", received_at=MIDNIGHT + timedelta(days=1))
    run(lake, write(tmp_path / "in" / "again.avro", "ServicePoint", [corrected]))
    assert scalar(lake, active.format("count(*)")) > 0
    assert scalar(lake, active.format("count(DISTINCT account_id)")) == 1
    assert scalar(lake, active.format("any_value(account_id)")) == "A-new"


def test_runs_without_rules_keep_those_of_the_last_run(tmp_path: Path) -> None:
    """A later run, --dirty and an edit judge by the pack the lake was judged by, through the same day."""
    rows = blocks("m", 12)
    lake = lake_of(tmp_path, rows[:10], rules="california", through=date(2026, 5, 8))
    rules = "SELECT rules FROM runs ORDER BY started DESC LIMIT 1"
    first = scalar(lake, rules)
    assert '"california"' in first
    edit = ["--lake", str(lake), "--meter", "m", "--from", "2026-05-05T10:00Z", "--to", "2026-05-05T11:00Z"]
    signed = ["--user", "ann", "--reason", "site visit"]
    assert main(["edit", "set", *edit, "--value", "0.5", *signed]) == 0
    assert scalar(lake, rules) == first
    assert scalar(lake, "SELECT max(local_day) FROM days") == date(2026, 5, 8)
    run(lake, write(tmp_path / "in" / "later.avro", "IntervalBlock", rows[10:]))
    assert scalar(lake, rules) == first
    assert main(["edit", "set", *edit[:-1], "9999-12-31T00:00Z", "--value", "1", *signed]) == 2


def test_an_earlier_last_day_withdraws_the_later_ones(tmp_path: Path) -> None:
    """--through before the last run's: as if the later days had never closed; and back again."""
    town = make_town(tmp_path / "town", meters=3, days=40)
    short, long, moved = tmp_path / "short", tmp_path / "long", tmp_path / "moved"
    run(short, town, tariffs=town / "tariffs", through=date(2026, 4, 3))
    run(long, town, tariffs=town / "tariffs")
    run(moved, town, tariffs=town / "tariffs")
    run(moved, town, through=date(2026, 4, 3))
    assert_equal(short, moved)
    run(moved, town)
    assert_equal(long, moved)
