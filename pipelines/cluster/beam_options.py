"""Beam options for jobs on Flink: streaming and bounded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.batch.workers import QUIET
from pipelines.cluster.boot_worker import FOLDER_VARIABLE, PLUGINS_VARIABLE
from pipelines.plugins import loaded_plugins

__all__ = ["Streaming", "bounded_options", "streaming_options"]


class FlinkJobOptions(PipelineOptions):
    """Options of jobs on Flink that Beam's Python side does not know by itself, and would warn of."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        for name in (
            *("checkpointing_interval", "max_bundle_size", "max_bundle_time_mills"),
            *("number_of_execution_retries", "execution_retry_delay", "shutdown_sources_after_idle_ms"),
        ):
            parser.add_argument(f"--{name}", type=int)
        for name in (
            *("finish_bundle_before_checkpointing", "externalized_checkpoints_enabled"),
            "retain_externalized_checkpoints_on_cancellation",
        ):
            parser.add_argument(f"--{name}", action="store_true", default=None)
        parser.add_argument("--savepoint_path")


class JobService(Protocol):
    """Where jobs go: an embedded cluster, or :func:`pipelines.cluster.flink.beam_services` of another."""

    @property
    def job_endpoint(self) -> str:
        """``host:port`` of the job server."""
        ...

    @property
    def worker_command(self) -> Path:
        """Script that starts a Python worker on a TaskManager's machine."""
        ...


@dataclass(frozen=True)
class Streaming:
    """What a streaming job can choose.

    Attributes:
        parallelism: Parallel subtasks of each step; as many slots are taken.
        workers: Python workers on each TaskManager, between which its subtasks are shared out.
        checkpoint_ms: Time between checkpoints. [ms]
        bundle_elements: A bundle ends after so many elements, …
        bundle_ms: … or after this time, whichever is first. [ms]
        idle_shutdown_ms: End bounded sources in a streaming job after this idle time; ``None``: the
            sources are unbounded and the job runs until it is cancelled. [ms]
        restore: Savepoint or retained checkpoint to start from.
    """

    parallelism: int = 1
    workers: int = 1
    checkpoint_ms: int = 5000
    bundle_elements: int = 10_000
    bundle_ms: int = 200
    idle_shutdown_ms: int | None = None
    restore: str | None = None


def streaming_options(job: str, service: JobService, streaming: Streaming | None = None) -> list[str]:
    """Options of a streaming job.

    Args:
        job: Name of the job; :meth:`pipelines.cluster.flink_rest.FlinkRest.job_id` finds it by that.
        service: Job server and worker command.
        streaming: Parallelism, checkpoints, bundles, state to start from.
    """
    chosen = streaming or Streaming()
    options = [
        *_portable(job, service, chosen.parallelism, chosen.workers, QUIET),
        "--streaming",
        f"--checkpointing_interval={chosen.checkpoint_ms}",
        f"--number_of_execution_retries={2**31 - 1}",
        "--execution_retry_delay=1000",
        # Without it a checkpoint loses data of open bundles, without an error.
        "--finish_bundle_before_checkpointing",
        "--externalized_checkpoints_enabled",
        "--retain_externalized_checkpoints_on_cancellation",
        f"--max_bundle_size={chosen.bundle_elements}",
        f"--max_bundle_time_mills={chosen.bundle_ms}",
    ]
    if chosen.idle_shutdown_ms is not None:
        options.append(f"--shutdown_sources_after_idle_ms={chosen.idle_shutdown_ms}")
    if chosen.restore is not None:
        options.append(f"--savepoint_path={chosen.restore}")
    return options


def bounded_options(
    job: str,
    service: JobService,
    parallelism: int,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Options of a bounded job: it ends, and after a failure starts again as often as the cluster allows.

    Args:
        job: Name of the job.
        service: Job server and worker command.
        parallelism: Parallel subtasks of each step.
        workers: Python workers on each TaskManager.
        environment: Environment variables of the Python workers.
    """
    return _portable(job, service, parallelism, workers, environment or {})


def _portable(
    job: str, service: JobService, parallelism: int, workers: int, environment: Mapping[str, str]
) -> list[str]:
    given = {
        **environment,
        FOLDER_VARIABLE: os.getcwd(),
        PLUGINS_VARIABLE: os.pathsep.join(loaded_plugins()),
    }
    process = {"command": str(service.worker_command), "env": given}
    return [
        "--runner=PortableRunner",
        f"--job_name={job}",
        f"--job_endpoint={service.job_endpoint}",
        f"--parallelism={parallelism}",
        f"--sdk_worker_parallelism={workers}",
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps(process)}",
    ]
