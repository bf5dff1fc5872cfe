"""From the writer's columns to the contract's: renamed, converted, constants filled in.

Accepted of a writer: int and long for integers; int, long, float, double and unions of them for numbers,
decimals and texts for exact ones; timestamps in millis, micros or nanos, plain longs (micros in the
contract's own records, else of the unit that the mapping states) and texts of ISO 8601 for times; enums and
integers for names. A time without a zone is placed in the zone that the mapping names. A field may lie in
nested records: ``header.device``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.arrow import RAW, REQUIRED
from schemas.mapping import RecordMapping
from schemas.records import RECORDS, Kind, avro_schema
from transforms.avro_exact import TEXT_SCALE, exact_blocks, exact_rows
from transforms.avro_numbers import Numbers, block_numbers, row_numbers
from transforms.avro_reader import RecordSchema
from transforms.wall_times import local_instants, repeated_instants, text_instants, text_walls

__all__ = ["ColumnPlan", "Rows", "SchemaError", "plan_columns"]

_MICROS = {"s": 1_000_000, "ms": 1000, "us": 1}
_LOGICAL = {"millis": "ms", "micros": "us", "nanos": "ns"}
_FAR = 1 << 62


class SchemaError(ValueError):
    """A writer's schema whose field cannot be read as the contract's."""


@dataclass
class Rows:
    """Rows of one record kind under the contract's names.

    Attributes:
        columns: Arrow arrays of equal length; ``start`` of intervals still in microseconds.
        numbers: ``value`` or ``values`` of readings and registers, else None.
        faults: (rows, reason) of what could not be converted.
    """

    columns: dict[str, pa.Array]
    numbers: Numbers | None
    faults: list[tuple[NDArray[np.bool_], str]]


@dataclass(frozen=True)
class _Column:
    name: str
    source: str
    convert: Callable[[pa.Array], tuple[Any, NDArray[np.bool_] | None]]
    expected: str
    path: tuple[str, ...] = ()
    """Of a record that may be null: names of the fields within."""
    scale: int | None = None
    """Of exact numbers: decimals that were made whole."""
    walls: Callable[[pa.Array], pa.Array] | None = None
    """Of local times: what the clock shows, in microseconds."""

    def of(self, column: pa.Array) -> pa.Array:
        """The field itself, where its column is a record."""
        for name in self.path:
            column = pc.struct_field(column, name)
        return column


@dataclass(frozen=True)
class ColumnPlan:
    """How each column of a record is made.

    Attributes:
        record: Record of the contract.
        kind: Its kind.
        columns: Columns taken from the writer.
        constants: Columns given by the mapping, or absent and therefore null.
        mapping: Where names are looked up.
    """

    record: str
    kind: Kind
    columns: tuple[_Column, ...]
    constants: dict[str, pa.Scalar]
    mapping: RecordMapping

    @property
    def sources(self) -> list[str]:
        """Fields of the writer that are read."""
        return list(dict.fromkeys(column.source for column in self.columns))

    def sources_of(self, names: Sequence[str]) -> list[str] | None:
        """The writer's fields behind some of ours; None where one has none, or holds others of ours too."""
        sources = {column.source for column in self.columns if column.name in names}
        held = {column.name for column in self.columns if column.source in sources}
        return sorted(sources) if held == set(names) else None

    @property
    def single(self) -> bool:
        """Whether a row is one reading, not a block."""
        return self.record == "MeterReading"

    def apply(self, table: pa.Table) -> Rows:
        """Convert decoded columns: all of the writer's that are read, or some of them.

        Args:
            table: Decoded columns under the writer's names; those that are not there are left out.

        Raises:
            SchemaError: A column has a type that its field does not accept.
        """
        rows = Rows({}, None, [])
        for column in self.columns:
            if column.source in table.column_names:
                self._convert(column, column.of(_one_chunk(table.column(column.source))), rows)
        return rows

    def tell_passes(self, table: pa.Table, rows: Rows) -> None:
        """Give the times of repeated hours, which are faults so far, the instants that their order tells.

        Args:
            table: Decoded columns of a whole file.
            rows: What ``apply`` and ``fill`` made of it.
        """
        column = next((column for column in self.columns if column.name == "start"), None)
        if column is None or column.walls is None:
            return
        wall = column.walls(column.of(_one_chunk(table.column(column.source))))
        meter, channel = (_codes(rows.columns[name]) for name in ("meter_id", "channel"))
        sequence = rows.columns["sequence"]
        order = np.arange(table.num_rows)
        if table.num_rows and not sequence.null_count:
            order = sequence.to_numpy(zero_copy_only=False)
        series = meter * (int(channel.max(initial=0)) + 1) + channel
        told, instants = repeated_instants(wall, self.mapping.zones["start"], series, order)
        bad = next(bad for bad, reason in rows.faults if reason == _reason(column))
        bad[told] = False
        start = pc.fill_null(rows.columns["start"], 0).to_numpy(zero_copy_only=False).copy()
        unknown = rows.columns["start"].is_null().to_numpy(zero_copy_only=False)
        start[told], unknown[told] = instants, False
        rows.columns["start"] = pa.array(start, mask=unknown)

    def fill(self, rows: Rows, count: int) -> None:
        """Add the columns that the writer does not give, ``count`` rows."""
        for name, value in self.constants.items():
            rows.columns[name] = pa.repeat(value, count)
        if rows.numbers is None and "value" in rows.columns and self.kind in (Kind.INTERVALS, Kind.REGISTERS):
            rows.numbers = row_numbers(rows.columns.pop("value"))

    def _convert(self, column: _Column, written: pa.Array, rows: Rows) -> None:
        try:
            made, bad = column.convert(written)
        except (TypeError, pa.ArrowException) as error:
            wanted = f"{column.name} of {self.record} takes {column.expected}"
            field = ".".join((column.source, *column.path))
            raise SchemaError(f"field {field!r} of type {error} where {wanted}") from error
        if bad is not None:
            rows.faults.append((bad, _reason(column)))
        if isinstance(made, Numbers):
            rows.numbers = made
            return
        if column.name in _ABSENT and column.name not in REQUIRED[self.kind] and made.null_count:
            made = pc.fill_null(made, pa.scalar(_ABSENT[column.name], made.type))
        lookup = {"channel": self.mapping.channels, "unit": self.mapping.units}.get(column.name)
        rows.columns[column.name] = _looked_up(made, lookup) if lookup else made


