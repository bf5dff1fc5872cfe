"""Ingest of Kafka messages: a batch of one partition to raw files, dead letters and receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import MeterbeamError
from schemas.mapping import FieldMapping
from schemas.records import RECORDS, Kind
from schemas.writers import WriterSchemas
from transforms.datums import DatumCount, DecodedDatums, decode_datums
from transforms.ingest import IngestReceipt, OnError, RawWriter
from transforms.ingest_plan import FileSplit
from transforms.raw_stats import NEVER_LATE
from transforms.storage import place

__all__ = ["MessageBatch", "ingest_messages"]


@dataclass(frozen=True)
class MessageBatch:
    """Messages of one partition, in its order; at least one.

    Attributes:
        cluster: Id of the Kafka cluster.
        topic, partition: Where they stood.
        offsets: Of each message, ascending; there may be gaps.
        payloads: Value of each message; None for a tombstone.
    """

    cluster: str
    topic: str
    partition: int
    offsets: Sequence[int]
    payloads: Sequence[bytes | None]

    @property
    def place(self) -> str:
        """Topic and partition: the source of a dead letter."""
        return f"{self.topic}/{self.partition}"

    @property
    def source(self) -> str:
        """Topic, partition and offsets: the source of a raw file."""
        return f"{self.place}@{self.offsets[0]}-{self.offsets[-1]}"

    def split(self) -> FileSplit:
        """The batch as one split of a file whose bytes are counted by offset."""
        digest = sha256(f"{self.cluster} {self.source}".encode())
        size = 0
        for payload in self.payloads:
            data = payload or b""
            size += len(data)
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
        first, end = self.offsets[0], self.offsets[-1] + 1
        return FileSplit(self.source, 0, 1, first, end, len(self.payloads), digest.hexdigest(), size)


def ingest_messages(
    batch: MessageBatch,
    *,
    shards: int,
    raw_dir: str | Path,
    timezone: str,
    writers: WriterSchemas | None = None,
    mapping: FieldMapping | None = None,
    on_error: OnError = "stop",
    arrived_by: int = NEVER_LATE,
) -> list[IngestReceipt]:
    """Decode, check and store a batch. A pure function of it, apart from the files it writes.

    Args:
        batch: The messages.
        shards: How many shards the lake has.
        raw_dir: The raw zone.
        timezone: Zone of the lake.
        writers: Schemas of the messages that are not written with the contract's own.
        mapping: Foreign records.
        on_error: ``stop`` raises on a message that is no record; ``dead-letter`` keeps it. Bad rows are
            dead letters either way.
        arrived_by: See ``ingest_split``.

    Returns:
        A receipt a kind of records, one at least: it carries the offsets that were read. Written files are
        whole; the caller publishes them with the offsets.

    Raises:
        MeterbeamError: A message is no record, with ``stop``; or the topic or its schema is of no use.
    """
    found = decode_datums(
        batch.topic,
        batch.payloads,
        timezone=timezone,
        address=lambda place: (batch.place, batch.offsets[place]),
        writers=writers,
        mapping=mapping,
    )
    lost = found.letters.filter(pc.equal(found.letters["kind"], "message"))
    if lost.num_rows and on_error == "stop":
        raise _refusal(batch, lost)
    split = batch.split()
    receipts = []
    for kind, count in sorted(found.counts.items()):
        writer = RawWriter(place(raw_dir) / kind.value, kind, _stem(split), shards, arrived_by)
        if kind in found.tables:
            writer.add(found.tables[kind], count.readings - count.dead_readings)
            writer.flush()
        receipts.append(_receipt(split, kind, count, found, writer))
    if lost.num_rows or not receipts:
        receipts.append(IngestReceipt(split, None, 0, 0, 0, 0, found.undecodable, lost, ()))
    return receipts


def _stem(split: FileSplit) -> str:
    return f"{split.source_hash[:32]}-{split.start}-{split.end}"


def _refusal(batch: MessageBatch, lost: pa.Table) -> MeterbeamError:
    first = lost.slice(0, 1).to_pylist()[0]
    found, _, expected = first["reason"].removeprefix("found ").partition(", expected ")
    where = f"topic {batch.topic}, partition {batch.partition}, offset {first['offset']}"
    return MeterbeamError(where, found, expected or "a record, or --on-error dead-letter")


def _receipt(
    split: FileSplit, kind: Kind, count: DatumCount, found: DecodedDatums, writer: RawWriter
) -> IngestReceipt:
    stored = sum(file.stats.readings for file in writer.files)
    if kind in (Kind.INTERVALS, Kind.REGISTERS):
        assert count.readings == stored + count.dead_readings, f"{count} and {stored} stored"
    letters = found.letters.filter(pc.equal(found.letters["kind"], kind.value))
    return IngestReceipt(
        split,
        next(record.name for record in RECORDS.values() if record.kind is kind),
        count.rows,
        count.readings,
        count.dead_rows,
        count.dead_readings,
        0,
        letters,
        tuple(writer.files),
    )
