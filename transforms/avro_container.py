"""Avro object container files: header, blocks and their framing, checked here and nowhere else.

The fast readers lose rows or accept wrong bytes on damaged files without an error (measured; see
docs/architecture.md), so they never see a file: this module walks the blocks, compares every sync
marker, decompresses and checks checksums, and hands over plain records.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Any, NamedTuple

import cramjam

from schemas.errors import MeterbeamError

__all__ = [
    "CODECS",
    "Block",
    "Damage",
    "FramingError",
    "Header",
    "decompress",
    "read_header",
    "split_ranges",
    "walk",
    "write_varint",
]

MAGIC = b"Obj\x01"
SYNC_SIZE = 16
CODECS = ("null", "deflate", "snappy", "zstandard")
_ADLER_SIZE = 4  # some writers (fastavro) leave part of zlib's checksum behind the deflate stream
_SNAPPY_MAX_RATIO = 22  # a 3-byte copy gives at most 64 bytes
Buffer = bytes | mmap


class FramingError(MeterbeamError):
    """A container file, or one of its blocks, that is not what Avro says it is.

    Attributes:
        path: The file.
        offset: Byte in the file. [B]
        truncated: The file ends before it should; it may still be growing.
    """

    path: str = ""
    offset: int = 0
    truncated: bool = False

    @classmethod
    def at(
        cls, path: str, offset: int, found: str, expected: str, *, truncated: bool = False
    ) -> FramingError:
        """The error at one byte of one file."""
        error = cls(f"{path}, byte {offset}", found, expected)
        error.path, error.offset, error.truncated = path, offset, truncated
        return error


@dataclass(frozen=True)
class Header:
    """Header of a container file.

    Attributes:
        schema: The writer's schema as JSON text.
        codec: One of ``CODECS``.
        sync: The 16 bytes that end each block.
        size: Bytes up to the first block.
    """

    schema: str
    codec: str
    sync: bytes
    size: int

    @property
    def parsed(self) -> Any:
        """The schema as Python data, newly parsed."""
        return json.loads(self.schema)


class Block(NamedTuple):
    """A well-framed block: its bytes, still compressed, are data[start : start + size]."""

    offset: int
    rows: int
    start: int
    size: int
    end: int


class Damage(NamedTuple):
    """Bytes [offset, end) that are no well-framed block; rows as announced, None where unreadable."""

    offset: int
    end: int
    rows: int | None
    found: str
    expected: str
    truncated: bool

    def error(self, path: str) -> FramingError:
        """The same as an exception."""
        return FramingError.at(path, self.offset, self.found, self.expected, truncated=self.truncated)


def _varint(data: Buffer, pos: int, end: int) -> tuple[int, int]:
    """A zigzag long and the position after it.

    Raises:
        ValueError: It does not end before ``end``, or is longer than a long can be.
    """
    result = shift = 0
    for at in range(pos, min(pos + 10, end)):
        byte = data[at]
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (result >> 1) ^ -(result & 1), at + 1
        shift += 7
    raise ValueError(f"a number that does not end within {min(10, end - pos)} bytes")


def write_varint(value: int) -> bytes:
    """A long in Avro's zigzag encoding."""
    rest, out = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _bytes(data: Buffer, pos: int, end: int) -> tuple[bytes, int]:
    size, pos = _varint(data, pos, end)
    if size < 0 or pos + size > end:
        raise ValueError(f"a field of {size} bytes where {end - pos} are left")
    return data[pos : pos + size], pos + size


def _metadata(data: Buffer, pos: int, end: int) -> tuple[dict[str, bytes], int]:
    entries: dict[str, bytes] = {}
    while True:
        count, pos = _varint(data, pos, end)
        if count == 0:
            return entries, pos
        if count < 0:  # a negative count is followed by the size in bytes
            count, (_, pos) = -count, _varint(data, pos, end)
        for _ in range(count):
            key, pos = _bytes(data, pos, end)
            entries[key.decode("utf-8")], pos = _bytes(data, pos, end)


def read_header(data: Buffer, path: str) -> Header:
    """Parse the header of a container file.

    Args:
        data: The whole file, or at least its header.
        path: Its name, for the error.

    Raises:
        FramingError: Not an Avro container, a header cut off, an unknown codec, no schema.
    """
    end = len(data)
    if data[:4] != MAGIC:
        found = f"{bytes(data[:4])!r}" if end else "an empty file"
        raise FramingError.at(path, 0, found, f"{MAGIC!r}, the start of an Avro container file")
    try:
        entries, pos = _metadata(data, 4, end)
    except ValueError as error:  # UnicodeDecodeError included
        raise FramingError.at(path, 4, str(error), "Avro header metadata", truncated=end < 1 << 20) from error
    if pos + SYNC_SIZE > end:
        found = f"{end - pos} bytes of sync marker"
        raise FramingError.at(path, pos, found, f"{SYNC_SIZE}", truncated=True)
    codec = entries.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in CODECS:
        raise FramingError.at(path, 4, f"codec {codec!r}", f"one of: {', '.join(CODECS)}")
    try:
        schema = entries["avro.schema"].decode("utf-8")
        json.loads(schema)
    except (KeyError, ValueError) as error:
        found = (
            "no avro.schema" if isinstance(error, KeyError) else f"an avro.schema that is no JSON ({error})"
        )
        raise FramingError.at(path, 4, found, "the writer's schema as JSON") from error
    return Header(schema, codec, bytes(data[pos : pos + SYNC_SIZE]), pos + SYNC_SIZE)


