"""A headless Chromium that a test drives through the DevTools pipe: no port, no driver, no dependency.

Chromium reads commands from file descriptor 3 and writes replies and events to 4, JSON ended by NUL.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any, BinaryIO

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

# The child may hold any descriptor at 3 or 4: move ours out of the way, then put them where Chromium looks.
_LAUNCH = (
    "import fcntl, os, sys\n"
    "pipes = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]\n"
    "[os.dup2(fd, place) for place, fd in zip((3, 4), pipes)]\n"
    "os.execv(sys.argv[3], sys.argv[3:])\n"
)

TIMEOUT_S = 60
"""How long a reply may take before the browser counts as hung."""


def executable() -> str | None:
    """Where Chromium is, None where it is not."""
    return next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


@dataclass
class Page:
    """A tab. Every event that Chromium reports since the page was opened is in ``events``."""

    requests: BinaryIO
    replies: Queue[dict[str, Any]]
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result; events that come before it are kept."""
        self.sent += 1
        message: dict[str, Any] = {"id": self.sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.requests.write(json.dumps(message).encode() + b"\0")
        self.requests.flush()
        while True:
            reply = self._next(method)
            if reply.get("id") == self.sent:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                result: dict[str, Any] = reply["result"]
                return result
            self.events.append(reply)

    def wait_for(self, method: str) -> dict[str, Any]:
        """The first event of this name, waiting for it where it has not come yet."""
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return event
            self.events.append(self._next(method))

    def open(self, file: Path) -> None:
        """Load a file and wait until it, its script and two more frames are done."""
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        self.wait_for("Page.loadEventFired")
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression (of its promise) in the page."""
        reply = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in reply:
            raise RuntimeError(f"{script}: {reply['exceptionDetails']}")
        return reply["result"].get("value")

    def complaints(self) -> list[str]:
        """Console errors and warnings, uncaught exceptions and browser log entries, as text."""
        found = []
        for event in self.events:
            name, told = event.get("method"), event.get("params", {})
            if (
                name in ("Runtime.exceptionThrown", "Log.entryAdded")
                or (name == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"))
                or name == "Audits.issueAdded"
            ):
                found.append(json.dumps(told))
        return found

    def fetched(self) -> list[str]:
        """Addresses the page asked for, itself included."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def _next(self, waiting_for: str) -> dict[str, Any]:
        try:
            return self.replies.get(timeout=TIMEOUT_S)
        except Empty:
            raise RuntimeError(
                f"Chromium said nothing for {TIMEOUT_S} s while {waiting_for} was due"
            ) from None


@contextmanager
def browser(profile: Path, *, width: int = 1200, height: int = 900) -> Iterator[Page]:
    """Start Chromium with a new profile and give its tab; ends the browser in any case.

    Raises:
        FileNotFoundError: Chromium is not installed.
    """
    path = executable()
    if path is None:
        raise FileNotFoundError("chromium")
    command_read, command_write = os.pipe()
    reply_read, reply_write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, str(command_read), str(reply_write), path, *FLAGS,
         f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"],
        pass_fds=(command_read, reply_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(command_read)
    os.close(reply_write)
    replies: Queue[dict[str, Any]] = Queue()
    reader = threading.Thread(target=_read, args=(reply_read, replies), daemon=True)
    reader.start()
    try:
        with os.fdopen(command_write, "wb") as requests:
            page = Page(requests, replies)
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
                page.call(f"{domain}.enable")
            yield page
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_S)
        reader.join(timeout=TIMEOUT_S)


def _read(pipe: int, replies: Queue[dict[str, Any]]) -> None:
    with os.fdopen(pipe, "rb") as stream:
        rest = b""
        while part := stream.read1(65_536):
            *messages, rest = (rest + part).split(b"\0")
            for message in messages:
                replies.put(json.loads(message))