def _reason(column: _Column) -> str:
    return f"{column.name} is not {column.expected}"


def _codes(column: pa.Array) -> NDArray[np.int64]:
    """Number of each value's like among the column's; nulls as one value."""
    indices = column.dictionary_encode().indices
    codes: NDArray[np.int64] = pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes + 1


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_union(column.type) or column.num_chunks == 0:
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else combined.chunk(0)


def _looked_up(column: pa.Array, lookup: dict[str, str]) -> pa.Array:
    encoded = column.dictionary_encode()
    names = pa.array([lookup.get(name, name) for name in encoded.dictionary.to_pylist()], pa.string())
    return pc.take(names, encoded.indices)


def plan_columns(schema: RecordSchema, mapping: RecordMapping) -> ColumnPlan:
    """Decide how to read a writer's schema.

    Raises:
        SchemaError: A field the contract requires is neither there nor a constant.
    """
    kind = mapping.type.kind
    columns, constants = [], {}
    for field in avro_schema(mapping.record)["fields"]:
        name, source = field["name"], mapping.source_of(field["name"])
        if name in mapping.constants:
            constants[name] = _constant(mapping.record, name, mapping.constants[name])
        elif (found := schema.find(source)) is not None:
            root, path, written = found
            if schema.foreign and _is_time(mapping.record, name):
                _check_time(name, source, written, mapping)
            columns.append(replace(_column(name, root, written, mapping), path=path))
        elif name in (*REQUIRED[kind], "value", "values") and name not in ("value",) * (
            kind in _OPTIONAL_VALUE
        ):
            there = ", ".join(schema.fields)
            raise SchemaError(f"no field {source!r} for {name} of {mapping.record}; the writer has: {there}")
        else:
            constants[name] = _default(mapping.record, name)
    return _scaled(ColumnPlan(mapping.record, kind, tuple(columns), constants, mapping))


def _check_time(name: str, source: str, written: Any, mapping: RecordMapping) -> None:
    """A foreign time that may mean several instants is no time until the mapping says which.

    Raises:
        SchemaError: A local time without a zone, or a plain integer without a unit.
    """
    logical, where = _logical(written), f"where {name} of {mapping.record} takes an instant"
    if name not in mapping.zones and logical.startswith("local-timestamp"):
        raise SchemaError(f"field {source!r} with local times {where}: name their zone under `zones`")
    if name not in mapping.times and not logical and _plain(written)["type"] in ("int", "long"):
        raise SchemaError(f"field {source!r} with plain integers {where}: state their unit under `times`")


