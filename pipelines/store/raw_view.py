"""The view ``raw``: interval readings as received, a row a slot, decoded only where a query asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs
from numpy.typing import NDArray

from models.sharding import shard_of_id
from pipelines.store.lake import Lake
from schemas.arrow import DICTIONARY
from schemas.lake import RAW_FILES, UTC
from schemas.records import Kind
from transforms.raw_codec import raw_shards, read_raw_shards

__all__ = [
    "RAW_READINGS",
    "RawReadings",
    "Scan",
    "asked_meters",
    "distinct_readings",
    "expand_blocks",
    "without_repeats",
]

Int = NDArray[np.int64]
MICROS = 1_000_000

RAW_READINGS = pa.schema(
    [
        ("meter_id", pa.string()),
        ("channel", pa.string()),
        ("start", UTC),
        ("interval_s", pa.int32()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("scaler", pa.int32()),
        ("quality", pa.int32()),
        ("received_at", UTC),
        ("sequence", pa.int64()),
        ("source", pa.string()),
    ]
)
"""Columns of the view. ``value`` × 10^``scaler`` is in ``unit``; integers beyond 2^53 are rounded."""
_IDENTITY = ("meter_id", "channel", "start", "interval_s", "unit", "scaler", "received_at", "sequence")


def expand_blocks(blocks: pa.Table) -> pa.Table:
    """One row a reading of raw interval blocks; a null or NaN is no reading.

    Args:
        blocks: ``schemas.arrow.RAW_INTERVALS``.

    Returns:
        ``RAW_READINGS`` and a column ``bits``, the number as received (a double by its bits) with
        ``is_double``. Text columns are dictionary-encoded.
    """
    parts = [
        _expanded(blocks.filter(pc.is_valid(blocks[name])), name) for name in ("values_int", "values_float")
    ]
    return pa.concat_tables(parts)


def _expanded(blocks: pa.Table, name: str) -> pa.Table:
    values = _one(blocks[name])
    length = pc.list_value_length(values).to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(length)), length)
    place = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    items = values.flatten()
    number = pc.fill_null(items, 0).to_numpy(zero_copy_only=False)
    quality = _qualities(blocks, length)
    there = items.is_valid().to_numpy(zero_copy_only=False)
    is_double = name == "values_float"
    if is_double:
        there = there & ~np.isnan(number)
    if not there.all():
        row, place, number, quality = row[there], place[there], number[there], quality[there]
    interval = blocks["interval_s"].to_numpy().astype(np.int64)
    start = (blocks["start"].to_numpy()[row] + place * interval[row]) * MICROS
    at = pa.array(row)
    columns = {column: _one(blocks[column]) for column in RAW_READINGS.names if column in blocks.schema.names}
    out = {column: values.take(at) for column, values in columns.items()}
    for column in ("meter_id", "channel", "unit", "source"):
        if not pa.types.is_dictionary(out[column].type):
            out[column] = columns[column].dictionary_encode().cast(DICTIONARY).take(at)
    out["start"] = pa.array(start).cast(UTC)
    each = _one(blocks["received_each"])
    if each.null_count < len(each):
        times = pc.fill_null(_one(blocks["received_at"]), 0).to_numpy()[row].copy()
        told = each.is_valid().to_numpy(zero_copy_only=False)
        offsets = np.append(0, np.cumsum(np.where(told, length, 0)))
        mine = told[row]
        times[mine] = each.flatten().to_numpy()[offsets[row[mine]] + place[mine]]
        out["received_at"] = pa.array(times, mask=out["received_at"].is_null().to_numpy(zero_copy_only=False))
    out["received_at"] = out["received_at"].cast(UTC)
    out["value"] = pa.array(number.astype(np.float64))
    out["quality"] = pa.array(quality)
    table = pa.table({column: out[column] for column in RAW_READINGS.names})
    bits = pa.array(np.ascontiguousarray(number).view(np.int64))
    kind = pa.array(np.full(len(row), is_double))
    return table.append_column("bits", bits).append_column("is_double", kind)


def _one(column: pa.ChunkedArray) -> pa.Array:
    combined = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column
    return pa.concat_arrays(combined.chunks) if combined.num_chunks else pa.array([], column.type)


def _qualities(blocks: pa.Table, length: Int) -> NDArray[np.int32]:
    """Quality code of each value; a block without a list is measured throughout (0)."""
    lists = _one(blocks["quality"])
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    codes = np.zeros(int(length.sum()), np.int32)
    stated = np.repeat(sizes == length, length)
    fits = pa.array(sizes == length)
    codes[stated] = pc.fill_null(lists.filter(fits).flatten(), 0).to_numpy(zero_copy_only=False)
    return codes


def without_repeats(readings: pa.Table) -> pa.Table:
    """Readings that differ in more than their source; of exact repeats the one of the least source stays.

    Args:
        readings: From ``expand_blocks``.

    Returns:
        ``RAW_READINGS``, in the order given.
    """
    key = [*_IDENTITY, "quality", "bits", "is_double"]
    codes = np.stack([_codes(readings[name]) for name in key])
    order = np.lexsort((_codes(readings["source"]), *codes[::-1]))
    ordered = codes[:, order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (ordered[:, 1:] != ordered[:, :-1]).any(0)
    kept = readings if first.all() else readings.take(pa.array(np.sort(order[first])))
    return kept.select(RAW_READINGS.names)


def _codes(column: pa.ChunkedArray) -> Int:
    """Integers that are equal where the values are, and rise with them; null is the greatest."""
    array = _one(column)
    result: Int
    if pa.types.is_dictionary(array.type):
        texts = array.dictionary.to_pylist()
        rank = {text: number for number, text in enumerate(sorted(set(texts)))}
        of_code = np.array([rank[text] for text in texts] or [0], np.int64)
        codes = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
        result = of_code[codes]
    else:
        whole = array.cast(pa.int64())
        result = pc.fill_null(whole, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    if array.null_count:
        result = np.where(array.is_valid().to_numpy(zero_copy_only=False), result, np.iinfo(np.int64).max)
    return result


def _overlapping(blocks: pa.Table) -> NDArray[np.bool_]:
    """Blocks that share a slot's start with another one of their series, or might."""
    meter, channel = _codes(blocks["meter_id"].cast(DICTIONARY)), _codes(blocks["channel"].cast(DICTIONARY))
    start = blocks["start"].to_numpy()
    sizes = [pc.fill_null(pc.list_value_length(_one(blocks[n])), 0) for n in ("values_int", "values_float")]
    length = np.maximum(*(size.to_numpy(zero_copy_only=False).astype(np.int64) for size in sizes))
    end = start + length * blocks["interval_s"].to_numpy()
    order = np.lexsort((start, channel, meter))
    series = np.zeros(len(order), np.int64)
    change = (np.diff(meter[order]) != 0) | (np.diff(channel[order]) != 0)
    series[1:] = np.cumsum(change)
    span = int(end.max(initial=0) - start.min(initial=0)) + 1
    low = series * span + (start[order] - start.min(initial=0))
    high = series * span + (end[order] - start.min(initial=0))
    reached = np.maximum.accumulate(high)
    met = np.zeros(len(order), np.bool_)
    met[1:] = low[1:] < reached[:-1]
    # A block meets an earlier one; the earlier ones of its island are met as well.
    island = np.cumsum(~met)
    shared = np.bincount(island, minlength=int(island.max(initial=0)) + 1) > 1
    result = np.zeros(len(order), np.bool_)
    result[order] = shared[island]
    return result


