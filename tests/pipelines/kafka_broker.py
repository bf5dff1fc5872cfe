"""A Kafka cluster for tests: a real one, or the broker that the client library carries for this purpose.

``METERBEAM_KAFKA=host:port`` names a real one, whose topics of the input contract are made anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.writers import TOPICS
from tests.requirements_gate import gate

__all__ = ["Broker", "library_broker", "real_broker"]


@dataclass
class Broker:
    """A cluster with the topics of the input contract, all empty.

    Attributes:
        server: ``host:port``.
        partitions: Of each topic.
    """

    server: str
    partitions: int

    @property
    def address(self) -> str:
        """What a user would give."""
        return f"kafka://{self.server}"

    def send(self, topic: str, messages: list[bytes], partition: int | None = None) -> None:
        """Append messages, dealt out to the partitions in turn or all to one; they are there then."""
        producer = Producer({"bootstrap.servers": self.server, "linger.ms": 5})
        refused: list[str] = []

        def delivered(error: object, _message: object) -> None:
            if error is not None:
                refused.append(str(error))

        for number, message in enumerate(messages):
            at = number % self.partitions if partition is None else partition
            producer.produce(topic, message, partition=at, on_delivery=delivered)
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not refused, refused[:3]


@contextmanager
def library_broker() -> Iterator[Broker]:
    """The broker of the client library: speaks the protocol on a local port while the client lives."""
    host = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    counts = set()
    for topic in TOPICS:  # asked for, it is made
        found = host.list_topics(topic, timeout=30)
        counts.add(len(found.topics[topic].partitions))
    (server,), (partitions,) = found.brokers.values(), counts
    yield Broker(f"{server.host}:{server.port}", partitions)
    host.flush(1)


def _with_topics(server: str, partitions: int) -> Broker:
    admin = AdminClient({"bootstrap.servers": server})
    for made in admin.create_topics([NewTopic(topic, partitions, 1) for topic in TOPICS]).values():
        made.result(60)
    return Broker(server, partitions)


def real_broker() -> Broker:
    """A real cluster; the test is skipped where none is named."""
    server = os.environ.get("METERBEAM_KAFKA", "")
    how = "start a broker and set METERBEAM_KAFKA=host:port; its topics of the input contract are made anew"
    gate("kafka", bool(server), how)
    admin = AdminClient({"bootstrap.servers": server})
    there = admin.list_topics(timeout=30).topics.keys() & TOPICS
    for gone in (admin.delete_topics(sorted(there)) if there else {}).values():
        gone.result(60)
    for _ in range(100):
        try:
            return _with_topics(server, 3)
        except KafkaException as error:
            if "marked for deletion" not in str(error) and "already exists" not in str(error):
                raise
    raise AssertionError("the topics were not deleted")
