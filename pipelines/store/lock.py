"""The lock of a lake: one run at a time, and run numbers that are never used twice."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.store.lease import LakeBusyError, Lease, leased
from transforms.storage import ObjectPath

__all__ = ["LOCK", "LakeBusyError", "LakeLock", "held"]

LOCK = "lock"
_WIDTH = 512


class LakeLock:
    """The lock file while it is held.

    Attributes:
        last_attempt: Greatest run number that was ever handed out, 0 for none; a run that was killed
            after it began has used its number up.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.last_attempt = int(_content(handle).get("run_no", 0))

    def confirm(self) -> None:
        """Nothing: the kernel keeps the lock for as long as the process lives."""

    def note(self, run_no: int) -> None:
        """Say who holds the lake, for which run."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        holder = {"process": os.getpid(), "host": socket.gethostname(), "since": now, "run_no": run_no}
        # One write of a fixed width: a kill leaves the old text or the new one.
        os.pwrite(self._handle, json.dumps(holder).ljust(_WIDTH).encode(), 0)
        self.last_attempt = run_no


@contextmanager
def held(lake: Path) -> Iterator[LakeLock | Lease]:
    """Hold a lake; the lock ends with the process, however that ends.

    Raises:
        LakeBusyError: Another process holds it; says which one, since when.
    """
    if isinstance(lake, ObjectPath):
        with leased(lake / LOCK) as lease:
            yield lease
        return
    handle = os.open(lake / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LakeBusyError(
                str(lake), f"a run at work: {_told(_content(handle))}", "no other run (wait for it to end)"
            ) from error
        lock = LakeLock(handle)
        lock.note(lock.last_attempt)
        yield lock
    finally:
        os.close(handle)


def _content(handle: int) -> dict[str, Any]:
    text = os.pread(handle, _WIDTH, 0).decode(errors="replace").strip()
    try:
        content = json.loads(text) if text else {}
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _told(content: dict[str, Any]) -> str:
    if "process" not in content:
        return "a process that has just begun"
    return f"process {content['process']} on {content.get('host')} since {content.get('since')}"