def distinct_readings(blocks: pa.Table) -> pa.Table:
    """All readings of some series, exact repeats once; only blocks that overlap are compared.

    Args:
        blocks: ``schemas.arrow.RAW_INTERVALS``, every block of each of the series.

    Returns:
        ``RAW_READINGS``, in no stated order; text columns are dictionary-encoded.
    """
    doubtful = _overlapping(blocks)
    if not doubtful.any():
        return expand_blocks(blocks).select(RAW_READINGS.names)
    clear = expand_blocks(blocks.filter(pa.array(~doubtful))).select(RAW_READINGS.names)
    return pa.concat_tables([clear, without_repeats(expand_blocks(blocks.filter(pa.array(doubtful))))])


class Scan:
    """What DuckDB asks a scanner for."""

    def __init__(self, batches: Callable[[], Iterator[pa.RecordBatch]], schema: pa.Schema) -> None:
        self._batches = batches
        self.projected_schema = schema

    def to_reader(self) -> pa.RecordBatchReader:
        """Record batches of the scan."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._batches())


class RawReadings(ds.Dataset):
    """The interval readings of a lake as a dataset that DuckDB can scan, shard by shard.

    A query of some meters reads only their shards; one of some time only the raw files that hold any of
    it. Memory is bounded by a shard.
    """

    def __init__(self, lake: Lake) -> None:  # a Dataset's own refuses to be called
        table = lake.table(RAW_FILES.name, ["kind", "name", "min_start", "max_end"])
        self._files = table.filter(pc.equal(table["kind"], Kind.INTERVALS.value)).to_pylist()
        self._folder = lake.path / "raw" / Kind.INTERVALS.value
        self._shards = lake.config.shards

    @property
    def schema(self) -> pa.Schema:
        """The schema of the view."""
        return RAW_READINGS

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> Scan:  # noqa: A002
        """A scan of some columns of the rows that pass a filter.

        Args:
            columns: Names; all when None.
            filter: A pyarrow expression.
        """
        names = RAW_READINGS.names if columns is None else list(columns)
        schema = pa.schema([RAW_READINGS.field(name) for name in names])
        return Scan(lambda: self._batches(names, schema, filter), schema)

    def _batches(self, names: list[str], schema: pa.Schema, wanted: Any) -> Iterator[pa.RecordBatch]:
        for rows in self.shards(wanted):
            if wanted is not None:
                rows = rows.filter(wanted)
            yield from rows.select(names).cast(schema).to_batches(max_chunksize=1 << 17)

    def shards(self, wanted: Any = None) -> Iterator[pa.Table]:
        """Readings of one shard after the other: all of some meters', among them those that pass a filter."""
        paths = [self._folder / file["name"] for file in self._files if _may_hold(file, wanted)]
        meters = None if wanted is None else asked_meters(wanted)
        by_shard: dict[int, list[Path]] = {}
        for path in paths:
            for shard in raw_shards(path, Kind.INTERVALS):
                by_shard.setdefault(shard, []).append(path)
        chosen = None if meters is None else {shard_of_id(meter, self._shards) for meter in meters}
        for shard in sorted(by_shard):
            if chosen is not None and shard not in chosen:
                continue
            blocks, _ = read_raw_shards(by_shard[shard], Kind.INTERVALS, [shard])
            if meters is not None:
                blocks = blocks.filter(pc.is_in(blocks["meter_id"], pa.array(sorted(meters), pa.string())))
            if blocks.num_rows:
                yield distinct_readings(blocks)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a view of a lake cannot be sent to another process")


