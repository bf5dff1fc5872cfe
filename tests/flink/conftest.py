"""One Flink cluster and one Kafka broker for the tests of this folder; recovery times at the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from pipelines.cluster.fetch import Parts, fetch_parts
from pipelines.cluster.flink import FlinkCluster, embedded_flink
from pipelines.cluster.kafka import KafkaBroker, embedded_kafka
from schemas.errors import MeterbeamError
from tests.requirements_gate import gate

_TIMES: list[str] = []


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The Java parts; fetched on the first run."""
    gate(
        "flink",
        shutil.which("java") is not None and shutil.which("mvn") is not None,
        "install Java 17 and Maven (on Debian: apt-get install openjdk-17-jre-headless maven)",
    )
    try:
        return fetch_parts()
    except MeterbeamError as error:
        gate("flink", False, f"the parts of a cluster, which could not be fetched: {error}")
        raise


@pytest.fixture(scope="session")
def broker(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A running broker."""
    with embedded_kafka(tmp_path_factory.mktemp("kafka"), parts) as running:
        yield running


@pytest.fixture(scope="session")
def flink(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """A running cluster: one TaskManager with two slots."""
    with embedded_flink(tmp_path_factory.mktemp("flink"), parts=parts) as running:
        yield running


@pytest.fixture
def note_time() -> Callable[[str], None]:
    """Call it to note the seconds since the fixture was made or since the last note."""
    began = [time.monotonic()]

    def note(what: str) -> None:
        now = time.monotonic()
        _TIMES.append(f"{what}: {now - began[0]:.1f} s")
        began[0] = now

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was noted."""
    if _TIMES:
        terminalreporter.section("times on Flink")
        for line in _TIMES:
            terminalreporter.write_line(line)
