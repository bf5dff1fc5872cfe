"""Kafka topics as the source of a stream on Flink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.io.kafka import ReadFromKafka
from apache_beam.pvalue import PBegin, PCollection

from schemas.writers import TOPICS

__all__ = ["CLOCK_TOPICS", "ReadTopics"]

CLOCK_TOPICS = ("readings",)
"""Topics whose times move the watermark. The others carry what comes seldom: a topic or a partition that
never had a message would hold the watermark back, and lateness costs them nothing. Those of these topics are
woken (``stream_status.StreamStatus``)."""


@dataclass
class ReadTopics(beam.PTransform[PBegin, PCollection[Any]]):
    """Messages of the input topics from their beginning, or from where a savepoint left off.

    Unbounded. Event time is the message's own (CreateTime) on the topics that move the watermark; their
    partitions without new messages follow the clock.

    Attributes:
        brokers: ``host:port``, or several with commas.
        expansion_service: ``host:port`` of Beam's expansion service with the Kafka transforms.
        topics: Those there are; others of the contract are not read.
        settings: More settings of Kafka's Java consumer (security and the like).
    """

    brokers: str
    expansion_service: str
    topics: tuple[str, ...]
    settings: Mapping[str, str] = field(repr=False)

    def expand(self, begin: PBegin) -> PCollection[Any]:
        """One source for the topics that move the watermark, one for the others."""
        clocks = [topic for topic in self.topics if topic in CLOCK_TOPICS]
        others = [topic for topic in self.topics if topic in TOPICS and topic not in CLOCK_TOPICS]
        groups = (("Readings", clocks, "CreateTime"), ("Others", others, "ProcessingTime"))
        read = [
            begin | f"Read{label}" >> self._source(topics, policy) | f"Messages{label}" >> beam.Map(_message)  # type: ignore[no-untyped-call]
            for label, topics, policy in groups
            if topics
        ]
        return read | "JoinTopics" >> beam.Flatten()  # type: ignore[no-any-return, no-untyped-call]

    def _source(self, topics: list[str], policy: str) -> Any:
        consumer = {
            "bootstrap.servers": self.brokers,
            "auto.offset.reset": "earliest",
            # A committed offset would win over the beginning, and skip what a new job must read.
            "enable.auto.commit": "false",
            **self.settings,
        }
        return ReadFromKafka(
            consumer,
            topics,
            timestamp_policy=policy,
            with_metadata=True,
            expansion_service=self.expansion_service,
        )


def _message(row: Any) -> tuple[str, int, int, bytes | None]:
    return row.topic, row.partition, row.offset, row.value
