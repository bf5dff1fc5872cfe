"""Kafka topics as the source of a stream on Flink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.transforms.external import NamedTupleBasedPayloadBuilder

from schemas.writers import TOPICS

__all__ = ["CLOCK_TOPICS", "ReadTopics"]

CLOCK_TOPICS = ("readings",)
"""Topics whose times move the watermark. The others carry what comes seldom: a topic or a partition that
never had a message would hold the watermark back, and lateness costs them nothing. Those of these topics are
woken (``stream_status.StreamStatus``)."""


READ_PACKS = "meterbeam:transform:read_kafka_packs:v1"
"""Our transform of the expansion service: ``pipelines/cluster/beam_flink/src``."""


_Settings = NamedTuple(  # noqa: UP014 — the annotations of a class would be texts, which Beam cannot encode
    "_Settings", [("consumer", Mapping[str, str]), ("topics", list[str]), ("create_time", bool)]
)
"""What the transform is told."""


@dataclass
class ReadTopics(beam.PTransform[PBegin, PCollection[Any]]):
    """Packs of messages of the input topics (``transforms.message_pack``).

    From their beginning on, or from where a savepoint left off. Unbounded. Event time is the message's own
    (CreateTime) on the topics that move the watermark; their partitions without new messages follow the
    clock.

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
        groups = (("Readings", clocks, True), ("Others", others, False))
        read = [
            begin | f"Read{label}" >> self._source(topics, create_time)
            for label, topics, create_time in groups
            if topics
        ]
        return read | "JoinTopics" >> beam.Flatten()  # type: ignore[no-any-return, no-untyped-call]

    def _source(self, topics: list[str], create_time: bool) -> Any:
        consumer = {
            "bootstrap.servers": self.brokers,
            "auto.offset.reset": "earliest",
            # A committed offset would win over the beginning, and skip what a new job must read.
            "enable.auto.commit": "false",
            **self.settings,
        }
        given = _Settings(consumer=consumer, topics=topics, create_time=create_time)
        return beam.ExternalTransform(  # type: ignore[no-untyped-call]
            READ_PACKS,
            NamedTupleBasedPayloadBuilder(given),  # type: ignore[no-untyped-call]
            self.expansion_service,
        )
