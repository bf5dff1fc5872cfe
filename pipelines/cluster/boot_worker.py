"""Boots Beam's Python worker where a Flink TaskManager asks for one (the PROCESS environment).

A TaskManager starts the command of the environment with ``--id`` and ``--provision_endpoint``. What a
container image would do is done here: ask the endpoint for the pipeline's options and services, load
the user's plugins, become the worker. A worker whose TaskManager is gone ends by itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time

__all__ = ["FOLDER_VARIABLE", "PLUGINS_VARIABLE", "main"]

PLUGINS_VARIABLE = "METERBEAM_WORKER_PLUGINS"
"""Plugins to load first, separated by the path separator."""

FOLDER_VARIABLE = "METERBEAM_WORKER_FOLDER"
"""Folder to work in: relative paths then mean what they mean to the one who submitted the job."""

_PROVISION_TIMEOUT_S = 60.0


def main(arguments: list[str]) -> None:
    """Provision and run one worker to its end."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    options = _options(arguments)
    folder = os.environ.get(FOLDER_VARIABLE, "")
    if os.path.isdir(folder):
        os.chdir(folder)
    os.environ.update(_provisioned(options.id, options.provision_endpoint))
    _load_plugins()
    _one_thread()

    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])  # type: ignore[no-untyped-call]


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Beam's Python worker, started by a Flink TaskManager.")
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    known, _ = parser.parse_known_args(arguments)
    return known


def _provisioned(worker: str, endpoint: str) -> dict[str, str]:
    """Environment of the worker, as the provision endpoint gives it."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
    from google.protobuf import json_format, text_format

    with grpc.insecure_channel(endpoint) as channel:
        info = (
            beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)  # type: ignore[no-untyped-call]
            .GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                timeout=_PROVISION_TIMEOUT_S,
                wait_for_ready=True,
                metadata=(("worker_id", worker),),
            )
            .info
        )
    return {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


def _load_plugins() -> None:
    named = [name for name in os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep) if name]
    if named:
        from pipelines.plugins import load_plugins

        load_plugins(named)


def _one_thread() -> None:
    """Arrow's thread pools cost more than they save where each slot has a worker of its own."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
