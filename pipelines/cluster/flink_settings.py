"""Settings of the processes of an embedded Flink cluster: configuration file, log format, Java flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["CLUSTER_LOG", "JAVA_OPENS", "SMALL_JAVA", "FlinkSize", "configuration"]

JAVA_OPENS = tuple(
    f"--add-{kind}=java.base/{package}=ALL-UNNAMED"
    for kind, package in (
        ("exports", "sun.net.util"),
        *(
            ("opens", package)
            for package in (
                "java.lang",
                "java.net",
                "java.io",
                "java.nio",
                "java.text",
                "java.time",
                "java.util",
                "java.util.concurrent",
                "java.util.concurrent.atomic",
                "java.util.concurrent.locks",
                "sun.nio.ch",
            )
        ),
    )
)
"""What Flink and Beam reach into by reflection on Java 17."""

SMALL_JAVA = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""For processes that mostly wait: one collector thread, quick start."""

CLUSTER_LOG = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""
"""Log4j settings: everything to standard output, which goes to the process's own file."""


@dataclass(frozen=True)
class FlinkSize:
    """How large an embedded cluster is and where it keeps state.

    Attributes:
        task_managers: Number of TaskManager processes.
        slots: Task slots each; a job of parallelism p needs p of them.
        state_backend: ``rocksdb`` (state on disk, incremental checkpoints) or ``hashmap`` (state on
            the heap).
        task_heap_mb: Heap of a TaskManager for tasks. [MiB]
        managed_mb: Memory of a TaskManager for RocksDB and batch sorts, shared by its slots. [MiB]
    """

    task_managers: int = 1
    slots: int = 2
    state_backend: Literal["rocksdb", "hashmap"] = "hashmap"
    task_heap_mb: int = 512
    managed_mb: int = 192

    def __post_init__(self) -> None:
        for name in ("task_managers", "slots", "task_heap_mb", "managed_mb"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.state_backend not in ("rocksdb", "hashmap"):
            raise ValueError(f"state_backend must be rocksdb or hashmap, got {self.state_backend}")

    @property
    def heap_mb(self) -> int:
        """Java heap of a TaskManager, in MiB."""
        return self.task_heap_mb + 128


def configuration(size: FlinkSize, folder: Path, rest_port: int, rpc_port: int) -> str:
    """Text of ``config.yaml`` for JobManager and TaskManagers.

    The memory of a TaskManager is given part by part, so that no script has to compute it first.

    Args:
        size: Size of the cluster.
        folder: Holds ``checkpoints``, ``savepoints`` and ``tmp``.
        rest_port: Port of the REST interface.
        rpc_port: Port of the JobManager.
    """
    settings = {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": rpc_port,
        "jobmanager.bind-host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": rest_port,
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": size.slots,
        "taskmanager.cpu.cores": size.slots,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.heap.size": f"{size.task_heap_mb}m",
        "taskmanager.memory.task.off-heap.size": "128m",
        "taskmanager.memory.network.min": "64m",
        "taskmanager.memory.network.max": "64m",
        "taskmanager.memory.managed.size": f"{size.managed_mb}m",
        "taskmanager.memory.jvm-metaspace.size": "512m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        # Beam's jar lies on the class path; loaded again with every job it would fill the metaspace.
        "classloader.resolve-order": "parent-first",
        "state.backend.type": size.state_backend,
        "state.backend.incremental": str(size.state_backend == "rocksdb").lower(),
        "state.checkpoints.dir": (folder / "checkpoints").as_uri(),
        "state.savepoints.dir": (folder / "savepoints").as_uri(),
        "state.checkpoints.num-retained": 2,
        "restart-strategy.type": "fixed-delay",
        # Bounded jobs; a streaming job asks for as many as it needs.
        "restart-strategy.fixed-delay.attempts": 3,
        "restart-strategy.fixed-delay.delay": "1 s",
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 10000,
        "io.tmp.dirs": folder / "tmp",
        # A job takes Beam's jar along, 200 MB: do not keep it long after the job.
        "blob.service.cleanup.interval": 60,
        "metrics.fetcher.update-interval": 2000,
        "web.cancel.enable": "false",
    }
    return "".join(f"{name}: {value}\n" for name, value in settings.items())
