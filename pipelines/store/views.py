"""The output contract as DuckDB views over the files of a lake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.store.arrivals_view import Arrivals
from pipelines.store.files import serve, stored_schema
from pipelines.store.lake import AsOf, Lake
from pipelines.store.parts import whole_file
from pipelines.store.raw_view import RawReadings
from pipelines.store.settlement import settlement_view, suppliers_view
from pipelines.store.view_sql import CONTRACT, DATA_QUALITY, RECORD_KINDS, view_of_records
from schemas.arrow import RAW
from schemas.lake import RAW_FILES, LakeTable, lake_tables
from schemas.records import Kind
from transforms.storage import ObjectPath

__all__ = ["VIEWS", "connect", "statements", "write_views"]

VIEWS = (*CONTRACT, "settlement", "raw", "data_quality", *(kind.value for kind in RECORD_KINDS))
"""Names of all views of the output contract."""
SETTINGS = """
SET autoinstall_known_extensions = false;  -- nothing is ever fetched from the network
SET python_enable_replacements = false;    -- a name in SQL is a view, never a variable of the caller
SET TimeZone = 'UTC';
SET enable_progress_bar = false;
SET parquet_metadata_cache = true;         -- files never change once they are written
"""


def connect(lake: Lake, as_of: AsOf | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with every view of the output contract; times are shown in UTC.

    Args:
        lake: What the views show is fixed now; later runs change nothing.
        as_of: A moment, a run number or a run id: the lake as it stood then; see ``Lake.at``.

    Raises:
        MeterbeamError: There was no complete run then.
    """
    past = lake if as_of is None else lake.at(as_of)
    connection = duckdb.connect()
    connection.execute(SETTINGS)
    serve(connection, past.path)
    for statement in statements(past):
        connection.execute(statement)
    connection.register("raw", RawReadings(past))
    connection.execute("USE stored")  # beside the tables, not among the views of the contract
    connection.from_arrow(Arrivals(past)).create_view("arrivals")
    connection.execute("USE main")
    connection.execute(f"CREATE TEMP VIEW data_quality AS {DATA_QUALITY}")
    return connection


def statements(lake: Lake, *, relative: bool = False) -> list[str]:
    """SQL that makes the views over Parquet files, for any DuckDB: all but ``raw`` and ``data_quality``.

    Args:
        lake: Names the files, and the run to which they count.
        relative: Paths from the lake's folder instead of whole ones; of a lake on disk only.
    """
    base = lake.path.resolve() if relative and not isinstance(lake.path, ObjectPath) else None
    made = ["CREATE SCHEMA IF NOT EXISTS stored"]
    for table in lake_tables():
        made += _table_views(lake, table, base)
    for kind in RECORD_KINDS:
        made.append(_view(f"stored.{kind.value}_received", _received(lake, kind, base)))
        made.append(_view(kind.value, view_of_records(kind)))
    made.append(_view("stored.suppliers", suppliers_view(lake)))
    made += [_view(name, select) for name, select in CONTRACT.items()]
    return [*made, _view("settlement", settlement_view())]


def write_views(lake: Lake) -> None:
    """Leave ``views.sql`` in the lake: run in its folder, it gives any DuckDB the views of ``statements``."""
    head = f"-- Views of the lake as of run {lake.run_no}. In this folder: duckdb -init views.sql"
    text = ";\n\n".join(["SET TimeZone = 'UTC'", *statements(lake, relative=True)])
    with whole_file(lake.path / "views.sql") as out:
        out.write(f"{head}\n{text};\n".encode())


def _view(name: str, select: str) -> str:
    return f"CREATE OR REPLACE VIEW {name} AS {select.lstrip()}"


def _table_views(lake: Lake, table: LakeTable, base: Path | None) -> list[str]:
    """``stored.<table>_rows``, and of a versioned table ``<table>_current``: rows none succeeds."""
    files = lake.data_files(table.name)
    late = table.growth != "replace" and any(file.last_run > lake.run_no for file in files)
    limit = f"run_no <= {lake.run_no}" if late else ""
    rows = _rows([file.path for file in files], table.schema, base, [limit])
    made = [_view(f"stored.{table.name}_rows", rows)]
    if table.growth != "versioned":
        return made
    select = f"SELECT * FROM stored.{table.name}_rows"
    successors = [file.path for file in files if file.last_revision > 1]
    if successors:
        keys = ", ".join(table.key)
        schema = pa.schema([table.schema.field(name) for name in (*table.key, "revision", "run_no")])
        later = _rows(successors, schema, base, ["revision > 1", limit])
        select += (
            f"\nANTI JOIN (SELECT {keys}, revision - 1 AS revision FROM ({later})) USING ({keys}, revision)"
        )
    return [*made, _view(f"stored.{table.name}_current", select)]


def _rows(files: Sequence[str], schema: pa.Schema, base: Path | None, limits: Sequence[str]) -> str:
    columns = ", ".join(f'"{name}"' for name in schema.names)
    where = " AND ".join(limit for limit in limits if limit)
    return f"SELECT {columns} FROM {_source(files, schema, base)}" + (f" WHERE {where}" if where else "")


def _received(lake: Lake, kind: Kind, base: Path | None) -> str:
    folder = lake.path.resolve() / "raw" / kind.value
    known = lake.appended(RAW_FILES.name).select(["run_no", "kind", "name"]).to_pylist()
    names = sorted((row["run_no"], row["name"]) for row in known if row["kind"] == kind.value)
    files = [str(folder / name) for _, name in names]
    return _rows(files, RAW[kind], base, [])


def _source(files: Sequence[str], schema: pa.Schema, base: Path | None) -> str:
    """The files as a table; one without rows, but of the right types, where there are none."""
    columns = ", ".join(f'NULL::{_sql_type(field.type)} AS "{field.name}"' for field in schema)
    if not files:
        return f"(SELECT {columns} WHERE false)"
    paths = (path if base is None else str(Path(path).relative_to(base)) for path in files)
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    # Columns are only ever added, so the first file, the oldest, lacks most; to look at each takes its time.
    narrow = set(schema.names) - set(stored_schema(files[0]).names)
    if not narrow:
        return f"read_parquet([{listed}])"
    # Where no run has written since a column was added, no file has it: its name and type come from here.
    rows = f"SELECT * FROM read_parquet([{listed}], union_by_name = true)"
    return f"({rows} UNION ALL BY NAME SELECT {columns} WHERE false)"


_TYPES = {
    "string": "VARCHAR",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint64": "UBIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "binary": "BLOB",
    "date32[day]": "DATE",
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
}


def _sql_type(type_: pa.DataType) -> str:
    """DuckDB's name of an Arrow type."""
    if pa.types.is_dictionary(type_):
        return _sql_type(type_.value_type)
    if pa.types.is_list(type_):
        return _sql_type(type_.value_type) + "[]"
    if pa.types.is_struct(type_):
        return "STRUCT(" + ", ".join(f'"{f.name}" {_sql_type(f.type)}' for f in type_) + ")"
    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    return _TYPES[str(type_)]
