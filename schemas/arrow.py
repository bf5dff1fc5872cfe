"""Arrow schemas of the raw records, of dead letters, and which columns must hold a value.

Times are UTC. Interval starts are whole seconds (int64); every other time is int64 microseconds.
Numbers that must stay exact and are few (multiplier, price, value of an edit) are decimal text.
"""

from __future__ import annotations

import pyarrow as pa

from schemas.records import Kind

__all__ = ["DEAD_LETTERS", "DICTIONARY", "RAW", "RAW_INTERVALS", "REQUIRED"]

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_MICROS = pa.int64()
_ORDER = [("received_at", _MICROS), ("sequence", pa.int64()), ("source", DICTIONARY)]

RAW_INTERVALS = pa.schema(
    [
        ("meter_id", pa.string()),
        ("channel", DICTIONARY),
        ("start", pa.int64()),
        ("interval_s", pa.int32()),
        ("unit", DICTIONARY),
        ("scaler", pa.int32()),
        *_ORDER,
        ("values_int", pa.list_(pa.int64())),
        ("values_float", pa.list_(pa.float64())),
        ("quality", pa.list_(pa.int32())),
        ("received_each", pa.list_(_MICROS)),
    ]
)
"""One row a block. Exactly one of values_int and values_float is not null in a row; a null element
or NaN is no reading; quality null = measured throughout; received_each null = all came at received_at, else
that is the least of them."""

RAW_REGISTERS = pa.schema(
    [
        ("meter_id", pa.string()),
        ("channel", DICTIONARY),
        ("read_at", _MICROS),
        ("value_int", pa.int64()),
        ("value_float", pa.float64()),
        ("unit", DICTIONARY),
        ("scaler", pa.int32()),
        ("dials", pa.int32()),
        ("tou_register", pa.string()),
        ("quality", pa.int32()),
        *_ORDER,
    ]
)
"""Exactly one of value_int and value_float is not null; quality null = measured."""

RAW_EVENTS = pa.schema(
    [
        ("meter_id", pa.string()),
        ("event_type", pa.string()),
        ("occurred_at", _MICROS),
        ("value", pa.float64()),
        ("detail", pa.string()),
        *_ORDER,
    ]
)

RAW_SERVICE_POINTS = pa.schema(
    [
        ("service_point_id", pa.string()),
        ("meter_id", pa.string()),
        ("account_id", pa.string()),
        ("role", pa.string()),
        ("commodity", pa.string()),
        ("tariff_id", pa.string()),
        ("bill_cycle_day", pa.int32()),
        ("interval_s", pa.int32()),
        ("channels", pa.list_(pa.string())),
        ("multiplier", pa.string()),
        ("dials", pa.int32()),
        ("capacity_kw", pa.float64()),
        ("phases", pa.int32()),
        ("feeder_id", pa.string()),
        ("transformer_id", pa.string()),
        ("customer_class", pa.string()),
        ("status", pa.string()),
        ("valid_from", _MICROS),
        ("valid_to", _MICROS),
        *_ORDER,
    ]
)

RAW_PRICES = pa.schema(
    [
        ("series_id", pa.string()),
        ("start", _MICROS),
        ("interval_s", pa.int32()),
        ("price", pa.string()),
        ("currency", pa.string()),
        *_ORDER,
    ]
)

RAW_EDITS = pa.schema(
    [
        ("edit_id", pa.string()),
        ("kind", pa.string()),
        ("meter_id", pa.string()),
        ("channel", pa.string()),
        ("from", _MICROS),
        ("to", _MICROS),
        ("value", pa.string()),
        ("method", pa.string()),
        ("user", pa.string()),
        ("reason", pa.string()),
        ("edited_at", _MICROS),
        *_ORDER,
    ]
)

RAW_TARIFFS = pa.schema(
    [("tariff_id", pa.string()), ("version", pa.string()), ("yaml", pa.string()), *_ORDER]
)

RAW_TARIFF_EVENTS = pa.schema([("event", pa.string()), ("local_date", pa.date32()), *_ORDER])

RAW_WEATHER = pa.schema(
    [
        ("station", pa.string()),
        ("start", _MICROS),
        ("interval_s", pa.int32()),
        ("temperature_c", pa.float64()),
        *_ORDER,
    ]
)

RAW_DRAINS = pa.schema([("through_day", pa.date32())])

RAW: dict[Kind, pa.Schema] = {
    Kind.INTERVALS: RAW_INTERVALS,
    Kind.REGISTERS: RAW_REGISTERS,
    Kind.EVENTS: RAW_EVENTS,
    Kind.SERVICE_POINTS: RAW_SERVICE_POINTS,
    Kind.PRICES: RAW_PRICES,
    Kind.EDITS: RAW_EDITS,
    Kind.TARIFFS: RAW_TARIFFS,
    Kind.TARIFF_EVENTS: RAW_TARIFF_EVENTS,
    Kind.WEATHER: RAW_WEATHER,
    Kind.DRAINS: RAW_DRAINS,
}

REQUIRED: dict[Kind, tuple[str, ...]] = {
    Kind.INTERVALS: ("meter_id", "channel", "start", "interval_s", "unit"),
    Kind.REGISTERS: ("meter_id", "channel", "read_at", "unit"),
    Kind.EVENTS: ("meter_id", "event_type", "occurred_at"),
    Kind.SERVICE_POINTS: ("service_point_id", "valid_from"),
    Kind.PRICES: ("series_id", "start", "interval_s", "price"),
    Kind.EDITS: ("edit_id", "kind", "edited_at"),
    Kind.TARIFFS: ("tariff_id", "version", "yaml"),
    Kind.TARIFF_EVENTS: ("event", "local_date"),
    Kind.WEATHER: ("station", "start", "interval_s", "temperature_c"),
    Kind.DRAINS: ("through_day",),
}
"""Columns that must be in the writer's schema and hold a value in every row."""

DEAD_LETTERS = pa.schema(
    [
        ("source", pa.string()),
        ("offset", pa.int64()),
        ("row", pa.int64()),
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("bytes", pa.large_binary()),
        ("rows", pa.int64()),
        ("readings", pa.int64()),
    ]
)
"""Input that could not be used. offset: byte in the source (a row's block, a block, or the place of the
fault in a refused file). row: index in the block, null for a block or file. rows, readings: how many
decoded rows and readings it stands for, 0 where the bytes could not be decoded."""
