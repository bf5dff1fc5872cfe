"""The lock of a lake on object storage: a lease, kept by conditional puts of one small object.

The object says who holds the lake, and which run number was handed out last. Whoever wants it replaces the
object as it was seen (If-Match); of two, one succeeds. The holder renews it; a holder that was killed is
known at once on its own machine, elsewhere when its lease has run out. A clock that is wrong can only make
two processes believe that they hold the lake: every commit is confirmed first, Delta commits are
conditional puts themselves, and a run that finds another's commit publishes nothing.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from schemas.errors import MeterbeamError
from transforms.storage import ObjectPath

__all__ = ["LEASE_S", "LakeBusyError", "Lease", "leased"]

LEASE_S = 60
"""A holder that has not been heard of for so long has lost the lake."""
RENEW_S = 15


class LakeBusyError(MeterbeamError):
    """Another process holds the lake."""


class Lease:
    """The lease while it is held; renews itself until it is released.

    Attributes:
        last_attempt: Greatest run number that was ever handed out, 0 for none.
    """

    def __init__(self, path: ObjectPath, seen: str | None, last_attempt: int) -> None:
        """Take the lease.

        Args:
            path: The lock object.
            seen: Entity tag of the object as it was read; None where there was none.
            last_attempt: The run number in it.

        Raises:
            LakeBusyError: Another process was quicker.
        """
        self.last_attempt = last_attempt
        self._path, self._tag = path, seen
        self._token = uuid4().hex
        self._since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._put(self._holder())
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def note(self, run_no: int) -> None:
        """Say for which run the lake is held."""
        self.last_attempt = run_no
        self.confirm()

    def confirm(self) -> None:
        """Renew the lease.

        Raises:
            LakeBusyError: Another process has taken it.
        """
        self._put(self._holder())

    def release(self) -> None:
        """Let go; the run number stays. One that is lost already is left to its holder."""
        self._ended.set()
        try:
            self._put({"run_no": self.last_attempt})
        except LakeBusyError:
            return

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_S):
            try:
                self.confirm()
            except LakeBusyError:
                return  # the run is told when it confirms its next step
            except MeterbeamError:
                continue  # the store cannot be reached just now: the lease lasts a while yet

    def _holder(self) -> dict[str, Any]:
        who = {"process": os.getpid(), "host": socket.gethostname(), "since": self._since}
        return {**who, "token": self._token, "run_no": self.last_attempt}

    def _put(self, content: dict[str, Any]) -> None:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._guard:
            try:
                self._tag = self._path.swap(json.dumps(content).encode(), self._tag)
            except (AlreadyExistsError, PreconditionError) as error:
                # A put that went through while its answer was lost is repeated, and meets itself.
                found, tag, _ = seen(self._path)
                if found.get("token") != self._token:
                    raise _lost(self._path, found) from error
                self._tag = self._path.swap(json.dumps(content).encode(), tag)


@contextmanager
def leased(path: ObjectPath) -> Iterator[Lease]:
    """Hold a lake whose lock object is free, or whose holder is gone.

    Raises:
        LakeBusyError: Another process holds it; says which one, since when.
    """
    content, tag, age = seen(path)
    if "process" in content and not _gone(content) and age < LEASE_S:
        raise _lost(path, content)
    lease = Lease(path, tag, int(content.get("run_no", 0)))
    try:
        yield lease
    finally:
        lease.release()


def seen(path: ObjectPath) -> tuple[dict[str, Any], str | None, float]:
    """The lock object as it is: its content, its entity tag, and its age [s]."""
    try:
        data, tag, changed = path.fetch()
    except FileNotFoundError:
        return {}, None, 0.0
    try:
        content = json.loads(data)
    except ValueError:
        content = {}
    return (content if isinstance(content, dict) else {}), tag, time.time() - changed


def _gone(content: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    if content.get("host") != socket.gethostname() or content["process"] == os.getpid():
        return False
    try:
        os.kill(int(content["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _lost(path: ObjectPath, content: dict[str, Any]) -> LakeBusyError:
    told = "a process that has just begun"
    if "process" in content:
        told = f"process {content['process']} on {content.get('host')} since {content.get('since')}"
    expected = f"no other run (wait for it to end; a lake is free {LEASE_S} s after its holder was killed)"
    return LakeBusyError(str(path.parent), f"a run at work: {told}", expected)
