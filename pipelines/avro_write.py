"""Avro containers written from arrays: no Python object per reading."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cramjam
import fastavro
import numpy as np
from numpy.typing import NDArray

from schemas.records import avro_schema

Int = NDArray[np.int64]
CODECS = ("null", "deflate", "snappy", "zstandard")
BLOCK_BYTES = 256 << 10
MAGIC = b"Obj\x01"
SEVEN_BITS = 7
MICROS = 1_000_000


def varints(values: Int) -> tuple[NDArray[np.uint8], Int]:
    """Zigzag varints of integers.

    Args:
        values: Shape (n,).

    Returns:
        All bytes in order, and the offset of each value's first byte; (n + 1,).
    """
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    sizes = np.ones(len(values), np.int64)
    top = int(zigzag.max(initial=0))
    for k in range(1, max(1, -(-top.bit_length() // SEVEN_BITS))):
        sizes += zigzag >= np.uint64(1 << (SEVEN_BITS * k))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    out = np.empty(int(offsets[-1]), np.uint8)
    at, left, size = offsets[:-1], zigzag, sizes
    k = 1
    while len(at):
        more = size > k
        out[at] = (left & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << SEVEN_BITS)
        at, left, size = at[more] + 1, left[more] >> np.uint64(SEVEN_BITS), size[more]
        k += 1
    return out, offsets


def varint(value: int) -> bytes:
    """Zigzag varint of one integer."""
    return varints(np.array([value], np.int64))[0].tobytes()


def text(value: str | None) -> bytes:
    """An Avro string."""
    data = (value or "").encode()
    return varint(len(data)) + data


def optional(value: int | None) -> bytes:
    """An Avro ["null", "long"]."""
    return b"\x00" if value is None else b"\x02" + varint(value)


class ContainerWriter:
    """Writes one container file block by block; the sync marker is a hash of name and schema."""

    def __init__(self, path: Path, schema: dict[str, Any], codec: str) -> None:
        if codec not in CODECS:
            raise ValueError(f"codec must be one of {', '.join(CODECS)}, got {codec!r}")
        self._compress = _COMPRESS[codec]
        header = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
        self._sync = blake2b(path.name.encode() + header["avro.schema"], digest_size=16).digest()
        self._file = path.open("wb")
        pairs = b"".join(text(key) + varint(len(value)) + value for key, value in header.items())
        self._file.write(MAGIC + varint(len(header)) + pairs + b"\x00" + self._sync)

    def block(self, rows: int, payload: bytes) -> None:
        """Append one block."""
        data = self._compress(payload)
        self._file.write(varint(rows) + varint(len(data)) + data + self._sync)

    def __enter__(self) -> ContainerWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_blocks(
    writer: ContainerWriter,
    *,
    heads: Sequence[bytes],
    starts: Int,
    interval_s: int,
    values: Int,
    lengths: Int,
    received: Int | None = None,
    unit: str = "Wh",
    scaler: int = 0,
) -> None:
    """Append IntervalBlock records.

    Args:
        writer: Opened with the IntervalBlock schema.
        heads: ``text(meter_id) + text(channel)`` of each record, shape (b,).
        starts: First slot of each record, UTC, shape (b,). [s]
        interval_s: Slot length. [s]
        values: All values in order, shape (Σ lengths,).
        lengths: Values of each record, shape (b,).
        received: Time of arrival of each record, shape (b,). [µs] None: not stated.
        unit: Of all values.
        scaler: Of all values.
    """
    data, offsets = varints(values)
    start_bytes, start_at = varints(starts * MICROS)
    count_bytes, count_at = varints(lengths)
    edges = offsets[np.concatenate([[0], np.cumsum(lengths)])]
    step = varint(interval_s)
    middle = text(unit) + varint(scaler) + b"\x00"
    arrival, arrival_at = (None, None) if received is None else varints(received)
    buffer, start_buffer, count_buffer = data.tobytes(), start_bytes.tobytes(), count_bytes.tobytes()
    arrival_buffer = None if arrival is None else arrival.tobytes()
    parts: list[bytes] = []
    rows = size = 0
    for i, head in enumerate(heads):
        items = buffer[edges[i] : edges[i + 1]]
        counted = count_buffer[count_at[i] : count_at[i + 1]] if lengths[i] else b""
        came = b"\x00"
        if arrival_buffer is not None and arrival_at is not None:
            came = b"\x02" + arrival_buffer[arrival_at[i] : arrival_at[i + 1]]
        parts += (
            head,
            start_buffer[start_at[i] : start_at[i + 1]],
            step,
            counted,
            items,
            b"\x00",
            middle,
            came,
            b"\x00\x00",
        )
        rows += 1
        size += len(items) + len(head) + 30
        if size >= BLOCK_BYTES:
            writer.block(rows, b"".join(parts))
            parts, rows, size = [], 0, 0
    if rows:
        writer.block(rows, b"".join(parts))


def write_readings(
    writer: ContainerWriter,
    *,
    heads: Sequence[bytes],
    meter: Int,
    starts: Int,
    interval_s: int,
    values: Int,
    received: Int,
    unit: str = "Wh",
    rows_a_block: int = 8192,
) -> None:
    """Append MeterReading records.

    Args:
        writer: Opened with the MeterReading schema.
        heads: ``text(meter_id) + text(channel)`` of each meter.
        meter: Index into heads of each reading, shape (n,).
        starts: Slot starts, UTC, shape (n,). [s]
        interval_s: Slot length. [s]
        values: Shape (n,).
        received: Time of arrival, shape (n,). [µs]
        unit: Of all values.
        rows_a_block: Records of one container block.
    """
    tail = text(unit) + b"\x00\x00\x02"
    fixed = {"step": varint(interval_s), "tail": tail, "end": b"\x00\x00"}
    for low in range(0, len(values), rows_a_block):
        chunk = slice(low, low + rows_a_block)
        fields = [_heads(heads, meter[chunk]), varints(starts[chunk] * MICROS)]
        fields += [_constant(fixed["step"], len(values[chunk])), varints(values[chunk])]
        fields += [_constant(fixed["tail"], len(values[chunk])), varints(received[chunk])]
        fields += [_constant(fixed["end"], len(values[chunk]))]
        writer.block(len(values[chunk]), interleave(fields).tobytes())


Field = tuple[NDArray[np.uint8], Int]
"""Bytes of one field of all records, and the offset of each record's; (n + 1,)."""


