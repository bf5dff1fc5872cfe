"""Days of the past stand for days without readings, as input like any other."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from models.calendar import DayGrid, epoch_day
from pipelines.cli import main
from tests.pipelines.towns import ZONE, assert_equal, rows, run, write

DAYS = 440
GRID = DayGrid(ZONE, 3600, epoch_day(date(2025, 1, 6)), DAYS)
MICROS = 1_000_000
GONE = range(391, 432)
"""Days without any reading: too many for those before them to speak of the last ones."""
ASKED = 430
"""12 March 2026, a Thursday; a year before it, index 66."""
POINT = {
    "service_point_id": "SP", "meter_id": "m", "account_id": "A", "interval_s": 3600, "channels": ["import"],
    "multiplier": "20", "valid_from": datetime(2020, 1, 1, tzinfo=UTC),
}  # fmt: skip


def blocks() -> list[dict[str, Any]]:
    """10 Wh and one for each hour of the day on the dial, twice that from day 200 on."""
    found = []
    for day in set(range(DAYS)) - set(GONE):
        hours = [int(wall) // 3600 for wall in GRID.wall[GRID.offsets[day] : GRID.offsets[day + 1]]]
        found.append({
            "meter_id": "m", "channel": "import", "start": int(GRID.day_starts[day]) * MICROS,
            "interval_s": 3600, "values": [(10 + hour) * (1 + (day >= 200)) for hour in hours], "unit": "Wh",
            "scaler": 0, "quality": [], "received_at": (int(GRID.day_starts[day]) + 90_000) * MICROS,
        })  # fmt: skip
    return found


def weather() -> list[dict[str, Any]]:
    """Days of 0 to 364 thousandths of a degree and hundreds more; day 388 alone is like the one asked for."""
    found: list[dict[str, Any]] = []
    for day in range(DAYS):
        degrees = 7.5 if day in (388, ASKED) else -20 + day / 1000
        for hour in range(24):
            start = int(GRID.day_starts[day]) + hour * 3600
            swing = 3.0 if hour % 2 else -3.0
            found.append({"station": "KLO", "start": start * MICROS, "interval_s": 3600,
                          "temperature_c": degrees + swing, "received_at": start * MICROS})  # fmt: skip
    wrong = {**found[24 * 388], "temperature_c": 40.0, "received_at": found[24 * 388]["received_at"] - 1}
    return [*found, wrong]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything but what stands for the days without readings."""
    home = tmp_path_factory.mktemp("reference")
    write(home / "in" / "points.avro", "ServicePoint", [POINT])
    write(home / "in" / "loads.avro", "IntervalBlock", blocks())
    write(home / "in" / "weather.avro", "Weather", weather())
    run(home / "lake", home / "in", detect=False)
    return home / "lake"


def of_day(lake: Path, day: int) -> list[tuple[int, str, str]]:
    """Value [micro], quality and method of a day's slots."""
    found = rows(
        lake,
        "SELECT (value * 1000000)::BIGINT AS value, quality, method FROM readings WHERE "
        f"epoch(start) >= {GRID.day_starts[day]} AND epoch(start) < {GRID.day_starts[day + 1]} "
        "ORDER BY start",
    )
    return [(int(row["value"] or 0), str(row["quality"]), str(row["method"])) for row in found.to_pylist()]


def sheet(path: Path) -> dict[str, str]:
    """The one row of a sheet."""
    with path.open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return row


def command(lake: Path, method: str, out: Path, *more: str) -> None:
    """``meterbeam readings reference`` for the day asked for, unless more says otherwise."""
    day = str(GRID.date(ASKED))
    asked = ["--lake", str(lake), "--from", day, "--to", day, "--out", str(out), "--json", *more]
    assert main(["readings", "reference", method, *asked]) == 0


