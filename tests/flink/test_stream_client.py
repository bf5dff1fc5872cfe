"""The client of a stream killed in mid-stream and started again: same tables, nothing twice, one job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.cluster.fetch import Parts
from pipelines.cluster.flink import FlinkCluster
from pipelines.cluster.kafka import KafkaBroker, embedded_kafka
from tests.flink.town_feed import StreamCommand, TownFeed, until
from tests.pipelines.towns import scalar

Note = Callable[[str], None]
DAYS = 40


@pytest.fixture(name="broker")
def own_broker(parts: Parts, tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker without any topic: a stream reads its topics from their beginning."""
    with embedded_kafka(tmp_path / "kafka", parts) as running:
        yield running


def killed_and_started_again(feed: TownFeed, flink: str, note_time: Note, where: str) -> str:
    """Kill the client between two parts of the feed, start it again, compare, stop; the job it stopped."""
    feed.part(0.5)
    stream = StreamCommand(feed, flink)
    try:
        until(lambda: (feed.lake / "tables" / "days").exists(), "first commit")
        stream.end()
        note_time(f"client of {where}: killed after the first commit")
        feed.part(1.0)
        stream = StreamCommand(feed, flink)
        feed.check()
        note_time(f"client of {where}: started again, equal to the backfill")
        log = feed.folder / "stream.log"
        until(lambda: "lag 0 late" in log.read_text("utf-8"), "a status line that says that all is read")
        summary = stream.stop()
    finally:
        stream.end()
    assert Path(summary["savepoint"].removeprefix("file:")).exists()
    repeated = (
        "SELECT count(*) FROM (FROM days GROUP BY meter_id, channel, local_day, revision HAVING count(*) > 1)"
    )
    assert scalar(feed.lake, repeated.replace("(FROM", "(SELECT 1 FROM")) == 0
    return str(summary["job"])


def test_killed_beside_a_cluster_it_finds_its_job_again(
    broker: KafkaBroker, flink: FlinkCluster, tmp_path: Path, note_time: Note
) -> None:
    """The job goes on without its client; the next client watches and stops that very job."""
    feed = TownFeed(tmp_path, broker.address, days=DAYS)
    job = killed_and_started_again(feed, flink.rest.address, note_time, "a cluster")
    assert flink.rest.state(job) == "CANCELED"
    assert flink.rest.figures(job).restarts == 0


def test_killed_with_its_embedded_cluster_it_goes_on_from_the_last_checkpoint(
    broker: KafkaBroker, tmp_path: Path, note_time: Note
) -> None:
    """The cluster dies with the client; the next one reads on from its newest retained checkpoint."""
    feed = TownFeed(tmp_path, broker.address, days=DAYS)
    killed_and_started_again(feed, "embedded", note_time, "an embedded cluster")
