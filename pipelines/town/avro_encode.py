"""Avro binary fields of many records at once, from arrays: no Python object per reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Padded", "lay_out", "optional", "padded_texts", "padded_varints", "text", "varint", "varints"]

Int = NDArray[np.int64]
Bytes = NDArray[np.uint8]
SEVEN_BITS = 7
LONGEST = 10
"""Most bytes of a varint of 64 bits."""


@dataclass(frozen=True)
class Padded:
    """One field of n records, each in a row of its own.

    Attributes:
        data: Bytes of the field, then padding; (n, width).
        sizes: Bytes that count in each row; (n,).
    """

    data: Bytes
    sizes: Int

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which bytes count; (n, width)."""
        width = self.data.shape[1]
        table: NDArray[np.bool_] = np.arange(width) < np.arange(width + 1)[:, None]
        # ``take`` of rows is twenty times as fast as indexing here.
        return table.take(self.sizes, axis=0)


def padded_varints(values: Int) -> Padded:
    """Zigzag varints of integers, one a row.

    Args:
        values: Any integers of 64 bits, shape (n,).
    """
    signed = np.asarray(values, np.int64)
    zigzag = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    width = max(1, -(-int(zigzag.max(initial=0)).bit_length() // SEVEN_BITS))
    if width > 8:
        return _wide_varints(zigzag)
    word = np.dtype("u1" if width == 1 else "<u2" if width == 2 else "<u4" if width <= 4 else "<u8")
    bits: NDArray[np.unsignedinteger] = zigzag.astype(word)
    spread = bits & 0x7F
    sizes = np.ones(len(bits), np.int64)
    for k in range(1, width):
        further = bits >= 1 << (SEVEN_BITS * k)
        sizes += further
        # Byte k holds bits 7k … 7k + 6; the byte before says that more follows.
        spread |= (bits >> (SEVEN_BITS * k) & 0x7F) << (8 * k)
        spread |= further.astype(word) << (8 * k - 1)
    return Padded(spread.view(np.uint8).reshape(len(bits), word.itemsize)[:, :width], sizes)


def _wide_varints(zigzag: NDArray[np.uint64]) -> Padded:
    """Varints of more than eight bytes: byte by byte."""
    shifts = np.arange(LONGEST, dtype=np.uint64) * np.uint64(SEVEN_BITS)
    data = (zigzag[:, None] >> shifts & np.uint64(0x7F)).astype(np.uint8)
    sizes = LONGEST - np.argmax(data[:, ::-1] != 0, axis=1)
    sizes[zigzag == 0] = 1
    data |= (np.arange(LONGEST) < sizes[:, None] - 1).astype(np.uint8) << SEVEN_BITS
    return Padded(data, sizes)


def varints(values: Int) -> tuple[Bytes, Int]:
    """Zigzag varints of integers, packed.

    Args:
        values: Shape (n,).

    Returns:
        All bytes in order, and the offset of each value's first byte; (n + 1,).
    """
    field = padded_varints(values)
    return field.data[field.used], np.concatenate([[0], np.cumsum(field.sizes)])


def varint(value: int) -> bytes:
    """Zigzag varint of one integer."""
    return varints(np.array([value], np.int64))[0].tobytes()


def text(value: str) -> bytes:
    """An Avro string."""
    data = value.encode()
    return varint(len(data)) + data


def optional(value: int | None) -> bytes:
    """An Avro ``["null", "long"]``."""
    return b"\x00" if value is None else b"\x02" + varint(value)


def padded_texts(texts: Sequence[bytes], rows: Int | None = None) -> Padded:
    """Encoded fields of differing length.

    Args:
        texts: Encoded fields, shape (m,).
        rows: Which of them each record has, shape (n,). None: record i has ``texts[i]``.
    """
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    width = int(sizes.max(initial=0))
    packed = np.frombuffer(b"".join(texts), np.uint8)
    if width and len(packed) == width * len(texts):
        data = packed.reshape(len(texts), width)
    else:
        data = np.zeros((len(texts), width), np.uint8)
        data[np.arange(width) < sizes[:, None]] = packed
    return Padded(data, sizes) if rows is None else Padded(data.take(rows, axis=0), sizes.take(rows))


def lay_out(count: int, fields: Sequence[bytes | Padded]) -> tuple[Bytes, Int]:
    """Records laid out one after the other.

    Args:
        count: Number of records n.
        fields: In the order of the schema: bytes that all records share, or a field of n rows.

    Returns:
        All bytes, and the offset of each record; (n + 1,).
    """
    widths = [len(f) if isinstance(f, bytes) else f.data.shape[1] for f in fields]
    rows = np.empty((count, sum(widths)), np.uint8)
    counts = np.ones(rows.shape, np.bool_)
    sizes = np.full(count, rows.shape[1], np.int64)
    ragged = False
    at = 0
    for field, width in zip(fields, widths, strict=True):
        span = slice(at, at + width)
        at += width
        if isinstance(field, bytes):
            rows[:, span] = np.frombuffer(field, np.uint8)
            continue
        rows[:, span] = field.data
        if (field.sizes != width).any():
            counts[:, span] = field.used
            sizes += field.sizes - width
            ragged = True
    packed = rows[counts] if ragged else rows.ravel()
    return packed, np.concatenate([[0], np.cumsum(sizes)])
