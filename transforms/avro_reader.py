"""Records of a container file to Arrow columns: the fastest reader, and the one that reads everything.

``polars-avro`` (a Rust reader) decodes straight to Arrow and is the fast path. It sees only
plain bytes that ``avro_container`` has checked, framed anew as one block that ends with an *end record*
of known content: if that record does not come out last, in its place, the announced row counts and the
bytes disagree. ``fastavro`` reads what the fast reader cannot (unions of two types, maps).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, BinaryIO

import fastavro
import pyarrow as pa
from fastavro.schema import parse_schema
from polars_avro._avro_rs import (
    AvroSource,
)  # the public read_avro costs half as much again on single readings

from schemas.records import record_type
from transforms.avro_container import MAGIC, write_varint
from transforms.avro_flat import branch_of, laid_flat

__all__ = ["DecodeError", "RecordReader", "RecordSchema", "bare_schema"]

_END_TEXT = "\x00end of records\x00"
_END_NUMBER = 0x5EED_CAFE
_BATCH_BYTES = 1 << 20
_DEPTH = 5  # of example records; recursive types end there
_SYNC = bytes(range(16))
_STRUCTURE = ("type", "name", "namespace", "items", "values", "symbols", "size", "fields")
_LOGICAL = ("logicalType", "precision", "scale")
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


class DecodeError(ValueError):
    """Bytes that are not the records their block announces."""


def bare_schema(schema: Any, *, logical: bool = False) -> Any:
    """A schema without docs, defaults and aliases; without logical types too, so that times are integers.

    Args:
        schema: Any Avro schema as Python data.
        logical: Keep logical types.
    """
    if isinstance(schema, list):
        return [bare_schema(branch, logical=logical) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    kept = _STRUCTURE + (_LOGICAL if logical else ())
    bare = {key: schema[key] for key in kept if key in schema}
    for key in ("items", "values", "type"):
        if isinstance(bare.get(key), (dict, list)):
            bare[key] = bare_schema(bare[key], logical=logical)
    if isinstance(bare.get("fields"), list):
        bare["fields"] = [
            {"name": field["name"], "type": bare_schema(field["type"], logical=logical)}
            for field in bare["fields"]
        ]
    return bare


class RecordSchema:
    """A writer's schema: its record name, its fields, and example records of it.

    Args:
        text: The schema as JSON.

    Raises:
        ValueError: It is no valid Avro schema of a record.
    """

    def __init__(self, text: str) -> None:
        schema = json.loads(text)
        fields = schema.get("fields") if isinstance(schema, dict) and schema.get("type") == "record" else None
        if not isinstance(fields, list):
            raise ValueError(f"a schema of {str(schema)[:80]!r}, not of a record")
        self._named: dict[str, Any] = {}
        try:
            self.bare = bare_schema(schema)
            self.parsed: Any = parse_schema(bare_schema(schema, logical=True), self._named, _write_hint=False)
        except Exception as error:  # fastavro raises many kinds, none of them with a common base
            raise ValueError(f"a schema that Avro does not allow ({error})") from error

    @classmethod
    def of(cls, schema: dict[str, Any]) -> RecordSchema:
        """The same from Python data."""
        return cls(json.dumps(schema))

    @property
    def name(self) -> str:
        """Full name of the record."""
        return str(self.parsed["name"])

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Type of each field, as the writer declared it, names resolved."""
        return {field["name"]: self._resolved(field["type"]) for field in self.parsed["fields"]}

    @property
    def foreign(self) -> bool:
        """Whether it is none of the input contract's records."""
        return record_type(self.name) is None

    def flat(self) -> RecordSchema:
        """The same bytes without nested records (``laid_flat``); itself where there is no such form."""
        schema = laid_flat(self.parsed, self._named)
        return self if schema is None else RecordSchema.of(schema)

    def find(self, source: str) -> tuple[str, tuple[str, ...], Any] | None:
        """A field, also one within a record that may be null: its column, the names within, its type."""
        names = source.split(".")
        for end in range(len(names), 0, -1):
            root, path = ".".join(names[:end]), tuple(names[end:])
            if root in self.fields:
                kind = branch_of(self.fields[root], path)
                return None if kind is None else (root, path, self._resolved(kind))
        return None

    def _resolved(self, kind: Any) -> Any:
        return self._named.get(kind, kind) if isinstance(kind, str) else kind

    def example(self, variant: int) -> Any:
        """A record of this schema; another ``variant`` takes other branches of its unions."""
        return self._example(self.parsed, variant, 0)

    def _example(self, kind: Any, variant: int, depth: int) -> Any:
        kind = self._resolved(kind)
        if isinstance(kind, list):
            branches = [branch for branch in kind if depth < _DEPTH or branch in list(_PRIMITIVES)] or kind
            return self._example(branches[variant % len(branches)], variant, depth + 1)
        name = kind if isinstance(kind, str) else kind["type"]
        match name:
            case "record" | "error":
                fields = kind["fields"]
                return {f["name"]: self._example(f["type"], variant, depth + 1) for f in fields}
            case "array":
                return [
                    self._example(kind["items"], v, depth + 1)
                    for v in (variant, variant + 1)
                    if depth < _DEPTH
                ]
            case "map":
                return (
                    {_END_TEXT: self._example(kind["values"], variant, depth + 1)} if depth < _DEPTH else {}
                )
            case "enum":
                return kind["symbols"][variant % len(kind["symbols"])]
            case "fixed":
                return bytes(kind["size"])
            case "string":
                return _END_TEXT
            case "bytes":
                return _END_TEXT.encode()
            case "boolean":
                return bool(variant % 2)
            case "float" | "double":
                return float(_END_NUMBER + variant)
            case "int" | "long":
                return _END_NUMBER + variant
            case "null":
                return None
            case _:
                return self._example(name, variant, depth + 1)

    def encode(self, record: Any) -> bytes:
        """One record as Avro bytes."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.bare_parsed, record)
        return out.getvalue()

    @cached_property
    def bare_parsed(self) -> Any:
        """The bare schema, parsed for fastavro."""
        return parse_schema(self.bare, {}, _write_hint=False)


class RecordReader:
    """Reads runs of plain records written with one schema.

    Args:
        schema: The writer's schema.
        columns: Fields to read, in any order; the rest is skipped.
    """

    def __init__(self, schema: RecordSchema, columns: Sequence[str]) -> None:
        self.schema = schema
        self.columns = [name for name in schema.fields if name in set(columns)]
        self._end_bytes = schema.encode(schema.example(0))
        text = json.dumps(schema.bare).encode()
        self._header = b"".join(
            (
                MAGIC,
                write_varint(1),
                write_varint(11),
                b"avro.schema",
                write_varint(len(text)),
                text,
                b"\x00",
                _SYNC,
            )
        )

    @cached_property
    def _end(self) -> pa.Table:
        return self._decoded([], 0, 1)

    def _decoded(self, payloads: Sequence[Any], rows: int, batches: int) -> pa.Table:
        """Decode ``rows`` records and the end records that fill up the last of ``batches`` equal batches.

        The fast reader never returns from a block that holds more records than it announces, and fails at
        the end of one that holds fewer, unless that end is also the end of a batch. So the block made here
        announces more than its bytes can hold, and its true end is made to fall on the end of a batch.
        """
        batch_rows = -(-(rows + 1) // batches)
        batches = -(-(rows + 1) // batch_rows)
        records = (*payloads, *[self._end_bytes] * (batches * batch_rows - rows))
        size = sum(map(len, records))
        framed = b"".join((self._header, write_varint(rows + size + 1), write_varint(size), *records, _SYNC))

        @contextmanager
        def opened() -> Iterator[BinaryIO]:
            yield io.BytesIO(framed)

        try:
            found = AvroSource([opened], False, False).batch_iter(batch_rows, self.columns)
            return pa.Table.from_batches([pa.record_batch(batch) for batch in found])
        except Exception as error:
            raise DecodeError(f"other records than the {rows} announced ({error})") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # a panic in Rust is no Exception
                raise
            raise DecodeError(f"the reader gave up: {error}") from error

    def read(self, payloads: Sequence[Any], rows: int, *, one_chunk: bool = False) -> pa.Table:
        """Decode the records of consecutive blocks at once.

        Args:
            payloads: Decompressed blocks.
            rows: Rows they announce together.
            one_chunk: Give columns in one piece; otherwise in pieces that fit the cache.

        Returns:
            A table of ``rows`` rows and the chosen columns, in the writer's order.

        Raises:
            DecodeError: Rows decoded and rows announced differ, or the bytes are no such records.
        """
        size = sum(map(len, payloads))
        if rows > size:
            raise DecodeError(f"{size} bytes where {rows} rows are announced")
        table = self._decoded(payloads, rows, 1 if one_chunk else -(-max(size, 1) // _BATCH_BYTES))
        if table.num_rows <= rows or not table.slice(rows, 1).equals(self._end):
            raise DecodeError(f"records that do not end with the last of {rows} announced")
        if table.num_rows > rows + 1 and not table.slice(table.num_rows - 1).equals(self._end):
            raise DecodeError(f"more records than the {rows} announced")
        return table.slice(0, rows)

    def records(self, payload: Any, rows: int, *, whole: bool = True) -> Iterator[dict[str, Any]]:
        """Decode one block record by record with fastavro; every field, times as plain integers.

        Args:
            payload: The decompressed block.
            rows: Rows to read.
            whole: Whether these are all rows of the block, so that nothing may be left.

        Raises:
            DecodeError: As ``read``.
        """
        stream = io.BytesIO(payload)
        for row in range(rows):
            try:
                record = fastavro.schemaless_reader(stream, self.schema.bare_parsed, None)
            except Exception as error:  # fastavro raises whatever the bytes lead it to
                raise DecodeError(
                    f"row {row} of {rows} cannot be read ({error or type(error).__name__})"
                ) from error
            yield record  # type: ignore[misc]
        left = len(stream.getbuffer()) - stream.tell()
        if left and whole:
            raise DecodeError(f"{left} bytes after the last of {rows} announced rows")
