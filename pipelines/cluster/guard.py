"""Ends the processes of an embedded cluster when the process that started them is gone, however it went.

Started as a script of its own. It reads ``+PID`` and ``-PID`` from its standard input, a pipe that only
the starter holds; the pipe closes with the starter, and every process group still noted is killed.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

__all__ = ["guard"]


def guard(lines: list[str]) -> list[int]:
    """The process groups that are noted and not taken back, in order."""
    noted: dict[int, None] = {}
    for line in lines:
        pid = int(line[1:])
        if line[0] == "+":
            noted[pid] = None
        else:
            noted.pop(pid, None)
    return list(noted)


if __name__ == "__main__":
    for group in guard([line.strip() for line in sys.stdin]):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
