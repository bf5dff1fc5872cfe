"""Worker processes end with the run they belong to, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.batch.workers import workers
from schemas.errors import MeterbeamError

HOLD = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
CHILD = f"""
from pipelines.batch.workers import workers
with workers(2, ()) as pool:
    %s(exec, {HOLD!r}).result()
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see processes")
@pytest.mark.parametrize("start", ["pool._pool.submit", "pool.call"])
def test_workers_end_when_their_run_is_killed(start: str) -> None:
    """Kill -9 of the run: no process of it is left, be it of the pool or that of a single call."""
    with subprocess.Popen([sys.executable, "-c", CHILD % start], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        worker = int(run.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        os.kill(run.pid, signal.SIGKILL)
    for _ in range(600):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    pytest.fail(f"worker {worker} outlived its run by a minute")


def test_a_call_has_a_process_of_its_own() -> None:
    """It is none of the pool's, and ends with the call."""
    with workers(1, ()) as pool:
        alone, other = pool.call(os.getpid), pool._pool.submit(os.getpid).result()
        again = pool.call(os.getpid)
        assert len({alone, other, again, os.getpid()}) == 4
        assert not Path(f"/proc/{alone}").exists()


def test_an_error_of_a_call_is_its_callers() -> None:
    """What the function raises is raised here."""
    with workers(1, ()) as pool, pytest.raises(MeterbeamError, match="found b, expected c"):
        pool.call(_raise)


def test_a_call_whose_process_dies_is_an_error_that_says_so() -> None:
    """And the next call has a process again."""
    with workers(1, ()) as pool:
        with pytest.raises(MeterbeamError, match="a process that ended early"):
            pool.call(os._exit, 1)
        assert pool.call(os.getpid) != os.getpid()


def _raise() -> None:
    raise MeterbeamError("a", "b", "c")
