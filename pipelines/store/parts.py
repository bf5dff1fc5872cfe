"""Parquet parts of lake tables: written by workers, complete or not at all, published by a commit."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.sharding import shard_of_id
from schemas.lake import LakeTable
from transforms.storage import ObjectPath, whole_file

__all__ = ["PartFile", "fsync_folder", "shards_of_part", "whole_file", "write_part"]

ROW_GROUP = 16_384
"""Rows of a row group: 45 meter-years of days; the unit that a query reads or skips."""
STATISTICS = frozenset({"int8", "int16", "int32", "int64", "string", "date32[day]"})
METERS_A_GROUP = 1024
"""Distinct meters a row group's Bloom filter is sized for (1.2 kB); more only make it less sharp."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SHARDS = re.compile(r"\.s(\d+)-(\d+)\.parquet$")


@dataclass(frozen=True)
class PartFile:
    """A written part: its table, its path below the table's folder, and what a commit must know."""

    table: str
    path: str
    rows: int
    size: int
    stats: str


def write_part(lake: Path, table: LakeTable, run_no: int, name: str, rows: pa.Table) -> PartFile:
    """Write one part under a name that depends on (table, run, name) and the content alone.

    A part whose meters all lie in a few neighbouring shards says so in its name, and a read of meters of
    other shards skips it. Row groups follow the chunks' order; rows sorted by month, then meter, make both a
    query of a meter and one of a day skip most of them.

    Args:
        lake: Folder of the lake.
        table: The table; missing columns are filled with ``run_no`` and nulls.
        run_no: Run that will publish it.
        name: Distinguishes the parts of a run: letters, digits, ``_`` and ``-``.
        rows: Content; text columns may be dictionary-encoded, columns the table lacks are left out.

    Raises:
        ValueError: The name has other characters.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a part's name must be of letters, digits, _ and -, got {name!r}")
    folder = lake / "tables" / table.name
    folder.mkdir(parents=True, exist_ok=True)
    stored = _as_stored(table, rows, run_no)
    span = _shards_of(lake, stored)
    path = f"part-{run_no:06d}-{name}{'' if span is None else '.s{:04d}-{:04d}'.format(*span)}.parquet"
    written: list[pq.FileMetaData] = []
    with whole_file(folder / path) as out:
        pq.write_table(
            stored,
            out,
            compression="zstd",
            compression_level=1,
            row_group_size=ROW_GROUP,
            write_batch_size=ROW_GROUP,
            write_statistics=[field.name for field in table.schema if not pa.types.is_nested(field.type)],
            store_schema=False,
            bloom_filter_options=_bloom(table),
            metadata_collector=written,
            **_encodings(table),
        )
        size = out.tell()
    return PartFile(table.name, path, stored.num_rows, size, _statistics(stored.schema, written[0]))


def shards_of_part(path: str) -> range | None:
    """The shards all meters of a part lie in, where its name says so."""
    found = _SHARDS.search(path)
    return range(int(found[1]), int(found[2]) + 1) if found else None


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder last a loss of power; object storage does so by itself."""
    if isinstance(folder, ObjectPath):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@lru_cache(maxsize=8)
def _shards(lake: Path) -> int | None:
    config = lake / "lake.json"
    return int(json.loads(config.read_text("utf-8"))["shards"]) if config.exists() else None


def _shards_of(lake: Path, rows: pa.Table) -> tuple[int, int] | None:
    """First and last shard of the rows' meters; None where a read could not skip the part for it."""
    shards = _shards(lake)
    if shards is None or "meter_id" not in rows.schema.names or not rows.num_rows:
        return None
    found = {shard_of_id(meter, shards) for meter in pc.unique(rows["meter_id"]).to_pylist()}
    span = min(found), max(found)
    return None if span == (0, shards - 1) and shards > 1 else span


def _bloom(table: LakeTable) -> dict[str, dict[str, float]] | None:
    """A Bloom filter of the meters: a query of one meter then skips the files of all other shards."""
    if "meter_id" not in table.key:
        return None
    return {"meter_id": {"ndv": METERS_A_GROUP, "fpp": 0.01}}


def _encodings(table: LakeTable) -> dict[str, Any]:
    """Dictionaries, but for what hardly repeats: hashing it would cost most of the time."""
    if not table.varied:
        return {"use_dictionary": True}
    leaves = {leaf for field in table.schema for leaf in _leaves(field.name, field.type)}
    return {
        "use_dictionary": sorted(leaves.difference(table.varied)),
        "column_encoding": dict.fromkeys(table.varied, "DELTA_BINARY_PACKED"),
    }


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """Paths, as Parquet names them, of the plain columns that a column is stored as."""
    if pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path


def _as_stored(table: LakeTable, rows: pa.Table, run_no: int) -> pa.Table:
    columns = []
    for field in table.schema:
        if field.name in rows.schema.names:
            column = rows[field.name]
            if pa.types.is_dictionary(column.type) and field.type == column.type.value_type:
                columns.append(column)  # written as text; casting would cost a copy of every string
                continue
            columns.append(column.cast(field.type))
        elif field.name == "run_no":
            columns.append(pa.repeat(pa.scalar(run_no, field.type), rows.num_rows))
        else:
            columns.append(pa.nulls(rows.num_rows, field.type))
    return pa.table(columns, names=table.schema.names)


def _statistics(schema: pa.Schema, written: pq.FileMetaData) -> str:
    """Delta statistics: number of records, least and greatest of the plain columns, as the file has them."""
    low: dict[str, object] = {}
    high: dict[str, object] = {}
    groups = [written.row_group(number) for number in range(written.num_row_groups)]
    paths = [written.schema.column(number).path for number in range(written.num_columns)]
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if str(kind) not in STATISTICS:
            continue
        number = paths.index(field.name)
        found = [group.column(number).statistics for group in groups]
        held = [bounds for bounds in found if bounds is None or bounds.num_values]
        if held and all(bounds is not None and bounds.has_min_max for bounds in held):
            low[field.name] = min(bounds.min for bounds in held)
            high[field.name] = max(bounds.max for bounds in held)
    stats = {"numRecords": written.num_rows, "minValues": low, "maxValues": high, "nullCount": {}}
    return json.dumps(stats, default=str)
