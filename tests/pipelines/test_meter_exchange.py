"""Two meters, one service point, one series: a meter exchanged within a day is billed and estimated right."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.calendar import DayGrid, epoch_day
from pipelines.store.lake import Lake
from tests.pipelines.towns import ZONE, assert_equal, rows, run, scalar, write

SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"
GRID = DayGrid(ZONE, 900, epoch_day(date(2026, 2, 1)), 62)
MICROS = 1_000_000
DAY = 38
"""Of the exchange: Wednesday, 11 March."""
NOON = int(GRID.offsets[DAY]) + 42
"""The slot of 10:30."""
LOST = (int(GRID.offsets[DAY]) + 8, int(GRID.offsets[DAY]) + 16)
"""Of the old meter, on its last morning: 02:00 to 04:00."""
SILENT = 40
"""A day that the new meter lost."""


def use(slot: int) -> int:
    """What the home draws in a slot, the same every day, in Wh."""
    return 100 + 10 * (slot - int(GRID.offsets[int(GRID.day_of_slot[slot])]))


def block(meter: str, start: int, values: list[int], unit: str = "Wh", scaler: int = 0) -> dict[str, Any]:
    """Readings as sent."""
    return {
        "meter_id": meter, "channel": "import", "start": start * MICROS, "interval_s": 900, "unit": unit,
        "scaler": scaler, "quality": [], "values": values, "received_at": (start + 86_400 * 2) * MICROS,
    }  # fmt: skip


def point(meter: str, since: int, **fields: Any) -> dict[str, Any]:
    """A version of the one service point."""
    return {
        "service_point_id": "home", "meter_id": meter, "account_id": "anna", "tariff_id": "home-tou",
        "bill_cycle_day": 1, "interval_s": 900, "channels": ["import"], "valid_from": since * MICROS,
        "received_at": since * MICROS, **fields,
    }  # fmt: skip


def read(meter: str, at: int, value: int) -> dict[str, Any]:
    """A register as it stands on the dial, in Wh."""
    return {
        "meter_id": meter, "channel": "import", "read_at": at * MICROS, "value": value, "unit": "Wh",
        "scaler": 0, "received_at": at * MICROS,
    }  # fmt: skip


def days(meter: str, first: int, last: int, lost: tuple[int, int] = (0, 0), part: int = 1) -> list[Any]:
    """Blocks of the slots first … last − 1, each day its own; a meter behind a transformer shows a part."""
    found = []
    for day in range(GRID.days):
        low, high = max(first, int(GRID.offsets[day])), min(last, int(GRID.offsets[day + 1]))
        for a, b in ((low, min(high, lost[0])), (max(low, lost[1]), high)) if lost[1] else ((low, high),):
            if a < b:
                found.append(block(meter, int(GRID.starts[a]), [use(slot) // part for slot in range(a, b)]))
    return found


def sent(folder: Path, moment: int) -> list[Path]:
    """Old meter until a moment, new one behind a transformer (×10) from then on, all reads of both."""
    silent = (int(GRID.offsets[SILENT]), int(GRID.offsets[SILENT + 1]))
    exact = moment == int(GRID.starts[NOON])
    old = days("old", 0, NOON, LOST)
    new = days("new", NOON if exact else NOON + 1, GRID.slots, silent, part=10)
    if not exact:  # the slot of the exchange: each meter saw its own part
        start = int(GRID.starts[NOON])
        old.append(block("old", start, [use(NOON) - 200]))
        new.append(block("new", start, [20]))
    midnight, seen = int(GRID.day_starts[DAY]), sum(use(slot) for slot in range(NOON - 42, NOON))
    seen += 0 if exact else use(NOON) - 200
    reads = [read("old", midnight, 5_000_000), read("old", moment, 5_000_000 + seen + 8)]
    reads += [read("new", moment, 17)]
    return [
        write(folder / "points.avro", "ServicePoint", [
            point("old", GRID.origin), point("new", moment, multiplier=10.0)]),
        write(folder / "old.avro", "IntervalBlock", old),
        write(folder / "new.avro", "IntervalBlock", new),
        write(folder / "reads.avro", "RegisterRead", reads),
    ]  # fmt: skip


@pytest.fixture(scope="module", params=[0, 420], ids=["between slots", "within a slot"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything in one run."""
    folder = tmp_path_factory.mktemp("exchange")
    files = sent(folder, int(GRID.starts[NOON]) + request.param)
    run(folder / "lake", *files, tariffs=SAMPLE)
    return folder / "lake"


