"""A push that kills itself at a step: ``python -m tests.pipelines.push_child LAKE DSN STEP``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pipelines.postgres import push as pushing


def main(lake: str, dsn: str, step: str) -> None:
    """Push a lake; at the step, kill -9."""
    last = step

    def reached(step: str) -> None:
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    pushing.reached = reached
    pushing.push(Path(lake), dsn)


if __name__ == "__main__":
    main(*sys.argv[1:])
