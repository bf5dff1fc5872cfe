"""What the bench of the stream sends to Kafka: meters that report a block a day, or reading by reading."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import fastavro
import numpy as np
from confluent_kafka import Producer

from models.calendar import DayGrid
from schemas.records import RECORDS, avro_schema

__all__ = ["ZONE", "BenchFeed", "datum", "send"]

ZONE = "Europe/Zurich"
MICROS = 1_000_000
Message = tuple[str, str, bytes, int]
"""Topic, key, value, and time of the message. [s]"""


@dataclass(frozen=True)
class BenchFeed:
    """Meters with an hourly shape, in the order of receipt; a register read a week.

    Attributes:
        meters: How many.
        first: First epoch day.
        days: Of readings.
        form: ``blocks`` (a message a meter-day) or ``rows`` (a message a reading).
        late: Share of the blocks that come a day to three late; as many come twice.
    """

    meters: int
    first: int
    days: int
    form: str = "blocks"
    late: float = 0.02

    def points(self) -> Iterator[Message]:
        """A service point a meter."""
        for number in range(self.meters):
            name = _name(number)
            yield _message(
                "ServicePoint",
                {
                    "service_point_id": f"SP-{name}",
                    "meter_id": name,
                    "account_id": f"A-{name}",
                    "tariff_id": "home-tou",
                    "interval_s": 900,
                    "channels": ["import"],
                    "valid_from": datetime(2024, 1, 1, tzinfo=UTC),
                },
                int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()),
            )

    def readings(self) -> Iterator[Message]:
        """All readings and register reads, a day's after its end, the latest ones last."""
        grid = DayGrid(ZONE, 900, self.first, self.days)
        chance, rng = random.Random(1), np.random.default_rng(1)
        held: list[tuple[int, list[Message]]] = []
        totals = np.full(self.meters, MICROS, np.int64)
        for day in range(self.days):
            low, high = int(grid.offsets[day]), int(grid.offsets[day + 1])
            load = (_shape(high - low) * rng.uniform(0.2, 3, (self.meters, 1))).astype(np.int64)
            totals += load.sum(axis=1)
            received = int(grid.day_starts[day + 1]) + 3600
            for number in range(self.meters):
                made = list(self._of_day(number, grid, day, load[number], received))
                if day % 7 == number % 7:
                    made.append(_read(number, int(grid.day_starts[day + 1]), int(totals[number]), received))
                if chance.random() < self.late:
                    held.append((day + chance.randint(1, 3), made))
                    if chance.random() < 0.5:
                        continue
                yield from made
            due = [made for when, made in held if when == day or day == self.days - 1]
            held = [(when, made) for when, made in held if when != day]
            for made in due:
                yield from made

    def _of_day(
        self, number: int, grid: DayGrid, day: int, load: np.ndarray[Any, Any], received: int
    ) -> Iterator[Message]:
        name, start = _name(number), int(grid.day_starts[day])
        head = {"meter_id": name, "channel": "import", "interval_s": 900, "unit": "Wh"}
        if self.form == "blocks":
            block = {"start": start * MICROS, "values": load.tolist(), "received_at": received * MICROS}
            yield _message("IntervalBlock", {**head, **block}, received)
            return
        for slot, value in enumerate(load.tolist()):
            reading = {"start": (start + 900 * slot) * MICROS, "value": value}
            yield _message("MeterReading", {**head, **reading, "received_at": received * MICROS}, received)


def _name(number: int) -> str:
    return f"meter-{number:06d}"


def _shape(slots: int) -> np.ndarray[Any, Any]:
    hour = np.arange(slots) * 24 / slots
    morning, evening = np.exp(-((hour - 7.5) ** 2) / 3), np.exp(-((hour - 19) ** 2) / 6)
    shape: np.ndarray[Any, Any] = 40 + 60 * morning + 120 * evening
    return shape


def _read(number: int, at: int, count: int, received: int) -> Message:
    row = {"meter_id": _name(number), "channel": "import", "value": count, "unit": "Wh"}
    return _message(
        "RegisterRead", {**row, "read_at": at * MICROS, "received_at": received * MICROS}, received
    )


@lru_cache
def _schema(record: str) -> Any:
    return fastavro.parse_schema(avro_schema(record))


def datum(record: str, row: dict[str, Any]) -> bytes:
    """A record as a plain Avro datum."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _schema(record), row)
    return out.getvalue()


def _message(record: str, row: dict[str, Any], at: int) -> Message:
    return RECORDS[record].topic, str(row["meter_id"]), datum(record, row), at


def send(brokers: str, messages: Iterator[Message], going: Callable[[], bool] = lambda: True) -> int:
    """Produce messages as fast as they can be made; how many."""
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50, "compression.type": "lz4"})
    count = 0
    for topic, key, value, at in messages:
        while True:
            try:
                producer.produce(topic, value, key=key, timestamp=at * 1000)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
        if count % 1000 == 0:
            producer.poll(0)
            if not going():
                break
    producer.flush()
    return count
