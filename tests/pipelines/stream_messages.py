"""Records as the messages of a stream, and a stream over them on the in-memory runner."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue

from models.calendar import epoch_day, local_midnight
from pipelines.stream import StreamOptions, build
from pipelines.streaming.stream_seed import begins_with
from schemas.records import RECORDS, avro_schema
from tests.models.ledger_worlds import ZONE
from tests.transforms.message_packs import packed_messages
from transforms.keep_ledgers import StreamTimes

Sent = tuple[str, dict[str, Any]]
"""Name of the record, and the record."""
TIMES = StreamTimes(grace_s=3600, flush_s=30, close_flush_s=2, commit_s=60)


def message(record: str, row: dict[str, Any], offset: int) -> tuple[str, int, int, bytes]:
    """A record as a plain datum on its topic."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(avro_schema(record)), row)
    return RECORDS[record].topic, 0, offset, out.getvalue()


def received(sent: Sent) -> float:
    """Second at which a record is received; the time of its message."""
    at = sent[1].get("received_at") or 0
    return at.timestamp() if hasattr(at, "timestamp") else at / 1e6


@dataclass
class Fed:
    """What a stream is fed, and when its watermark moves.

    Attributes:
        steps: Batches of messages with their time, and watermarks, in order. [s]
        through: Last local day, closed by a drain at the end.
    """

    steps: Sequence[tuple[int, Sequence[Any]]]
    through: date


def disorder(records: Iterable[Sent], chance: random.Random, through: date, batches: int) -> Fed:
    """Most records about in time, some far too late, a quarter of them twice, in batches."""
    sent = list(records)
    sent += chance.sample(sent, len(sent) // 4)
    sent.sort(key=lambda one: received(one) + chance.choice((0, 0, 0, 9e4, 4e6)) * chance.random())
    size = -(-len(sent) // batches)
    steps, end = [], local_midnight(ZONE, epoch_day(through) + 1)
    for first in range(0, len(sent), size):
        batch = sent[first : first + size]
        at = min(int(max(received(one) for one in batch[: size // 2 + 1])), end)
        steps.append((at, [message(*one, first + i) for i, one in enumerate(batch)]))
    return Fed(steps, through)


def _packs(messages: Sequence[Any]) -> list[bytes]:
    """Messages in packs of one, two, three … of them."""
    edges = [0]
    while edges[-1] < len(messages):
        edges.append(edges[-1] + len(edges))
    return [packed_messages(messages[low:high]) for low, high in pairwise(edges)]


def stream(lake: Path, fed: Fed, *, poison: Sequence[Any] = (), **settings: Any) -> None:
    """Run the stream to a drain on the in-memory runner; it begins with what the lake holds, if anything."""
    source: Any = TestStream(coder=beam.coders.FastPrimitivesCoder())  # type: ignore[no-untyped-call]
    # Timers are set by the true clock. The stream's own is behind it at first: days that close wait for one
    # flush. From the middle on it is far ahead, and each timer fires at once.
    source.advance_processing_time(int(time.time()) - 3600)
    low = 0
    for number, (at, messages) in enumerate(fed.steps):
        if number == len(fed.steps) // 2:
            source.advance_processing_time(90_000)
        source.add_elements([TimestampedValue(pack, at) for pack in _packs(messages)])
        if at > low:
            low = at
            source.advance_watermark_to(low)
    source.add_elements([TimestampedValue(pack, low) for pack in _packs(poison)])
    drain = message("Drain", {"through_day": fed.through}, 0)
    source.add_elements([TimestampedValue(pack, low) for pack in _packs([drain])])
    options = PipelineOptions(["--streaming", "--runner=BundleBasedDirectRunner"])
    given = StreamOptions(lake=lake, times=TIMES, **settings)
    seed = begins_with(lake, lake / "stream")
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | build(source, None, given, seed)
