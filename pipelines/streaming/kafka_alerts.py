"""Alerts to a Kafka topic, as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from confluent_kafka import Producer

from schemas.errors import MeterbeamError
from transforms.table_pack import unpack

__all__ = ["SendAlerts", "alert_messages"]

FLUSH_S = 30.0


def alert_messages(blob: bytes) -> list[tuple[bytes, bytes]]:
    """A pack of alerts as keys (the meter) and JSON objects with the fields of ``schemas.alerts.ALERTS``."""
    rows = unpack(blob)[1]["alerts"].to_pylist()
    return [(row["meter_id"].encode(), json.dumps(row, default=_text).encode()) for row in rows]


def _text(value: Any) -> str:
    return str(value.isoformat())


class _SendFn(beam.DoFn):
    def __init__(self, settings: Mapping[str, str], topic: str) -> None:
        self.settings = dict(settings)
        self.topic = topic

    def setup(self) -> None:
        """Connect."""
        self._producer = Producer({"linger.ms": 5, "enable.idempotence": True, **self.settings})

    def process(self, element: bytes) -> None:
        """Hand over to the client."""
        for key, value in alert_messages(element):
            self._producer.produce(self.topic, value, key=key)

    def finish_bundle(self) -> None:
        """Wait until the brokers have them: a bundle that ends is never sent again."""
        left = self._producer.flush(FLUSH_S)
        if left:
            raise MeterbeamError(f"topic {self.topic}", f"{left} alerts not taken", "brokers that take them")


@dataclass
class SendAlerts(beam.PTransform[PCollection[bytes], PCollection[Any]]):
    """Send packs of alerts to a topic as JSON, keyed by meter; a bundle that is repeated sends them again.

    Attributes:
        brokers: ``host:port``, or several with commas.
        topic: Where to.
        settings: More settings of the client.
    """

    brokers: str
    topic: str
    settings: Mapping[str, str] = field(repr=False)

    def expand(self, alerts: PCollection[bytes]) -> PCollection[Any]:
        """Label the one step."""
        settings = {"bootstrap.servers": self.brokers, **self.settings}
        return alerts | "Send" >> beam.ParDo(_SendFn(settings, self.topic))  # type: ignore[no-any-return, no-untyped-call]
