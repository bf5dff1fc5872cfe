"""Two bare jobs on the topics of a stream: what reading, and reading, keying and keeping alone would cost."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.io.kafka import ReadFromKafka
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.cluster.beam_options import Streaming, streaming_options
from pipelines.cluster.flink import FlinkCluster

__all__ = ["BARE_JOBS", "start_bare"]

SHARDS = 64
COUNTED = "messages-in"


class Count(beam.DoFn):
    """Counts messages, nothing else."""

    def __init__(self) -> None:
        self.messages: Any = Metrics.counter("stream", COUNTED)

    def start_bundle(self) -> None:
        self._count = 0

    def process(self, message: tuple[bytes, bytes]) -> None:
        self._count += 1

    def finish_bundle(self) -> None:
        self.messages.inc(self._count)


class BatchByShard(beam.DoFn):
    """One blob a shard and bundle: the messages as they are, one after the other."""

    def start_bundle(self) -> None:
        self._of_shard: dict[int, list[bytes]] = {}
        self._latest = MIN_TIMESTAMP
        self._shard: dict[bytes, int] = {}

    def process(self, message: tuple[bytes, bytes], at: Any = beam.DoFn.TimestampParam) -> None:
        key, value = message
        shard = self._shard.get(key)
        if shard is None:
            digest = blake2b(key, digest_size=8).digest()
            shard = self._shard[key] = int.from_bytes(digest, "little") % SHARDS
        self._of_shard.setdefault(shard, []).append(value)
        self._latest = max(self._latest, at)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for shard, values in self._of_shard.items():
            sizes = b"".join(len(value).to_bytes(4, "little") for value in values)
            blob = len(values).to_bytes(4, "little") + sizes + b"".join(values)
            yield WindowedValue((shard, blob), self._latest, (GlobalWindow(),))


class Keep(beam.DoFn):
    """Appends blobs to the state of their shard."""

    HELD = BagStateSpec("held", BytesCoder())

    def __init__(self) -> None:
        self.messages: Any = Metrics.counter("stream", COUNTED)

    def process(self, element: tuple[int, bytes], held: Any = beam.DoFn.StateParam(HELD)) -> None:
        held.add(element[1])
        self.messages.inc(int.from_bytes(element[1][:4], "little"))


def _count(messages: Any) -> Any:
    return messages | "Count" >> beam.ParDo(Count())  # type: ignore[no-untyped-call]


def _keep(messages: Any) -> Any:
    batch = beam.ParDo(BatchByShard()).with_output_types(tuple[int, bytes])  # type: ignore[no-untyped-call]
    return messages | "Batch" >> batch | "Keep" >> beam.ParDo(Keep())  # type: ignore[no-untyped-call]


BARE_JOBS = {"read and count": _count, "read, key by shard, append to state": _keep}


def start_bare(what: str, topics: list[str], broker: str, flink: FlinkCluster, streaming: Streaming) -> str:
    """Submit one of the bare jobs; its id once it is known.

    Args:
        what: A key of ``BARE_JOBS``.
        topics: To read from their beginning.
        broker: Address of Kafka.
        flink: Where it runs.
        streaming: Parallelism, workers, checkpoints.
    """
    name = f"bare-{list(BARE_JOBS).index(what)}"
    pipeline = beam.Pipeline(options=PipelineOptions(streaming_options(name, flink, streaming)))
    consumer = {"bootstrap.servers": broker, "auto.offset.reset": "earliest", "enable.auto.commit": "false"}
    messages = pipeline | "Read" >> ReadFromKafka(
        consumer, topics, timestamp_policy="CreateTime", expansion_service=flink.expansion_service
    )
    _ = BARE_JOBS[what](messages)
    pipeline.run()
    return flink.rest.job_id(name)
