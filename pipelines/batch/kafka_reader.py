"""Messages of a Kafka cluster from stated offsets on. The one place that knows the client library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.batch.kafka_address import KafkaAddress
from schemas.errors import MeterbeamError
from schemas.writers import TOPICS
from transforms.ingest_messages import MessageBatch

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

__all__ = ["KafkaReader", "KafkaSilentError", "Part", "Span", "Taken"]

Part = tuple[str, int]
"""A topic and the number of a partition."""
Span = tuple[int, int]
"""First offset that a partition still holds, and the one after its last."""
CHUNK = 5_000
GLANCE = 0.2
"""Longest wait for more messages at a time. [s]"""
ANSWER = 15.0
"""Longest wait for an answer of the cluster. [s]"""


class KafkaSilentError(MeterbeamError):
    """The cluster does not answer, or not as it should: worth another try."""


@dataclass
class Taken:
    """What was read of one partition.

    Attributes:
        offsets, payloads: Of each message.
        next_offset: Where to go on: behind the last message, and behind what is no message.
    """

    next_offset: int
    offsets: list[int] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)

    def batch(self, cluster: str, part: Part) -> MessageBatch:
        """The messages as a batch."""
        return MessageBatch(cluster, *part, tuple(self.offsets), tuple(self.payloads))


class KafkaReader:
    """Reads partitions without a group: where to go on is not the cluster's business.

    Args:
        address: The cluster and topics.
        settings: More settings of the client.
    """

    def __init__(self, address: KafkaAddress, settings: Mapping[str, str]) -> None:
        try:
            from confluent_kafka import Consumer, KafkaException
        except ImportError as error:
            raise MeterbeamError(
                str(address), "no package confluent-kafka", "pip install 'meterbeam[kafka]'"
            ) from error
        self._address = address
        fixed = {
            "bootstrap.servers": ",".join(address.servers),
            "group.id": "meterbeam",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
        }
        try:
            self._consumer: Consumer = Consumer({"log_level": 0, **settings, **fixed})
        except (KafkaException, TypeError) as error:
            raise MeterbeamError(
                str(address), f"settings that the client refuses ({_told(error)})", "settings of librdkafka"
            ) from error
        self._at: dict[Part, int] = {}

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from confluent_kafka import KafkaException

        try:
            yield
        except KafkaException as error:
            raise KafkaSilentError(
                str(self._address), _told(error), "a Kafka cluster that answers"
            ) from error

    def cluster(self) -> str:
        """Id of the cluster.

        Raises:
            KafkaSilentError: It does not answer.
        """
        with self._asking():
            return str(self._consumer.list_topics(timeout=ANSWER).cluster_id)

    def parts(self) -> list[Part]:
        """Partitions of the topics to read, in order.

        Raises:
            KafkaSilentError: The cluster does not answer.
            MeterbeamError: It lacks a topic that was named.
        """
        with self._asking():
            there = self._consumer.list_topics(timeout=ANSWER).topics
        for topic in self._address.topics:
            if topic not in there or there[topic].error is not None:
                raise MeterbeamError.unknown(f"{self._address}, topic", topic, sorted(there.keys() & TOPICS))
        topics = self._address.topics or sorted(there.keys() & TOPICS)
        return sorted((topic, number) for topic in topics for number in there[topic].partitions)

    def spans(self, parts: list[Part]) -> dict[Part, Span]:
        """What each partition holds now.

        Raises:
            KafkaSilentError: The cluster does not answer.
        """
        from confluent_kafka import TopicPartition

        with self._asking():
            return {
                part: self._consumer.get_watermark_offsets(TopicPartition(*part), timeout=ANSWER)
                for part in parts
            }

    def read(self, starts: Mapping[Part, int], ends: Mapping[Part, int], most: int) -> dict[Part, Taken]:
        """Messages from ``starts`` up to ``ends``, about ``most`` of them.

        Args:
            starts: Offset to begin at of each partition.
            ends: Offset before which to stop, of the same partitions.
            most: No more is asked for once there are so many.

        Raises:
            KafkaSilentError: The cluster reports an error or falls silent.
        """
        taken = {part: Taken(start) for part, start in starts.items()}
        self._go_to(starts)
        left = {part for part, start in starts.items() if start < ends[part]}
        count, silence = 0, 0
        while left and count < most:
            wanted = sum(ends[part] - taken[part].next_offset for part in left)
            with self._asking():
                # It waits for as many as are asked for, or for the time given.
                messages = self._consumer.consume(min(CHUNK, most - count, wanted), GLANCE)
            silence = 0 if messages else silence + 1
            if silence * GLANCE >= ANSWER:
                raise KafkaSilentError(
                    str(self._address), f"no message for {ANSWER:.0f} s", f"those of {len(left)} partitions"
                )
            for message in messages:
                part = self._take(message, taken)
                if taken[part].next_offset >= ends[part]:
                    left.discard(part)
            count = sum(len(one.offsets) for one in taken.values())
        self._at = {part: one.next_offset for part, one in taken.items()}
        return taken

    def _go_to(self, starts: Mapping[Part, int]) -> None:
        from confluent_kafka import TopicPartition

        at, self._at = self._at, {}  # unknown again until all is read
        if at != starts:
            with self._asking():
                self._consumer.assign([TopicPartition(*part, offset) for part, offset in starts.items()])

    def _take(self, message: Message, taken: dict[Part, Taken]) -> Part:
        """Keep one message, or the news that there are no more."""
        error, part = message.error(), (str(message.topic()), int(message.partition() or 0))
        offset = int(message.offset() or 0)
        if error is None:
            one = taken[part]
            one.offsets.append(offset)
            one.payloads.append(message.value())
            one.next_offset = offset + 1
        elif error.code() == error._PARTITION_EOF:
            taken[part].next_offset = max(taken[part].next_offset, offset)
        else:
            raise KafkaSilentError(f"{self._address}, {part[0]}/{part[1]}", str(error.str()), "messages")
        return part


def _told(error: Any) -> str:
    """The words of an error of the client."""
    found = error.args[0] if error.args else error
    return str(found.str() if hasattr(found, "str") else found)
