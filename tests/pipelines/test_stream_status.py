"""What the status line of a stream is reckoned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.cluster.process import free_ports
from pipelines.streaming.kafka_cluster import known_topics, partitions_of, wake
from pipelines.streaming.stream_status import lag_of, silent_partitions
from schemas.writers import WAKE
from tests.pipelines.kafka_broker import Broker, library_broker
from transforms.datums import decode_datums


@pytest.fixture
def broker() -> Iterator[Broker]:
    """The broker of the client library."""
    with library_broker() as running:
        yield running


def test_lag_is_what_lies_behind_the_last_offset_decoded() -> None:
    """A partition without anything new counts nothing; before the first message all counts."""
    there = {("readings", 0): (0, 10), ("readings", 1): (5, 9), ("events", 0): (0, 3)}
    assert lag_of(there, {}) == 10 + 4 + 3
    assert lag_of(there, {"readings-0": 6, "events-0": 2}) == 3
    assert lag_of(there, {"readings-0": 9, "readings-1": 8, "events-0": 2}) == 0


def test_a_partition_that_holds_nothing_is_silent() -> None:
    """Never written to, or all expired; of the topic that moves the watermark, where another holds some."""
    there = {("readings", 0): (0, 10), ("readings", 1): (0, 0), ("readings", 2): (7, 7)}
    there["events", 0] = (0, 0)
    assert silent_partitions(there) == {("readings", 1), ("readings", 2)}
    assert silent_partitions({("readings", 0): (0, 0), ("events", 0): (0, 4)}) == set()


def test_a_woken_partition_holds_a_message_that_means_nothing(broker: Broker) -> None:
    """It is no record and no dead letter, to a stream and to a backfill that follows the topic."""
    broker.send("readings", [b"a"])
    topics = known_topics(broker.server, {})
    silent = silent_partitions(partitions_of(broker.server, {}, topics))
    assert silent
    wake(broker.server, {}, silent)
    there = partitions_of(broker.server, {}, topics)
    assert {there[place] for place in silent} == {(0, 1)}
    assert silent_partitions(there) == set()
    decoded = decode_datums("readings", [WAKE], timezone="Europe/Zurich", address=lambda place: ("k", place))
    assert (decoded.tables, decoded.letters.num_rows, decoded.undecodable) == ({}, 0, 0)
    beside = decode_datums(
        "readings", [WAKE, b"a", WAKE], timezone="Europe/Zurich", address=lambda place: ("k", place)
    )
    assert beside.letters["row"].to_pylist() == [1]


def test_partitions_say_what_they_hold(broker: Broker) -> None:
    """First offset and next offset, asked from a broker."""
    broker.send("readings", [b"a", b"b"])
    topics = known_topics(broker.server, {})
    there = partitions_of(broker.server, {}, topics)
    assert sum(end - first for (topic, _), (first, end) in there.items() if topic == "readings") == 2


def test_a_flink_that_is_not_there_ends_with_1(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message names it, at once; no lake is made."""
    broker.send("readings", [b"a"])
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = ["stream", "--kafka", broker.server, "--flink", address, "--lake", str(tmp_path / "lake")]
    assert main([*command, "--timezone", "Europe/Zurich"]) == 1
    told = capsys.readouterr().err
    assert address in told
    assert "a Flink cluster that is running" in told
    assert not (tmp_path / "lake").exists()
