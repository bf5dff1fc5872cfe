"""Topics of a Kafka cluster as a source of follow mode: offsets are published with what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.batch.ingest_pass import Arrivals, arrived_by
from pipelines.batch.kafka_reader import KafkaReader, KafkaSilentError, Part, Span, Taken
from pipelines.console import note
from pipelines.store.lake import Lake
from schemas.arrow import DEAD_LETTERS
from schemas.errors import MeterbeamError
from schemas.lake import OFFSETS
from schemas.mapping import FieldMapping
from schemas.writers import WriterSchemas
from transforms.ingest import IngestReceipt, OnError
from transforms.ingest_messages import ingest_messages
from transforms.ingest_plan import FileSplit

__all__ = ["KafkaSource", "gaps", "next_offsets", "offsets_of", "offsets_table"]

MOST = 200_000
"""Messages of one round."""
Gap = tuple[Part, int, int]
"""A partition, and the offsets [first, end) that it no longer holds."""


@dataclass
class KafkaSource:
    """Reads what the lake does not hold yet.

    The offsets of the lake say where to go on, and they change in the transaction that makes the messages
    before them visible. Kafka is never told.

    Attributes:
        reader: The cluster.
        writers: Schemas of messages that are not written with the contract's own.
        mapping: Foreign records.
        on_error: What a message that is no record does.
        most: Messages of one round, about.
    """

    reader: KafkaReader
    writers: WriterSchemas = field(default_factory=WriterSchemas)
    mapping: FieldMapping | None = None
    on_error: OnError = "dead-letter"
    most: int = MOST
    waiting: bool = False
    patience: float = 1.0
    _behind: int = 0
    _heard: bool = False

    def arrivals(self, lake: Lake, now: float) -> Arrivals | None:
        """Messages that are in no run yet, already in the raw zone; none while the cluster is silent.

        Raises:
            MeterbeamError: The cluster has never answered; or, with ``stop``, a message is no record, or
                messages are gone that no run has read.
        """
        try:
            found = self._arrivals(lake)
        except KafkaSilentError as error:
            if not self._heard:
                raise
            self.waiting = True
            note(f"waiting: {error}")
            return None
        self._heard, self.waiting = True, False
        return found

    def _arrivals(self, lake: Lake) -> Arrivals | None:
        cluster = self.reader.cluster()
        known = offsets_of(lake.table(OFFSETS.name), cluster)
        spans = self.reader.spans(self.reader.parts())
        lost = gaps(known, spans)
        starts = next_offsets(known, spans)
        ends = {part: end for part, (_, end) in spans.items()}
        if not lost and all(starts[part] >= ends[part] for part in starts):
            return None
        if lost and self.on_error == "stop":
            (topic, number), first, end = lost[0]
            raise MeterbeamError(
                f"topic {topic}, partition {number}",
                f"offset {end} as the first one",
                f"offset {first}, which no run has read (--on-error dead-letter goes on and notes it)",
            )
        taken = self.reader.read(starts, ends, self.most)
        self._behind = sum(max(ends[part] - one.next_offset, 0) for part, one in taken.items())
        receipts = [*map(_gap_receipt, lost), *self._receipts(lake, cluster, taken)]
        moved = known | {part: one.next_offset for part, one in taken.items()}
        table = offsets_table(lake.table(OFFSETS.name), cluster, moved)
        return Arrivals(receipts=receipts, replaced={OFFSETS.name: table})

    def _receipts(self, lake: Lake, cluster: str, taken: Mapping[Part, Taken]) -> list[IngestReceipt]:
        receipts: list[IngestReceipt] = []
        for part, one in sorted(taken.items()):
            if one.offsets:
                receipts += ingest_messages(
                    one.batch(cluster, part),
                    shards=lake.config.shards,
                    raw_dir=lake.path / "raw",
                    timezone=lake.config.timezone,
                    writers=self.writers,
                    mapping=self.mapping,
                    on_error=self.on_error,
                    arrived_by=arrived_by(),
                )
        return receipts

    def published(self, arrivals: Arrivals) -> None:
        """The lake says so itself."""

    def changed(self, arrivals: Arrivals) -> bool:
        """A message never changes."""
        return False

    def lag(self, arrivals: Arrivals) -> str:
        """Messages that were there and are still to be read."""
        return f"{self._behind:,} messages behind"


def offsets_of(table: pa.Table, cluster: str) -> dict[Part, int]:
    """How far each partition of a cluster was read, as a lake's ``offsets`` say."""
    rows = table.to_pylist()
    return {(r["topic"], r["partition"]): r["next_offset"] for r in rows if r["cluster"] == cluster}


def offsets_table(table: pa.Table, cluster: str, moved: Mapping[Part, int]) -> pa.Table:
    """New ``offsets`` of a lake: those of one cluster replaced, those of others as they were."""
    rows = [row for row in table.to_pylist() if row["cluster"] != cluster]
    rows += [
        {"cluster": cluster, "topic": topic, "partition": number, "next_offset": offset}
        for (topic, number), offset in moved.items()
    ]
    rows.sort(key=lambda row: (row["cluster"], row["topic"], row["partition"]))
    return pa.Table.from_pylist(rows, schema=OFFSETS.schema)


def next_offsets(known: Mapping[Part, int], spans: Mapping[Part, Span]) -> dict[Part, int]:
    """Where to begin in each partition.

    That is where the last run ended; the first message where none has read it, where the next message is
    gone, or where the partition ends before that (it was made anew: to read again repeats nothing).
    """
    return {part: _start(known.get(part, low), low, end) for part, (low, end) in spans.items()}


def _start(known: int, low: int, end: int) -> int:
    return known if low <= known <= end else low


def gaps(known: Mapping[Part, int], spans: Mapping[Part, Span]) -> list[Gap]:
    """Messages that a partition held after the last run and has deleted since."""
    return sorted((part, known[part], low) for part, (low, _) in spans.items() if known.get(part, low) < low)


def _gap_receipt(gap: Gap) -> IngestReceipt:
    """A dead letter without bytes for messages that nobody read."""
    (topic, number), first, end = gap
    reason = f"found offset {end} as the first one, expected {first}: those between were deleted unread"
    values = (f"{topic}/{number}", first, None, "gap", reason, b"", 0, 0)
    row = dict(zip(DEAD_LETTERS.names, values, strict=True))
    letters = pa.Table.from_pylist([row], schema=DEAD_LETTERS)
    source = f"{topic}/{number}@{first}-{end - 1}"
    split = FileSplit(source, 0, 1, first, end, 0, "", 0)
    return IngestReceipt(split, None, 0, 0, 0, 0, 0, letters, ())