def _block_at(data: Buffer, pos: int, sync: bytes, end: int) -> Block | Damage:
    """The block that begins at ``pos``, or what is wrong with it, as far as it reaches by its own size."""
    try:
        rows, at = _varint(data, pos, end)
        size, at = _varint(data, at, end)
    except ValueError as error:
        return Damage(pos, end, None, str(error), "a block's row count and size", True)
    stop = at + size + SYNC_SIZE
    if rows < 0 or size < 0:
        return Damage(
            pos, end, None, f"a block of {rows} rows in {size} bytes", "numbers that are not negative", False
        )
    if stop > end:
        found = f"{end - pos} bytes to the end of the file"
        return Damage(pos, end, rows, found, f"{stop - pos} bytes of a block of {rows} rows", True)
    marker = data[stop - SYNC_SIZE : stop]
    if marker != sync:
        expected = f"{sync.hex()}, the header's sync marker"
        return Damage(pos, stop, rows, f"{marker.hex()} at byte {stop - SYNC_SIZE}", expected, False)
    return Block(pos, rows, at, size, stop)


def _resume(data: Buffer, damage: Damage, sync: bytes, end: int) -> Damage:
    """How far damage reaches: one block where the next one is sound, else up to the next sync marker."""
    by_size = not damage.truncated and damage.rows is not None
    if by_size and (damage.end == end or isinstance(_block_at(data, damage.end, sync, end), Block)):
        return damage
    found = data.find(sync, damage.offset, end)
    if found < 0:
        return damage._replace(end=end, truncated=True)
    return damage._replace(end=found + SYNC_SIZE, truncated=False)


def walk(
    data: Buffer, header: Header, start: int | None = None, end: int | None = None
) -> Iterator[Block | Damage]:
    """Blocks of a file in order, damaged stretches between them. Touches no payload.

    Args:
        data: The whole file.
        header: Its header.
        start: Where a block begins; default the first one.
        end: Stop at the first block that does not begin before this byte; default the end of the file.

    Yields:
        Every byte from ``start`` belongs to exactly one item. After damage the walk goes on behind the
        next sync marker; damage without one is ``truncated`` and ends it.
    """
    size = len(data)
    pos = header.size if start is None else start
    stop = size if end is None else end
    while pos < stop:
        item = _block_at(data, pos, header.sync, size)
        if isinstance(item, Damage):
            item = _resume(data, item, header.sync, size)
        yield item
        pos = item.end


def split_ranges(items: Sequence[Block | Damage], target_bytes: int) -> list[tuple[int, int]]:
    """Cut a walked file into byte ranges of whole blocks, each of about ``target_bytes``.

    Args:
        items: All items of ``walk``, in order.
        target_bytes: A range is closed as soon as it has this many bytes.

    Returns:
        Ranges [start, end) that join without gap or overlap; none for a file without blocks.
    """
    if target_bytes < 1:
        raise ValueError(f"target_bytes must be >= 1, got {target_bytes}")
    ranges: list[tuple[int, int]] = []
    start: int | None = None
    for item in items:
        start = item.offset if start is None else start
        if item.end - start >= target_bytes:
            ranges.append((start, item.end))
            start = None
    if start is not None:
        ranges.append((start, items[-1].end))
    return ranges


def decompress(payload: bytes, codec: str, path: str, offset: int) -> Any:
    """The records of one block, decompressed, its checksum compared (snappy has one).

    Args:
        payload: The block's bytes.
        codec: One of ``CODECS``.
        path: The file, for the error.
        offset: Where the block begins, for the error. [B]

    Returns:
        A bytes-like object.

    Raises:
        FramingError: The bytes are not what the codec or the checksum says.
    """
    if codec == "null":
        return payload
    try:
        if codec == "snappy":
            return _snappy(payload)
        if codec == "zstandard":
            return cramjam.zstd.decompress(payload)
        return _inflate(payload)
    except (cramjam.DecompressionError, zlib.error, ValueError) as error:
        raise FramingError.at(path, offset, str(error), f"a block compressed by {codec}") from error


def _snappy(payload: bytes) -> Any:
    body = memoryview(payload)[:-4]
    announced = shift = 0
    for byte in bytes(body[:5]):
        announced |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if announced > _SNAPPY_MAX_RATIO * len(payload) + 64:
        raise ValueError(f"{announced} bytes announced by {len(payload)} compressed ones")
    plain = cramjam.snappy.decompress_raw(body)
    computed, stored = zlib.crc32(plain), int.from_bytes(payload[-4:], "big")
    if computed != stored:
        raise ValueError(f"CRC32 {computed:08x} of the decompressed bytes where {stored:08x} is stored")
    return plain


def _inflate(payload: bytes) -> bytes:
    inflater = zlib.decompressobj(-15)
    plain = inflater.decompress(payload)
    if not inflater.eof or len(inflater.unused_data) > _ADLER_SIZE:
        state = "bytes left over" if inflater.eof else "an end missing"
        raise ValueError(f"a deflate stream with {state}")
    return plain
