"""The raw zone on disk: one file a split, one batch a shard, values as compressed byte planes.

Interval files are Arrow IPC, lz4. The values of a batch are narrowed to the fewest bytes that hold all of
the file's (1, 2, 4 or 8, two's complement) and stored a byte plane a column: high bytes hardly change
from slot to slot and compress to almost nothing. Doubles take eight planes. Other kinds are Parquet, lz4,
with one row group a shard. Both name their shards, in batch order, in the schema metadata ``shards``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.arrow import RAW, RAW_INTERVALS
from schemas.errors import MeterbeamError
from schemas.records import Kind
from transforms.storage import ObjectPath, place, source, whole_file

__all__ = [
    "SHARDS_KEY",
    "decode_raw_intervals",
    "encode_raw_intervals",
    "raw_rows",
    "raw_shards",
    "read_raw_shards",
    "write_batches",
    "write_raw_file",
]

Int = NDArray[np.int64]

_ROW_COLUMNS = (
    "meter_id",
    "channel",
    "start",
    "interval_s",
    "unit",
    "scaler",
    "received_at",
    "sequence",
    "source",
)
_WIDTHS = (1, 2, 4, 8)
SHARDS_KEY = b"shards"
"""Key of the schema metadata that names the shards of a raw file, in batch order."""
MICROS = 1_000_000
FEW_RUNS = 8
"""Rows are moved run by run where a run has this many rows or more on average."""
_BYTES = pa.list_(pa.uint8())


class _Values:
    """The values of one table, either integers or doubles, as flat numpy with a count a row."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self.present = _joined(chunks, lambda c: pc.is_valid(c).to_numpy(zero_copy_only=False), np.bool_)
        self.counts = _joined(chunks, lambda c: pc.fill_null(pc.list_value_length(c), 0).to_numpy(), np.int64)
        self.items = [chunk.flatten() for chunk in chunks]
        self.has_missing = any(items.null_count for items in self.items)


def _joined(chunks: list[pa.Array], make: Callable[[pa.Array], Any], kind: Any) -> NDArray[Any]:
    parts = [make(chunk) for chunk in chunks]
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.zeros(0, kind)


def _narrowest(items: list[pa.Array]) -> int:
    """Bytes that hold every integer of the arrays."""
    low = high = 0
    for array in items:
        bounds = pc.min_max(array)
        low = min(low, bounds["min"].as_py() or 0)
        high = max(high, bounds["max"].as_py() or 0)
    return next(width for width in _WIDTHS if -(1 << 8 * width - 1) <= low and high < 1 << 8 * width - 1)


def _gather(counts: Int, items: list[pa.Array], order: Int, kind: Any) -> NDArray[Any]:
    """All items as one array of ``kind``, their rows (of ``counts`` items) in ``order``; nulls as zero.

    Rows that stay side by side move together: a file written meter by meter moves a meter at a time.
    """
    plain = [_plain(array) for array in items]
    flat = plain[0] if len(plain) == 1 else np.concatenate(plain, dtype=kind, casting="same_kind")
    first = np.concatenate([[0], np.cumsum(counts)])
    heads = np.flatnonzero(np.diff(order, prepend=-2) != 1)
    lasts = np.append(heads[1:], len(order)) - 1
    if len(heads) * FEW_RUNS < len(order):
        bounds = zip(first[order[heads]].tolist(), first[order[lasts] + 1].tolist(), strict=True)
        return np.concatenate([flat[low:high] for low, high in bounds], dtype=kind, casting="same_kind")
    taken = counts[order]
    ends = np.cumsum(taken)
    places = np.repeat(first[order] - (ends - taken), taken) + np.arange(int(taken.sum()))
    return flat.astype(kind, copy=False)[places]


def _plain(items: pa.Array) -> NDArray[Any]:
    plain: NDArray[Any] = (pc.fill_null(items, 0) if items.null_count else items).to_numpy()
    return plain


