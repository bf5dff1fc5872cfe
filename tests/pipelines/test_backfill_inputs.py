"""What becomes of input that is damaged, foreign, sent twice or belongs to nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest

from pipelines.cli import main
from schemas.errors import MeterbeamError
from tests.pipelines.towns import ZONE, make_town, run, scalar, write

MIDNIGHT = datetime(2026, 5, 3, 22, tzinfo=UTC)
"""2026-05-04 00:00 in Zurich."""


def block(meter: str, day: int, values: Sequence[float], **fields: Any) -> dict[str, Any]:
    """An hourly block of one local day."""
    start = MIDNIGHT + timedelta(days=day)
    return {"meter_id": meter, "channel": "import", "start": start, "interval_s": 3600, "values": values,
            "unit": "Wh", "received_at": start + timedelta(hours=25), **fields}  # fmt: skip


def point(meter: str, **fields: Any) -> dict[str, Any]:
    """A customer's service point since 2020."""
    return {"service_point_id": f"SP-{meter}", "meter_id": meter, "account_id": f"A-{meter}",
            "tariff_id": "home-tou", "interval_s": 3600, "channels": ["import"],
            "valid_from": datetime(2020, 1, 1, tzinfo=UTC), **fields}  # fmt: skip


def blocks(meter: str, days: int = 40) -> list[dict[str, Any]]:
    """Complete days of a load that varies by hour and day."""
    return [
        block(meter, day, [300 + (hour * 37 + day * 11) % 90 for hour in range(24)]) for day in range(days)
    ]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file of 40 blocks in several container blocks."""
    return write(tmp_path / "in" / "good.avro", "IntervalBlock", blocks("m1"))


def damaged(good: Path, name: str) -> Path:
    """The same file with a byte of a sync marker in its middle changed."""
    data = bytearray(good.read_bytes())
    sync = bytes(data[-16:])
    at = data.index(sync, data.index(sync) + 16)
    data[at + 3] ^= 0xFF
    path = good.with_name(name)
    path.write_bytes(data)
    return path


def truncated(good: Path, name: str) -> Path:
    """The first two thirds of the file."""
    path = good.with_name(name)
    path.write_bytes(good.read_bytes()[: good.stat().st_size * 2 // 3])
    return path


def not_avro(good: Path, name: str) -> Path:
    """A text file that calls itself Avro."""
    path = good.with_name(name)
    path.write_text("meter,value\nm1,3\n")
    return path


def foreign(good: Path, name: str) -> Path:
    """An Avro file of a record nobody knows."""
    schema = {"type": "record", "name": "Stranger", "fields": [{"name": "x", "type": "long"}]}
    path = good.with_name(name)
    with path.open("wb") as file:
        fastavro.writer(file, schema, [{"x": 1}])
    return path


KINDS = [
    pytest.param(damaged, "sync marker", id="corrupt block"),
    pytest.param(truncated, "byte", id="truncated"),
    pytest.param(not_avro, "Avro", id="not Avro"),
    pytest.param(foreign, "Stranger", id="unknown schema"),
]


@pytest.mark.parametrize(("make", "word"), KINDS)
def test_damage_stops_the_run_and_publishes_nothing(good: Path, tmp_path: Path, make: Any, word: str) -> None:
    """Without --on-error dead-letter: exit 1, the file named, and no run in the lake."""
    bad = make(good, "bad.avro")
    with pytest.raises(MeterbeamError, match="bad.avro") as error:
        run(tmp_path / "lake", good, bad)
    assert word.lower() in str(error.value).lower()
    assert scalar(tmp_path / "lake", "SELECT count(*) FROM runs") == 0
    assert scalar(tmp_path / "lake", "SELECT count(*) FROM raw") == 0


@pytest.mark.parametrize(("make", "word"), KINDS)
def test_damage_is_kept_as_dead_letters(good: Path, tmp_path: Path, make: Any, word: str) -> None:
    """With it: the good file goes through, the bad one leaves a letter with its place and reason."""
    bad = make(good, "bad.avro")
    done = run(tmp_path / "lake", good, bad, on_error="dead-letter")
    assert done["new"] == 40 * 24
    assert done["dead_letters"] >= 1
    source, reason = (
        scalar(tmp_path / "lake", f"SELECT {column} FROM dead_letters LIMIT 1")
        for column in ("source", "reason")
    )
    assert source.endswith("bad.avro")
    assert word.lower() in reason.lower()


def test_a_corrupt_block_alone_is_lost(good: Path, tmp_path: Path) -> None:
    """The other blocks of the damaged file are read; the account still adds up."""
    alone = damaged(good, "bad.avro")
    done = run(tmp_path / "lake", alone, on_error="dead-letter")
    assert 0 < done["new"] < 40 * 24
    assert done["readings_in"] == done["new"] + done["exact_repeats"] + done["dead"]
    assert done["undecodable_rows"] > 0


def test_the_same_file_twice_under_two_names(good: Path, tmp_path: Path) -> None:
    """A duplicate file, in one run or a later one, is counted as exact repeats and changes nothing."""
    copy = good.with_name("copy.avro")
    copy.write_bytes(good.read_bytes())
    done = run(tmp_path / "lake", good, copy)
    assert (done["readings_in"], done["new"], done["exact_repeats"]) == (1920, 960, 960)
    again = run(tmp_path / "lake", copy)
    assert (again["new"], again["exact_repeats"], again["days_written"]) == (0, 960, 0)


def test_an_unknown_meter_is_stored_and_named(good: Path, tmp_path: Path) -> None:
    """No service point: raw as ever, no rows, one finding a day; master data brings the rows."""
    lake = tmp_path / "lake"
    other = write(tmp_path / "in" / "points.avro", "ServicePoint", [point("m2")])
    done = run(lake, good, other)
    assert done["new"] == 960
    assert scalar(lake, "SELECT count(*) FROM raw") == 960
    assert scalar(lake, "SELECT count(*) FROM readings") == 0
    assert scalar(lake, "SELECT count(*) FROM findings WHERE rule = 'no_service_point'") == 40
    assert (
        scalar(lake, "SELECT count(*) FROM findings WHERE rule = 'never_reported' AND meter_id = 'm2'") == 1
    )
    run(lake, write(tmp_path / "in" / "late.avro", "ServicePoint", [point("m1")]))
    assert scalar(lake, "SELECT count(*) FROM readings") == 960
    assert scalar(lake, "SELECT count(*) FROM findings WHERE rule = 'no_service_point'") == 0


def test_a_service_point_without_a_tariff(good: Path, tmp_path: Path) -> None:
    """It is validated and estimated, gets no bill, and one finding says why."""
    town = make_town(tmp_path / "town", meters=1, days=3)
    points = write(tmp_path / "in" / "p.avro", "ServicePoint", [point("m1", tariff_id=None)])
    lake = tmp_path / "lake"
    done = run(lake, good, points, tariffs=town / "tariffs")
    assert done["bills_written"] == 0
    assert scalar(lake, "SELECT count(*) FROM readings") == 960
    assert scalar(lake, "SELECT count(*) FROM findings WHERE rule = 'no_tariff'") == 1


def test_a_bad_row_inside_a_good_block(tmp_path: Path) -> None:
    """A row with an unknown channel goes to dead letters, the rows beside it go on."""
    rows = [*blocks("m1", 5), {**block("m1", 5, [1] * 24), "channel": "warp"}]
    done = run(tmp_path / "lake", write(tmp_path / "r.avro", "IntervalBlock", rows))
    assert (done["readings_in"], done["new"], done["dead"], done["dead_letters"]) == (144, 120, 24, 1)
    assert "warp" in scalar(tmp_path / "lake", "SELECT reason FROM dead_letters")


def test_the_later_reading_holds_and_both_are_kept(tmp_path: Path) -> None:
    """Two values for one slot: the one received last holds, the slot is flagged, raw keeps both."""
    first = blocks("m1", 5)
    late = block("m1", 2, [999], start=MIDNIGHT + timedelta(days=2, hours=3))
    late["received_at"] = MIDNIGHT + timedelta(days=30)
    done = run(
        tmp_path / "lake",
        write(tmp_path / "r.avro", "IntervalBlock", [late, *first]),
        through=date(2026, 5, 8),
    )
    assert done["superseded"] == 1
    lake = tmp_path / "lake"
    assert scalar(lake, "SELECT value FROM readings WHERE flags LIKE '%conflict%'") * 1000 == 999
    assert scalar(lake, "SELECT count(*) FROM raw") == 121


def test_the_account_of_every_run_adds_up(tmp_path: Path) -> None:
    """Readings in = new + exact repeats + dead letters; raw = current + superseded."""
    town = make_town(tmp_path / "town", days=21)
    done = run(tmp_path / "lake", town, tariffs=town / "tariffs")
    assert done["readings_in"] == done["new"] + done["exact_repeats"] + done["dead"]
    raw = scalar(tmp_path / "lake", "SELECT count(*) FROM raw")
    slots = scalar(tmp_path / "lake", "SELECT count(DISTINCT (meter_id, channel, start)) FROM raw")
    assert raw == done["new"]
    assert raw - slots == done["superseded"]


def test_wrong_arguments_say_what_is_wrong(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit codes 1 and 2, with both sides named."""
    assert (
        main(["backfill", str(tmp_path / "nothing"), "--lake", str(tmp_path / "l"), "--timezone", ZONE]) == 1
    )
    assert "nothing" in capsys.readouterr().err
    assert not (tmp_path / "l").exists()
    assert main(["backfill", str(good), "--lake", str(tmp_path / "l")]) == 1
    assert "--timezone" in capsys.readouterr().err
    assert main(["backfill", str(good), "--lake", str(tmp_path / "l"), "--on-error", "hope"]) == 2


def test_rule_packs_by_name_and_file(good: Path, tmp_path: Path) -> None:
    """An unknown pack is an error that lists the known ones."""
    with pytest.raises(MeterbeamError, match="default"):
        run(tmp_path / "lake", good, rules="wild")
