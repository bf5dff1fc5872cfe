"""A push that kills itself at a step: arguments LAKE ADDRESS PREFIX STEP."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pipelines.batch.kafka_address import kafka_address
from pipelines.downstream import kafka


def main(lake: str, address: str, prefix: str, step: str) -> None:
    """Push a lake; at the step, kill -9."""
    last = step

    def reached(step: str) -> None:
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    kafka.reached = reached
    kafka.push_kafka(Path(lake), kafka.KafkaTarget(kafka_address(address), prefix))


if __name__ == "__main__":
    main(*sys.argv[1:])
