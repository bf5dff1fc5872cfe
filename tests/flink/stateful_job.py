"""A small streaming job of the shape that matters: Kafka, batches, (key, blob), state and timers, files.

A message is a number as text. Each key of the job keeps every number it got in a bag, so a message
that is lost or taken twice shows in what the key writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.io.kafka import ReadFromKafka
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.cluster.beam_options import Streaming, streaming_options
from pipelines.cluster.flink import FlinkCluster

KEYS = 8


class BatchByKey(beam.DoFn):
    """One blob a key and bundle: the numbers of the bundle, separated by commas."""

    def start_bundle(self) -> None:
        self._numbers: dict[str, list[bytes]] = {}
        self._latest = Timestamp(0)

    def process(self, message: tuple[bytes, bytes], at: Any = beam.DoFn.TimestampParam) -> None:
        number = message[1]
        self._numbers.setdefault(str(int(number) % KEYS), []).append(number)
        self._latest = max(self._latest, at)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for key, numbers in sorted(self._numbers.items()):
            yield WindowedValue((key, b",".join(numbers)), self._latest, (GlobalWindow(),))


class KeepAll(beam.DoFn):
    """Keeps every number of a key; a processing-time timer writes them, an event-time timer their count."""

    SEEN = BagStateSpec("seen", BytesCoder())
    FLUSH = TimerSpec("flush", TimeDomain.REAL_TIME)
    CLOSE = TimerSpec("close", TimeDomain.WATERMARK)

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def process(
        self,
        element: tuple[str, bytes],
        at: Any = beam.DoFn.TimestampParam,
        seen: Any = beam.DoFn.StateParam(SEEN),
        flush: Any = beam.DoFn.TimerParam(FLUSH),
        close: Any = beam.DoFn.TimerParam(CLOSE),
    ) -> None:
        seen.add(element[1])
        flush.set(Timestamp.now() + 1)
        close.set(at + 1)

    @on_timer(FLUSH)
    def flush(self, key: Any = beam.DoFn.KeyParam, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:
        self._write(f"{key}.json", _numbers(seen))

    @on_timer(CLOSE)
    def close(self, key: Any = beam.DoFn.KeyParam, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:
        self._write(f"{key}.closed", [len(_numbers(seen))])

    def _write(self, name: str, content: list[int]) -> None:
        folder = Path(self.folder)
        new = folder / f"{name}.new"
        new.write_text(json.dumps(content), encoding="utf-8")
        new.rename(folder / name)


def _numbers(seen: Any) -> list[int]:
    return sorted(int(number) for blob in seen.read() for number in blob.split(b","))


def start(name: str, topic: str, broker: str, out: Path, flink: FlinkCluster, streaming: Streaming) -> str:
    """Submit the job and give its id once it runs."""
    out.mkdir(parents=True, exist_ok=True)
    batch = beam.ParDo(BatchByKey()).with_output_types(tuple[str, bytes])  # type: ignore[no-untyped-call]
    keep = beam.ParDo(KeepAll(str(out)))  # type: ignore[no-untyped-call]
    pipeline = beam.Pipeline(options=PipelineOptions(streaming_options(name, flink, streaming)))
    _ = (
        pipeline
        | "Read"
        >> ReadFromKafka(
            {"bootstrap.servers": broker, "auto.offset.reset": "earliest", "enable.auto.commit": "false"},
            [topic],
            timestamp_policy="CreateTime",
            expansion_service=flink.expansion_service,
        )
        | "Batch" >> batch
        | "Keep" >> keep
    )
    pipeline.run()
    job = flink.rest.job_id(name)
    flink.rest.wait_until_running(job)
    return job


def written(out: Path) -> list[int]:
    """Every number that the keys have written, with its multiplicity, sorted."""
    return sorted(number for file in out.glob("*.json") for number in json.loads(file.read_text()))


def closed(out: Path) -> int:
    """How many numbers the event-time timers have counted."""
    return sum(json.loads(file.read_text())[0] for file in out.glob("*.closed"))
