"""The stream on a real cluster and broker: through kills and a resume it ends where a backfill ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from pipelines.cluster.fetch import Parts
from pipelines.cluster.flink import FlinkCluster
from pipelines.cluster.kafka import KafkaBroker, embedded_kafka
from tests.flink.town_feed import StreamCommand, TownFeed, until
from tests.pipelines.towns import scalar

Note = Callable[[str], None]


@pytest.fixture(name="broker")
def own_broker(parts: Parts, tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker without any topic: a stream reads its topics from their beginning."""
    with embedded_kafka(tmp_path / "kafka", parts) as running:
        yield running


def test_a_month_with_disorder_kills_and_a_resume_ends_in_the_tables_of_its_backfill(
    broker: KafkaBroker, flink: FlinkCluster, tmp_path: Path, note_time: Note
) -> None:
    """TaskManager and Python workers killed, stopped with a savepoint, resumed; bills and raw included."""
    feed = TownFeed(tmp_path, broker.address, days=64)
    feed.part(0.6)
    stream = StreamCommand(feed, flink.rest.address)
    try:
        until(lambda: (feed.lake / "tables" / "days").exists(), "first commit")
        note_time("stream: first commit")
        flink.kill_task_manager()
        feed.part(1.0)
        flink.restart_task_manager()
        feed.check()
        note_time("stream: equal to the backfill after its TaskManager was killed")
        for pid in flink.worker_pids():
            os.kill(pid, signal.SIGKILL)
        feed.send([feed.correction(30), feed.correction(50)])
        feed.check()
        note_time("stream: equal after its Python workers were killed, with late corrections")
        assert scalar(feed.lake, "SELECT count(*) FROM bills WHERE status = 'active'") > 0
        summary = stream.stop()
        note_time("stream: stopped with a savepoint")
        assert Path(summary["savepoint"].removeprefix("file:")).exists()
        feed.send([feed.correction(70), *feed.sent[:50]])
        stream = StreamCommand(feed, flink.rest.address)
        feed.check()
        note_time("stream: resumed and equal again")
        assert "outage" in alerts(broker.address)
        stream.stop()
    finally:
        stream.end()


def alerts(address: str) -> str:
    """All alerts that were sent, as text."""
    client = Consumer({"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"})
    client.subscribe(["alerts"])
    found = [message.value() for message in client.consume(200, timeout=20)]
    client.close()
    return b"\n".join(value for value in found if value is not None).decode()
