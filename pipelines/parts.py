"""Parquet parts of lake tables: written by workers, complete or not at all, published by a commit."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.lake import LakeTable

ROW_GROUP = 16_384
STATISTICS = frozenset({"int8", "int16", "int32", "int64", "string", "date32[day]"})


@dataclass(frozen=True)
class PartFile:
    """A written part: its table, its path below the table's folder, and what a commit must know."""

    table: str
    path: str
    rows: int
    size: int
    stats: str


def write_part(lake: Path, table: LakeTable, run_no: int, name: str, rows: pa.Table) -> PartFile:
    """Write one part under a name that depends on (table, run, name) alone.

    Args:
        lake: Folder of the lake.
        table: The table; missing columns are filled with ``run_no`` and nulls.
        run_no: Run that will publish it.
        name: Distinguishes the parts of a run.
        rows: Content; text columns may be dictionary-encoded.
    """
    folder = lake / "tables" / table.name
    folder.mkdir(parents=True, exist_ok=True)
    path = f"part-{run_no:06d}-{name}.parquet"
    stored = _as_stored(table.schema, rows, run_no)
    draft = folder / f".{path}.{os.getpid()}.tmp"
    try:
        with draft.open("wb") as out:
            pq.write_table(
                stored,
                out,
                compression="zstd",
                compression_level=1,
                use_dictionary=True,
                row_group_size=ROW_GROUP,
                write_statistics=True,
                store_schema=False,
                data_page_size=1 << 20,
            )
            out.flush()
            os.fsync(out.fileno())
        size = draft.stat().st_size
        draft.replace(folder / path)
    finally:
        draft.unlink(missing_ok=True)
    return PartFile(table.name, path, stored.num_rows, size, _statistics(stored))


def _as_stored(schema: pa.Schema, rows: pa.Table, run_no: int) -> pa.Table:
    columns = []
    for field in schema:
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
    return pa.table(columns, names=schema.names)


def _statistics(rows: pa.Table) -> str:
    """Delta statistics: number of records, least and greatest of the plain columns."""
    low: dict[str, object] = {}
    high: dict[str, object] = {}
    for name in rows.schema.names:
        column = rows[name]
        if pa.types.is_dictionary(column.type):
            used = pc.unique(column.combine_chunks()) if column.num_chunks else column
            column = pa.chunked_array([used.cast(column.type.value_type)])
        if str(column.type) not in STATISTICS or not len(column):
            continue
        bounds = pc.min_max(column).as_py()
        if bounds["min"] is not None:
            low[name], high[name] = bounds["min"], bounds["max"]
    stats = {"numRecords": rows.num_rows, "minValues": low, "maxValues": high, "nullCount": {}}
    return json.dumps(stats, default=str)