def _planes(values: _Values, order: Int, name: str) -> dict[str, pa.Array]:
    """Byte planes of one values column, rows in ``order``; nothing where no row has any."""
    if not values.present.any():
        return {}
    is_float = name == "f"
    kind = np.dtype(np.float64) if is_float else np.dtype(f"<i{_narrowest(values.items)}")
    octets = _gather(values.counts, values.items, order, kind).view(np.uint8).reshape(-1, kind.itemsize)
    offsets = np.zeros(len(order) + 1, np.int32)
    np.cumsum(values.counts[order], out=offsets[1:])
    bounds = pa.array(offsets)
    absent = ~values.present[order]
    mask = pa.array(absent) if absent.any() else None

    def lists(items: NDArray[Any]) -> pa.Array:
        return pa.ListArray.from_arrays(bounds, pa.array(items), _BYTES, mask=mask)

    planes = {f"{name}{k}": lists(np.ascontiguousarray(octets[:, k])) for k in range(kind.itemsize)}
    if values.has_missing:
        nulls = [pc.is_null(items).cast(pa.uint8()) for items in values.items]
        planes[f"{name}_missing"] = lists(_gather(values.counts, nulls, order, np.uint8))
    return planes


def encode_raw_intervals(table: pa.Table, order: Int) -> pa.Table:
    """Raw intervals in the form they are stored.

    Args:
        table: ``RAW_INTERVALS``, n rows, any chunks.
        order: Permutation of its rows, shape (n,).

    Returns:
        One chunk, rows in ``order``: the row columns, ``quality``, and byte planes ``i0…`` of the integers
        and ``f0…f7`` of the doubles (a null row has none), with ``i_missing``/``f_missing`` where elements
        are null; ``r0…`` of how much later than its slot's start each reading was received.
    """
    places = pa.array(order)
    rows = table.select(_ROW_COLUMNS).unify_dictionaries().combine_chunks()
    columns = {name: _one(rows.column(name)).take(places) for name in _ROW_COLUMNS}
    if table.column("quality").null_count == table.num_rows:
        columns["quality"] = pa.nulls(table.num_rows, RAW_INTERVALS.field("quality").type)
    else:
        columns["quality"] = _one(table.column("quality").combine_chunks()).take(places)
    columns |= _planes(_Values(table.column("values_int")), order, "i")
    columns |= _planes(_Values(table.column("values_float")), order, "f")
    columns |= _planes(_Values(_moved(table, table.column("received_each"), -1)), order, "r")
    return pa.table(columns)


def _moved(rows: pa.Table, times: pa.ChunkedArray, sign: int) -> pa.ChunkedArray:
    """Lists of times [µs] with the start of each list's slots added or taken off."""
    if times.null_count == len(times):
        return times
    lists = pa.concat_arrays(times.chunks)
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    start, interval = (rows.column(name).to_numpy().astype(np.int64) for name in ("start", "interval_s"))
    slot = np.arange(int(counts.sum()))  # changed in place: these are the longest arrays there are
    slot -= np.repeat(np.cumsum(counts) - counts, counts)
    slot *= np.repeat(interval, counts)
    slot += np.repeat(start, counts)
    slot *= sign * MICROS
    slot += lists.flatten().to_numpy()
    offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
    return pa.chunked_array([pa.ListArray.from_arrays(offsets, pa.array(slot), mask=lists.is_null())])


def _one(column: Any) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return (
            column.chunk(0)
            if column.num_chunks == 1
            else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
        )
    return column


