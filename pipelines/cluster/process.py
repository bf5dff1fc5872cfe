"""Processes of an embedded cluster: each with its log, its health check and a sure end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from schemas.errors import MeterbeamError

__all__ = ["START_SECONDS", "Process", "ProcessGroup", "answers", "free_ports", "process_group"]

START_SECONDS = 180.0
"""How long a process may take to start: seconds as a rule, minutes on a machine that is fought over."""

_GUARD = Path(__file__).with_name("guard.py")
_GRACE_S = 10.0


class Process:
    """A running process that leads a process group.

    Attributes:
        name: What it is, for messages.
        log: File with all that it printed.
    """

    def __init__(self, name: str, started: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._started = started

    @property
    def pid(self) -> int:
        """Id of the process and of its group."""
        return self._started.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._started.poll() is None

    def kill(self) -> None:
        """End the process itself at once (SIGKILL); its children are left to notice."""
        self._started.kill()
        self._started.wait()

    def stop(self) -> None:
        """End it politely, then by force, and whatever its group still holds."""
        if self.alive:
            self._started.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._started.wait(_GRACE_S)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._started.wait()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until a health check passes.

        Raises:
            MeterbeamError: The process ended, or the time is up; shows the end of its log.
        """
        end = time.monotonic() + seconds
        while not ready():
            if not self.alive:
                raise self._failed(f"ended with code {self._started.returncode}")
            if time.monotonic() > end:
                raise self._failed(f"not ready after {seconds:.0f} s")
            time.sleep(0.1)

    def _failed(self, how: str) -> MeterbeamError:
        last = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        return MeterbeamError(self.name, f"{how}; {self.log} ends with:\n{last}", "a process that starts")


class ProcessGroup:
    """All processes of one embedded service: started here, ended in reverse order."""

    def __init__(self, logs: Path, guard: IO[bytes]) -> None:
        self._logs = logs
        self._guard = guard
        self._running: list[Process] = []

    def start(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> Process:
        """Start a process; what it prints is appended to ``NAME.log``."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            started = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._logs,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        process = Process(name, started, log)
        self._running.append(process)
        self._note(f"+{process.pid}")
        return process

    def stop(self, process: Process) -> None:
        """End one process."""
        process.stop()
        self._running.remove(process)
        self._note(f"-{process.pid}")

    def stop_all(self) -> None:
        """End every process, the youngest first."""
        for process in reversed(list(self._running)):
            self.stop(process)

    def _note(self, line: str) -> None:
        self._guard.write(line.encode() + b"\n")
        self._guard.flush()


@contextmanager
def process_group(logs: Path) -> Iterator[ProcessGroup]:
    """Processes for the length of a block; a guard ends them if this process is killed."""
    logs.mkdir(parents=True, exist_ok=True)
    guard = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", str(_GUARD)], stdin=subprocess.PIPE, start_new_session=True
    )
    assert guard.stdin is not None
    group = ProcessGroup(logs, guard.stdin)
    try:
        yield group
    finally:
        group.stop_all()
        guard.stdin.close()
        guard.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nothing on this machine listens to; all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def answers(port: int) -> bool:
    """Whether something on this machine accepts connections at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
