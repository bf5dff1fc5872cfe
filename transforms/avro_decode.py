"""Plain Avro records to raw tables: rows announced in, canonical Arrow columns and bad rows out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.arrow import DICTIONARY, RAW
from schemas.mapping import FieldMapping
from schemas.records import Kind
from transforms.avro_columns import ColumnPlan, Rows, SchemaError, plan_columns
from transforms.avro_numbers import Numbers
from transforms.avro_reader import DecodeError, RecordReader, RecordSchema
from transforms.reading_runs import Runs, reading_blocks, runs_of
from transforms.row_checks import Faults, check_rows, check_runs
from transforms.run_reader import RunReader

__all__ = ["DATUM_END", "Decoded", "Decoder"]

Int = NDArray[np.int64]
MICROS = 1_000_000
DATUM_END = b"\xff" * 11 + b"\x00"
"""Follows each record of an ``ended`` decoder. Never a number, a length or text in Avro's encoding."""
_END = "datum end"


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
    """Decodes blocks written with one schema, a copy a file or split.

    Args:
        schema: The writer's schema as JSON text.
        mapping: Foreign records and their fields.
        timezone: Zone of the lake: single readings are joined up to its standard midnight.
        ended: Each record is followed by ``DATUM_END``: then it is known where every one ends.

    Raises:
        SchemaError: The record is unknown, or a field is missing or of a type that does not fit.
    """

    def __init__(self, schema: str, mapping: FieldMapping, timezone: str, *, ended: bool = False) -> None:
        try:
            self.schema = RecordSchema(_ended(schema) if ended else schema)
        except ValueError as error:
            raise SchemaError(str(error)) from error
        found = mapping.for_record(self.schema.name)
        if found is None:
            raise SchemaError(f"record {self.schema.name!r}, expected one of: {mapping.expected()}")
        if self.schema.foreign:
            self.schema = self.schema.flat()
        self.plan: ColumnPlan = plan_columns(self.schema, found)
        self.kind: Kind = self.plan.kind
        self.timezone = timezone
        self.ended = ended
        columns = [*self.plan.sources, _END] if ended else self.plan.sources
        self.reader = RecordReader(self.schema, columns)
        self.fast = self._probe()
        self._runs = [RunReader(self.schema, columns, varying) for varying in self._varying()]
        self._misses = self._skip = 0

    def fresh(self) -> Decoder:
        """The same decoder without memory of what it has read: what it gives depends on the input only."""
        decoder = copy(self)
        decoder._runs = list(self._runs)
        decoder._misses = decoder._skip = 0
        return decoder

    def _varying(self) -> Iterator[list[str]]:
        """Fields of the writer that may change from reading to reading of a run, the likeliest first."""
        if not self.plan.single:
            return
        for names in (("start", "value"), ("start", "value", "received_at")):
            if (sources := self.plan.sources_of(names)) is not None:
                yield sources

    def _probe(self) -> bool:
        """Whether the fast reader reads this schema as the reference does, tried on example records."""
        examples = [self.schema.encode(self.schema.example(variant)) for variant in range(4)]
        payload = b"".join(examples)
        expected = self.plan.apply(self._slow([payload], [len(examples)]))
        try:
            found = self.plan.apply(self.reader.read([payload], len(examples)))
        except (DecodeError, SchemaError):
            return False
        same = all(found.columns[name].equals(column) for name, column in expected.columns.items())
        return same and _same_numbers(found.numbers, expected.numbers)

    def _slow(self, payloads: Sequence[Any], rows: Sequence[int]) -> pa.Table:
        columns: dict[str, list[Any]] = {name: [] for name in self.reader.columns}
        for payload, count in zip(payloads, rows, strict=True):
            for record in self.reader.records(payload, count):
                for name, values in columns.items():
                    values.append(record[name])
        return pa.table({name: _as_arrow(values) for name, values in columns.items()})

    @property
    def in_order(self) -> bool:
        """Whether the order of a whole file tells what its times are."""
        return self.plan.mapping.in_order

    def decode(self, payloads: Sequence[Any], rows: Sequence[int], *, whole: bool = False) -> Decoded:
        """Decode consecutive blocks.

        Args:
            payloads: Their decompressed bytes.
            rows: Rows each announces.
            whole: They are all of a file whose order tells: then the passes of repeated hours are told apart.

        Raises:
            DecodeError: Rows decoded and rows announced differ, or the bytes are no such records.
        """
        if self.fast and self.plan.single and not whole:
            runs = self._read_runs(payloads, sum(rows))
            if runs is not None:
                return runs
        table = self.reader.read(payloads, sum(rows)) if self.fast else self._slow(payloads, rows)
        self._check_ends(table)
        converted = self.plan.apply(table)
        self.plan.fill(converted, table.num_rows)
        if whole:
            self.plan.tell_passes(table, converted)
        if not self.plan.single:
            return self._plain(converted)
        assert converted.numbers is not None
        return self._joined(runs_of(converted.columns, converted.numbers), converted.faults, [])

    def _read_runs(self, payloads: Sequence[Any], rows: int) -> Decoded | None:
        """Single readings by runs; None where they do not come in runs, then tried again ever more rarely."""
        if not self._runs or self._skip:
            self._skip = max(self._skip - 1, 0)
            return None
        for place, reader in enumerate(self._runs):
            if (found := reader.read(payloads, rows)) is not None:
                self._runs.insert(0, self._runs.pop(place))  # the next stretch is likely to be alike
                break
        else:
            self._misses += 1
            self._skip = 2**self._misses - 1
            return None
        self._check_ends(found.shared)
        own, shared = self.plan.apply(found.rows), self.plan.apply(found.shared)
        self.plan.fill(shared, len(found.heads))
        assert own.numbers is not None
        received = own.columns.get("received_at")
        runs = Runs(own.columns["start"], own.numbers, found.heads, shared.columns, received)
        return self._joined(runs, own.faults, shared.faults)

    def _check_ends(self, table: pa.Table) -> None:
        """Raise DecodeError where a record does not end with its datum."""
        if self.ended and table.num_rows:
            ends = table.column(_END).cast(pa.binary())
            if not pc.all(pc.equal(ends, pa.scalar(DATUM_END, pa.binary()))).as_py():
                raise DecodeError("a record that does not end with its datum")

    def _plain(self, rows: Rows) -> Decoded:
        """Everything but single readings: a row a record."""
        faults = check_rows(self.kind, rows)
        columns = dict(rows.columns)
        counted = np.zeros(len(faults.code), np.int64)
        if rows.numbers is not None:
            counted = _readings(rows.numbers)
            names = ("values_int", "values_float") if rows.numbers.in_lists else ("value_int", "value_float")
            columns |= dict(zip(names, (rows.numbers.ints, rows.numbers.floats), strict=True))
        if self.kind is Kind.INTERVALS:
            columns["start"] = pa.array(pc.fill_null(columns["start"], 0).to_numpy() // MICROS)
            columns["quality"] = _measured_as_null(columns["quality"])
        table = _table(columns, RAW[self.kind], len(faults.code))
        bad = np.flatnonzero(faults.bad)
        good = table.filter(pa.array(~faults.bad)) if len(bad) else table
        return Decoded(good, len(faults.code), int(counted.sum()), bad, counted[bad], faults)

    def _joined(
        self,
        runs: Runs,
        found: list[tuple[NDArray[np.bool_], str]],
        by_run: list[tuple[NDArray[np.bool_], str]],
    ) -> Decoded:
        """Single readings: a row a block of consecutive ones."""
        if runs.origin is not None:
            found = [(bad[runs.origin], reason) for bad, reason in found]
        faults = check_runs(runs, found, by_run)
        counted = _readings(runs.numbers)
        bad = np.flatnonzero(faults.bad)
        kept = runs.keep(np.flatnonzero(~faults.bad)) if len(bad) else runs
        columns = reading_blocks(kept, self.timezone)
        table = _table(columns, RAW[self.kind], len(columns["start"]))
        if runs.origin is not None:
            faults.code[runs.origin], counted[runs.origin] = faults.code.copy(), counted.copy()
            bad = np.flatnonzero(faults.bad)
        return Decoded(table, len(faults.code), int(counted.sum()), bad, counted[bad], faults)


def _ended(schema: str) -> str:
    """A schema whose records are followed by the bytes of ``DATUM_END``."""
    record = json.loads(schema)
    if isinstance(record, dict) and isinstance(record.get("fields"), list):
        end = {"type": "fixed", "name": "datum_end_bytes", "size": len(DATUM_END)}
        record["fields"].append({"name": _END, "type": end})
    return json.dumps(record)


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


def _table(columns: dict[str, pa.Array | None], schema: pa.Schema, rows: int) -> pa.Table:
    """Columns in the order and the types of a raw schema; one that is None or not there stands for nulls."""
    made = []
    for field in schema:
        column = columns.get(field.name)
        if column is None:
            column = pa.nulls(rows, field.type)
        if field.type == DICTIONARY:
            column = column.dictionary_encode()
        made.append(column if column.type == field.type else column.cast(field.type))
    return pa.table(made, schema=schema)


def _as_arrow(values: list[Any]) -> pa.Array:
    """Python values of one field to Arrow, integers and doubles kept apart."""
    if any(isinstance(value, list) for value in values):
        counts = [len(value or ()) for value in values]
        offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
        absent = pa.array([value is None for value in values])
        items = _as_arrow([item for value in values for item in value or ()])
        return pa.ListArray.from_arrays(offsets, items, mask=absent)
    types = {type(value) for value in values}
    if str in types and len(types - {type(None)}) > 1:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    if types >= {int, float}:
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
