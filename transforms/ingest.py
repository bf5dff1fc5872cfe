"""Ingest: one split of a container file to raw files, dead letters and a receipt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from models.sharding import shard_of
from schemas.errors import MeterbeamError
from schemas.mapping import FieldMapping
from schemas.records import SHARDED_KINDS, Kind
from transforms.avro_container import (
    Block,
    Buffer,
    Damage,
    FramingError,
    Header,
    decompress,
    read_header,
    walk,
)
from transforms.avro_decode import Decoded, Decoder
from transforms.avro_reader import DecodeError
from transforms.dead_letters import DeadLetters
from transforms.ingest_plan import FileSplit, decoder_for, opened, plan_splits
from transforms.raw_codec import write_raw_file
from transforms.raw_stats import NEVER_LATE, RawStats, raw_stats
from transforms.storage import place

__all__ = ["FileSplit", "IngestReceipt", "OnError", "RawFile", "RawWriter", "ingest_split", "plan_splits"]

OnError = Literal["stop", "dead-letter"]
STRETCH_BYTES = 8 << 20
"""Decompressed bytes decoded at once."""
FILE_READINGS = 3_000_000
"""A raw file is closed when it holds this many readings, or a tenth as many rows: rows take more memory."""


@dataclass(frozen=True)
class RawFile:
    """A raw file that was written.

    Attributes:
        name: File name; lies in the folder of its kind.
        kind: What its rows are.
        size: Bytes.
        stats: What it covers.
    """

    name: str
    kind: Kind
    size: int
    stats: RawStats


@dataclass(frozen=True)
class IngestReceipt:
    """What became of one split. readings = sum over ``files`` + ``dead_readings``; rows likewise for rows
    read (single readings are joined, so files may hold fewer rows).

    Attributes:
        split: The split.
        record: Record of the contract its rows are; None for a refused file.
        rows: Rows decoded, bad ones included.
        readings: Readings in them; a null or NaN is none.
        dead_rows, dead_readings: Those among them that went to dead letters.
        undecodable_rows: Rows announced by bytes that could not be decoded.
        dead_letters: ``schemas.arrow.DEAD_LETTERS``.
        files: Raw files, in order.
    """

    split: FileSplit
    record: str | None
    rows: int
    readings: int
    dead_rows: int
    dead_readings: int
    undecodable_rows: int
    dead_letters: pa.Table
    files: tuple[RawFile, ...]

    @property
    def work(self) -> FileSplit:
        """The element that this answers."""
        return self.split


@dataclass
class _Stretch:
    """Blocks decoded together."""

    blocks: list[Block] = field(default_factory=list)
    payloads: list[Any] = field(default_factory=list)
    size: int = 0

    def add(self, block: Block, payload: Any) -> None:
        self.blocks.append(block)
        self.payloads.append(payload)
        self.size += len(payload)


@dataclass
class RawWriter:
    """Gathers good rows and writes them as raw files named by content and place.

    Attributes:
        folder: Of the raw zone, for the kind.
        kind: What the rows are.
        stem: First part of the names.
        shards: How many shards the lake has.
        arrived_by: See ``ingest_split``.
        files: Written so far; whole after ``flush``.
    """

    folder: Path
    kind: Kind
    stem: str
    shards: int
    arrived_by: int
    tables: list[pa.Table] = field(default_factory=list)
    readings: int = 0
    files: list[RawFile] = field(default_factory=list)

    def add(self, table: pa.Table, readings: int) -> None:
        """Take rows that hold so many readings."""
        if table.num_rows:
            self.tables.append(table)
            self.readings += readings
        if self.readings >= FILE_READINGS or sum(t.num_rows for t in self.tables) >= FILE_READINGS // 10:
            self.flush()

    def flush(self) -> None:
        """Write what was taken and is in no file yet."""
        if not self.tables:
            return
        table = pa.concat_tables(self.tables)
        suffix = "arrow" if self.kind is Kind.INTERVALS else "parquet"
        name = f"{self.stem}-{len(self.files)}.{suffix}"
        sharded = self.kind in SHARDED_KINDS
        shard = shard_of(table["meter_id"], self.shards) if sharded else np.zeros(table.num_rows, np.int32)
        self.folder.mkdir(parents=True, exist_ok=True)
        stats = raw_stats(self.kind, table, arrived_by=self.arrived_by)
        size = write_raw_file(self.folder / name, self.kind, table, shard)
        self.files.append(RawFile(name, self.kind, size, stats))
        self.tables, self.readings = [], 0


def ingest_split(
    split: FileSplit,
    *,
    shards: int,
    raw_dir: str | Path,
    timezone: str,
    mapping: FieldMapping | None = None,
    on_error: OnError = "stop",
    arrived_by: int = NEVER_LATE,
) -> IngestReceipt:
    """Read, check, decode and store one split. A pure function of the file, apart from the files it writes.

    Args:
        split: From ``plan_splits``.
        shards: How many shards the lake has.
        raw_dir: The raw zone; files go to its folder of the kind.
        timezone: Zone of the lake.
        mapping: Foreign records.
        on_error: ``stop`` raises on any framing damage; ``dead-letter`` keeps refused files whole and
            corrupt blocks alone as dead letters. Bad rows of good blocks are dead letters either way.
        arrived_by: Stands for the received_at of readings that carry none, UTC: one that starts later
            does not extend the lake's range. [us]

    Returns:
        The receipt. Written files are whole; the caller publishes them with the file's other splits.

    Raises:
        FramingError: Damage, with ``stop``.
        MeterbeamError: The file cannot be read, or changed since it was planned.
    """
    letters = DeadLetters(split.path)
    raw = place(raw_dir)
    if split.refused is not None:
        if on_error == "stop":
            raise split.error()
        reason = f"found {split.refused}, expected {split.refused_expected}"
        name = f"{split.source_hash}.avro"
        letters.refuse_file(
            Path(split.path), split.refused_at, reason, keep_in=raw / "refused", name=name, rows=split.rows
        )
        return _receipt(split, None, 0, 0, letters, [])
    with opened(split.path) as data:
        if len(data) != split.size:
            raise MeterbeamError(
                split.path, f"{len(data)} bytes", f"{split.size} bytes, as planned (let it finish first)"
            )
        header = read_header(data, split.path)
        decoder = decoder_for(header.schema, mapping or FieldMapping(), timezone)
        stem = f"{split.source_hash[:32]}-{split.start}-{split.end}"
        writer = RawWriter(raw / decoder.kind.value, decoder.kind, stem, shards, arrived_by)
        rows = readings = 0
        limit = len(data) << 20 if decoder.in_order else STRETCH_BYTES
        for stretch in _stretches(data, header, split, letters, on_error, limit):
            for part, decoded in _decoded(decoder, stretch, data, split.path, letters, on_error):
                rows += decoded.rows
                readings += decoded.readings
                if len(decoded.bad_rows):
                    letters.refuse_rows(decoder, decoded, part.blocks, part.payloads, data, header)
                writer.add(decoded.table, decoded.readings - int(decoded.bad_readings.sum()))
        writer.flush()
    return _receipt(split, decoder.plan.record, rows, readings, letters, writer.files)


def _receipt(
    split: FileSplit, record: str | None, rows: int, readings: int, letters: DeadLetters, files: list[RawFile]
) -> IngestReceipt:
    stored = sum(file.stats.readings for file in files)
    assert readings == stored + letters.readings, (
        f"{readings} readings, {stored} stored, {letters.readings} dead"
    )
    dead = (letters.rows, letters.readings, letters.undecodable_rows)
    return IngestReceipt(split, record, rows, readings, *dead, letters.table(), tuple(files))


def _stretches(
    data: Buffer, header: Header, split: FileSplit, letters: DeadLetters, on_error: OnError, limit: int
) -> Iterator[_Stretch]:
    """Sound blocks of a split, decompressed, some megabytes at a time: ``limit`` bytes."""
    stretch = _Stretch()
    for item in walk(data, header, split.start, split.end):
        try:
            if isinstance(item, Damage):
                raise item.error(split.path)
            payload = data[item.start : item.start + item.size]
            if item.rows or item.size:
                payload = decompress(payload, header.codec, split.path, item.offset)
        except FramingError as error:
            if on_error == "stop":
                raise
            letters.refuse_block(data, item, f"found {error.found}, expected {error.expected}")
            continue
        stretch.add(item, payload)
        if stretch.size >= limit:
            yield stretch
            stretch = _Stretch()
    if stretch.blocks:
        yield stretch


def _decoded(
    decoder: Decoder, stretch: _Stretch, data: Buffer, path: str, letters: DeadLetters, on_error: OnError
) -> Iterator[tuple[_Stretch, Decoded]]:
    """A stretch decoded at once; where that fails, block by block, so that only the bad one is lost."""
    try:
        rows = [block.rows for block in stretch.blocks]
        yield stretch, decoder.decode(stretch.payloads, rows, whole=decoder.in_order)
        return
    except DecodeError:
        singles = zip(stretch.blocks, stretch.payloads, strict=True)
    for block, payload in singles:
        try:
            decoded = decoder.decode([payload], [block.rows])
        except DecodeError as error:
            fault = FramingError.at(
                path, block.offset, str(error), f"{block.rows} rows, as the block announces"
            )
            if on_error == "stop":
                raise fault from error
            letters.refuse_block(data, block, f"found {fault.found}, expected {fault.expected}")
            continue
        yield _Stretch([block], [payload], len(payload)), decoded
