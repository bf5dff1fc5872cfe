"""Several Arrow tables and a few small facts as one run of bytes: what travels between a stream's steps.

A pack is a JSON head (its length in four bytes before it) and one Arrow IPC stream, lz4, a table. Raw
intervals travel in the form of the raw zone, as byte planes. The same content gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrow import RAW
from schemas.records import Kind
from transforms.raw_codec import decode_raw_intervals, encode_raw_intervals

__all__ = ["pack", "pack_records", "pack_stored", "packed_kinds", "unpack", "unpack_records", "unpack_stored"]

_HEAD = 4
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
# Threads cost five times what they save on tables as small as these.
_ONE_THREAD = pa.ipc.IpcReadOptions(use_threads=False)


def pack(facts: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> bytes:
    """Tables and facts as bytes.

    Args:
        facts: What JSON can hold.
        tables: By name; none is left out for being empty.
    """
    bodies = {name: _stream(table) for name, table in tables.items()}
    sizes = [[name, len(body)] for name, body in bodies.items()]
    head = json.dumps({"facts": dict(facts), "tables": sizes}, separators=(",", ":")).encode()
    return b"".join((len(head).to_bytes(_HEAD, "little"), head, *bodies.values()))


def unpack(blob: bytes) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """The inverse of ``pack``."""
    head, at = _head(blob)
    tables: dict[str, pa.Table] = {}
    view = memoryview(blob)
    for name, size in head["tables"]:
        with pa.ipc.open_stream(pa.py_buffer(view[at : at + size]), options=_ONE_THREAD) as reader:
            tables[name] = reader.read_all()
        at += size
    return head["facts"], tables


def pack_records(records: Mapping[Kind, pa.Table]) -> bytes:
    """Records of several kinds, each in its raw schema, as bytes; kinds without any are left out."""
    tables: dict[Kind, pa.Table] = {}
    for kind, rows in sorted(records.items()):
        if rows.num_rows:
            is_blocks = kind is Kind.INTERVALS
            tables[kind] = encode_raw_intervals(rows, np.arange(rows.num_rows)) if is_blocks else rows
    return pack_stored(tables)


def pack_stored(records: Mapping[Kind, pa.Table]) -> bytes:
    """The same of records whose intervals are as they are stored (``raw_codec.encode_raw_intervals``)."""
    return pack({}, {kind.value: rows for kind, rows in sorted(records.items()) if rows.num_rows})


def unpack_records(blobs: Iterable[bytes]) -> dict[Kind, pa.Table]:
    """The records of several packs, one table a kind, pack after pack."""
    found: dict[str, list[pa.Table]] = {}
    for blob in blobs:
        for name, table in unpack(blob)[1].items():
            found.setdefault(name, []).append(table)
    return {Kind(name): _joined(Kind(name), tables) for name, tables in found.items()}


def unpack_stored(blob: bytes) -> dict[Kind, pa.Table]:
    """The records of a pack, intervals as they are stored (``raw_codec.encode_raw_intervals``)."""
    tables = {Kind(name): table for name, table in unpack(blob)[1].items()}
    return {
        kind: table if kind is Kind.INTERVALS else _joined(kind, [table]) for kind, table in tables.items()
    }


def packed_kinds(blob: bytes) -> tuple[Kind, ...]:
    """Kinds of records in a pack, without unpacking any."""
    return tuple(Kind(name) for name, _ in _head(blob)[0]["tables"])


def _head(blob: bytes) -> tuple[dict[str, Any], int]:
    at = _HEAD + int.from_bytes(blob[:_HEAD], "little")
    head: dict[str, Any] = json.loads(blob[_HEAD:at])
    return head, at


def _joined(kind: Kind, tables: Sequence[pa.Table]) -> pa.Table:
    if kind is Kind.INTERVALS:
        return decode_raw_intervals([batch for table in tables for batch in table.to_batches()])
    return pa.concat_tables([table.cast(RAW[kind]) for table in tables]).unify_dictionaries()


def _stream(table: pa.Table) -> bytes:
    table = table.replace_schema_metadata(None).unify_dictionaries().combine_chunks()
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    body: bytes = out.getvalue().to_pybytes()
    return body
