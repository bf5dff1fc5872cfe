"""The law through the whole stream: any disorder of messages ends in the tables of the backfill."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.calendar import day_date, epoch_day, local_midnight
from pipelines.backfill import BackfillOptions, dirty_backfill
from pipelines.batch.detect_run import detect_lake
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.models.ledger_worlds import ZONE, world
from tests.pipelines.stream_messages import Fed, Sent, disorder, message, stream
from tests.pipelines.test_backfill_worlds import RECORD, SAMPLE, as_sent, files
from tests.pipelines.towns import assert_equal, make_town, records, run, scalar, tables, write

FILES = {
    "IntervalBlock": ("readings-000.avro", "readings-001.avro"),
    "RegisterRead": ("registers.avro",),
    "DeviceEvent": ("events.avro",),
    "ServicePoint": ("service-points.avro",),
}
LAST = date(2026, 4, 10)
"""Last day of the town."""
COMMON: dict[str, Any] = {"tariffs": SAMPLE, "timezone": ZONE}


@pytest.mark.parametrize("seed", range(3))
def test_a_world_in_disorder_ends_in_the_tables_of_its_backfill(tmp_path: Path, seed: int) -> None:
    """Small nasty worlds with late corrections and moves, the days of exchanges by the backfill after it."""
    chance = random.Random(seed)
    made = world(chance, days=40, meters=2)
    through = day_date(made.last_day)
    run(tmp_path / "backfill", *files(tmp_path / "in", made.records), detect=False, through=through, **COMMON)
    sent = [(RECORD[kind], as_sent(kind, row)) for kind, row in made.records]
    stream(tmp_path / "stream", disorder(sent, chance, through, 12), shards=3, **COMMON)
    dirty_backfill(BackfillOptions((), tmp_path / "stream", workers=0, detect=False, **COMMON))
    assert_equal(tmp_path / "backfill", tmp_path / "stream")


def test_a_stream_on_the_lake_of_a_backfill_ends_in_the_tables_of_one_backfill(tmp_path: Path) -> None:
    """Half of a world in files, computed up to a day; the rest, late data among it, through the stream."""
    chance = random.Random(7)
    made = world(chance, days=40, meters=2)
    through = day_date(made.last_day)
    whole = files(tmp_path / "in", made.records)
    run(tmp_path / "backfill", *whole, detect=False, through=through, **COMMON)
    records = chance.sample(made.records, len(made.records))
    first, rest = records[: len(records) // 2], records[len(records) // 2 :]
    lake = tmp_path / "stream"
    run(lake, *files(tmp_path / "first", first), detect=False, through=day_date(made.last_day - 9), **COMMON)
    before = scalar(lake, "SELECT count(*) FROM raw")
    sent = [(RECORD[kind], as_sent(kind, row)) for kind, row in rest]
    stream(lake, disorder(sent, chance, through, 6), **COMMON)
    assert before > 0
    assert_equal(tmp_path / "backfill", lake)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input files of a town with gaps, conflicts, outages, theft and faults."""
    return make_town(tmp_path_factory.mktemp("town"), meters=6, days=40)


def everything(town: Path) -> list[Sent]:
    """All records of the town."""
    return [(kind, row) for kind, names in FILES.items() for name in names for row in records(town / name)]


@pytest.fixture(scope="module")
def streamed(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of a stream that was sent the town in disorder, with two messages that are no records."""
    lake = tmp_path_factory.mktemp("streamed") / "lake"
    tariff = (town / "tariffs" / "home-tou.yaml").read_text("utf-8")
    sent = everything(town)
    sent.append(("TariffVersion", {"tariff_id": "home-tou", "version": "1", "yaml": tariff}))
    bad = message("TariffVersion", {"tariff_id": "t", "version": "1", "yaml": "id: 7"}, 79)
    poison = [("readings", 1, 77, b"\x80"), ("events", 0, 78, None), bad]
    fed = disorder(sent, random.Random(5), LAST, 12)
    stream(lake, fed, poison=poison, shards=3, timezone=ZONE, tariffs=town / "tariffs")
    detect_lake(lake)
    return lake


def test_a_town_in_disorder_ends_in_the_tables_of_its_backfill(
    town: Path, streamed: Path, tmp_path: Path
) -> None:
    """Bills, queues and faults included."""
    run(tmp_path / "lake", town, tariffs=town / "tariffs", through=LAST)
    assert_equal(tmp_path / "lake", streamed)
    found = tables(streamed)
    for view in ("bills", "bill_lines", "determinants", "findings", "faults", "gaps"):
        assert found[view], view


def test_a_message_that_is_no_record_is_a_dead_letter_with_its_address(streamed: Path) -> None:
    """Topic, partition and offset; the stream goes on."""
    with connect(Lake.open(streamed)) as connection:
        found = connection.execute('SELECT source, "offset", bytes FROM dead_letters ORDER BY ALL').fetchall()
    tariff = found.pop()
    assert found == [("events/0", 78, b""), ("readings/1", 77, b"\x80")]
    assert tariff[:2] == ("tariffs/0", 79)
    assert b"id: 7" in tariff[2]


def test_late_data_behind_the_horizon_are_left_to_the_backfill(town: Path, tmp_path: Path) -> None:
    """With few hot days some days end in dirty_days; the backfill after the stream makes the tables equal."""
    sent = everything(town)
    sent = [one for one in sent if one[1]["meter_id"] == "M000000" or one[0] == "ServicePoint"]
    in_time = [one for one in sent if one[0] != "IntervalBlock" or one[1]["start"].date() != date(2026, 3, 5)]
    late = [one for one in sent if one not in in_time]
    assert late
    steps = [*disorder(in_time, random.Random(2), LAST, 6).steps]
    end = local_midnight(ZONE, epoch_day(LAST) + 1) + 3600
    steps.append((end, [message(*one, i) for i, one in enumerate(late)]))
    lake = tmp_path / "stream"
    stream(lake, Fed(steps, LAST), shards=2, timezone=ZONE, tariffs=town / "tariffs", hot_days=2)
    assert scalar(lake, "SELECT count(*) FROM dirty_days") > 0
    others = write(tmp_path / "in" / "none.avro", "DeviceEvent", [])
    run(lake, others, tariffs=town / "tariffs", through=LAST, detect=False)
    assert scalar(lake, "SELECT count(*) FROM dirty_days") == 0
    inputs = [
        write(tmp_path / "all" / f"{record}.avro", record, [row for one, row in sent if one == record])
        for record in FILES
    ]
    run(tmp_path / "lake", *inputs, tariffs=town / "tariffs", through=LAST, detect=False)
    assert_equal(tmp_path / "lake", lake)
