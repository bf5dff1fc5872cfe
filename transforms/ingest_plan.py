"""Which bytes of which file each ingest worker reads: headers and framing only, no payload decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from mmap import ACCESS_READ, mmap
from pathlib import Path

from schemas.errors import MeterbeamError
from schemas.mapping import FieldMapping
from transforms.avro_columns import SchemaError
from transforms.avro_container import Buffer, Damage, FramingError, read_header, split_ranges, walk
from transforms.avro_decode import Decoder

__all__ = ["FileSplit", "decoder_for", "opened", "plan_splits"]


@dataclass(frozen=True)
class FileSplit:
    """A stretch of whole blocks of one file: read by exactly one worker.

    Attributes:
        path: The file.
        index: Number of the split in its file, from 0.
        splits: How many splits the file has.
        start, end: Bytes [start, end); a block belongs to the split in which it begins.
        rows: Rows its readable blocks announce.
        source_hash: SHA-256 of the whole file, in hex.
        size: Bytes of the whole file, as planned.
        refused: Why the file cannot be used as a whole; None = it can. Then there is one split.
        refused_at: Byte at which that shows.
        refused_expected: What was expected there.
        truncated: The file ends too early: it may still be growing.
    """

    path: str
    index: int
    splits: int
    start: int
    end: int
    rows: int
    source_hash: str
    size: int
    refused: str | None = None
    refused_at: int = 0
    refused_expected: str = ""
    truncated: bool = False

    def error(self) -> FramingError:
        """The reason for refusing the file, as an exception."""
        found = self.refused or "a file that can be used"
        return FramingError.at(
            self.path, self.refused_at, found, self.refused_expected, truncated=self.truncated
        )


@contextmanager
def opened(path: str | Path) -> Iterator[Buffer]:
    """A file's bytes, mapped into memory.

    Raises:
        MeterbeamError: It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            if file.seek(0, 2) == 0:
                yield b""
                return
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                yield data
    except OSError as error:
        raise MeterbeamError(str(path), error.strerror or str(error), "a file that can be read") from error


def _digest(path: str) -> str:
    """SHA-256 of a file, in hex; read rather than mapped, so that a large file does not count as memory."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MeterbeamError(str(path), error.strerror or str(error), "a file that can be read") from error


@lru_cache(maxsize=64)
def _decoder(schema: str, mapping: str, timezone: str, ended: bool) -> Decoder:
    return Decoder(schema, FieldMapping.model_validate_json(mapping), timezone, ended=ended)


def decoder_for(schema: str, mapping: FieldMapping, timezone: str, *, ended: bool = False) -> Decoder:
    """A decoder of a writer's schema, see ``Decoder``; schemas are worked out once a process.

    Raises:
        SchemaError: The schema cannot be read as a record of the contract.
    """
    return _decoder(schema, mapping.model_dump_json(by_alias=True), timezone, ended).fresh()


def plan_splits(
    paths: Sequence[str | Path], target_bytes: int, *, mapping: FieldMapping | None = None
) -> list[FileSplit]:
    """Walk the framing of files and cut them into splits.

    Reads each file once (for its hash), touches block headers and sync markers only, decodes nothing.

    Args:
        paths: Container files.
        target_bytes: Size at which a split is closed. [B]
        mapping: Foreign records; a file whose schema cannot be read is refused here.

    Returns:
        Splits of all files in the order given. A file that cannot be used whole (not Avro, truncated,
        unknown schema) has one split with ``refused`` set; damaged blocks inside a file do not refuse it.

    Raises:
        MeterbeamError: A file cannot be read at all.
    """
    plan = partial(_plan_file, target_bytes=target_bytes, mapping=mapping or FieldMapping())
    with ThreadPoolExecutor(2) as pool:  # hashing leaves the interpreter lock
        return [split for splits in pool.map(plan, [str(path) for path in paths]) for split in splits]


def _plan_file(path: str, target_bytes: int, mapping: FieldMapping) -> list[FileSplit]:
    digest = _digest(path)
    with opened(path) as data:
        size, rows = len(data), 0
        try:
            header = read_header(data, path)
            items = list(walk(data, header))
            rows = sum(item.rows or 0 for item in items)
            if items and isinstance(items[-1], Damage) and items[-1].truncated:
                raise items[-1].error(path)
            whole = decoder_for(header.schema, mapping, "UTC").in_order
        except FramingError as error:
            refusal = (error.found, error.offset, error.expected, error.truncated)
            return [FileSplit(path, 0, 1, 0, size, rows, digest, size, *refusal)]
        except SchemaError as error:
            refusal = (
                str(error),
                4,
                "the schema of a record of the input contract, or a field mapping",
                False,
            )
            return [FileSplit(path, 0, 1, 0, size, rows, digest, size, *refusal)]
        ranges = split_ranges(items, size if whole else target_bytes) or [(header.size, header.size)]
        counts = [0] * len(ranges)
        number = 0
        for item in items:
            while item.offset >= ranges[number][1]:
                number += 1
            counts[number] += item.rows or 0
    return [
        FileSplit(path, index, len(ranges), start, end, counts[index], digest, size)
        for index, (start, end) in enumerate(ranges)
    ]
