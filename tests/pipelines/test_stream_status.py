"""What the status line of a stream is reckoned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.cluster.process import free_ports
from pipelines.streaming.kafka_cluster import known_topics, partitions_of
from pipelines.streaming.stream_status import lag_of, silent_partitions
from tests.pipelines.kafka_broker import Broker, library_broker


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


def test_a_partition_that_never_had_a_message_is_named() -> None:
    """Only of the topic that moves the watermark, and only where another partition of it has some."""
    there = {("readings", 0): (0, 10), ("readings", 1): (0, 0), ("events", 0): (0, 0)}
    assert silent_partitions(there) == {"partition 1 of readings"}
    assert silent_partitions({("readings", 0): (0, 0), ("events", 0): (0, 4)}) == set()


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
