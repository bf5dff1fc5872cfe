"""Kafka messages for tests: Avro datums as fastavro writes them, plain and framed, and broken ones."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pyarrow as pa
from fastavro.schema import parse_schema

from schemas.writers import WriterSchemas
from transforms.datums import DecodedDatums, decode_datums

FIRST_OFFSET = 1000


def datum(schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    """One plain datum."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parse_schema(schema, {}, _write_hint=False), record)
    return out.getvalue()


def framed(number: int, plain: bytes) -> bytes:
    """A datum in Confluent framing."""
    return b"\x00" + number.to_bytes(4, "big") + plain


def taken(
    topic: str, payloads: list[bytes | None], *, places: list[int] | None = None, **options: Any
) -> DecodedDatums:
    """Messages of partition 0 decoded; ``places`` says at which offsets after the first they stand."""
    at = places or list(range(len(payloads)))
    return decode_datums(
        topic,
        payloads,
        timezone="Europe/Zurich",
        address=lambda place: (f"{topic}/0", FIRST_OFFSET + at[place]),
        writers=WriterSchemas(**options),
    )


def letters_of(found: DecodedDatums) -> set[tuple[Any, ...]]:
    """Dead letters without their place in the batch."""
    names = ("source", "offset", "kind", "reason", "bytes", "rows", "readings")
    return {tuple(row[name] for name in names) for row in found.letters.to_pylist()}


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Rows of a raw table."""
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
