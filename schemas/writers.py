"""Writers' schemas of Kafka messages: those that a registry numbers, and those of plain datums."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import MeterbeamError
from schemas.records import RECORDS

__all__ = ["TOPICS", "WAKE", "WriterSchemas", "load_writers"]

TOPICS: dict[str, tuple[str, ...]] = {
    topic: tuple(record.name for record in RECORDS.values() if record.topic == topic)
    for topic in dict.fromkeys(record.topic for record in RECORDS.values())
}
"""Topics of the input contract, and the records each carries."""
WAKE = b"meterbeam.v1.Wake"
"""A message that says nothing, written by ``meterbeam stream`` into a partition that holds none: only then do
the partition's times follow the clock. No record begins so (as Avro, a text of -55 bytes)."""


@dataclass(frozen=True)
class WriterSchemas:
    """Schemas as JSON text.

    Attributes:
        by_id: Of messages in Confluent framing, by the number in the frame.
        plain: Of messages without framing, by topic; others are written with the contract's own schema.
    """

    by_id: Mapping[int, str] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)


def load_writers(folder: Path) -> WriterSchemas:
    """Read a folder of schemas: ``17.avsc`` has the number 17, ``readings.avsc`` is that of a topic.

    Raises:
        MeterbeamError: It is no folder, a file is no JSON, or its name is neither number nor topic.
    """
    if not folder.is_dir():
        raise MeterbeamError(str(folder), "no folder", "a folder of .avsc files")
    by_id: dict[int, str] = {}
    plain: dict[str, str] = {}
    for path in sorted(folder.glob("*.avsc")):
        try:
            text = path.read_text("utf-8")
            json.loads(text)
        except (OSError, ValueError) as error:
            raise MeterbeamError(str(path), str(error), "an Avro schema as JSON") from error
        if path.stem.isdecimal():
            by_id[int(path.stem)] = text
        elif path.stem in TOPICS:
            plain[path.stem] = text
        else:
            expected = f"the number of a schema, or a topic: {', '.join(TOPICS)}"
            raise MeterbeamError(str(path), f"the name {path.stem!r}", expected)
    return WriterSchemas(by_id, plain)
