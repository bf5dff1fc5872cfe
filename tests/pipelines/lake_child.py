"""A process that makes runs of a lake and is killed while it does.

Reads orders from stdin, one a line: ``LAKE STEP`` makes one run in a forked child, which kills itself at
the step (``-`` for none); ``LAKE after SECONDS`` has it make runs until it is killed from outside. Answers
each with the child's exit status. The run's content is a function of its ordinal alone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.store import commit as committing
from pipelines.store.lake import Lake
from tests.pipelines.lake_days import Content, Key, commit

METERS = ("m1", "m2", "m3", "m4")


def run_content(ordinal: int) -> dict[Key, tuple[Content, int]]:
    """Rows of the n-th complete run of a lake (n from 1): every second one withdraws a day."""
    content: dict[Key, tuple[Content, int]] = {
        (meter, day): (ordinal * 100 + day, ordinal) for meter in METERS for day in range(2)
    }
    content[METERS[ordinal % 4], 1] = (None, ordinal)
    return content


def run_dirty(ordinal: int) -> list[str]:
    """Dirty meters after the n-th run."""
    return [METERS[ordinal % 4]]


def make_run(folder: Path) -> None:
    """Make the next run of a lake."""
    lake = Lake.open(folder)
    ordinal = lake.runs().num_rows + 1
    commit(lake, run_content(ordinal), run_dirty(ordinal))


def _killed_at(step: str) -> None:
    def reached(now: str) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(committing, "reached", reached)  # noqa: B010 a module's function is not assignable to mypy


def _child(make: Callable[[Path], None], folder: Path, step: str) -> None:
    if step.startswith("after "):
        while True:
            make(folder)
    _killed_at(step)
    make(folder)


def main(make: Callable[[Path], None] = make_run) -> None:
    """Serve orders until stdin ends. This process never opens a lake, so that forking it is safe.

    Args:
        make: Makes one run of the lake in a folder.
    """
    for line in sys.stdin:
        folder, step = line.strip().split(maxsplit=1)
        pid = os.fork()
        if pid == 0:
            try:
                _child(make, Path(folder), step)
            except BaseException as error:
                sys.stderr.write(f"{error!r}\n")
                os._exit(3)
            os._exit(0)
        if step.startswith("after "):
            time.sleep(float(step.removeprefix("after ")))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
