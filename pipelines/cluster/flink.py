"""A Flink session cluster on this machine, with Beam's job server and Kafka expansion service beside it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pipelines.cluster.fetch import Parts, fetch_parts
from pipelines.cluster.flink_rest import FlinkRest
from pipelines.cluster.flink_settings import (
    CLUSTER_LOG,
    JAVA_OPENS,
    SMALL_JAVA,
    FlinkSize,
    configuration,
)
from pipelines.cluster.process import START_SECONDS, Process, ProcessGroup, answers, free_ports, process_group

__all__ = ["BeamServices", "FlinkCluster", "beam_services", "embedded_flink"]

WORKER_VARIABLE = "METERBEAM_WORKER_COMMAND"
"""Names the worker command of TaskManagers that do not share this machine's files."""

_PROJECT = Path(__file__).resolve().parents[2]
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_EXPANSION = "org.apache.beam.sdk.expansion.service.ExpansionService"


class BeamServices:
    """What turns a Python pipeline into a Flink job: job server, expansion service, worker command.

    Attributes:
        job_endpoint: ``host:port`` of the job server, for ``--job_endpoint``.
        worker_command: Script by which a TaskManager on this machine starts a Python worker.
    """

    def __init__(self, folder: Path, parts: Parts, group: ProcessGroup, rest: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._group = group
        self._java = [parts.java, "-Xmx512m", *SMALL_JAVA, *JAVA_OPENS]
        self._java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", str(parts.beam)]
        self._expansion: str | None = None
        self.worker_command = _worker_command(folder)
        jobs, artifacts, inner = free_ports(3)
        self.job_endpoint = f"127.0.0.1:{jobs}"
        server = group.start(
            "job-server",
            [
                *(*self._java, _JOB_SERVER, "--flink-master", urlsplit(rest).netloc),
                *("--job-host", "127.0.0.1", "--job-port", str(jobs), "--artifact-port", str(artifacts)),
                *("--expansion-port", str(inner), "--artifacts-dir", str(folder / "artifacts")),
            ],
        )
        server.wait_until(lambda: answers(jobs), START_SECONDS)

    @property
    def expansion_service(self) -> str:
        """``host:port`` for ``ReadFromKafka(expansion_service=…)`` and the like; started on first use."""
        if self._expansion is None:
            self._expansion = self._start_expansion()
        return self._expansion

    def _start_expansion(self) -> str:
        (port,) = free_ports(1)
        staged = self._folder / "staged"
        staged.touch()
        process = self._group.start(
            "expansion-service",
            [
                *(*self._java, _EXPANSION, str(port)),
                "--javaClassLookupAllowlistFile=*",
                "--defaultEnvironmentType=EMBEDDED",
                # Beam's jar is on the cluster's class path; nothing of it needs to travel with a job.
                f"--filesToStage={staged}",
                # As a splittable DoFn the Kafka source gives no output on Flink.
                "--experiments=use_deprecated_read",
            ],
        )
        process.wait_until(lambda: answers(port), START_SECONDS)
        return f"127.0.0.1:{port}"


class FlinkCluster:
    """A running cluster: a JobManager and its TaskManagers.

    Attributes:
        rest: The REST interface, with helpers for jobs, savepoints and figures.
        checkpoints: Folder of checkpoints, one folder a job inside.
        savepoints: Folder of savepoints.
        beam: Job server and expansion service.
    """

    def __init__(self, folder: Path, size: FlinkSize, parts: Parts, group: ProcessGroup) -> None:
        self._size = size
        self._parts = parts
        self._group = group
        self._conf = folder / "conf"
        self.checkpoints = folder / "checkpoints"
        self.savepoints = folder / "savepoints"
        for made in (self._conf, self.checkpoints, self.savepoints, folder / "tmp"):
            made.mkdir(parents=True, exist_ok=True)
        rest_port, rpc_port = free_ports(2)
        self._rest_port = rest_port
        self.rest = FlinkRest(f"http://127.0.0.1:{rest_port}")
        text = configuration(size, folder, rest_port, rpc_port)
        (self._conf / "config.yaml").write_text(text, encoding="utf-8")
        (self._conf / "log4j.properties").write_text(CLUSTER_LOG, encoding="utf-8")
        self._job_manager = self._start_job_manager()
        self._task_managers = [self._start_task_manager(number) for number in range(size.task_managers)]
        self.beam = BeamServices(folder, parts, group, self.rest.address)
        self.wait_for_slots()

    @property
    def job_endpoint(self) -> str:
        """``host:port`` of Beam's job server."""
        return self.beam.job_endpoint

    @property
    def expansion_service(self) -> str:
        """``host:port`` of Beam's expansion service with the Kafka transforms."""
        return self.beam.expansion_service

    @property
    def worker_command(self) -> Path:
        """Script by which a TaskManager starts a Python worker."""
        return self.beam.worker_command

    def kill_task_manager(self, number: int = 0) -> None:
        """End a TaskManager at once (SIGKILL), as a failing machine would; its workers notice and end."""
        self._task_managers[number].kill()

    def restart_task_manager(self, number: int = 0) -> None:
        """Start a killed TaskManager anew."""
        self._group.stop(self._task_managers[number])
        self._task_managers[number] = self._start_task_manager(number)

    def kill_job_manager(self) -> None:
        """End the JobManager at once (SIGKILL). Its jobs are lost; their retained checkpoints are not."""
        self._job_manager.kill()

    def restart_job_manager(self) -> None:
        """Start a killed JobManager anew, at the same address; TaskManagers find it by themselves."""
        self._group.stop(self._job_manager)
        self._job_manager = self._start_job_manager()
        self._job_manager.wait_until(lambda: answers(self._rest_port), START_SECONDS)

    def latest_checkpoint(self, job: str) -> str | None:
        """Path of a job's last retained checkpoint, found on disk: also of a job that no JobManager knows."""
        complete = [file.parent for file in (self.checkpoints / job).glob("chk-*/_metadata")]
        latest = max(complete, key=lambda folder: int(folder.name.removeprefix("chk-")), default=None)
        return None if latest is None else latest.as_uri()

    def wait_for_slots(self, seconds: float = START_SECONDS) -> None:
        """Wait until the JobManager answers and every TaskManager has brought its slots.

        Raises:
            MeterbeamError: They did not in time.
        """
        expected = self._size.task_managers * self._size.slots
        self._job_manager.wait_until(lambda: answers(self._rest_port), seconds)
        for manager in self._task_managers:  # any that ended shows its log
            manager.wait_until(lambda: self.rest.slots() >= expected, seconds)

    def task_manager_pids(self) -> list[int]:
        """Process ids of the TaskManagers."""
        return [manager.pid for manager in self._task_managers]

    def worker_pids(self) -> list[int]:
        """Process ids of the Python workers that the TaskManagers have started."""
        groups = set(self.task_manager_pids())
        return [pid for pid in _processes_in(groups) if pid not in groups]

    def _start_job_manager(self) -> Process:
        java = [self._parts.java, "-Xmx512m", "-XX:MaxMetaspaceSize=512m", *SMALL_JAVA]
        return self._start("job-manager", java, _JOB_MANAGER)

    def _start_task_manager(self, number: int) -> Process:
        heap = f"-Xmx{self._size.heap_mb}m"
        java = [self._parts.java, "-Xms256m", heap, "-XX:MaxMetaspaceSize=512m"]
        java += ["-XX:MaxDirectMemorySize=384m", "-XX:+UseG1GC"]
        return self._start(f"task-manager-{number}", java, _TASK_MANAGER)

    def _start(self, name: str, java: list[str], main: str) -> Process:
        log = f"-Dlog4j.configurationFile={self._conf / 'log4j.properties'}"
        # Flink's jars first: what Beam's jar brings of Flink and of logging stands behind them.
        path = os.pathsep.join(map(str, [*self._parts.flink, self._parts.beam]))
        command = [*java, *JAVA_OPENS, log, "-cp", path, main, "--configDir", str(self._conf)]
        return self._group.start(name, command)


@contextmanager
def embedded_flink(
    folder: Path,
    *,
    task_managers: int = 1,
    slots: int = 2,
    state_backend: Literal["hashmap", "rocksdb"] = "hashmap",
    task_heap_mb: int = 512,
    managed_mb: int = 192,
    parts: Parts | None = None,
) -> Iterator[FlinkCluster]:
    """A Flink cluster for the length of a block; about 1.5 GB of memory with one TaskManager.

    Args:
        folder: Gets settings, logs (``NAME.log``), checkpoints and savepoints; made if missing.
        task_managers: Number of TaskManager processes.
        slots: Task slots each; a job of parallelism p needs p of them.
        state_backend: ``hashmap`` (state on the heap) or ``rocksdb`` (on disk, incremental checkpoints).
        task_heap_mb: Heap of a TaskManager for tasks. [MiB]
        managed_mb: Memory of a TaskManager for RocksDB and batch sorts. [MiB]
        parts: Fetched parts; fetched here unless given.

    Raises:
        MeterbeamError: Java is missing, or a process did not start; says which, and the end of its log.
    """
    size = FlinkSize(task_managers, slots, state_backend, task_heap_mb, managed_mb)
    parts = parts or fetch_parts()
    folder = folder.resolve()
    with process_group(folder) as group:
        yield FlinkCluster(folder, size, parts, group)


@contextmanager
def beam_services(folder: Path, rest: str, parts: Parts | None = None) -> Iterator[BeamServices]:
    """Beam's job server and expansion service for a Flink cluster that runs already.

    Args:
        folder: Gets logs, staged artifacts and the worker script.
        rest: Address of the cluster's REST interface, ``http://host:port``.
        parts: Fetched parts; fetched here unless given.
    """
    parts = parts or fetch_parts()
    folder = folder.resolve()
    with process_group(folder) as group:
        yield BeamServices(folder, parts, group, rest)


def _worker_command(folder: Path) -> Path:
    """The command named in the environment, or a script that starts this Python with this project."""
    named = os.environ.get(WORKER_VARIABLE)
    if named:
        return Path(named)
    script = folder / "python-worker.sh"
    path = os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH", "")]))
    script.write_text(
        "#!/bin/sh\n"
        f"export PYTHONPATH={shlex.quote(path)}\n"
        f"exec {shlex.quote(sys.executable)} -m pipelines.cluster.boot_worker"
        f' "$@" >> {shlex.quote(str(folder / "python-worker.log"))} 2>&1\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    return script


def _processes_in(groups: set[int]) -> list[int]:
    """Processes of some process groups (Linux: read from /proc)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) in groups:
                    found.append(int(entry.name))
            except ProcessLookupError:  # ended while we looked
                continue
    return sorted(found)