def _scaled(plan: ColumnPlan) -> ColumnPlan:
    """The plan with the scaler moved by the decimals of exact numbers, which come as whole ones."""
    value = next((column for column in plan.columns if column.scale is not None), None)
    if value is None:
        return plan
    scale = value.scale or 0
    if "scaler" in plan.constants:
        held = plan.constants["scaler"]
        return replace(
            plan, constants={**plan.constants, "scaler": pa.scalar(held.as_py() - scale, held.type)}
        )
    columns = tuple(
        replace(column, convert=_moved(column.convert, scale)) if column.name == "scaler" else column
        for column in plan.columns
    )
    return replace(plan, columns=columns)


def _moved(convert: Callable[[pa.Array], Any], scale: int) -> Callable[[pa.Array], Any]:
    def moved(written: pa.Array) -> Any:
        made, bad = convert(written)
        return pc.subtract(pc.fill_null(made, 0), pa.scalar(scale, made.type)), bad

    return moved


_OPTIONAL_VALUE = (Kind.EVENTS, Kind.EDITS)
MOST_DIGITS = 400
"""A decimal with more digits than any double needs is no number of ours, but a way to fill the memory."""
_ABSENT: dict[str, Any] = {
    "scaler": 0,
    "role": "customer",
    "commodity": "electricity",
    "bill_cycle_day": 1,
    "interval_s": 900,
    "multiplier": "1",
    "status": "active",
}


def _raw_type(record: str, name: str) -> pa.DataType:
    """Type of a column before single readings are joined; dictionaries as their values."""
    if name == "value" and record in ("MeterReading", "RegisterRead"):
        return pa.float64()
    if name == "quality" and record == "MeterReading":
        return pa.int32()
    raw = RAW[RECORDS[record].kind]
    kind = raw.field(name).type if name in raw.names else pa.null()
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _default(record: str, name: str) -> pa.Scalar:
    return pa.scalar(_ABSENT.get(name), _raw_type(record, name))


def _constant(record: str, name: str, value: str | int | float) -> pa.Scalar:
    wanted = pa.int64() if isinstance(value, int) and name == "value" else _raw_type(record, name)
    try:
        return pa.scalar(str(value) if pa.types.is_string(wanted) else value, wanted)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SchemaError(f"constant {value!r} for {name}, expected {wanted}") from error


def _column(name: str, source: str, written: Any, mapping: RecordMapping) -> _Column:
    """Choose the converter of one column by the type the contract gives it."""
    raw = _raw_type(mapping.record, name)
    if name == "values":
        scale = _scale(_plain(written).get("items"))
        if scale is not None:
            return _Column(name, source, partial(exact_blocks, scale=scale), "exact numbers", scale=scale)
        return _Column(name, source, lambda c: (block_numbers(c), None), "an array of numbers")
    if name == "value" and mapping.record in ("MeterReading", "RegisterRead"):
        scale = _scale(written)
        if scale is not None:
            return _Column(name, source, partial(exact_rows, scale=scale), "an exact number", scale=scale)
        return _Column(name, source, lambda c: (row_numbers(c), None), "a number")
    logical = _logical(written)
    if _is_time(mapping.record, name):
        return _time_column(name, source, written, mapping)
    if pa.types.is_date(raw):
        return _Column(name, source, _dates, "a date")
    if pa.types.is_list(raw):
        item = raw.value_type
        return _Column(name, source, lambda c: (_list_of(c, item), None), f"an array of {item}")
    if pa.types.is_string(raw):
        if name in ("multiplier", "price", "value"):
            scale = int(_plain(written).get("scale", 0)) if logical == "decimal" else 0
            return _Column(
                name, source, lambda c: _decimals(c, scale, decimal=logical == "decimal"), "a number"
            )
        return _Column(name, source, lambda c: (_texts(c), None), "a text")
    if pa.types.is_floating(raw):
        return _Column(name, source, lambda c: (_reals(c), None), "a number")
    return _Column(name, source, lambda c: _integers(c, raw), f"an integer that fits {raw}")


def _time_column(name: str, source: str, written: Any, mapping: RecordMapping) -> _Column:
    logical, zone = _logical(written), mapping.zones.get(name)
    if _plain(written)["type"] == "string":
        hint = "a time with an offset" if zone is None else f"a time that the clock of {zone} shows once"
        walls = None if zone is None else lambda c: text_walls(_texts(c))
        return _Column(
            name, source, lambda c: text_instants(_texts(c), zone), f"{hint} (ISO 8601)", walls=walls
        )
    unit = mapping.times.get(name) or _LOGICAL.get(logical.rpartition("-")[2], "us")
    if zone is None or logical.startswith("timestamp"):
        return _Column(name, source, lambda c: _times(c, unit), "a time")

    def placed(column: pa.Array) -> tuple[pa.Array, NDArray[np.bool_] | None]:
        micros, far = _times(column, unit)
        found, bad = local_instants(micros, zone)
        return found, bad if far is None else bad | far

    shown = f"a time that the clock of {zone} shows once"
    return _Column(name, source, placed, shown, walls=lambda c: _times(c, unit)[0])


