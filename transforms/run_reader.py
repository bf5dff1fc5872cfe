"""Single readings by runs: what does not change from record to record is compared, not decoded.

In a file of single readings nearly all bytes repeat: one meter's records differ in ``start`` and ``value``
only. The fields between those are read as *groups*: opaque bytes of the length they have in the first
record, under a schema of few fields that is laid over the same bytes. Where a group differs from the row
before, it is decoded in earnest, each followed by a marker. A field that were longer or shorter than the
first record's would move the marker; then nothing is returned and the plain reader does the work. By
induction over the rows, what is returned is what the plain reader gives.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
from fastavro.schema import parse_schema
from numpy.typing import NDArray

from transforms.avro_reader import DecodeError, RecordReader, RecordSchema, bare_schema

__all__ = ["ReadingRuns", "RunReader"]

_MARKER = bytes.fromhex("f00d5eed0ddba11c0de1ca5cade5a11e")
_MAX_RUN_SHARE = 8
MOST_LAYOUTS = 64
"""Layouts of records whose readers are kept."""
Int = NDArray[np.int64]


@dataclass(frozen=True)
class ReadingRuns:
    """Rows in runs that share all fields but the varying ones.

    Attributes:
        rows: The varying fields, n rows.
        heads: First row of each run, shape (k,).
        shared: All other chosen fields, k rows.
    """

    rows: pa.Table
    heads: Int
    shared: pa.Table


class RunReader:
    """Reads runs of records of one schema.

    Args:
        schema: The writer's schema.
        columns: Fields to read.
        varying: Those that change from row to row.
    """

    def __init__(self, schema: RecordSchema, columns: Sequence[str], varying: Sequence[str]) -> None:
        self.varying = [name for name in schema.fields if name in set(varying)]
        self.columns = set(columns)
        self._plain = RecordReader(schema, columns)
        self._types = {name: bare_schema(kind) for name, kind in schema.fields.items()}
        self._overlays: dict[tuple[int, ...], RecordReader] = {}
        self._groups: list[list[str]] = [[]]
        for name in schema.fields:
            if name in self.varying:
                self._groups.append([])
            else:
                self._groups[-1].append(name)
        self._group_readers = [self._group_reader(names) for names in self._groups]

    def _lengths(self, payload: Any) -> list[int]:
        """Bytes of each group in the first record."""
        record = next(self._plain.records(payload, 1, whole=False))
        sizes = []
        for names in self._groups:
            out = io.BytesIO()
            for name in names:
                fastavro.schemaless_writer(out, parse_schema(self._types[name], {}), record[name])
            sizes.append(out.tell())
        return sizes

    def _overlay(self, sizes: tuple[int, ...]) -> RecordReader:
        """A reader whose groups are fixed bytes; kept, for most stretches have the same layout."""
        if sizes not in self._overlays:
            if len(self._overlays) >= MOST_LAYOUTS:
                self._overlays.clear()
            self._overlays[sizes] = self._new_overlay(sizes)
        return self._overlays[sizes]

    def _new_overlay(self, sizes: tuple[int, ...]) -> RecordReader:
        fields: list[dict[str, Any]] = []
        for number, size in enumerate(sizes):
            if size:
                kind = {"type": "fixed", "name": f"group_{number}", "size": size}
                fields.append({"name": f"group {number}", "type": kind})
            if number < len(self.varying):
                name = self.varying[number]
                fields.append({"name": name, "type": self._types[name]})
        schema = RecordSchema.of({"type": "record", "name": "Overlay", "fields": fields})
        return RecordReader(schema, [field["name"] for field in fields])

    def read(self, payloads: Sequence[Any], rows: int) -> ReadingRuns | None:
        """Decode consecutive blocks.

        Args:
            payloads: Decompressed blocks.
            rows: Rows they announce together.

        Returns:
            None where the records do not come in runs of equal layout: read them plainly.
        """
        if rows == 0:
            return None
        try:
            sizes = tuple(self._lengths(payloads[0]))
            table = self._overlay(sizes).read(payloads, rows, one_chunk=True)
            groups = {n: _octets(table.column(f"group {n}"), size) for n, size in enumerate(sizes) if size}
            changed = np.zeros(rows, np.bool_)
            changed[0] = True
            for octets in groups.values():
                _mark_changes(octets, changed)
            heads = np.flatnonzero(changed)
            if len(heads) * _MAX_RUN_SHARE > rows + 64:
                return None
            shared: dict[str, Any] = {}
            for number, octets in groups.items():
                shared |= self._decoded_group(number, octets[heads])
        except (DecodeError, ValueError):
            return None
        return ReadingRuns(table.select(self.varying), heads, pa.table(shared))

    def _group_reader(self, names: list[str]) -> RecordReader:
        """A reader of one group's fields, with the marker behind them."""
        fields: list[dict[str, Any]] = [{"name": name, "type": self._types[name]} for name in names]
        marker = {"type": "fixed", "name": "marker_bytes", "size": len(_MARKER)}
        fields.append({"name": "end marker", "type": marker})
        schema = RecordSchema.of({"type": "record", "name": "Group", "fields": fields})
        return RecordReader(schema, [*(name for name in names if name in self.columns), "end marker"])

    def _decoded_group(self, number: int, octets: NDArray[np.uint8]) -> dict[str, pa.ChunkedArray]:
        """Decode one group's bytes at the heads; raises DecodeError where one has another length."""
        names, reader = self._groups[number], self._group_readers[number]
        marks = np.broadcast_to(np.frombuffer(_MARKER, np.uint8), (len(octets), len(_MARKER)))
        table = reader.read([np.hstack([octets, marks]).tobytes()], len(octets))
        if not (_octets(table.column("end marker"), len(_MARKER)) == marks).all():
            raise DecodeError("a group of another length")
        return {name: table.column(name) for name in names if name in self.columns}


def _octets(column: pa.ChunkedArray, size: int) -> NDArray[np.uint8]:
    """A fixed-size binary column as bytes, shape (n, size)."""
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * size : (chunk.offset + len(chunk)) * size]
        for chunk in column.chunks
    ]
    return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(-1, size)


def _mark_changes(octets: NDArray[np.uint8], changed: NDArray[np.bool_]) -> None:
    """Mark rows whose bytes differ from the row before."""
    flat, size = octets.reshape(-1), octets.shape[1]
    changed[np.flatnonzero(flat[size:] != flat[:-size]) // size + 1] = True