def _unplaned(batches: list[pa.RecordBatch], name: str, item: pa.DataType) -> pa.Array:
    """The list column whose byte planes the batches hold; all null where none has any."""
    rows = sum(batch.num_rows for batch in batches)
    planes = [[plane for plane in batch.schema.names if _is_plane(plane, name)] for batch in batches]
    if not any(planes):
        return pa.nulls(rows, pa.list_(item))
    counts, absent = np.zeros(rows, np.int64), np.ones(rows, np.bool_)
    parts, missing, row = [], [], 0
    for batch, names in zip(batches, planes, strict=True):
        here = slice(row, row + batch.num_rows)
        row += batch.num_rows
        if not names:
            continue
        first = batch.column(names[0])
        absent[here] = first.is_null().to_numpy(zero_copy_only=False) if first.null_count else False
        counts[here] = pc.fill_null(pc.list_value_length(first), 0).to_numpy()
        octets = np.empty((len(first.flatten()), len(names)), np.uint8)
        for k, plane in enumerate(names):
            octets[:, k] = batch.column(plane).flatten().to_numpy()
        parts.append(octets.view("<f8" if name == "f" else f"<i{len(names)}").reshape(-1))
        nulls = f"{name}_missing"
        has_nulls = nulls in batch.schema.names
        missing.append(batch.column(nulls).flatten().to_numpy() if has_nulls else None)
    items = np.concatenate(parts, dtype=np.float64 if name == "f" else np.int64)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    made = pa.array(items, mask=_joined_mask(parts, missing))
    lists_mask = pa.array(absent) if absent.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets), made, pa.list_(item), mask=lists_mask)


def _is_plane(column: str, name: str) -> bool:
    return column[0] == name and column[1:].isdigit()


def _joined_mask(
    parts: list[NDArray[Any]], missing: list[NDArray[np.uint8] | None]
) -> NDArray[np.bool_] | None:
    if all(mask is None for mask in missing):
        return None
    masks = [
        np.zeros(len(part), np.uint8) if mask is None else mask
        for part, mask in zip(parts, missing, strict=True)
    ]
    return np.concatenate(masks).astype(np.bool_)


def decode_raw_intervals(batches: list[pa.RecordBatch]) -> pa.Table:
    """The inverse of ``encode_raw_intervals`` for batches of any files, one after the other."""
    if not batches:
        return RAW_INTERVALS.empty_table()
    names = [*_ROW_COLUMNS, "quality"]
    rows = pa.Table.from_batches([batch.select(names) for batch in batches]).unify_dictionaries()
    columns = {name: _one(rows.column(name)) for name in names}
    columns["values_int"] = _unplaned(batches, "i", pa.int64())
    columns["values_float"] = _unplaned(batches, "f", pa.float64())
    columns["received_each"] = pa.chunked_array([_unplaned(batches, "r", pa.int64())])
    columns["received_each"] = _moved(pa.table(columns), columns["received_each"], 1)
    return pa.table([columns[field.name] for field in RAW_INTERVALS], schema=RAW_INTERVALS)


def write_raw_file(path: Path, kind: Kind, table: pa.Table, shard: NDArray[np.int32]) -> int:
    """Write one raw file, complete or not at all (temporary name, fsync, rename).

    Args:
        path: Where; its folder exists.
        kind: What the rows are.
        table: Rows in the kind's raw schema.
        shard: Shard of each row, shape (n,). Rows keep their order within a shard.

    Returns:
        Size of the file. [B]
    """
    order = np.argsort(shard, kind="stable")
    present, counts = np.unique(shard, return_counts=True)
    starts = np.cumsum(counts) - counts
    bounds = list(zip(starts.tolist(), counts.tolist(), strict=True))
    metadata = {SHARDS_KEY: json.dumps(present.tolist()).encode()}
    with whole_file(path) as out:
        if kind is Kind.INTERVALS:
            write_batches(out, encode_raw_intervals(table, order), metadata, bounds)
        else:
            _write_parquet(out, table.take(pa.array(order)), metadata, bounds)
        return out.tell()


def write_batches(
    out: Any, table: pa.Table, metadata: dict[bytes, bytes], bounds: list[tuple[int, int]]
) -> None:
    """Write encoded rows as Arrow IPC, lz4.

    Args:
        out: Takes the bytes.
        table: As ``encode_raw_intervals`` gives it; one chunk.
        metadata: Of the schema.
        bounds: First row and rows of each batch.
    """
    table = table.replace_schema_metadata(metadata)
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_file(out, table.schema, options=options) as writer:
        for start, rows in bounds:
            writer.write_batch(table.slice(start, rows).to_batches()[0])