def test_last_year_stands_in(lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice what was measured a year before, as usage has doubled since; the multiplier is not applied again;
    in one run the same; and the channel has no days, gaps or findings of its own.
    """
    assert {(quality, method) for _, quality, method in of_day(lake, ASKED)} == {("MISSING", "none")}
    out = tmp_path / "more" / "last-year.avro"
    out.parent.mkdir()
    command(lake, "previous_year", out)
    told = json.loads(capsys.readouterr().out)
    assert (told["days"], told["readings"], told["without"]) == (1, 24, {})
    first = out.read_bytes()
    command(lake, "previous_year", out, "--as-of", "1")
    assert out.read_bytes() == first
    home = lake.parent / "in"
    run(tmp_path / "lake", home, detect=False)
    run(tmp_path / "lake", tmp_path / "more", detect=False)
    expected = [(2 * 20_000 * (10 + hour), "ESTIMATED", "previous_year") for hour in range(24)]
    assert of_day(tmp_path / "lake", ASKED) == expected
    of_channel = "SELECT count(*) AS n FROM {} WHERE channel = 'import_previous_year'"
    assert [rows(tmp_path / "lake", of_channel.format(view))["n"][0].as_py() for view in
            ("days", "findings", "gaps", "raw")] == [0, 0, 0, 24]  # fmt: skip
    run(tmp_path / "once", tmp_path / "more", home, detect=False)
    assert_equal(tmp_path / "lake", tmp_path / "once")
    capsys.readouterr()
    at = datetime.fromtimestamp(int(GRID.day_starts[ASKED]) + 7200, UTC).isoformat()
    assert main(["readings", "explain", "--lake", str(tmp_path / "lake"), "--meter", "m", "--at", at]) == 0
    said = capsys.readouterr().out
    assert "estimate by previous_year: 0.48 kWh" in said
    assert "the value of the channel of previous years" in said


def test_the_sheet_says_what_each_day_is_made_of(lake: Path, tmp_path: Path) -> None:
    """Reference day, ratio, and both averages."""
    command(lake, "previous_year", tmp_path / "l.avro")
    row = sheet(tmp_path / "l.csv")
    assert (row["meter_id"], row["channel"], row["local_day"]) == ("m", "import", "2026-03-12")
    assert (row["reference_day"], row["ratio_millionths"]) == ("2025-03-13", "2000000")
    day = 20_000 * (24 * 10 + 276)
    assert (row["sum_now_micro"], row["days_now"]) == (str(2 * 28 * day), "28")
    assert (row["sum_then_micro"], row["days_then"]) == (str(28 * day), "28")


def test_a_day_of_like_temperature_stands_in(lake: Path, tmp_path: Path) -> None:
    """The one day with the same mean, whatever its hours; of two records of an hour the later holds."""
    command(lake, "proxy_day", tmp_path / "p.avro", "--station", "KLO")
    row = sheet(tmp_path / "p.csv")
    assert row["reference_day"] == str(GRID.date(388))
    assert (row["temperature"], row["reference_temperature"]) == ("7.500", "7.500")
    (tmp_path / "more").mkdir()
    (tmp_path / "p.avro").rename(tmp_path / "more" / "p.avro")
    run(tmp_path / "lake", lake.parent / "in", tmp_path / "more", detect=False)
    expected = [(2 * 20_000 * (10 + hour), "ESTIMATED", "proxy_day") for hour in range(24)]
    assert of_day(tmp_path / "lake", ASKED) == expected


def test_days_that_nothing_stands_for_are_counted(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Days without a like temperature; every day, also those that lack nothing."""
    capsys.readouterr()
    command(lake, "proxy_day", tmp_path / "p.avro", "--station", "KLO", "--to", str(GRID.date(431)))
    assert json.loads(capsys.readouterr().out)["without"] == {}
    days = ["--from", str(GRID.date(380)), "--to", str(GRID.date(390))]
    command(lake, "previous_year", tmp_path / "e.avro", *days)
    assert json.loads(capsys.readouterr().out)["days"] == 0
    command(lake, "previous_year", tmp_path / "e.avro", *days, "--every-day")
    assert json.loads(capsys.readouterr().out)["days"] == 11


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(["proxy_day"], "--station", id="no-station"),
        pytest.param(["proxy_day", "--station", "ZRH"], "one of KLO", id="unknown-station"),
        pytest.param(["last_year"], "one of: previous_year, proxy_day", id="unknown-method"),
        pytest.param(["previous_year", "--to", "2024-01-01"], "a day not before", id="days-backward"),
        pytest.param(["previous_year", "--out", "x.csv"], "ends in .avro", id="no-avro"),
    ],
)
def test_wrong_arguments(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], said: str
) -> None:
    """They say what was expected, and nothing is written."""
    day = str(GRID.date(ASKED))
    asked = ["--lake", str(lake), "--from", day, "--to", day, "--out", str(tmp_path / "o.avro")]
    assert main(["readings", "reference", wrong[0], *asked, *wrong[1:]]) != 0
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
