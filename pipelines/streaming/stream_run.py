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
from pipelines.store.lake import Lake
from pipelines.store.parts import whole_file
from pipelines.stream import Stream, StreamOptions, build
from pipelines.streaming.client_settings import java_settings
from pipelines.streaming.kafka_alerts import SendAlerts
from pipelines.streaming.kafka_cluster import known_topics
from pipelines.streaming.kafka_topics import ReadTopics
from pipelines.streaming.stream_job import note_job, running_job
from pipelines.streaming.stream_seed import begins_with, begun_with
from pipelines.streaming.stream_status import ENDED, StreamStatus, lake_totals
from schemas.errors import MeterbeamError
from transforms.storage import ObjectPath, on_disk

__all__ = ["StreamRun", "newest_state", "run_stream", "state_folder"]

START_S = 300.0
"""Time for a job to be staged and to run, also on a busy machine. [s]"""
STOP_S = 60.0
"""Time for a job that restarts to be whole again before it is stopped. [s]"""
LAST = "last-stop.json"
"""In the folder of the stream's state: where a stream that was stopped left its savepoint."""
OWNER = "owner.json"
"""In a folder of state outside the lake: whose it is."""


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
        replay: Whether the topics hold all that the lake holds: a stream without state then begins with
            nothing, otherwise with the lake's raw records.
        status_s: Time between status lines. [s]
        stop_after_s: Stop by itself after this time, or None. [s]
        state: Folder on disk of what Flink keeps and of the stream's notes; None: ``stream`` in the lake.
        settings: More settings of Kafka clients, in librdkafka's names; no message shows them.
        push: Stores to bring up to date with each status line.
        wakes: Whether partitions of readings that hold nothing are woken.
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
    state: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    push: Sequence[Push] = ()
    wakes: bool = True


def run_stream(options: StreamOptions, run: StreamRun) -> dict[str, Any]:
    """Start the stream, say how it goes, and stop it with a savepoint when asked to.

    Where a job of this lake runs on the cluster already, its client is gone: this becomes its client.

    Args:
        options: What to do.
        run: How.

    Returns:
        The summary: job, savepoint, counts of the lake's runs.

    Raises:
        MeterbeamError: Kafka, Flink, the lake or the savepoint cannot be used, or the job failed.
    """
    topics = known_topics(run.kafka, run.settings)
    state = state_folder(options.lake, run.state)
    if run.flink != "embedded":
        rest = FlinkRest(run.flink)
        rest.size()
        job = running_job(state, rest)
        if job is not None:
            note(f"job {job} of this lake runs at {rest.address} already, with the options it was given then")
            return _attend(options.lake, state, run, rest, job)
    restore, stream = _beginning(options, run, state)
    with _services(run, state) as (rest, beam):
        source = ReadTopics(run.kafka, beam.expansion_service, tuple(topics), java_settings(run.settings))
        alerts = None if run.alerts is None else SendAlerts(run.kafka, run.alerts, run.settings)
        stream = replace(stream, source=source, alerts=alerts)
        name = f"{run.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}"  # unlike any job before it on the cluster
        note_job(state, name)
        job = _submit(name, stream, replace(run.streaming, restore=restore), beam, rest)
        note(f"job {job} runs at {rest.address}; stop it with Ctrl-C: it leaves a savepoint")
        return _attend(options.lake, state, run, rest, job)


def state_folder(lake: Path, given: Path | None) -> Path:
    """The folder of a stream's state, absolute; one that was given is of one lake only.

    Args:
        lake: Folder of the lake.
        given: See :class:`StreamRun`; needed for a lake on object storage.

    Raises:
        MeterbeamError: None is given for a lake on object storage, or the state of another lake.
    """
    if given is None:
        if isinstance(lake, ObjectPath):
            expected = "a folder of this machine: checkpoints, savepoints and the stream's notes lie there"
            raise MeterbeamError("--state", f"nothing, for a lake at {lake}", expected)
        return (lake / "stream").resolve()
    state, name = on_disk(given).resolve(), str(lake.resolve())
    if not (state / OWNER).exists():
        state.mkdir(parents=True, exist_ok=True)
        with whole_file(state / OWNER) as out:
            out.write(json.dumps({"lake": name}).encode())
    owner = json.loads((state / OWNER).read_text("utf-8"))["lake"]
    if owner != name:
        raise MeterbeamError(f"--state {state}", f"the state of {owner}", f"a folder of its own for {name}")
    return state


def _beginning(options: StreamOptions, run: StreamRun, state: Path) -> tuple[str | None, Stream]:
    """Where to start from, and the stream: what is wrong with lake, rules or tariffs shows here."""
    restore = newest_state(state, run.savepoint)
    if restore is not None:
        return restore, build(None, None, options, begun_with(options.lake, state))
    seed = begins_with(options.lake, state, replay=run.replay)
    if seed is not None:
        note(f"begins with what the lake holds as of run {seed.run_no}")
    return None, build(None, None, options, seed)


def _attend(lake: Path, state: Path, run: StreamRun, rest: FlinkRest, job: str) -> dict[str, Any]:
    """Say how a job goes until somebody asks to stop it, and stop it; the summary."""
    began = time.monotonic()
    try:
        _watch(lake, run, rest, job)
    finally:
        savepoint = _stop(rest, job, state)
    Pushes(lake, run.push).finish()
    return {
        "job": job,
        "savepoint": savepoint,
        "seconds": round(time.monotonic() - began, 1),
        **lake_totals(Lake.open(lake)),
    }


@contextmanager
def _services(run: StreamRun, state: Path) -> Iterator[tuple[FlinkRest, FlinkCluster | BeamServices]]:
    if run.flink == "embedded":
        slots, folder = run.streaming.parallelism, state / "flink"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # Flink's checkpoints hold the clients' log-in
        with embedded_flink(folder, slots=slots, state_backend=run.backend) as cluster:
            yield cluster.rest, cluster
        return
    rest = FlinkRest(run.flink)
    with beam_services(state / "beam", rest.address) as services:
        yield rest, services


def _submit(
    name: str, stream: Any, streaming: Streaming, service: FlinkCluster | BeamServices, rest: FlinkRest
) -> str:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

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
        state: Folder of the stream's state.
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
    status = StreamStatus(lake, rest, job, run.kafka, run.settings, run.wakes)
    pushes = Pushes(lake, run.push)
    try:
        while not asked.is_set() and (end is None or time.monotonic() < end):
            left = run.status_s if end is None else min(run.status_s, max(end - time.monotonic(), 0))
            asked.wait(left)
            status.show()
            pushes.after_round()
    finally:
        for name, handler in former.items():
            signal.signal(name, handler)