def _constant(data: bytes, count: int) -> Field:
    return np.tile(np.frombuffer(data, np.uint8), count), np.arange(count + 1) * len(data)


def _heads(heads: Sequence[bytes], meter: Int) -> Field:
    sizes = np.array([len(head) for head in heads], np.int64)
    chosen = sizes[meter]
    offsets = np.concatenate([[0], np.cumsum(chosen)])
    return np.frombuffer(b"".join([heads[m] for m in meter.tolist()]), np.uint8), offsets


def interleave(fields: Sequence[Field]) -> NDArray[np.uint8]:
    """Records laid out one after the other from the bytes of each field."""
    sizes = np.stack([np.diff(offsets) for _, offsets in fields])
    ends = np.cumsum(sizes.T.ravel())
    starts = np.concatenate([[0], ends[:-1]]).reshape(-1, len(fields))
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    for number, (data, offsets) in enumerate(fields):
        shift = starts[:, number] - offsets[:-1]
        out[np.repeat(shift, sizes[number]) + np.arange(len(data))] = data
    return out


def write_records(path: Path, record: str, rows: Sequence[dict[str, Any]], codec: str = "deflate") -> None:
    """Write the small record kinds, a dict a record, through fastavro."""
    schema = avro_schema(record)
    marker = blake2b(path.name.encode(), digest_size=16).digest()
    with path.open("wb") as out:
        fastavro.writer(out, schema, rows, codec=codec, sync_marker=marker)


def _deflate(payload: bytes) -> bytes:
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return squeezer.compress(payload) + squeezer.flush()


def _snappy(payload: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(payload)) + zlib.crc32(payload).to_bytes(4, "big")


def _zstandard(payload: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(payload, 1))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _deflate,
    "snappy": _snappy,
    "zstandard": _zstandard,
}


def repeated_heads(heads: Sequence[bytes], times: int) -> Iterator[bytes]:
    """Each head ``times`` times over."""
    return (head for head in heads for _ in range(times))
