"""A simulated town played to Kafka: in the order of receipt, with disorder, repeats and a meter exchange."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Producer

from schemas.records import RECORDS, avro_schema

__all__ = ["Play", "exchanged", "in_disorder", "play", "town_records"]

Sent = tuple[str, dict[str, Any]]
"""Name of the record, and the record."""
REPEATED = 0.03
LATE = 0.05
LATEST_S = 4 * 86_400


@dataclass(frozen=True)
class Play:
    """How a town is played.

    Attributes:
        seconds: How long it takes.
        seed: Of the disorder.
    """

    seconds: float
    seed: int = 1


def town_records(folder: Path) -> list[Sent]:
    """All records of a simulated town's files."""
    found: list[Sent] = []
    for path in sorted(folder.glob("*.avro")):
        with path.open("rb") as file:
            reader: Any = fastavro.reader(file)
            name = str(reader.writer_schema["name"]).rpartition(".")[2]
            found += [(name, row) for row in reader]
    return found


def exchanged(records: Sequence[Sent], meter: str, at: datetime) -> Iterator[Sent]:
    """The records as they come when a meter is exchanged: its service point gets another from a moment on."""
    other = f"{meter}-new"
    for name, row in records:
        when = row.get("start") or row.get("read_at") or row.get("occurred_at")
        if row.get("meter_id") == meter and when is not None and when >= at:
            row = {**row, "meter_id": other}
        yield name, row
        if name == "ServicePoint" and row["meter_id"] == meter:
            yield name, {**row, "meter_id": other, "valid_from": at, "received_at": at}


def in_disorder(records: Sequence[Sent], seed: int) -> list[Sent]:
    """Records about in the order of their receipt: some days too late, some twice."""
    chance = random.Random(seed)
    timed: list[tuple[float, int, Sent]] = []
    for number, sent in enumerate(records):
        received = sent[1].get("received_at")
        at = 0.0 if received is None else received.timestamp()
        delay = chance.random() * LATEST_S if chance.random() < LATE else 0.0
        timed.append((at + delay, number, sent))
        if chance.random() < REPEATED:
            timed.append((at + chance.random() * LATEST_S, number, sent))
    return [sent for _, _, sent in sorted(timed, key=lambda item: item[:2])]


def play(records: Sequence[Sent], brokers: str, how: Play, going: Callable[[], bool]) -> int:
    """Send records to their topics, evenly over the time given.

    Args:
        records: In the order to send them.
        brokers: ``host:port``.
        how: How fast.
        going: Asked between; False ends the play.

    Returns:
        How many were sent.
    """
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50})
    schemas = {name: fastavro.parse_schema(avro_schema(name)) for name in {name for name, _ in records}}
    began = time.monotonic()
    for number, (name, row) in enumerate(records):
        ahead = began + how.seconds * number / len(records) - time.monotonic()
        if ahead > 0.2:
            producer.flush()
            time.sleep(ahead)
        if not going():
            producer.flush()
            return number
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schemas[name], row)
        received = row.get("received_at")
        at = int(received.timestamp() * 1000) if received is not None else int(time.time() * 1000)
        key = str(row.get("meter_id") or "")
        producer.produce(RECORDS[name].topic, out.getvalue(), key=key, timestamp=at)
        producer.poll(0)
    producer.flush()
    return len(records)
