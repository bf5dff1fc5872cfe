"""``meterbeam readings register``: as read, or counted on from the read before, never back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from models.calendar import DayGrid, epoch_day
from pipelines.cli import main
from tests.pipelines.towns import ZONE, run, write

DAYS = 12
GRID = DayGrid(ZONE, 3600, epoch_day(date(2026, 3, 23)), DAYS)
"""Over the clock change of 29 March 2026."""
MICROS = 1_000_000
READ_DAY, EXCHANGED = 2, 10
START = 99_990_000
"""What it shows on the third day at half past midnight, of eight digits. [Wh]"""


def usage(column: int) -> int:
    """Wh of an hour."""
    return 900 + 137 * ((column * column) % 11)


def at(column: int, past: int = 0) -> int:
    """Second of a slot's start and so many more."""
    return int(GRID.starts[column]) + past


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One meter, a gap on the sixth day, exchanged on the eleventh; a meter without reads beside it."""
    folder = tmp_path_factory.mktemp("registers")
    exchange = datetime.fromtimestamp(int(GRID.day_starts[EXCHANGED]), UTC)
    point: dict[str, Any] = {
        "service_point_id": "SP", "meter_id": "m", "account_id": "A", "interval_s": 3600, "dials": 8,
        "channels": ["import"], "valid_from": datetime(2020, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    points = [point, {**point, "multiplier": 2.0, "valid_from": exchange},
              {**point, "service_point_id": "SP2", "meter_id": "n"}]  # fmt: skip
    lost = range(int(GRID.offsets[5]) + 3, int(GRID.offsets[5]) + 5)
    blocks = [
        {"meter_id": meter, "channel": "import", "start": at(column) * MICROS, "interval_s": 3600,
         "values": [usage(column)], "unit": "Wh", "scaler": 0, "quality": [],
         "received_at": (at(column) + 7200) * MICROS}
        for meter in ("m", "n")
        for column in range(GRID.slots)
        if column not in lost
    ]  # fmt: skip
    read = {"meter_id": "m", "channel": "import", "read_at": at(int(GRID.offsets[READ_DAY]), 1800) * MICROS,
            "value": START, "unit": "Wh", "scaler": 0, "received_at": 0}  # fmt: skip
    write(folder / "in" / "points.avro", "ServicePoint", points)
    write(folder / "in" / "reads.avro", "RegisterRead", [read])
    write(folder / "in" / "loads.avro", "IntervalBlock", blocks)
    run(folder / "lake", folder / "in", detect=False)
    return folder / "lake"


def asked(lake: Path, second: int, *more: str, meter: str = "m") -> int:
    """Exit code of the command at a moment."""
    moment = datetime.fromtimestamp(second, UTC).isoformat()
    return main(["readings", "register", "--lake", str(lake), "--meter", meter, "--at", moment, *more])


def test_the_read_itself_is_no_estimate(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At its own moment the register is as read."""
    assert asked(lake, at(int(GRID.offsets[READ_DAY]), 1800), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["value"], found["estimated"]) == (START * 1000, False)


def test_it_is_counted_on_through_estimates_parts_and_its_last_digit(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the first hour, whole days, an estimated gap, a third of the last hour; eight digits wrap."""
    first, last = int(GRID.offsets[READ_DAY]), int(GRID.offsets[8]) + 4
    assert asked(lake, at(last, 1200), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    parts = usage(first) * 1000 - usage(first) * 1000 // 2 + usage(last) * 1000 // 3
    known = [column for column in range(first + 1, last) if column - int(GRID.offsets[5]) not in (3, 4)]
    measured = sum(usage(column) * 1000 for column in known)
    made = found["counted"] - measured - parts
    assert 0 < made < 2 * 2_500_000
    assert (found["made"], found["slots"], found["wrapped"]) == (2, last - first + 1, True)
    assert found["value"] == START * 1000 + found["counted"] - 100_000_000 * 1000
    assert asked(lake, at(last, 1200)) == 0
    told = capsys.readouterr().out
    assert "2 of them not measured" in told
    assert "past the register's last digit" in told


@pytest.mark.parametrize(
    ("day", "meter", "more", "code", "said"),
    [
        pytest.param(1, "m", [], 1, "no sound register read until", id="before the first read"),
        pytest.param(5, "n", [], 1, "no sound register read until", id="never read"),
        pytest.param(11, "m", [], 1, "another meter or multiplier since", id="another multiplier"),
        pytest.param(5, "m", ["--channel", "gas"], 2, "import", id="no such channel"),
        pytest.param(5, "m", ["--as-of", "7"], 1, "7", id="no such run"),
    ],
)
def test_what_cannot_be_counted_on_is_said(
    lake: Path,
    capsys: pytest.CaptureFixture[str],
    day: int,
    meter: str,
    more: list[str],
    code: int,
    said: str,
) -> None:
    """Nothing is guessed: the error says what is lacking."""
    assert asked(lake, at(int(GRID.offsets[day])), *more, meter=meter) == code
    assert said in capsys.readouterr().err