def test_each_slot_belongs_to_the_meter_in_force_at_its_start(lake: Path) -> None:
    """On the day of the exchange 42 slots of the old meter or 43, then the new one's: 96, none twice."""
    within = scalar(lake, "SELECT epoch(max(valid_from))::BIGINT FROM service_points") % 900
    day = f"(start AT TIME ZONE '{ZONE}')::DATE = DATE '2026-03-11'"
    found = rows(
        lake,
        "SELECT meter_id, count(*) AS n, min(epoch(start))::BIGINT AS at FROM readings "
        f"WHERE {day} GROUP BY 1",
    ).to_pylist()
    old, new = (next(row for row in found if row["meter_id"] == meter) for meter in ("old", "new"))
    assert (old["n"], new["n"]) == ((43, 53) if within else (42, 54))
    assert new["at"] == int(GRID.starts[NOON + bool(within)])
    assert scalar(lake, "SELECT count(*) - count(DISTINCT start) FROM readings") == 0
    slot = f"SELECT value::VARCHAR FROM readings WHERE epoch(start) = {int(GRID.starts[NOON])}"
    assert float(scalar(lake, slot)) == use(NOON) / 1000


def test_the_removal_read_scales_the_old_meters_estimates(lake: Path) -> None:
    """Lost slots of the last morning sum to 8 Wh more than the home drew, exactly as the register says."""
    low, high = (int(GRID.starts[slot]) for slot in LOST)
    where = f"epoch(start) >= {low} AND epoch(start) < {high} AND meter_id = 'old'"
    total = sum(use(slot) for slot in range(*LOST)) + 8
    assert scalar(lake, f"SELECT (sum(value) * 1000)::BIGINT FROM readings WHERE {where}") == total
    methods = rows(lake, f"SELECT DISTINCT method FROM readings WHERE {where}")["method"].to_pylist()
    assert all(method.endswith("_scaled") for method in methods)


def test_a_lost_day_of_the_new_meter_is_estimated_from_the_old_ones_days(lake: Path) -> None:
    """Only the old meter has like days before it: the estimate is the profile of the home."""
    day = f"(start AT TIME ZONE '{ZONE}')::DATE = DATE '2026-03-13'"
    found = rows(
        lake,
        f"SELECT meter_id, quality, (value * 1000)::BIGINT AS wh FROM readings WHERE {day} ORDER BY start",
    ).to_pylist()
    assert [row["wh"] for row in found] == [use(slot) for slot in range(96)]
    assert {(row["meter_id"], row["quality"]) for row in found} == {("new", "ESTIMATED")}


def test_one_bill_counts_each_slot_once(lake: Path, tmp_path: Path) -> None:
    """March is one bill over both meters, line by line that of a single meter with the same slots."""
    values = rows(lake, "SELECT epoch(start)::BIGINT AS at, (value * 1000000)::BIGINT AS v FROM readings")
    one = [block("only", at, [v], scaler=-3) for at, v in zip(*values.to_pydict().values(), strict=True)]
    files = [
        write(tmp_path / "point.avro", "ServicePoint", [point("only", GRID.origin)]),
        write(tmp_path / "one.avro", "IntervalBlock", one),
    ]
    run(tmp_path / "one", *files, tariffs=SAMPLE)
    bills = "SELECT account_id, period_start, period_end, status, total FROM bills ORDER BY period_start"
    lines = "SELECT bill_id, line, charge, period, quantity, rate, amount FROM bill_lines ORDER BY ALL"
    assert rows(lake, bills).to_pylist() == rows(tmp_path / "one", bills).to_pylist()
    assert [str(b["period_end"]) for b in rows(lake, bills).to_pylist()] == ["2026-02-28", "2026-03-31"]
    assert rows(lake, lines).to_pylist() == rows(tmp_path / "one", lines).to_pylist()
    total = "SELECT sum(quantity) FROM determinants"
    assert scalar(lake, total) == scalar(tmp_path / "one", total)
    assert scalar(lake, total) == scalar(lake, "SELECT sum(value) FROM readings")


def test_runs_in_any_order_end_the_same(lake: Path, tmp_path: Path) -> None:
    """First the new meter, then what was there, then the master data that link them: as in one run."""
    moment = scalar(lake, "SELECT epoch(max(valid_from))::BIGINT FROM service_points")
    points, old, new, reads = sent(tmp_path, moment)
    for inputs in ((new,), (old, reads), (points,)):
        run(tmp_path / "lake", *inputs, tariffs=SAMPLE, shards=5)
    assert_equal(lake, tmp_path / "lake")
    assert not Lake.open(tmp_path / "lake").table("dirty_days").num_rows
