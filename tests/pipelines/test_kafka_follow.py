"""Following Kafka: the topics of a cluster end in the tables of one backfill, whatever is killed between."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.store.lake import Lake
from schemas.lake import OFFSETS
from schemas.records import RECORDS, avro_schema
from schemas.writers import WAKE
from tests.pipelines.kafka_broker import Broker, library_broker, real_broker
from tests.pipelines.test_follow_kill import LIMIT, runs, until
from tests.pipelines.towns import ZONE, assert_equal, make_town, records, rows, run, scalar
from tests.transforms.datum_messages import datum

FILES = {
    "IntervalBlock": ["readings-000", "readings-001"],
    "RegisterRead": ["registers"],
    "DeviceEvent": ["events"],
    "ServicePoint": ["service-points"],
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input files of a town with gaps, conflicts, outages, theft and faults."""
    return make_town(tmp_path_factory.mktemp("town"), meters=5, days=25)


@pytest.fixture(scope="module")
def whole(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of one backfill of everything."""
    lake = tmp_path_factory.mktemp("whole") / "lake"
    run(lake, town, tariffs=town / "tariffs")
    return lake


@pytest.fixture(params=["library", "real"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A cluster with empty topics."""
    if request.param == "real":
        yield real_broker()
        return
    with library_broker() as broker:
        yield broker


def messages(town: Path, seed: int) -> list[tuple[str, bytes]]:
    """Every record of the town as (topic, datum), shuffled, some twice, with messages that say nothing."""
    chance = random.Random(seed)
    made = [
        (RECORDS[record].topic, datum(avro_schema(record), row))
        for record, names in FILES.items()
        for name in names
        for row in records(town / f"{name}.avro")
    ]
    made += chance.sample(made, len(made) // 5)
    made += [("readings", WAKE)] * 5
    chance.shuffle(made)
    return made


def send(broker: Broker, some: list[tuple[str, bytes]]) -> None:
    """Append them to their topics, in order."""
    for topic in sorted({topic for topic, _ in some}):
        broker.send(topic, [message for of, message in some if of == topic])


def arguments(broker: Broker, lake: Path, town: Path) -> list[str]:
    """The command that follows until everything is in."""
    options = ["--lake", str(lake), "--timezone", ZONE, "--shards", "3", "--tariffs", str(town / "tariffs")]
    return ["backfill", broker.address, "--follow", *options, "--every", "0.2", "--workers", "1"]


def test_topics_end_in_the_tables_of_one_backfill(
    broker: Broker, town: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In two parts, shuffled, with repeats; a third look finds nothing new; offsets are in the lake."""
    lake = tmp_path / "lake"
    sent = messages(town, 1)
    half = len(sent) // 2
    for part in (sent[:half], sent[half:], []):
        send(broker, part)
        assert main([*arguments(broker, lake, town), "--once"]) == 0
    assert_equal(whole, lake)
    assert "0 messages behind" in capsys.readouterr().err
    assert runs(lake) == 2
    offsets = Lake.open(lake).table(OFFSETS.name).to_pylist()
    count = {topic: sum(of == topic for of, _ in sent) for topic in {topic for topic, _ in sent}}
    for topic, number in count.items():
        mine = [row["next_offset"] for row in offsets if row["topic"] == topic]
        assert (len(mine), sum(mine)) == (broker.partitions, number)


def test_a_poison_message_is_a_dead_letter_with_its_place(
    broker: Broker, town: Path, whole: Path, tmp_path: Path
) -> None:
    """Topic, partition, offset and bytes; its neighbours go on, and it is not read again."""
    lake = tmp_path / "lake"
    send(broker, messages(town, 2))
    before = {"readings": sum(of == "readings" for of, _ in messages(town, 2)) // broker.partitions}
    poison = b'{"meter_id": "m1", "value": 3}'
    broker.send("readings", [poison], partition=broker.partitions - 1)
    for _ in range(2):
        assert main([*arguments(broker, lake, town), "--once"]) == 0
    assert_equal(whole, lake)
    letters = rows(lake, 'SELECT source, "offset", kind, bytes, reason FROM dead_letters').to_pylist()
    assert [(row["source"], row["kind"], row["bytes"]) for row in letters] == [
        (f"readings/{broker.partitions - 1}", "message", poison)
    ]
    assert letters[0]["offset"] == before["readings"]
    assert "expected one IntervalBlock or MeterReading" in letters[0]["reason"]


def test_a_poison_message_stops_where_that_is_asked_for(
    broker: Broker, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and the place of the message; nothing is published."""
    broker.send("registers", [b"junk"], partition=1)
    assert main([*arguments(broker, tmp_path / "lake", town), "--once", "--on-error", "stop"]) == 1
    assert "topic registers, partition 1, offset 0" in capsys.readouterr().err
    assert runs(tmp_path / "lake") == 0


def test_killed_at_any_moment_it_goes_on(broker: Broker, town: Path, whole: Path, tmp_path: Path) -> None:
    """Messages come while followers are killed: nothing is lost, nothing is taken twice."""
    chance = random.Random(3)
    lake = tmp_path / "lake"
    sent = messages(town, 3)
    root = Path(__file__).resolve().parents[2]
    for part in range(3):
        before = runs(lake)
        command = [sys.executable, "-m", "pipelines.cli", *arguments(broker, lake, town)]
        victim = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)
        send(broker, sent[part::3])
        if part == 1:
            until(lambda before=before: runs(lake) > before)  # type: ignore[misc]
        else:
            kept = len(list(lake.rglob("*")))
            until(lambda kept=kept: len(list(lake.rglob("*"))) > kept + 3)  # type: ignore[misc]
        time.sleep(chance.random())
        victim.kill()
        victim.wait(timeout=LIMIT)
    assert main([*arguments(broker, lake, town), "--once"]) == 0
    assert_equal(whole, lake)
    stored = scalar(lake, "SELECT sum(rows) FROM stored.raw_files_rows WHERE kind = 'intervals'")
    assert stored == sum(topic == "readings" and datum != WAKE for topic, datum in sent)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param(["kafka://HOST/meters", "--follow"], 1, ["'meters'", "readings"], id="no-such-topic"),
        pytest.param(["kafka:/HOST", "--follow"], 1, ["kafka://HOST:PORT"], id="no-address"),
        pytest.param(["kafka://HOST"], 2, ["kafka:// address with --follow"], id="no-follow"),
        pytest.param(["kafka://HOST", "in", "--follow"], 2, ["one kafka://"], id="and-files"),
        pytest.param(["in", "--follow", "--schemas", "x"], 2, ["no kafka:// address"], id="schemas-alone"),
        pytest.param(["kafka://HOST", "--follow", "--schemas", "nowhere"], 1, ["no folder"], id="no-schemas"),
    ],
)
def test_wrong_arguments_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], code: int, words: list[str]
) -> None:
    """One clear message each, and no lake."""
    with library_broker() as broker:
        given: list[Any] = [word.replace("HOST", broker.server) for word in change]
        assert main(["backfill", *given, "--lake", str(tmp_path / "lake"), "--timezone", ZONE]) == code
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
    assert not (tmp_path / "lake").exists()


def test_a_cluster_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong port does not wait for ever, and makes no lake."""
    monkeypatch.setattr("pipelines.batch.kafka_reader.ANSWER", 1.0)
    given = ["kafka://127.0.0.1:1", "--follow", "--lake", str(tmp_path / "lake"), "--timezone", ZONE]
    assert main(["backfill", *given]) == 1
    assert "expected: a Kafka cluster that answers" in capsys.readouterr().err
    assert not (tmp_path / "lake").exists()
