"""Worker processes end with the run they belong to, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import os, sys, time
from pipelines.batch.workers import workers
with workers(2, ()) as pool:
    print(pool.call(os.getpid), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see processes")
def test_workers_end_when_their_run_is_killed() -> None:
    """Kill -9 of the run: no process of it is left."""
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        worker = int(run.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        os.kill(run.pid, signal.SIGKILL)
    for _ in range(600):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    pytest.fail(f"worker {worker} outlived its run by a minute")
