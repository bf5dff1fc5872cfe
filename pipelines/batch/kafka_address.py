"""Where a Kafka cluster is, and which of its topics are read: ``kafka://host:port[,host:port][/topic,…]``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import MeterbeamError
from schemas.writers import TOPICS

__all__ = ["KafkaAddress", "is_kafka", "kafka_address", "kafka_settings"]

SCHEME = "kafka://"
FORM = "kafka://HOST:PORT[,HOST:PORT…][/TOPIC,TOPIC…]"
_SERVER = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")


@dataclass(frozen=True)
class KafkaAddress:
    """A cluster and topics.

    Attributes:
        servers: ``host:port``, at least one.
        topics: Topics of the input contract to read; none given: those of them that the cluster has.
    """

    servers: tuple[str, ...]
    topics: tuple[str, ...] = ()

    def __str__(self) -> str:
        topics = "/" + ",".join(self.topics) if self.topics else ""
        return SCHEME + ",".join(self.servers) + topics


def is_kafka(text: str) -> bool:
    """Whether an input is meant as a Kafka address."""
    return text.startswith("kafka:")


def kafka_address(text: str) -> KafkaAddress:
    """Read an address.

    Raises:
        MeterbeamError: It has another form, or names a topic that is not of the input contract.
    """
    body = text.removeprefix(SCHEME)
    servers, _, topics = body.partition("/")
    named = tuple(dict.fromkeys(topic for topic in topics.split(",") if topic))
    listed = tuple(servers.split(","))
    if body == text or not all(_SERVER.fullmatch(server) for server in listed):
        raise MeterbeamError("kafka address", repr(text), FORM)
    for topic in named:
        if topic not in TOPICS:
            raise MeterbeamError.unknown(f"kafka address {text}, topic", topic, list(TOPICS))
    return KafkaAddress(listed, named)


def kafka_settings(path: Path | None) -> dict[str, str]:
    """Settings of the Kafka client, such as those of encryption and log-in: ``name=value``, one a line.

    Raises:
        MeterbeamError: The file cannot be read, or a line has another form.
    """
    if path is None:
        return {}
    found: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MeterbeamError(str(path), str(error), "a file of name=value lines") from error
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise MeterbeamError(f"{path}, line {number}", "no name=value", "name=value, or # and a remark")
        found[name] = value
    return found
