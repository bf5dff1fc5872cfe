"""``meterbeam push kafka``: what changed in the lake since the last push, to topics for consumers.

How far a lake was sent stands in a topic beside the others, ``PREFIXpushed``: it is written when the brokers
have taken everything, so a push that is killed is made again from where the last whole one ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipelines import console
from pipelines.batch.kafka_address import KafkaAddress
from pipelines.downstream.messages import STREAMS, Stream, schema_text
from pipelines.downstream.registry import Registry, parted
from pipelines.store.lake import AsOf, Lake
from pipelines.store.views import connect
from schemas.errors import MeterbeamError

__all__ = ["PREFIX", "KafkaTarget", "push_kafka", "reached"]

PREFIX = "meterbeam."
PUSHED = "pushed"
ANSWER_S = 30.0
FLUSH_S = 300.0


def reached(step: str) -> None:
    """A named moment of a push. Tests stop the process at each one."""


@dataclass(frozen=True)
class KafkaTarget:
    """Where messages go.

    Attributes:
        address: The cluster.
        prefix: Of the topics' names.
        settings: More settings of the client; no message shows them.
        registry: A schema registry; None: the numbers of ``STREAMS``.
    """

    address: KafkaAddress
    prefix: str = PREFIX
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry: Registry | None = None

    @classmethod
    def of(
        cls,
        address: KafkaAddress,
        settings: Mapping[str, str],
        *,
        prefix: str = PREFIX,
        registry: str | None = None,
    ) -> KafkaTarget:
        """A target whose settings are those of one file, the registry's log-in among them.

        Raises:
            MeterbeamError: The registry's settings cannot be used.
        """
        client, found = parted(settings, registry)
        return cls(address, prefix, client, found)

    def client(self, **more: Any) -> dict[str, Any]:
        """Settings of a client."""
        servers = ",".join(self.address.servers)
        return {"log_level": 0, **self.settings, "bootstrap.servers": servers, **more}


def push_kafka(lake_path: Path, target: KafkaTarget, *, as_of: AsOf | None = None) -> dict[str, Any]:
    """Send what changed since the last push; returns the summary.

    Args:
        lake_path: Folder of the lake.
        target: Cluster and topics; topics that are missing are made, compacted.
        as_of: Send the lake as it stood then.

    Raises:
        MeterbeamError: The cluster cannot be used, or holds another lake's results or later ones.
    """
    if target.address.topics:
        raise MeterbeamError(str(target.address), "topics", "kafka://HOST:PORT alone (see --prefix)")
    lake = Lake.open(lake_path, as_of=as_of)
    if not lake.run_no:
        raise MeterbeamError(str(lake_path), "a lake without a run", "one with a backfill in it")
    try:
        with connect(lake) as views:
            return _Push(lake, target, views).run()
    except KafkaException as error:
        raise MeterbeamError(str(target.address), _said(error), "a Kafka cluster that can be used") from error


def _said(error: KafkaException) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)


class _Push:
    def __init__(self, lake: Lake, target: KafkaTarget, views: duckdb.DuckDBPyConnection) -> None:
        self._lake = lake
        self._target = target
        self._views = views
        self._refused: list[str] = []
        self._producer = Producer(
            target.client(
                **{
                    "enable.idempotence": True,
                    "linger.ms": 50,
                    "compression.type": "zstd",
                    "partitioner": "murmur2_random",  # as Java's clients: a key's partition is the same
                }
            )
        )

    def run(self) -> dict[str, Any]:
        """Everything that changed, then how far it goes."""
        self._make_topics()
        lake_id = str(self._lake.runs()["run_id"][0].as_py())
        since = self._pushed(lake_id)
        counts: dict[str, int] = {}
        if since < self._lake.run_no:
            for stream in STREAMS:
                counts[stream.name] = self._send(stream, since)
                reached(stream.name)
            self._flush()
            reached("sent")
            note = json.dumps({"run_no": self._lake.run_no}).encode()
            self._produce(self._target.prefix + PUSHED, lake_id.encode(), note)
            self._flush()
            reached("noted")
        return {
            "since_run": since,
            "through_run": self._lake.run_no,
            "messages": {name: count for name, count in counts.items() if count},
        }

    def _make_topics(self) -> None:
        """Topics that are not there yet, with the cluster's own count of partitions."""
        admin = AdminClient(self._target.client())
        names = [self._target.prefix + name for name in (*(stream.name for stream in STREAMS), PUSHED)]
        there = admin.list_topics(timeout=ANSWER_S).topics
        config = {"cleanup.policy": "compact"}
        new = [
            NewTopic(name, 1 if name.endswith(PUSHED) else -1, -1, config=config)
            for name in names
            if name not in there
        ]
        for made in (admin.create_topics(new) if new else {}).values():
            try:
                made.result(ANSWER_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    def _pushed(self, lake_id: str) -> int:
        """Run up to which this lake was sent."""
        notes = _all_messages(self._target, self._target.prefix + PUSHED)
        if any(key != lake_id for key, _ in notes):
            expected = "topics of this lake alone (--prefix)"
            raise MeterbeamError(str(self._target.address), "results of another lake", expected)
        last = max((int(json.loads(value)["run_no"]) for _, value in notes), default=0)
        if last > self._lake.run_no:
            raise MeterbeamError(
                str(self._target.address),
                f"results up to run {last}",
                f"none after run {self._lake.run_no}, to be sent",
            )
        return last

    def _send(self, stream: Stream, since: int) -> int:
        topic = self._target.prefix + stream.name
        number = stream.number
        if self._target.registry is not None:
            number = self._target.registry.number(topic, schema_text(stream.record))
        count = 0
        with console.progress(f"Push {stream.name}", unit="messages") as advance:
            for key, value in stream.messages(self._views, since, number):
                self._produce(topic, key, value)
                count += 1
                advance(1)
        return count

    def _produce(self, topic: str, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key=key, on_delivery=self._delivered)
            except BufferError:  # full: the brokers take their time
                self._producer.poll(1.0)
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._refused.append(error.str())

    def _flush(self) -> None:
        left = self._producer.flush(FLUSH_S)
        if left or self._refused:
            found = self._refused[0] if self._refused else f"{left} messages not taken"
            raise MeterbeamError(str(self._target.address), found, "brokers that take all messages")


def _all_messages(target: KafkaTarget, topic: str) -> list[tuple[str, bytes]]:
    """Keys and values of a small topic, oldest first in each partition."""
    settings = {"group.id": "meterbeam-push", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(target.client(**settings))
    try:
        parts = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, part, 0) for part in parts])
        found: list[tuple[str, bytes]] = []
        at_end: set[int] = set()
        while len(at_end) < len(parts):
            message = consumer.poll(ANSWER_S)
            if message is None:
                raise MeterbeamError(
                    str(target.address), f"no answer about {topic}", "a cluster that answers"
                )
            error = message.error()
            if error is None:
                found.append(((message.key() or b"").decode(), message.value() or b"{}"))
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end.add(message.partition() or 0)
            else:
                raise KafkaException(error)
        return found
    finally:
        consumer.close()
