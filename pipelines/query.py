"""Run SQL over a lake and write the result, nothing else."""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import duckdb

from pipelines.store.lake import AsOf, Lake
from pipelines.store.views import connect
from schemas.errors import MeterbeamError, UsageError

__all__ = ["FORMATS", "parse_as_of", "run_query"]

FORMATS = ("table", "csv", "json", "parquet")
_JSON = "(FORMAT json, ARRAY true, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ')"


def run_query(
    sql: str, lake: Path, *, as_of: AsOf | None = None, form: str = "table", out: IO[bytes]
) -> None:
    """Write the rows of a query; nothing is written where it fails.

    Args:
        sql: Any DuckDB statement that yields rows; the last one counts.
        lake: Folder of the lake.
        as_of: A moment, run number or run id; see ``Lake.at``.
        form: One of ``FORMATS``: ``table`` for eyes (long results are cut), ``csv`` with a header, ``json``
            as one array of records, ``parquet`` as bytes.
        out: Where the bytes go.

    Raises:
        MeterbeamError: There is no such lake or moment, or DuckDB refuses the statement; says why.
    """
    with connect(Lake.open(lake), as_of) as connection, TemporaryDirectory(prefix="meterbeam-") as folder:
        result = Path(folder) / "result"
        try:
            relation = connection.sql(sql)
            if relation is None:
                raise MeterbeamError("query", "a statement without rows", "one with rows, such as a SELECT")
            if form == "table":
                text = str(relation)
                out.write((text if text.endswith("\n") else text + "\n").encode())
                return
            _save(connection, relation, result, form)
        except duckdb.Error as error:
            raise MeterbeamError("query", str(error).strip(), "SQL over the views of the lake") from error
        with result.open("rb") as rows:
            shutil.copyfileobj(rows, out, 1 << 20)
    out.flush()


def _save(
    connection: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation, file: Path, form: str
) -> None:
    """Through a file: a query that fails half-way leaves nothing, and no result has to fit in memory."""
    if form == "csv":
        relation.write_csv(str(file), header=True)
    elif form == "parquet":
        relation.write_parquet(str(file), compression="zstd")
    else:
        relation.create_view("result_of_the_query")
        connection.execute(f"COPY result_of_the_query TO '{file}' {_JSON}")


def parse_as_of(text: str | None) -> AsOf | None:
    """What a user gives with ``--as-of``: a moment (in UTC where it has no offset), a run number or run id.

    Raises:
        UsageError: It is none of these.
    """
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        return str(uuid.UUID(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        expected = "a moment such as 2026-03-01T12:00:00Z, a run number or a run id"
        raise UsageError("--as-of", repr(text), expected) from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
