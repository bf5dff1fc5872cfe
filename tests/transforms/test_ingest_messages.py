"""A batch of Kafka messages in the raw zone: what a file of the same records leaves, named by its place."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import MeterbeamError
from schemas.records import Kind, avro_schema
from tests.transforms.avro_files import block_record, readings_of, readings_written
from tests.transforms.datum_messages import datum
from transforms.ingest import IngestReceipt
from transforms.ingest_messages import MessageBatch, ingest_messages
from transforms.raw_codec import read_raw_shards

BLOCK = avro_schema("IntervalBlock")
RECORDS = [block_record(f"m{n}", values=[n, n + 1, n + 2]) for n in range(9)]
GOOD = [datum(BLOCK, record) for record in RECORDS]
UNKNOWN = datum(BLOCK, block_record("m", unit="furlong"))


def batch(
    payloads: list[bytes | None],
    first: int = 100,
    cluster: str = "c",
    topic: str = "readings",
    partition: int = 4,
) -> MessageBatch:
    """Messages of one partition, every second offset."""
    offsets = tuple(first + 2 * n for n in range(len(payloads)))
    return MessageBatch(cluster, topic, partition, offsets, tuple(payloads))


def ingested(given: MessageBatch, raw: Path, **options: Any) -> list[IngestReceipt]:
    """Into a raw zone of four shards."""
    settings: dict[str, Any] = {"on_error": "dead-letter", **options}
    return ingest_messages(given, shards=4, raw_dir=raw, timezone="Europe/Zurich", **settings)


def names(receipts: list[IngestReceipt]) -> list[str]:
    """Names of the raw files."""
    return [file.name for receipt in receipts for file in receipt.files]


def test_every_reading_is_in_the_raw_zone_under_its_shard(tmp_path: Path) -> None:
    """The receipt tells the place by offset, and the file holds what was sent."""
    (receipt,) = ingested(batch([*GOOD]), tmp_path)
    assert (receipt.record, receipt.rows, receipt.readings, receipt.dead_readings) == (
        "IntervalBlock",
        9,
        27,
        0,
    )
    assert receipt.split.path == "readings/4@100-116"
    assert (receipt.split.start, receipt.split.end, receipt.dead_letters.num_rows) == (100, 117, 0)
    table, _ = read_raw_shards([tmp_path / "intervals" / names([receipt])[0]], Kind.INTERVALS, range(4))
    assert readings_of(table) == readings_written(RECORDS)


def test_bad_messages_and_bad_rows_are_told_apart(tmp_path: Path) -> None:
    """A row counts as read and dead; bytes that are no record count beside; each has its offset."""
    rows, lost = ingested(batch([GOOD[0], UNKNOWN, b"junk", None]), tmp_path)
    assert (rows.rows, rows.readings, rows.dead_rows, rows.dead_readings) == (2, 6, 1, 3)
    assert rows.dead_letters["offset"].to_pylist() == [102]
    assert (lost.record, lost.rows, lost.readings, lost.undecodable_rows, lost.files) == (None, 0, 0, 2, ())
    assert lost.dead_letters["offset"].to_pylist() == [104, 106]
    assert set(lost.dead_letters["source"].to_pylist()) == {"readings/4"}


def test_a_message_that_is_no_record_stops_where_that_is_asked_for(tmp_path: Path) -> None:
    """Topic, partition, offset, what was found and what was expected; bad rows alone do not stop."""
    with pytest.raises(MeterbeamError) as error:
        ingested(batch([GOOD[0], b"junk"]), tmp_path, on_error="stop")
    assert error.value.where == "topic readings, partition 4, offset 102"
    assert error.value.expected == "one IntervalBlock or MeterReading and no more"
    (receipt,) = ingested(batch([GOOD[0], UNKNOWN]), tmp_path, on_error="stop")
    assert receipt.dead_rows == 1


def test_files_are_named_by_what_was_read_where(tmp_path: Path) -> None:
    """Again the same, the same name; another place or content, another name."""
    first = names(ingested(batch([*GOOD]), tmp_path))
    assert names(ingested(batch([*GOOD]), tmp_path)) == first
    others = [
        batch([*GOOD], first=102),
        batch([*GOOD], partition=5),
        batch([*GOOD], cluster="d"),
        batch([*GOOD[:-1], GOOD[0]]),
    ]
    found = {name for other in others for name in names(ingested(other, tmp_path))}
    assert len(found | set(first)) == 5


def test_a_topic_of_two_records_gives_a_receipt_of_each(tmp_path: Path) -> None:
    """A Drain beside tariff events goes to its own folder."""
    day = datetime.date(2024, 7, 1)
    event = {"event": "cpp", "local_date": day, "received_at": None, "source": None, "sequence": None}
    sent = [datum(avro_schema("TariffEvent"), event), datum(avro_schema("Drain"), {"through_day": day})]
    receipts = ingested(batch([*sent], topic="tariff-events"), tmp_path)
    assert [(receipt.record, receipt.rows) for receipt in receipts] == [("Drain", 1), ("TariffEvent", 1)]
    assert sorted(path.parent.name for path in tmp_path.rglob("*.parquet")) == ["drains", "tariff_events"]
