"""A Kafka broker on this machine: one node, KRaft, no ZooKeeper."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.cluster.fetch import Parts, fetch_parts
from pipelines.cluster.process import START_SECONDS, Process, ProcessGroup, answers, free_ports, process_group
from schemas.errors import MeterbeamError

__all__ = ["KafkaBroker", "embedded_kafka"]

_FLAGS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


class KafkaBroker:
    """A running broker.

    Attributes:
        address: ``host:port`` for ``bootstrap.servers``.
    """

    def __init__(self, folder: Path, parts: Parts, group: ProcessGroup) -> None:
        self._parts = parts
        self._group = group
        self._settings = folder / "server.properties"
        port, controller = free_ports(2)
        self._port = port
        self.address = f"127.0.0.1:{port}"
        self._settings.write_text(_properties(folder / "data", port, controller), encoding="utf-8")
        # The first character is fixed: an id that begins with a dash would be read as an option.
        identity = "M" + base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")[1:]
        self._tool("kafka.tools.StorageTool", "format", "-t", identity, "-c", str(self._settings), "-g")
        self._process = self._start()

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Create topics with so many partitions each; one that exists is left as it is."""
        for topic, count in partitions.items():
            self._tool(
                "org.apache.kafka.tools.TopicCommand",
                *("--bootstrap-server", self.address, "--create", "--if-not-exists"),
                *("--topic", topic, "--partitions", str(count), "--replication-factor", "1"),
            )

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a failing machine would."""
        self._process.kill()

    def restart(self) -> None:
        """Start a broker that was killed, on its data and its port."""
        self._group.stop(self._process)
        self._process = self._start()

    def _start(self) -> Process:
        process = self._group.start("kafka", self.command("kafka.Kafka", str(self._settings)))
        process.wait_until(lambda: answers(self._port), START_SECONDS)
        return process

    def command(self, main: str, *arguments: str) -> list[str]:
        """The command that runs one of the programs in Kafka's jars: ``kafka.tools.ConsoleProducer``."""
        path = os.pathsep.join(map(str, self._parts.kafka))
        return [self._parts.java, *_FLAGS, "-cp", path, main, *arguments]

    def _tool(self, main: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603
            self.command(main, *arguments), text=True, capture_output=True, check=False
        )
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
            raise MeterbeamError(
                f"{main} {' '.join(arguments)}", f"exit code {done.returncode}:\n{last}", "exit code 0"
            )


@contextmanager
def embedded_kafka(folder: Path, parts: Parts | None = None) -> Iterator[KafkaBroker]:
    """A broker for the length of a block.

    Args:
        folder: Gets its settings, data and log; made if missing, must hold no broker's data yet.
        parts: Fetched parts; fetched here unless given.
    """
    parts = parts or fetch_parts()
    folder.mkdir(parents=True, exist_ok=True)
    with process_group(folder) as group:
        yield KafkaBroker(folder, parts, group)


def _properties(data: Path, port: int, controller: int) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.timestamp.type": "CreateTime",
        "log.retention.hours": "-1",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
