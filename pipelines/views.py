"""The output contract as DuckDB views over the files of a lake."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from pipelines.lake import Lake
from schemas.arrow import RAW
from schemas.errors import MeterbeamError
from schemas.lake import TABLES, LakeTable
from schemas.quality import Flag, Method, Quality
from schemas.records import Kind

SMALL_KINDS = (Kind.REGISTERS, Kind.EVENTS, Kind.SERVICE_POINTS, Kind.PRICES, Kind.EDITS)
PLANES = 8
_DECIMAL = "{0}::DECIMAL(19, 0) * 0.000001"
_KEYS = {
    Kind.REGISTERS: "meter_id, channel, read_at, tou_register",
    Kind.EVENTS: "meter_id, event_type, occurred_at, value, detail",
    Kind.SERVICE_POINTS: "service_point_id, valid_from",
    Kind.PRICES: "series_id, start",
    Kind.EDITS: "edit_id",
}
_TIMES = frozenset(
    {"read_at", "occurred_at", "valid_from", "valid_to", "start", "from", "to", "edited_at", "received_at"}
)


def connect(lake: Lake, as_of: datetime | int | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with every view of the output contract.

    Args:
        lake: Read at its last complete run.
        as_of: A moment or a run number: the lake as it stood after the last run finished by then.

    Raises:
        MeterbeamError: No run was complete by then.
    """
    run_no = _run_no(lake, as_of)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    # The enums these two stand for are in no public module of duckdb.
    columnar: Any = {"type": "arrow", "null_handling": "special"}
    planes: list[Any] = ["utinyint"] * PLANES
    connection.create_function("from_planes", _from_planes, [*planes, "boolean"], "double", **columnar)
    _register_raw(connection, lake, run_no)
    for statement in statements(lake, run_no):
        connection.execute(statement)
    connection.execute(_RAW)
    return connection


def statements(lake: Lake, run_no: int | None = None, *, base: Path | None = None) -> list[str]:
    """SQL that makes the views over Parquet files; any DuckDB can run it.

    Args:
        lake: Names the files.
        run_no: As of this run; None for the last one.
        base: Folder the paths in the SQL are relative to; None keeps them absolute.
    """
    made = [
        f"CREATE TYPE quality AS ENUM ({_names([q.name for q in Quality])})",
        f"CREATE TYPE method AS ENUM ({_names([_method_name(code) for code in range(max(Method) + 1)])})",
    ]
    for table in TABLES.values():
        made.append(f"CREATE VIEW {table.name}_rows AS {_rows(lake, table, run_no, base)}")
        if table.growth == "versioned":
            keys = ", ".join(table.key)
            made.append(
                f"CREATE VIEW {table.name}_current AS SELECT * FROM {table.name}_rows "
                f"ANTI JOIN (SELECT {keys}, revision - 1 AS revision FROM {table.name}_rows WHERE revision > 1) "
                f"USING ({keys}, revision)"
            )
    for kind in SMALL_KINDS:
        made.append(f"CREATE VIEW {kind.value}_received AS {_received(lake, kind, run_no, base)}")
        made.append(f"CREATE VIEW {kind.value} AS {_holding(kind)}")
    return made + [statement.strip() for statement in _VIEWS.split(";") if statement.strip()]


def _run_no(lake: Lake, as_of: datetime | int | None) -> int | None:
    if as_of is None:
        return None
    runs = lake.runs()
    done = zip(runs["run_no"].to_pylist(), runs["finished"].to_pylist(), strict=True)
    found: list[int] = [n for n, at in done if (n <= as_of if isinstance(as_of, int) else at <= as_of)]
    if not found:
        raise MeterbeamError("--as-of", str(as_of), "a run that was complete by then")
    return max(found)


