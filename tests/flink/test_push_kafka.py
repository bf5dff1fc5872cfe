"""Messages to a real broker: what the tests beside the library's broker promise, and kills, here too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from pipelines.batch.kafka_address import kafka_address
from pipelines.cluster.kafka import KafkaBroker
from pipelines.downstream.kafka import KafkaTarget, push_kafka
from tests.pipelines.downstream_consumer import consumed, newest, shown
from tests.pipelines.test_push_kafka import (
    test_a_withdrawn_day_and_its_findings,
    test_consumers_end_where_the_lake_is,
    test_other_lakes_and_later_runs_are_refused,
    town,
)
from tests.pipelines.towns import run

__all__ = [
    "test_a_withdrawn_day_and_its_findings",
    "test_consumers_end_where_the_lake_is",
    "test_other_lakes_and_later_runs_are_refused",
    "town",
]


@pytest.fixture
def target(broker: KafkaBroker) -> KafkaTarget:
    """The broker of this folder, with topics of its own that the push has to make."""
    return KafkaTarget(kafka_address(f"kafka://{broker.address}"), f"{uuid4().hex[:8]}.")


def test_killed_and_made_again(town: Path, tmp_path: Path, target: KafkaTarget) -> None:
    """Kill -9 at each step of a push, then push again: consumers end right."""
    lake = tmp_path / "lake"
    run(lake, town, tariffs=town / "tariffs")
    for step in ("days", "faults", "sent"):
        child = [sys.executable, "-m", "tests.pipelines.push_kafka_child", str(lake), str(target.address)]
        done = subprocess.run([*child, target.prefix, step], cwd=Path(__file__).parents[2], check=False)
        assert done.returncode == -signal.SIGKILL, os.strerror(abs(done.returncode))
    assert push_kafka(lake, target)["since_run"] == 0
    assert newest(consumed(target)) == shown(lake)
    assert push_kafka(lake, target)["messages"] == {}
