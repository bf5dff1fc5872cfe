"""Run SQL over a lake and write the result, nothing else."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.lake import Lake
from pipelines.views import connect
from schemas.errors import MeterbeamError


def run_query(sql: str, lake: Path, *, as_of: datetime | int | None, form: str, out: IO[bytes]) -> None:
    """Write the rows of a query.

    Args:
        sql: Any DuckDB statement that yields rows.
        lake: Folder of the lake.
        as_of: See ``connect``.
        form: ``table``, ``csv``, ``json`` or ``parquet``.
        out: Where the bytes go.

    Raises:
        MeterbeamError: DuckDB refuses the statement; says why.
    """
    with connect(Lake.open(lake), as_of) as connection:
        try:
            relation = connection.sql(sql)
            if relation is None:
                raise MeterbeamError("query", "a statement without rows", "a SELECT")
            if form == "table":
                out.write((str(relation) + "\n").encode())
                return
            rows = relation.to_arrow_table()
        except duckdb.Error as error:
            raise MeterbeamError("query", str(error).strip(), "SQL over the views of the lake") from error
    WRITERS[form](rows, out)


def _csv(rows: pa.Table, out: IO[bytes]) -> None:
    text = _Text(out)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.schema.names)
    for batch in rows.to_batches():
        writer.writerows(
            zip(*([_cell(v) for v in column.to_pylist()] for column in batch.columns), strict=True)
        )


def _json(rows: pa.Table, out: IO[bytes]) -> None:
    out.write(b"[")
    for number, row in enumerate(rows.to_pylist()):
        out.write(b",\n" if number else b"\n")
        out.write(json.dumps(row, default=_plain, ensure_ascii=False).encode())
    out.write(b"\n]\n")


def _parquet(rows: pa.Table, out: IO[bytes]) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    out.write(sink.getvalue())


WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {"csv": _csv, "json": _json, "parquet": _parquet}


class _Text:
    """The text side of a byte stream, for the csv module."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(text.encode())


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return _plain(value) if isinstance(value, (datetime, date, bytes)) else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def stdout() -> IO[bytes]:
    """Standard output as bytes."""
    return sys.stdout.buffer