def _names(texts: list[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


def _method_name(code: int) -> str:
    return Method(code).name.lower() if code in list(Method) else f"method_{code}"


def _quoted(path: str, base: Path | None) -> str:
    if base is not None:
        path = str(Path(path).relative_to(base))
    return "'" + path.replace("'", "''") + "'"


def _empty(schema: pa.Schema) -> str:
    columns = ", ".join(f'NULL::{_sql_type(field.type)} AS "{field.name}"' for field in schema)
    return f"SELECT {columns} WHERE false"


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
    return {
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
    }[str(type_)]


def _rows(lake: Lake, table: LakeTable, run_no: int | None, base: Path | None) -> str:
    version = None
    if run_no is not None and table.growth == "replace":
        version = lake.versions_at(run_no).get(table.name)
        files = [] if version is None else lake.files(table.name, version)
    else:
        files = lake.files(table.name)
    if not files:
        return _empty(table.schema)
    listed = ", ".join(_quoted(path, base) for path in files)
    limit = f" WHERE run_no <= {run_no}" if run_no is not None and table.growth != "replace" else ""
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    return f"SELECT {columns} FROM read_parquet([{listed}], union_by_name = true){limit}"


def _raw_names(lake: Lake, kind: Kind, run_no: int | None) -> list[str]:
    files = lake.table("raw_files", ["kind", "name", "run_no"]).to_pylist()
    return [
        str(lake.path / "raw" / kind.value / row["name"])
        for row in files
        if row["kind"] == kind.value and (run_no is None or row["run_no"] <= run_no)
    ]


def _received(lake: Lake, kind: Kind, run_no: int | None, base: Path | None) -> str:
    columns = ", ".join(_received_column(field.name) for field in RAW[kind] if field.name != "value_float")
    files = _raw_names(lake, kind, run_no)
    listed = ", ".join(_quoted(path, base) for path in files)
    source = f"(FROM read_parquet([{listed}], union_by_name = true))" if files else f"({_empty(RAW[kind])})"
    return f"SELECT {columns} FROM {source}"


def _received_column(name: str) -> str:
    if name == "value_int":
        return "coalesce(value_int::DOUBLE, value_float) AS value"
    return f'make_timestamptz("{name}") AS "{name}"' if name in _TIMES else f'"{name}"'


def _holding(kind: Kind) -> str:
    """The record of each key that holds (SEMANTICS, Which record holds)."""
    names = ["value" if name == "value_int" else name for name in RAW[kind].names]
    rest = ", ".join(f'"{name}" DESC NULLS LAST' for name in names if name not in ("source", "value_float"))
    return (
        f"SELECT * FROM {kind.value}_received QUALIFY row_number() OVER (PARTITION BY {_KEYS[kind]} "
        f"ORDER BY received_at DESC NULLS LAST, sequence DESC NULLS LAST, {rest}, source) = 1"
    )


def _register_raw(connection: duckdb.DuckDBPyConnection, lake: Lake, run_no: int | None) -> None:
    """Interval blocks as they lie in the raw zone: byte planes, one list column a plane."""
    planes = pa.list_(pa.uint8())
    names = [f"{kind}{k}" for kind in "if" for k in range(PLANES)] + ["i_missing", "f_missing"]
    row_fields = [field for field in RAW[Kind.INTERVALS] if not field.name.startswith("values_")]
    schema = pa.schema([*row_fields, *(pa.field(name, planes) for name in names)])
    files = _raw_names(lake, Kind.INTERVALS, run_no)
    blocks = ds.dataset(files, schema=schema, format="ipc") if files else ds.dataset(schema.empty_table())
    connection.register("raw_blocks", blocks)


def _from_planes(
    b0: pa.Array,
    b1: pa.Array,
    b2: pa.Array,
    b3: pa.Array,
    b4: pa.Array,
    b5: pa.Array,
    b6: pa.Array,
    b7: pa.Array,
    is_double: pa.Array,
) -> pa.Array:
    """Numbers from their little-endian byte planes, null beyond the width that was stored."""
    columns = (b0, b1, b2, b3, b4, b5, b6, b7)
    count = len(b0)
    octets = np.zeros((count, PLANES), np.uint8)
    width = np.zeros(count, np.int64)
    for k, column in enumerate(columns):
        there = column.is_valid().to_numpy(zero_copy_only=False)
        octets[:, k] = column.fill_null(0).to_numpy(zero_copy_only=False)
        width += there
    top = octets[np.arange(count), np.maximum(width - 1, 0)] >= 128
    octets[top[:, None] & (np.arange(PLANES) >= width[:, None])] = 255
    bits = octets.view("<i8")[:, 0]
    doubles = is_double.fill_null(False).to_numpy(zero_copy_only=False)
    numbers = np.where(doubles, octets.view("<f8")[:, 0], bits.astype(np.float64))
    return pa.array(numbers, mask=(width == 0) | np.isnan(numbers))


_FLAGS = ", ".join(
    f"CASE WHEN flag & {flag.value} > 0 THEN '{flag.name.lower()}' END" for flag in Flag if flag.name
)
_PLANE_NAMES = ", ".join(f"unnest({kind}{k}) AS {kind}{k}" for kind in "if" for k in range(PLANES))
_BYTES = ", ".join(f"coalesce(i{k}, f{k})" for k in range(PLANES))

_RAW = f"""
CREATE VIEW raw AS
SELECT meter_id, channel, start, interval_s, value, unit, scaler, quality, received_at, sequence,
       min(source) AS source
FROM (
    SELECT meter_id, channel, make_timestamptz((start + i * interval_s) * 1000000) AS start, interval_s,
           from_planes({_BYTES}, f0 IS NOT NULL) AS value, unit, scaler, coalesce(code, 0) AS quality,
           make_timestamptz(received_at) AS received_at, sequence, source
    FROM (
        SELECT meter_id, channel, start, interval_s, unit, scaler, received_at, sequence, source,
               unnest(range(coalesce(len(i0), len(f0)))) AS i, {_PLANE_NAMES},
               unnest(i_missing) AS i_gone, unnest(f_missing) AS f_gone, unnest(quality) AS code
        FROM raw_blocks
    )
    WHERE coalesce(i_gone, f_gone, 0) = 0
)
WHERE value IS NOT NULL
GROUP BY meter_id, channel, start, interval_s, value, unit, scaler, quality, received_at, sequence
"""

_QUALITY_NAMES = "([" + ", ".join(f"'{q.name}'" for q in Quality) + "]::quality[])"
_METHOD_NAMES = "([" + ", ".join(f"'{_method_name(c)}'" for c in range(max(Method) + 1)) + "]::method[])"

_VIEWS = f"""
CREATE VIEW days AS
SELECT meter_id, channel, local_day, start, interval_s,
       list_transform(values, lambda x: {_DECIMAL.format("x")}) AS values,
       CASE WHEN qualities IS NULL THEN repeat([{_QUALITY_NAMES}[quality + 1]], len(values)::BIGINT)
            ELSE list_transform(qualities, lambda q: {_QUALITY_NAMES}[q + 1]) END AS qualities,
       CASE WHEN methods IS NULL THEN repeat(['none'::method], len(values)::BIGINT)
            ELSE list_transform(methods, lambda m: {_METHOD_NAMES}[m + 1]) END AS methods,
       coalesce(flags, repeat([0::INTEGER], len(values)::BIGINT)) AS flags,
       {_DECIMAL.format("total")} AS total, estimated_slots / len(values) AS estimated_share, revision
FROM days_current WHERE NOT withdrawn;

CREATE VIEW readings AS
SELECT meter_id, channel, start + to_microseconds(i * interval_s * 1000000) AS start, interval_s,
       {_DECIMAL.format("v")} AS value,
       CASE WHEN replaced THEN {_DECIMAL.format("m")} ELSE {_DECIMAL.format("v")} END AS measured,
       unit, {_QUALITY_NAMES}[coalesce(q, quality) + 1] AS quality,
       {_METHOD_NAMES}[coalesce(h, 0) + 1] AS method,
       CASE WHEN coalesce(flag, 0) = 0 THEN '' ELSE array_to_string([{_FLAGS}], '|') END AS flags,
       revision
FROM (
    SELECT meter_id, channel, local_day, start, interval_s, unit, quality, revision,
           measured IS NOT NULL AS replaced, unnest(range(len(values))) AS i, unnest(values) AS v,
           unnest(measured) AS m, unnest(qualities) AS q, unnest(methods) AS h, unnest(flags) AS flag
    FROM days_current WHERE NOT withdrawn
);

CREATE VIEW findings AS
SELECT f.rule, f.severity, meter_id, nullif(channel, '') AS channel, local_day, f.start, f.end, f.seen,
       f.expected, revision
FROM (SELECT meter_id, channel, local_day, revision, unnest(findings) AS f FROM days_current);

CREATE VIEW gaps AS
SELECT meter_id, channel, min(start) AS "from", max("end") AS "to",
       sum(split_part(seen, ' ', 1)::BIGINT)::BIGINT AS slots
FROM (
    SELECT *, count(*) FILTER (WHERE follows IS DISTINCT FROM start)
                  OVER (PARTITION BY meter_id, channel ORDER BY start) AS island
    FROM (
        SELECT *, lag("end") OVER (PARTITION BY meter_id, channel ORDER BY start) AS follows
        FROM findings WHERE rule = 'missing'
    )
)
GROUP BY meter_id, channel, island;

CREATE VIEW determinants AS
SELECT meter_id, local_day, tariff_id, d.period, d.direction, {_DECIMAL.format("d.quantity")} AS quantity, d.unit
FROM (SELECT meter_id, local_day, tariff_id, unnest(lines) AS d FROM determinants_current WHERE NOT withdrawn);

CREATE VIEW bills AS
SELECT bill_id, account_id, period_start, period_end, revision,
       CASE WHEN withdrawn OR superseded THEN 'reversed' ELSE status END AS status, total, currency,
       estimated_share, reason
FROM (
    SELECT *, revision < max(revision) OVER (PARTITION BY bill_id) AS superseded FROM bills_rows
);

CREATE VIEW bill_lines AS
SELECT bill_id, revision, l.line, l.charge, l.tariff_id, l.tariff_version, l.period, l.tier, l.quantity,
       l.unit, l.rate, l.amount
FROM (SELECT bill_id, revision, unnest(lines) AS l FROM bills_rows);

CREATE VIEW change_queue AS
SELECT * EXCLUDE (run_no) FROM change_queue_rows
WHERE run_no = (SELECT max(run_no) FROM detect_runs_rows);

CREATE VIEW state_queue AS
SELECT * EXCLUDE (run_no) FROM state_queue_rows
WHERE run_no = (SELECT max(run_no) FROM detect_runs_rows);

CREATE VIEW faults AS
SELECT * EXCLUDE (run_no) FROM faults_rows WHERE run_no = (SELECT max(run_no) FROM detect_runs_rows);

CREATE VIEW dead_letters AS SELECT run_id, source, "offset", kind, reason, bytes FROM dead_letters_rows;

CREATE VIEW dirty_days AS FROM dirty_days_rows;

CREATE VIEW runs AS SELECT run_id, started, finished, inputs, counts, code_version, rules, tariffs
FROM runs_rows
"""


def write_views(lake: Lake) -> None:
    """Leave ``views.sql`` in the lake: run in its folder, it gives any DuckDB the views but ``raw``."""
    text = ";\n\n".join(["SET TimeZone = 'UTC'", *statements(lake, base=lake.path)]) + ";\n"
    draft = lake.path / ".views.sql.tmp"
    draft.write_text(text, "utf-8")
    draft.replace(lake.path / "views.sql")