def _scale(written: Any) -> int | None:
    """Decimals of a number that is stated exactly; None for any other."""
    plain = _plain(written)
    if plain.get("logicalType") == "decimal":
        return int(plain.get("scale", 0))
    return TEXT_SCALE if plain["type"] == "string" else None


def _plain(written: Any) -> dict[str, Any]:
    """The one branch of a union that is not null, as a dict."""
    branches = written if isinstance(written, list) else [written]
    kept = next((branch for branch in branches if branch not in ("null", None)), "null")
    return kept if isinstance(kept, dict) else {"type": kept}


def _logical(written: Any) -> str:
    return str(_plain(written).get("logicalType", ""))


def _is_time(record: str, name: str) -> bool:
    kinds = {field["name"]: field["type"] for field in avro_schema(record)["fields"]}
    return "timestamp" in _logical(kinds[name])


def _times(column: pa.Array, unit: str) -> tuple[pa.Array, NDArray[np.bool_] | None]:
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise TypeError(f"{column.type}")
    column = column.cast(pa.int64())
    if unit == "us":
        return column, None
    if unit == "ns":
        return pc.divide(column, 1000), None
    factor = _MICROS[unit]
    plain = pc.fill_null(column, 0).to_numpy()
    bad = (plain > _FAR // factor) | (plain < -_FAR // factor)
    micros = pa.array(np.where(bad, 0, plain) * factor)
    if column.null_count:
        micros = pc.if_else(pc.is_valid(column), micros, pa.scalar(None, pa.int64()))
    return micros, bad if bad.any() else None


def _texts(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_dictionary(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_large_string(kind) or kind == pa.string_view():
        return column.cast(pa.string())
    raise TypeError(f"{kind}")


def _integers(column: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, NDArray[np.bool_] | None]:
    if column.type == wanted:
        return column, None
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise TypeError(f"{column.type}")
    try:
        return column.cast(wanted), None
    except pa.ArrowInvalid:
        plain = pc.fill_null(column, 0).to_numpy()
        limits = np.iinfo(f"i{wanted.bit_width // 8}")
        bad = (plain < limits.min) | (plain > limits.max)
        return pc.if_else(pa.array(bad), pa.scalar(None, column.type), column).cast(wanted), bad


def _reals(column: pa.Array) -> pa.Array:
    numbers = row_numbers(column)
    if numbers.floats is None:
        assert numbers.ints is not None
        return numbers.ints.cast(pa.float64(), safe=False)
    return (
        numbers.floats
        if numbers.ints is None
        else pc.coalesce(numbers.floats, numbers.ints.cast(pa.float64()))
    )


def _list_of(column: pa.Array, item: pa.DataType) -> pa.Array:
    if not (pa.types.is_list(column.type) or pa.types.is_null(column.type)):
        raise TypeError(f"{column.type}")
    return column.cast(pa.list_(item))


def _dates(column: pa.Array) -> tuple[pa.Array, NDArray[np.bool_] | None]:
    if pa.types.is_integer(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.int32()).cast(pa.date32()), None
    days = [_date(text) for text in _texts(column).to_pylist()]
    bad = np.array([day is None for day in days], np.bool_)
    return pa.array(days, pa.date32()), bad if bad.any() else None


def _date(text: str | None) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text or "")
    except ValueError:
        return None


def _decimals(column: pa.Array, scale: int, *, decimal: bool) -> tuple[pa.Array, NDArray[np.bool_] | None]:
    """Exact decimal text of numbers: the shortest one of a double, the written one of a text."""
    if pa.types.is_union(column.type):
        values = [value.as_py() for value in column]
    else:
        if not decimal and pa.types.is_binary(column.type):
            raise TypeError(f"{column.type}")
        values = column.to_pylist()
    texts = [_decimal_text(value, scale) for value in values]
    bad = np.array([v is not None and t is None for v, t in zip(values, texts, strict=True)], np.bool_)
    return pa.array(texts, pa.string()), bad if bad.any() else None


def _decimal_text(value: Any, scale: int) -> str | None:
    if isinstance(value, bytes):
        number = Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale)
    elif value is None:
        return None
    else:
        try:
            number = Decimal(value if isinstance(value, str) else repr(value))
        except InvalidOperation:
            return None
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        return None
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
