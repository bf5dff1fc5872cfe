"""Settings of a stream's Kafka clients: of librdkafka as they stand, of the Java client translated from them.

A stream asks the brokers through librdkafka and reads the topics through Kafka's Java client. Log-in and TLS
have names of their own in each (librdkafka's CONFIGURATION.md; Kafka's documentation, "Security").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pipelines.batch.kafka_address import kafka_settings
from schemas.errors import MeterbeamError, UsageError

__all__ = ["java_settings", "stream_settings"]

_SECRET = re.compile(r"password|secret|jaas|user\.info|auth\.token|\.pem$|keystore\.key|oauthbearer\.config")
"""Settings whose value logs in, or may hold what does."""
_LOG_INS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
"""Java's module by mechanism."""
_OWN = ("sasl.mechanisms", "sasl.mechanism", "sasl.username", "sasl.password")
_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")


def stream_settings(file: Path | None, options: list[str]) -> dict[str, str]:
    """Settings of a file, and those of ``--kafka-option``, which win.

    Args:
        file: ``name=value`` a line, in librdkafka's names; None: none.
        options: ``NAME=VALUE`` each.

    Raises:
        MeterbeamError: The file cannot be read.
        UsageError: An option has another form, or is a secret: a command line is seen by every user of the
            machine.
    """
    found = kafka_settings(file)
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError("--kafka-option", "no NAME=VALUE", "NAME=VALUE")
        if _SECRET.search(name):
            raise UsageError(
                "--kafka-option",
                f"{name}, which others on this machine could read",
                "it as a line of the file that --kafka-config names",
            )
        found[name] = value
    return found


def java_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """The same settings in the names of Kafka's Java client; what both call the same stays.

    Args:
        settings: In librdkafka's names.

    Raises:
        MeterbeamError: A log-in by another mechanism, or a key and its certificate in two files.
    """
    found = {name: value for name, value in settings.items() if name not in (*_OWN, *_FILES)}
    mechanism = settings.get("sasl.mechanisms", settings.get("sasl.mechanism"))
    if mechanism is not None:
        found["sasl.mechanism"] = mechanism
    if "sasl.username" in settings:
        if mechanism not in _LOG_INS:
            raise MeterbeamError(
                "Kafka setting sasl.mechanism", str(mechanism), f"any of {', '.join(_LOG_INS)}"
            )
        user, password = (_quoted(settings.get(f"sasl.{name}", "")) for name in ("username", "password"))
        found["sasl.jaas.config"] = f"{_LOG_INS[mechanism]} required username={user} password={password};"
    authority, certificate, key = (settings.get(name) for name in _FILES)
    if authority is not None:
        found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": authority}
    if certificate != key:
        expected = "one PEM file with key and certificate in both: Kafka's Java client takes no other"
        raise MeterbeamError(
            "Kafka settings ssl.certificate.location, ssl.key.location", "two files", expected
        )
    if key is not None:
        found |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": key}
    return found


def _quoted(text: str) -> str:
    """A value of JAAS: in double quotes, those inside escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