def _write_parquet(
    out: Any, table: pa.Table, metadata: dict[bytes, bytes], bounds: list[tuple[int, int]]
) -> None:
    """Times and counts as differences, the rest by dictionaries: small, and small row groups stay cheap."""
    table = table.replace_schema_metadata(metadata)
    numbers = [field.name for field in table.schema if field.type == pa.int64()]
    others = [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in table.schema
        if field.type != pa.int64()
    ]
    encoding = dict.fromkeys(numbers, "DELTA_BINARY_PACKED")
    with pq.ParquetWriter(
        out, table.schema, compression="lz4", use_dictionary=others, column_encoding=encoding
    ) as writer:
        for start, rows in bounds:
            writer.write_table(table.slice(start, rows), row_group_size=max(rows, 1))


def _shards(path: Path, schema: pa.Schema) -> list[int]:
    try:
        shards: list[int] = json.loads(schema.metadata[SHARDS_KEY])
    except (KeyError, TypeError, ValueError) as error:
        raise MeterbeamError(
            str(path), "no list of shards in its metadata", "a file of the raw zone"
        ) from error
    return shards


def raw_shards(path: Path, kind: Kind) -> list[int]:
    """Shards a raw file has rows of.

    Raises:
        MeterbeamError: It is not a file of the raw zone.
    """
    with source(path) as file:
        schema = pa.ipc.open_file(file).schema if kind is Kind.INTERVALS else pq.read_schema(file)
        return _shards(path, schema)


def raw_rows(paths: Sequence[Path], kind: Kind) -> int:
    """How many rows raw files of another kind than intervals hold, by their footers.

    Raises:
        MeterbeamError: One is not a file of the raw zone.
    """
    return sum(_opened(str(path), kind, *_mark(path)).reader.metadata.num_rows for path in paths)


def read_raw_shards(paths: Sequence[Path], kind: Kind, shards: Sequence[int]) -> tuple[pa.Table, Int]:
    """The rows of some shards of raw files; reads those shards' batches only.

    Returns:
        A table in the kind's raw schema, file after file, empty where they have none of those shards; and
        how many rows came from each file, shape (files,).

    Raises:
        MeterbeamError: One is not a file of the raw zone.
    """
    rows = np.zeros(len(paths), np.int64)
    pieces: list[Any] = []
    for number, path in enumerate(paths):
        file = _opened(str(path), kind, *_mark(path))
        for at in sorted(file.batch_of[shard] for shard in shards if shard in file.batch_of):
            piece = (
                file.reader.get_batch(at)
                if kind is Kind.INTERVALS
                else file.reader.read_row_group(at, use_threads=False).cast(RAW[kind])
            )
            rows[number] += piece.num_rows
            pieces.append(piece)
    if kind is Kind.INTERVALS:
        return decode_raw_intervals(pieces), rows
    return pa.concat_tables([RAW[kind].empty_table(), *pieces]).unify_dictionaries(), rows


@dataclass(frozen=True)
class _RawFile:
    reader: Any
    batch_of: dict[int, int]


def _mark(path: Path) -> tuple[int, int]:
    """What changes with a file. One request a file and call would be dear: an object is never rewritten."""
    if isinstance(path, ObjectPath):
        return 0, 0
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=256)
def _opened(path: str, kind: Kind, _changed: int, _size: int) -> _RawFile:
    """An open raw file: every shard reads every file, and opening costs as much as reading."""
    if kind is Kind.INTERVALS:
        options = pa.ipc.IpcReadOptions(use_threads=False)
        # Read, not mapped: mapped pages of the whole raw zone would count as this process's memory.
        reader = pa.ipc.open_file(source(place(path)), options=options)
        shards = _shards(Path(path), reader.schema)
    else:
        reader = pq.ParquetFile(source(place(path)))
        shards = _shards(Path(path), reader.schema_arrow)
    return _RawFile(reader, {shard: batch for batch, shard in enumerate(shards)})
