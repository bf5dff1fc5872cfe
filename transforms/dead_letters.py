"""Dead letters: what could not be used, with its bytes, its address and the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrow import DEAD_LETTERS
from transforms.avro_container import Block, Buffer, Damage, Header
from transforms.avro_decode import Decoded, Decoder
from transforms.storage import whole_file

__all__ = ["MAX_INLINE", "DeadLetters"]

MAX_INLINE = 16 << 20
"""A refused file of more bytes than this is copied beside the raw zone instead of into the table."""
_WHOLE_BLOCK_ROWS = 16


@dataclass
class DeadLetters:
    """Dead letters of one source, as they are met.

    Attributes:
        source: The file.
        rows, readings: Decoded rows and readings among them.
        undecodable_rows: Rows announced by what could not be decoded.
    """

    source: str
    rows: int = 0
    readings: int = 0
    undecodable_rows: int = 0
    _letters: list[dict[str, Any]] = field(default_factory=list)

    def _add(
        self, offset: int, row: int | None, kind: str, reason: str, data: bytes, rows: int, readings: int
    ) -> None:
        values = (self.source, offset, row, kind, reason, data, rows, readings)
        self._letters.append(dict(zip(DEAD_LETTERS.names, values, strict=True)))
        self.rows += rows
        self.readings += readings

    def refuse_file(
        self, path: Path, offset: int, reason: str, *, keep_in: Path, name: str, rows: int
    ) -> None:
        """A file that is not used at all.

        Args:
            path: The file.
            offset: Where the fault is. [B]
            reason: What it is.
            keep_in: Folder for a copy of a file too large for the table.
            name: Name of that copy.
            rows: Rows its readable blocks announce.
        """
        data = b""
        if path.stat().st_size <= MAX_INLINE:
            data = path.read_bytes()
        else:
            keep_in.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as file, whole_file(keep_in / name) as out:
                shutil.copyfileobj(file, out)
            reason = f"{reason} (kept as {keep_in.name}/{name})"
        self._add(offset, None, "file", reason, data, 0, 0)
        self.undecodable_rows += rows

    def refuse_block(self, data: Buffer, item: Block | Damage, reason: str) -> None:
        """A block that cannot be decoded; its bytes as they lie in the file."""
        self._add(item.offset, None, "block", reason, bytes(data[item.offset : item.end]), 0, 0)
        self.undecodable_rows += item.rows or 0

    def refuse_rows(
        self,
        decoder: Decoder,
        decoded: Decoded,
        blocks: Sequence[Block],
        payloads: Sequence[Any],
        data: Buffer,
        header: Header,
    ) -> None:
        """Bad rows of decoded blocks: each as JSON, or the block whole where none of its rows is good.

        A block without a good row is kept as a container file of its own (header and block).
        """
        ends = np.cumsum([block.rows for block in blocks])
        block_of = np.searchsorted(ends, decoded.bad_rows, side="right")
        for number in np.unique(block_of).tolist():
            at = np.flatnonzero(block_of == number)
            block, rows = blocks[number], decoded.bad_rows[at]
            readings = decoded.bad_readings[at]
            reasons = [decoded.faults.reason(int(row)) for row in rows]
            first = int(ends[number]) - block.rows
            if len(rows) == block.rows and block.rows >= _WHOLE_BLOCK_ROWS:
                reason = "every row of the block: " + "; ".join(dict.fromkeys(reasons))
                container = bytes(data[: header.size]) + bytes(data[block.offset : block.end])
                kind = str(decoder.kind)
                self._add(block.offset, None, kind, reason, container, block.rows, int(readings.sum()))
                continue
            wanted = dict(
                zip((rows - first).tolist(), zip(reasons, readings.tolist(), strict=True), strict=True)
            )
            for row, record in enumerate(decoder.reader.records(payloads[number], block.rows)):
                if row in wanted:
                    reason, count = wanted[row]
                    self._add(block.offset, row, str(decoder.kind), reason, _as_json(record), 1, count)

    def table(self) -> pa.Table:
        """The letters, in the order met."""
        return pa.Table.from_pylist(self._letters, schema=DEAD_LETTERS)


def _as_json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, default=bytes.hex, ensure_ascii=False).encode()
