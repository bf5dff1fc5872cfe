"""A stream on Flink from its start to its stop with a savepoint."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pipelines.cluster.beam_options import Streaming, streaming_options
from pipelines.cluster.flink import BeamServices, FlinkCluster, beam_services, embedded_flink
from pipelines.cluster.flink_rest import FlinkRest
from pipelines.console import note
from pipelines.downstream.targets import Push, Pushes
from pipelines.store.lake import CONFIG, Lake
from pipelines.store.parts import whole_file
from pipelines.stream import StreamOptions, build
from pipelines.streaming.kafka_alerts import SendAlerts
from pipelines.streaming.kafka_cluster import known_topics
from pipelines.streaming.kafka_topics import ReadTopics
from schemas.errors import MeterbeamError
from schemas.lake import RAW_FILES
from transforms.storage import ObjectPath

__all__ = ["StreamRun", "check_empty", "newest_state", "run_stream"]

START_S = 300.0
"""Time for a job to be staged and to run, also on a busy machine. [s]"""
STOP_S = 60.0
"""Time for a job that restarts to be whole again before it is stopped. [s]"""
ENDED = ("FAILED", "FINISHED", "CANCELED")
LAST = "last-stop.json"
"""Beside the lake's tables: where a stream that was stopped left its state."""


@dataclass(frozen=True)
class StreamRun:
    """How a stream runs.

    Attributes:
        kafka: Brokers.
        flink: Address of a cluster's REST interface, or ``embedded``.
        name: Of the job; the moment of its start is added.
        streaming: Parallelism, checkpoints.
        backend: State backend of an embedded Flink.
        savepoint: ``latest``, ``none``, or a path.
        alerts: Topic for alerts, or None.
        replay: Whether the topics hold all that the lake holds, so that a stream without state may begin.
        status_s: Time between status lines. [s]
        stop_after_s: Stop by itself after this time, or None. [s]
        settings: More settings of Kafka clients.
        push: Stores to bring up to date with each status line.
    """

    kafka: str
    flink: str = "embedded"
    name: str = "meterbeam"
    streaming: Streaming = field(default_factory=Streaming)
    backend: Literal["hashmap", "rocksdb"] = "hashmap"
    savepoint: str = "latest"
    alerts: str | None = None
    replay: bool = False
    status_s: float = 30.0
    stop_after_s: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    push: Sequence[Push] = ()


def run_stream(options: StreamOptions, run: StreamRun) -> dict[str, Any]:
    """Start the stream, say how it goes, and stop it with a savepoint when asked to.

    Args:
        options: What to do.
        run: How.

    Returns:
        The summary: job, savepoint, counts of the lake's runs.

    Raises:
        MeterbeamError: Kafka, Flink, the lake or the savepoint cannot be used, or the job failed.
    """
    topics = known_topics(run.kafka, run.settings)
    if isinstance(options.lake, ObjectPath):
        raise MeterbeamError(
            "--lake",
            str(options.lake),
            "a folder: a stream keeps its savepoints in it (a backfill needs none)",
        )
    state = (options.lake / "stream").resolve()
    restore = newest_state(state, run.savepoint)
    if restore is None and not run.replay:
        check_empty(options.lake)
    # What is wrong with lake, rules or tariffs shows here, before anything starts.
    stream = build(None, None, options)
    with _services(run, state) as (rest, beam):
        source = ReadTopics(run.kafka, beam.expansion_service, tuple(topics), run.settings)
        alerts = None if run.alerts is None else SendAlerts(run.kafka, run.alerts, run.settings)
        stream = replace(stream, source=source, alerts=alerts)
        job = _submit(stream, run, replace(run.streaming, restore=restore), beam, rest)
        note(f"job {job} runs at {rest.address}; stop it with Ctrl-C: it leaves a savepoint")
        began = time.monotonic()
        try:
            _watch(options.lake, run, rest, job)
        finally:
            savepoint = _stop(rest, job, state)
    Pushes(options.lake, run.push).finish()
    return {
        "job": job,
        "savepoint": savepoint,
        "seconds": round(time.monotonic() - began, 1),
        **_totals(Lake.open(options.lake)),
    }


@contextmanager
def _services(run: StreamRun, state: Path) -> Iterator[tuple[FlinkRest, FlinkCluster | BeamServices]]:
    if run.flink == "embedded":
        slots = run.streaming.parallelism
        with embedded_flink(state / "flink", slots=slots, state_backend=run.backend) as cluster:
            yield cluster.rest, cluster
        return
    rest = FlinkRest(run.flink)
    rest.size()
    with beam_services(state / "beam", rest.address) as services:
        yield rest, services


def _submit(
    stream: Any, run: StreamRun, streaming: Streaming, service: FlinkCluster | BeamServices, rest: FlinkRest
) -> str:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    name = f"{run.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}"  # unlike any job before it on the cluster
    options = PipelineOptions(streaming_options(name, service, streaming))
    pipeline = beam.Pipeline(options=options)
    _ = pipeline | "Stream" >> stream
    pipeline.run()
    job = rest.job_id(name, seconds=START_S)
    rest.wait_until_running(job, START_S)
    return job


