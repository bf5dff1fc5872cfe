"""Which job keeps a lake up to date: noted in the lake, so that a client that was killed finds it again."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.cluster.flink_rest import FlinkRest
from pipelines.store.parts import whole_file

__all__ = ["note_job", "running_job"]

JOB = "job.json"
"""In the folder of the stream's state: the name of the job that was started last."""


def note_job(state: Path, name: str) -> None:
    """Note a job before it is submitted: from then on no second one starts beside it."""
    with whole_file(state / JOB) as out:
        out.write(json.dumps({"name": name}).encode())


def running_job(state: Path, rest: FlinkRest) -> str | None:
    """Id of the noted job if it still runs on a cluster.

    A job on a cluster of its own outlives the client that started it.

    Args:
        state: Folder of the stream's state.
        rest: The cluster.
    """
    if not (state / JOB).exists():
        return None
    return rest.unended(json.loads((state / JOB).read_text("utf-8"))["name"])
