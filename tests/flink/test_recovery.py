"""A stateful streaming job on a real cluster, fed by a real broker, stays exact through every kind of end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from pipelines.cluster.beam_options import Streaming
from pipelines.cluster.flink import FlinkCluster
from pipelines.cluster.kafka import KafkaBroker
from tests.flink.stateful_job import closed, start, written

PART = 4_000
SECONDS = 600.0
Note = Callable[[str], None]


def until(ready: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for a state of the world; fail with a word on what there was instead."""
    end = time.monotonic() + SECONDS
    while not ready():
        if time.monotonic() > end:
            pytest.fail(f"after {SECONDS:.0f} s: {what()}")
        time.sleep(0.2)


class Feed:
    """A topic, a running job over it, and what the job must have written."""

    def __init__(self, name: str, broker: KafkaBroker, flink: FlinkCluster, folder: Path) -> None:
        self.name, self.broker, self.flink = name, broker, flink
        self.out = folder / "out"
        self.sent = 0
        broker.create_topics({name: 2})
        self.job = start(name, name, broker.address, self.out, flink, Streaming(checkpoint_ms=1000))
        command = broker.command(
            "kafka.tools.ConsoleProducer",
            *("--bootstrap-server", broker.address, "--topic", name, "--property", "parse.key=true"),
        )
        self._log = (folder / "producer.log").open("wb")
        self._producer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the producer and the job, so that the next test has the cluster for itself."""
        self._producer.kill()
        self._producer.communicate()
        self._log.close()
        if self.flink.rest.state(self.job) not in ("FINISHED", "FAILED", "CANCELED"):
            self.flink.rest.cancel(self.job)

    def send(self, count: int = PART) -> None:
        """Send the next numbers, in order, spread over the partitions by key."""
        assert self._producer.stdin is not None
        for number in range(self.sent, self.sent + count):
            self._producer.stdin.write(b"%d\t%d\n" % (number % 16, number))
        self._producer.stdin.flush()
        self.sent += count

    def wait_for_checkpoint(self) -> None:
        """Wait for a checkpoint that was begun after this call."""
        before = self.flink.rest.figures(self.job).checkpoints
        until(lambda: self.flink.rest.figures(self.job).checkpoints > before + 1, lambda: "no new checkpoint")

    def check(self) -> None:
        """Every number sent is in the state exactly once, and the event-time timers saw all of them."""

        def found() -> str:
            return f"{len(written(self.out))} written and {closed(self.out)} closed of {self.sent} sent"

        until(lambda: len(written(self.out)) >= self.sent and closed(self.out) >= self.sent, found)
        assert written(self.out) == list(range(self.sent))
        assert closed(self.out) == self.sent

    def resume(self, path: str) -> None:
        """Start the job anew from a savepoint or checkpoint."""
        streaming = Streaming(checkpoint_ms=1000, restore=path)
        self.job = start(f"{self.name}-2", self.name, self.broker.address, self.out, self.flink, streaming)


def test_task_manager_killed(
    broker: KafkaBroker, flink: FlinkCluster, tmp_path: Path, note_time: Note
) -> None:
    """Kill -9 of the TaskManager in mid-stream loses nothing and doubles nothing."""
    with Feed("task-manager", broker, flink, tmp_path) as feed:
        note_time("job submitted and running")
        feed.send()
        feed.check()
        feed.wait_for_checkpoint()
        feed.send()
        flink.kill_task_manager()
        feed.send()
        flink.restart_task_manager()
        flink.wait_for_slots()
        note_time("three parts sent, TaskManager killed between")
        feed.check()
        note_time("TaskManager killed: exact again after")
        assert flink.rest.figures(feed.job).restarts >= 1


def test_python_worker_killed(
    broker: KafkaBroker, flink: FlinkCluster, tmp_path: Path, note_time: Note
) -> None:
    """Kill -9 of the Python worker in mid-stream loses nothing and doubles nothing."""
    with Feed("python-worker", broker, flink, tmp_path) as feed:
        feed.send()
        feed.check()
        feed.wait_for_checkpoint()
        feed.send()
        workers = flink.worker_pids()
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        note_time("Python worker: two parts sent")
        until(lambda: flink.rest.figures(feed.job).restarts >= 1, lambda: "the job did not restart")
        feed.send()
        feed.check()
        note_time("Python worker killed: exact again after")


def test_savepoint_cancel_resume(
    broker: KafkaBroker, flink: FlinkCluster, tmp_path: Path, note_time: Note
) -> None:
    """A job stopped with a savepoint and started from it goes on exactly where it was."""
    with Feed("savepoint", broker, flink, tmp_path) as feed:
        feed.send()
        feed.check()
        note_time("savepoint: first part exact")
        until(lambda: flink.rest.figures(feed.job).watermark is not None, lambda: "no watermark")
        figures = flink.rest.figures(feed.job)
        assert figures.checkpoint is not None
        assert figures.checkpoint.size > feed.sent  # the state holds every number, a byte at least each
        path = flink.rest.stop(feed.job)
        assert flink.rest.state(feed.job) == "CANCELED"
        feed.send()
        feed.resume(path)
        feed.check()
        note_time("stopped with a savepoint and resumed: exact again after")


def test_broker_killed(broker: KafkaBroker, flink: FlinkCluster, tmp_path: Path, note_time: Note) -> None:
    """Kill -9 of the broker in mid-stream loses nothing that it had taken."""
    with Feed("broker", broker, flink, tmp_path) as feed:
        feed.send()
        feed.check()  # the broker has taken it all
        broker.kill()
        broker.restart()
        note_time("broker restarted")
        feed.send()
        feed.check()
        note_time("broker killed: exact again after")


def test_job_manager_killed(
    broker: KafkaBroker, flink: FlinkCluster, tmp_path: Path, note_time: Note
) -> None:
    """Kill -9 of the JobManager ends its jobs; started from its last retained checkpoint one is exact."""
    with Feed("job-manager", broker, flink, tmp_path) as feed:
        feed.send()
        feed.check()
        feed.wait_for_checkpoint()
        checkpoint = flink.rest.checkpoint(feed.job)
        assert checkpoint is not None
        assert checkpoint.size > 0
        flink.kill_job_manager()
        feed.send()
        flink.restart_job_manager()
        flink.wait_for_slots()
        note_time("JobManager restarted, second part sent")
        latest = flink.latest_checkpoint(feed.job)
        assert latest is not None
        feed.resume(latest)
        feed.check()
        note_time("JobManager killed, job started from its checkpoint: exact again after")
