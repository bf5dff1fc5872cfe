"""Plain Avro records to raw tables: rows announced in, canonical Arrow columns and bad rows out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.calendar import local_days, standard_offset
from schemas.arrow import DICTIONARY, RAW, RAW_INTERVALS
from schemas.mapping import FieldMapping
from schemas.records import Kind
from transforms.avro_columns import ColumnPlan, Rows, SchemaError, plan_columns
from transforms.avro_numbers import Numbers
from transforms.avro_reader import DecodeError, RecordReader, RecordSchema
from transforms.reading_runs import change_flags, reading_order, run_bounds
from transforms.row_checks import Faults, check_rows

__all__ = ["Decoded", "Decoder"]

Int = NDArray[np.int64]
MICROS = 1_000_000


@dataclass(frozen=True)
class Decoded:
    """What a stretch of records gave.

    Attributes:
        table: Good rows in the kind's raw schema.
        rows: Rows announced, all of them decoded.
        readings: Readings in them (of intervals and registers; a null or NaN is none), bad rows included.
        bad_rows: Row numbers within the stretch, ascending.
        bad_readings: Readings in each bad row.
        faults: Reasons by row.
    """

    table: pa.Table
    rows: int
    readings: int
    bad_rows: Int
    bad_readings: Int
    faults: Faults


class Decoder:
    """Decodes blocks written with one schema.

    Args:
        schema: The writer's schema as JSON text.
        mapping: Foreign records and their fields.
        timezone: Zone of the lake: single readings are joined up to its standard midnight.

    Raises:
        SchemaError: The record is unknown, or a field is missing or of a type that does not fit.
    """

    def __init__(self, schema: str, mapping: FieldMapping, timezone: str) -> None:
        try:
            self.schema = RecordSchema(schema)
        except ValueError as error:
            raise SchemaError(str(error)) from error
        found = mapping.for_record(self.schema.name)
        if found is None:
            raise SchemaError(f"record {self.schema.name!r}, expected one of: {mapping.expected()}")
        self.plan: ColumnPlan = plan_columns(self.schema, found)
        self.kind: Kind = self.plan.kind
        self.timezone = timezone
        self.reader = RecordReader(self.schema, self.plan.sources)
        self.fast = self._probe()

    def _probe(self) -> bool:
        """Whether the fast reader reads this schema as the reference does, tried on example records."""
        examples = [self.schema.encode(self.schema.example(variant)) for variant in range(4)]
        payload = b"".join(examples)
        expected = self.plan.apply(self._slow(payload, len(examples)))
        try:
            found = self.plan.apply(self.reader.read([payload], len(examples)))
        except (DecodeError, SchemaError):
            return False
        same = all(found.columns[name].equals(column) for name, column in expected.columns.items())
        return same and _same_numbers(found.numbers, expected.numbers)

    def _slow(self, payload: Any, rows: int) -> pa.Table:
        columns: dict[str, list[Any]] = {name: [] for name in self.reader.columns}
        for record in self.reader.records(payload, rows):
            for name, values in columns.items():
                values.append(record[name])
        return pa.table({name: _as_arrow(values) for name, values in columns.items()})

    def decode(self, payloads: Sequence[Any], rows: Sequence[int]) -> Decoded:
        """Decode consecutive blocks.

        Args:
            payloads: Their decompressed bytes.
            rows: Rows each announces.

        Raises:
            DecodeError: Rows decoded and rows announced differ, or the bytes are no such records.
        """
        if self.fast:
            table = self.reader.read(payloads, sum(rows))
        else:
            parts = [self._slow(payload, count) for payload, count in zip(payloads, rows, strict=True)]
            table = pa.concat_tables(parts, promote_options="permissive") if parts else self._slow(b"", 0)
        converted = self.plan.apply(table)
        return self._intervals(converted) if self.kind is Kind.INTERVALS else self._others(converted)

    def _others(self, rows: Rows) -> Decoded:
        faults = check_rows(self.kind, rows)
        columns = dict(rows.columns)
        counted = np.zeros(len(faults.code), np.int64)
        if rows.numbers is not None:
            columns["value_int"], columns["value_float"] = _both(rows.numbers, pa.int64(), pa.float64())
            counted = _readings(rows.numbers)
        table = _table(columns, RAW[self.kind])
        return _decoded(table, faults, counted)

    def _intervals(self, rows: Rows) -> Decoded:
        if not self.plan.single:
            faults = check_rows(self.kind, rows)
            columns = dict(rows.columns)
            assert rows.numbers is not None
            counted = _readings(rows.numbers)
            columns["start"] = pa.array(_seconds(columns["start"]))
            columns["values_int"], columns["values_float"] = _both(rows.numbers, *_LISTS)
            columns["quality"] = _measured_as_null(columns["quality"])
            return _decoded(_table(columns, RAW_INTERVALS), faults, counted)
        changed = change_flags(rows.columns)
        faults = check_rows(self.kind, rows, heads=np.flatnonzero(changed))
        assert rows.numbers is not None
        counted = _readings(rows.numbers)
        bad = faults.bad
        if bad.any():
            rows = _filtered(rows, np.flatnonzero(~bad))
            changed = change_flags(rows.columns)
        table = _joined(rows, changed, self.timezone)
        wrong = np.flatnonzero(bad)
        return Decoded(table, len(bad), int(counted.sum()), wrong, counted[wrong], faults)


_LISTS = (pa.list_(pa.int64()), pa.list_(pa.float64()))


def _joined(rows: Rows, changed: NDArray[np.bool_], timezone: str) -> pa.Table:
    """Single readings as raw blocks."""
    numbers = rows.numbers
    assert numbers is not None
    start = _seconds(rows.columns["start"])
    order = reading_order(rows.columns, start, changed)
    if order is not None:
        rows = _filtered(rows, order)
        numbers, start = rows.numbers, start[order]
        assert numbers is not None
        changed = change_flags(rows.columns)
    interval = rows.columns["interval_s"].to_numpy().astype(np.int64)
    first, _ = run_bounds(changed, start, interval, numbers, day_offset=_day_offset(timezone, start))
    heads = pa.array(first)
    columns = {
        name: column.take(heads) for name, column in rows.columns.items() if name not in ("quality", "start")
    }
    columns["start"] = pa.array(start[first])
    columns["values_int"], columns["values_float"] = _grouped(numbers, first, len(start))
    columns["quality"] = _grouped_quality(rows.columns["quality"], first, len(start))
    return _table(columns, RAW_INTERVALS)


def _grouped(numbers: Numbers, first: Int, rows: int) -> tuple[pa.Array, pa.Array]:
    if numbers.is_float is None:
        offsets = np.append(first, rows).astype(np.int32)
        lists = tuple(
            None if column is None else pa.ListArray.from_arrays(pa.array(offsets), column)
            for column in (numbers.ints, numbers.floats)
        )
        return _both(Numbers(*lists), *_LISTS)
    is_float = numbers.is_float
    counts = np.diff(first, append=rows)
    made = []
    for column, mine in ((numbers.ints, ~is_float), (numbers.floats, is_float)):
        assert column is not None
        offsets = np.zeros(len(first) + 1, np.int32)
        np.cumsum(np.where(mine[first], counts, 0), out=offsets[1:])
        lists = pa.ListArray.from_arrays(
            pa.array(offsets), column.filter(pa.array(mine)), mask=pa.array(~mine[first])
        )
        made.append(lists)
    return made[0], made[1]


def _grouped_quality(quality: pa.Array, first: Int, rows: int) -> pa.Array:
    codes = pc.fill_null(quality, 0) if quality.null_count else quality
    if len(codes) == 0 or not pc.any(pc.not_equal(codes, 0)).as_py():
        return pa.nulls(len(first), pa.list_(pa.int32()))
    return _measured_as_null(
        pa.ListArray.from_arrays(pa.array(np.append(first, rows).astype(np.int32)), codes)
    )


def _measured_as_null(quality: pa.Array) -> pa.Array:
    """Quality lists, those that say nothing but *measured* (empty, or all 0) as null."""
    kind = pa.list_(pa.int32())
    codes = (
        quality.flatten().to_numpy(zero_copy_only=False)
        if not pa.types.is_null(quality.type)
        else np.zeros(0)
    )
    if len(codes) == 0 or not codes.any():
        return pa.nulls(len(quality), kind)
    counts = pc.fill_null(pc.list_value_length(quality), 0).to_numpy()
    row_of = np.repeat(np.arange(len(counts)), counts)
    told = np.zeros(len(counts), np.bool_)
    told[row_of[codes != 0]] = True
    return pc.if_else(pa.array(told), quality.cast(kind), pa.scalar(None, kind))


def _both(numbers: Numbers, int_type: pa.DataType, float_type: pa.DataType) -> tuple[pa.Array, pa.Array]:
    rows = len(numbers)
    ints = pa.nulls(rows, int_type) if numbers.ints is None else numbers.ints
    floats = pa.nulls(rows, float_type) if numbers.floats is None else numbers.floats
    return ints, floats


def _readings(numbers: Numbers) -> Int:
    """Numbers in each row that are readings: neither null nor NaN; shape (n,)."""
    total = np.zeros(len(numbers), np.int64)
    for column in (numbers.ints, numbers.floats):
        if column is None:
            continue
        items = column.flatten() if numbers.in_lists else column
        missing = items.null_count > 0 or (
            pa.types.is_floating(items.type) and bool(pc.any(pc.is_nan(items)).as_py())
        )
        if not numbers.in_lists:
            total += _valid(items)
        elif not missing:
            total += pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        else:
            counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
            running = np.append(0, np.cumsum(_valid(items)))
            ends = np.cumsum(counts)
            total += running[ends] - running[ends - counts]
    return total


def _valid(items: pa.Array) -> NDArray[np.bool_]:
    valid = pc.is_valid(items)
    if pa.types.is_floating(items.type):
        valid = pc.and_(valid, pc.invert(pc.fill_null(pc.is_nan(items), True)))
    result: NDArray[np.bool_] = valid.to_numpy(zero_copy_only=False)
    return result


def _seconds(micros: pa.Array) -> Int:
    result: Int = pc.fill_null(micros, 0).to_numpy() // MICROS
    return result


@lru_cache(maxsize=1024)
def _offset_on(timezone: str, day: int) -> int:
    return standard_offset(timezone, day)


def _day_offset(timezone: str, start: Int) -> int:
    """Standard offset of the zone on the day of the first start, in seconds."""
    return _offset_on(timezone, int(local_days(timezone, start[:1])[0])) if len(start) else 0


def _filtered(rows: Rows, keep: Int) -> Rows:
    places = pa.array(keep)
    columns = {name: column.take(places) for name, column in rows.columns.items()}
    return Rows(columns, None if rows.numbers is None else rows.numbers.take(places), [])


def _table(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    made = []
    for field in schema:
        column = columns[field.name]
        if field.type == DICTIONARY:
            column = column.dictionary_encode()
        made.append(column if column.type == field.type else column.cast(field.type))
    return pa.table(made, schema=schema)


def _decoded(table: pa.Table, faults: Faults, counted: Int) -> Decoded:
    bad = faults.bad
    wrong = np.flatnonzero(bad)
    good = table if not len(wrong) else table.filter(pa.array(~bad))
    return Decoded(good, len(bad), int(counted.sum()), wrong, counted[wrong], faults)


def _as_arrow(values: list[Any]) -> pa.Array:
    """Python values of one field to Arrow, integers and doubles kept apart."""
    if any(isinstance(value, list) for value in values):
        counts = [len(value or ()) for value in values]
        offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
        absent = pa.array([value is None for value in values])
        items = _as_arrow([item for value in values for item in value or ()])
        return pa.ListArray.from_arrays(offsets, items, mask=absent)
    if {type(value) for value in values} >= {int, float}:
        codes = pa.array([1 if isinstance(value, float) else 0 for value in values], pa.int8())
        ints = pa.array([value for value in values if not isinstance(value, float)], pa.int64())
        floats = pa.array([value for value in values if isinstance(value, float)], pa.float64())
        is_float = codes.to_numpy().astype(np.bool_)
        places = np.where(is_float, np.cumsum(is_float) - 1, np.cumsum(~is_float) - 1)
        return pa.UnionArray.from_dense(codes, pa.array(places.astype(np.int32)), [ints, floats])
    return pa.array(values)


def _same_numbers(found: Numbers | None, expected: Numbers | None) -> bool:
    if found is None or expected is None:
        return found is expected
    pairs = ((found.ints, expected.ints), (found.floats, expected.floats))
    return all(a is b or (a is not None and b is not None and a.equals(b)) for a, b in pairs)