def asked_meters(wanted: Any) -> set[str] | None:
    """The meters that can pass a filter, None where any could.

    Text in the expression is a guess only: it counts when the filter is provably false everywhere
    between the guessed ids.
    """
    guesses = sorted(set(_texts(str(wanted))))
    if not guesses or len(guesses) > MOST_METERS:
        return None
    meter = ds.field("meter_id")
    between = [meter < guesses[0], meter > guesses[-1]]
    between += [(meter > a) & (meter < b) for a, b in pairwise(guesses)]
    return None if any(_satisfiable(wanted, known) for known in between) else set(guesses)


MOST_METERS = 256


def _texts(expression: str) -> Iterator[str]:
    """Text literals in an expression as pyarrow prints it; one with an escape ends the guessing."""
    for found in _TEXT.finditer(expression):
        yield found[1]


_TEXT = re.compile(r'"([^"\\]*)"')


def _satisfiable(wanted: Any, known: Any) -> bool:
    """Whether rows for which ``known`` holds might pass a filter; True when in doubt.

    Arrow answers this for the files of a dataset; here for one that is never opened.
    """
    parquet, files = ds.ParquetFileFormat(), fs.LocalFileSystem()
    probe = parquet.make_fragment("none", files, partition_expression=known)
    dataset = ds.FileSystemDataset([probe], RAW_READINGS, parquet, files)
    return any(True for _ in dataset.get_fragments(filter=wanted))


def _may_hold(file: dict[str, Any], wanted: Any) -> bool:
    """Whether a raw file might hold readings that pass a filter, by the time it covers."""
    if wanted is None or file["min_start"] is None:
        return True
    low, high = (pa.scalar(file[name] * MICROS, pa.int64()).cast(UTC) for name in ("min_start", "max_end"))
    return _satisfiable(wanted, (ds.field("start") >= low) & (ds.field("start") < high))