def newest_state(state: Path, wanted: str) -> str | None:
    """Where to start from: a path given, or the newest of the last stop and the retained checkpoints.

    Args:
        state: Folder of the stream in the lake.
        wanted: ``latest``, ``none``, or a path.

    Raises:
        MeterbeamError: There is no savepoint at the path.
    """
    if wanted == "none":
        return None
    if wanted != "latest":
        path = wanted.removeprefix("file:")
        if "://" not in wanted and not (Path(path) / "_metadata").exists():
            raise MeterbeamError("--savepoint", wanted, "latest, none, or the folder of a savepoint")
        return wanted
    last = state / LAST
    retained = (state / "flink" / "checkpoints").glob("*/chk-*/_metadata")
    found = sorted(retained, key=lambda path: (path.stat().st_mtime_ns, int(path.parent.name[4:])))
    if last.exists() and (not found or last.stat().st_mtime_ns >= found[-1].stat().st_mtime_ns):
        return str(json.loads(last.read_text("utf-8"))["savepoint"])
    return found[-1].parent.as_uri() if found else None


def check_empty(folder: Path) -> None:
    """Refuse a lake with records to a stream without state: it would judge days without their past.

    Raises:
        MeterbeamError: It has some.
    """
    if (folder / CONFIG).exists() and Lake.open(folder).files(RAW_FILES.name):
        raise MeterbeamError(
            str(folder),
            "a lake with records, and no state of a stream to go on from",
            "a new lake, --savepoint PATH, or --replay where the topics hold all that the lake holds",
        )


def _stop(rest: FlinkRest, job: str, state: Path) -> str | None:
    """Savepoint, then cancel; a job that has ended by itself, or cannot run, leaves none."""
    if rest.state(job) in ENDED:
        return None
    try:
        rest.wait_until_running(job, STOP_S)
        savepoint = rest.stop(job)
    except MeterbeamError as error:
        note(f"no savepoint: {error}; the next start goes on from the last checkpoint")
        rest.cancel(job)
        return None
    with whole_file(state / LAST) as out:
        out.write(json.dumps({"savepoint": savepoint, "job": job}).encode())
    return savepoint


def _watch(lake: Path, run: StreamRun, rest: FlinkRest, job: str) -> None:
    """Print status lines until somebody asks to stop."""
    asked = threading.Event()
    former = {name: signal.signal(name, lambda *_: asked.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    end = None if run.stop_after_s is None else time.monotonic() + run.stop_after_s
    status, pushes = _Status(lake, rest, job), Pushes(lake, run.push)
    try:
        while not asked.is_set() and (end is None or time.monotonic() < end):
            left = run.status_s if end is None else min(run.status_s, max(end - time.monotonic(), 0))
            asked.wait(left)
            status.show()
            pushes.after_round()
    finally:
        for name, handler in former.items():
            signal.signal(name, handler)


@dataclass
class _Status:
    """The status lines of a job. Flink counts from the last (re)start of a step."""

    lake: Path
    rest: FlinkRest
    job: str
    last: tuple[float, float] = (0.0, 0.0)

    def show(self) -> None:
        """Print one line to stderr.

        Raises:
            MeterbeamError: The job has failed.
        """
        figures = self.rest.figures(self.job)
        if figures.state in ENDED:
            raise MeterbeamError(
                f"job {self.job}", f"{figures.state}: {self.rest.failure(self.job)}", "RUNNING"
            )
        read, rows, late = (self._sum(name) for name in ("messages-in", "rows-taken", "rows-late"))
        now = time.monotonic()
        before, last_read = self.last
        rate = (read - last_read) / (now - before) if before else 0.0
        self.last = now, read
        lag = self._sum("backlog_elements")
        totals = _totals(Lake.open(self.lake))
        mark = "none yet" if figures.watermark is None else _moment(figures.watermark)
        size = 0 if figures.checkpoint is None else figures.checkpoint.size
        note(
            f"{_moment(time.time() * 1000)} {figures.state} watermark {mark} closed {totals['last_closed']} "
            f"read {read:,.0f} since the start ({max(rate, 0):,.0f}/s) lag {max(lag, 0):,.0f} "
            f"late {100 * late / max(rows, 1):.1f} % "
            f"dead letters {totals['dead_letters']:,} days {totals['days_written']:,} "
            f"bills {totals['bills_written']:,} state {size / 1e6:.1f} MB restarts {figures.restarts}"
        )

    def _sum(self, name: str) -> float:
        return sum(self.rest.metric(self.job, name).values())


def _moment(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _totals(lake: Lake) -> dict[str, Any]:
    """Counts of all runs of a lake."""
    runs = lake.runs().to_pylist()
    counts = [json.loads(row["counts"]) for row in runs]
    names = ("records", "days_written", "bills_written", "dead_letters")
    closed = runs[-1]["last_closed"] if runs else None
    return {
        "runs": len(runs),
        "last_closed": "none" if closed is None else closed.isoformat(),
        **{name: sum(count.get(name, 0) for count in counts) for name in names},
    }
