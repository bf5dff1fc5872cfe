"""Processes of an embedded cluster: started with a log, checked, and surely ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cluster.guard import guard
from pipelines.cluster.process import answers, free_ports, process_group
from schemas.errors import MeterbeamError

SLEEPER = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(600)"]
OWNER = """
import sys, time
from pathlib import Path
from pipelines.cluster.process import process_group
with process_group(Path(sys.argv[1])) as group:
    one = group.start("sleeper", ["sh", "-c", "sleep 600 & sleep 600"])
    print(one.pid, flush=True)
    time.sleep(600)
"""


def until(ready: Callable[[], bool]) -> bool:
    """Whether something comes true within a minute."""
    end = time.monotonic() + 60
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def group_is_gone(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_processes_end_with_the_block(tmp_path: Path) -> None:
    """What a process printed is in its log, and the process is gone after the block."""
    with process_group(tmp_path) as group:
        process = group.start("sleeper", SLEEPER)
        assert until(lambda: "here" in process.log.read_text())
        assert process.alive
    assert group_is_gone(process.pid)
    assert process.log == tmp_path / "sleeper.log"


def test_processes_end_with_a_killed_owner(tmp_path: Path, repo: Path) -> None:
    """Kill -9 of the starter ends every process it had started, their children included."""
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repo) as owner:
        assert owner.stdout is not None
        group = int(owner.stdout.readline())
        assert not group_is_gone(group)
        owner.kill()
    assert until(lambda: group_is_gone(group))


def test_a_process_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    """A failed start names the process, its exit code and the end of its log."""
    with process_group(tmp_path) as group:
        process = group.start("broken", [sys.executable, "-c", "raise SystemExit('no disk left')"])
        with pytest.raises(MeterbeamError, match=r"(?s)broken: found ended with code 1.*no disk left"):
            process.wait_until(lambda: False, 60)


def test_a_stopped_process_leaves_no_children(tmp_path: Path) -> None:
    """A process that is stopped takes its whole group along."""
    with process_group(tmp_path) as group:
        process = group.start("parent", ["sh", "-c", "trap '' TERM; sleep 600 & wait"])
        process.kill()
        group.stop(process)
        assert until(lambda: group_is_gone(process.pid))


def test_guard_forgets_what_was_stopped() -> None:
    """Only groups that are noted and not taken back are killed: ids are used again by the system."""
    assert guard(["+7", "+8", "-7", "+9", "-9", "+7"]) == [8, 7]


def test_free_ports_differ() -> None:
    """Ports are different and nothing answers at them."""
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert not any(answers(port) for port in ports)


def test_interrupt_of_the_owner_is_not_passed_on(tmp_path: Path) -> None:
    """Processes lead groups of their own: an interrupt from the keyboard reaches the starter only."""
    with process_group(tmp_path) as group:
        process = group.start("sleeper", SLEEPER)
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
        os.kill(process.pid, signal.SIGKILL)
