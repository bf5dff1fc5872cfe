"""Avro records to raw tables: the same readings as a slow reading of the records, whatever the writer did."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from schemas.arrow import RAW
from schemas.mapping import FieldMapping
from schemas.records import Kind, avro_schema
from tests.transforms.avro_files import (
    DAY,
    MICROS,
    TARIFF,
    block_record,
    reading_record,
    readings_of,
    readings_written,
    written_readings,
)
from transforms.avro_columns import SchemaError
from transforms.avro_decode import Decoded, Decoder
from transforms.avro_reader import DecodeError


def decoder(schema: dict[str, Any], **mapping: Any) -> Decoder:
    """A decoder in Zurich, with a mapping of foreign records if given."""
    return Decoder(json.dumps(schema), FieldMapping.model_validate({"records": mapping}), "Europe/Zurich")


def decoded(made: Decoder, records: list[dict[str, Any]]) -> Decoded:
    """Records written as two blocks and decoded."""
    half = len(records) // 2
    parts = [records[:half], records[half:]]
    payloads = [b"".join(made.schema.encode(record) for record in part) for part in parts]
    return made.decode(payloads, [len(part) for part in parts])


@given(written_readings())
def test_any_writers_readings_come_out_as_they_were_written(
    written: tuple[dict[str, Any], list[dict[str, Any]], int],
) -> None:
    """Fields shuffled, dropped and added, any number and time type: every reading once, nothing else."""
    schema, records, micros = written
    made = decoder(schema)
    found = decoded(made, records)
    assert found.table.schema == RAW[Kind.INTERVALS]
    assert readings_of(found.table) == readings_written(records, micros)
    assert (found.rows, found.bad_rows.tolist()) == (len(records), [])
    present = sum(n for reading, n in readings_of(found.table).items() if reading[1] not in (None, "nan"))
    assert found.readings == present


@given(written_readings())
def test_fast_and_slow_decoding_agree(written: tuple[dict[str, Any], list[dict[str, Any]], int]) -> None:
    """The reference reader gives the same readings."""
    schema, records, _ = written
    fast, slow = decoder(schema), decoder(schema)
    slow.fast = False
    assert readings_of(decoded(fast, records).table) == readings_of(decoded(slow, records).table)


def test_common_schemas_take_the_fast_reader() -> None:
    """The contract's own schemas, and the variants of numbers it allows, never fall back."""
    for name in ("IntervalBlock", "MeterReading"):
        for number in ("int", "double", ["null", "long"], ["long", "double"], ["double", "null"]):
            schema = avro_schema(name)
            field = next(field for field in schema["fields"] if field["name"] in ("value", "values"))
            field["type"] = {"type": "array", "items": number} if name == "IntervalBlock" else number
            assert decoder(schema).fast, (name, number)


def test_recursive_schemas_fall_back_and_are_read() -> None:
    """What the fast reader cannot compile is read by the reference."""
    schema = avro_schema("IntervalBlock")
    schema["fields"].append({"name": "parent", "type": ["null", "IntervalBlock"]})
    made = decoder(schema)
    assert not made.fast
    records = [
        block_record(parent=block_record("m2", parent=None)),
        block_record("m3", values=[4], parent=None),
    ]
    assert readings_of(decoded(made, records).table) == readings_written(records)


def test_consecutive_readings_become_blocks_up_to_local_midnight() -> None:
    """Readings of one meter are joined slot by slot; blocks end at standard midnight and at gaps."""
    slots = [*range(80, 100), *range(102, 104)]
    records = [reading_record("m1", slot, slot) for slot in slots] + [reading_record("m2", 104, 5)]
    table = decoded(decoder(avro_schema("MeterReading")), records).table
    rows = [(row["meter_id"], (row["start"] - DAY) // 900, row["values_int"]) for row in table.to_pylist()]
    assert rows == [
        ("m1", 80, list(range(80, 92))),  # midnight in Zurich is 23:00 UTC
        ("m1", 92, list(range(92, 100))),
        ("m1", 102, [102, 103]),
        ("m2", 104, [5]),
    ]


def test_readings_written_by_time_are_joined_too() -> None:
    """A file of all meters slot by slot gives a block a meter, as one ordered by meter does."""
    meters = [f"meter {n}" for n in range(20)]
    by_time = [reading_record(meter, slot, slot) for slot in range(20) for meter in meters]
    made = decoder(avro_schema("MeterReading"))
    found = decoded(made, by_time)
    assert found.table.num_rows == 20
    assert readings_of(found.table) == readings_written(by_time)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"received_at": None}, id="no-received_at"),
        pytest.param({"sequence": 3}, id="sequence"),
        pytest.param({"unit": "kWh"}, id="unit"),
        pytest.param({"scaler": -1}, id="scaler"),
        pytest.param({"source": None}, id="source"),
        pytest.param({"channel": "export"}, id="channel"),
        pytest.param({"interval_s": 450}, id="interval_s"),
        pytest.param({"quality": 8}, id="quality"),
    ],
)
def test_readings_that_differ_in_an_attribute_stay_apart(change: dict[str, Any]) -> None:
    """A block holds only readings that share everything but start, value and time of arrival."""
    records = [reading_record(slot=0), reading_record(slot=1, **change), reading_record(slot=2)]
    table = decoded(decoder(avro_schema("MeterReading")), records).table
    assert table.num_rows == 3
    assert readings_of(table) == readings_written(records)


@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("lag", [lambda slot: 60, lambda slot: slot * 7919 % 1000])
def test_readings_with_times_of_their_own_share_a_block(by_time: bool, lag: Callable[[int], int]) -> None:
    """Where each came by itself a meter's day is still one block, and each reading keeps its time."""
    records = [
        reading_record(f"m{meter}", slot=slot, received_at=(DAY + 900 * slot + lag(slot)) * MICROS)
        for meter in range(3)
        for slot in range(96)
    ]
    if by_time:
        records.sort(key=lambda record: record["start"])
    found = decoded(decoder(avro_schema("MeterReading")), records)
    assert readings_of(found.table) == readings_written(records)
    assert found.table.num_rows == 3 * 2  # the zone's midnight parts the day
    assert found.table["received_each"].null_count == 0


def test_readings_that_came_together_are_blocks_of_one_time() -> None:
    """A few batches a day are a few blocks, not a time a reading."""
    records = [reading_record(slot=slot, received_at=(DAY + slot // 24) * MICROS) for slot in range(96)]
    table = decoded(decoder(avro_schema("MeterReading")), records).table
    assert readings_of(table) == readings_written(records)
    assert table["received_each"].null_count == table.num_rows < 7


def test_measured_throughout_is_null_quality() -> None:
    """Empty and all-zero quality lists say the same, and are stored as null."""
    records = [block_record(quality=q) for q in ([], [0, 0, 0], [0, 8, 0])]
    table = decoded(decoder(avro_schema("IntervalBlock")), records).table
    assert table["quality"].to_pylist() == [None, None, [0, 8, 0]]


def test_row_that_mixes_integers_and_doubles_counts_as_doubles() -> None:
    """Elements of a union are integers in a row of integers only."""
    schema = avro_schema("IntervalBlock")
    schema["fields"][4]["type"]["items"] = ["null", "long", "double"]
    records = [block_record(values=v) for v in ([1, 2], [1, 2.5], [None, 3], [None, 0.5, 2])]
    table = decoded(decoder(schema), records).table
    assert table["values_int"].to_pylist() == [[1, 2], None, [None, 3], None]
    assert table["values_float"].to_pylist() == [None, [1.0, 2.5], None, [None, 0.5, 2.0]]


def test_bad_rows_are_masked_and_the_rest_goes_on() -> None:
    """Each bad row has its number, its readings and its reason; the good ones are in the table."""
    records = [
        block_record("m1"),
        block_record("m2", channel="imprt"),
        block_record("m3", values=[]),
        block_record("m4", start=DAY * MICROS + 1),
        block_record("m5"),
    ]
    found = decoded(decoder(avro_schema("IntervalBlock")), records)
    assert found.table["meter_id"].to_pylist() == ["m1", "m5"]
    assert (found.bad_rows.tolist(), found.bad_readings.tolist()) == ([1, 2, 3], [3, 0, 3])
    reasons = [found.faults.reason(row) for row in (1, 2, 3)]
    assert reasons[0].startswith("unknown channel 'imprt', expected one of: import, export")
    assert reasons[1:] == ["no values", "start is not a whole second"]
    assert found.readings == 12


def test_bad_single_readings_keep_their_place_in_a_file_written_by_time() -> None:
    """The row number of a dead letter is that of the file, though the rows were put in another order."""
    records = [reading_record(f"meter {n % 10}", n // 10, n) for n in range(200)]
    records[37]["unit"] = "kVA"
    records[150]["start"] += 1
    found = decoded(decoder(avro_schema("MeterReading")), records)
    assert found.bad_rows.tolist() == [37, 150]
    assert "unknown unit 'kVA' for channel import" in found.faults.reason(37)
    assert found.faults.reason(150) == "start is not a whole second"
    assert readings_of(found.table) == readings_written(
        [r for n, r in enumerate(records) if n not in (37, 150)]
    )


def test_bad_reading_inside_a_run_leaves_its_neighbours() -> None:
    """A run is cut around a bad reading."""
    records = [reading_record(slot=n, value=n) for n in range(100)]
    records[50]["start"] += 1
    found = decoded(decoder(avro_schema("MeterReading")), records)
    assert found.bad_rows.tolist() == [50]
    assert readings_of(found.table) == readings_written(records[:50] + records[51:])


def test_foreign_records_are_mapped() -> None:
    """Renamed fields, constants, seconds, and looked-up channels and units."""
    schema = {
        "type": "record",
        "name": "acme.Reading",
        "fields": [
            {"name": "device", "type": "long"},
            {"name": "obis", "type": {"type": "enum", "name": "Obis", "symbols": ["A", "B"]}},
            {"name": "ts", "type": "int"},
            {"name": "reading", "type": ["null", "float"]},
            {"name": "uom", "type": "string"},
        ],
    }
    mapping = {
        "as": "MeterReading",
        "fields": {"meter_id": "device", "channel": "obis", "start": "ts", "value": "reading", "unit": "uom"},
        "constants": {"interval_s": 1800},
        "times": {"start": "s"},
        "channels": {"A": "import", "B": "export"},
        "units": {"KILOWATTHOUR": "kWh"},
    }
    made = decoder(schema, **{"acme.Reading": mapping})
    records = [
        {"device": 4711, "obis": o, "ts": DAY, "reading": v, "uom": "KILOWATTHOUR"}
        for o, v in (("A", 0.5), ("B", None))
    ]
    rows = decoded(made, records).table.to_pylist()
    assert [(r["meter_id"], r["channel"], r["start"], r["interval_s"], r["unit"]) for r in rows] == [
        ("4711", "import", DAY, 1800, "kWh"),
        ("4711", "export", DAY, 1800, "kWh"),
    ]
    assert [r["values_float"] for r in rows] == [[0.5], [None]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"name": "Nothing"}, "record 'meterbeam.v1.Nothing'", id="unknown-record"),
        pytest.param(
            {"drop": "channel"},
            "no field 'channel' for channel of IntervalBlock; the writer has: m",
            id="gone",
        ),
        pytest.param({"drop": "values"}, "no field 'values'", id="no-values"),
        pytest.param({"start": "boolean"}, "start of IntervalBlock takes a time", id="no-time"),
        pytest.param(
            {"interval_s": "double"}, "interval_s of IntervalBlock takes an integer", id="double-interval"
        ),
        pytest.param({"values": "long"}, "values of IntervalBlock takes an array of numbers", id="no-array"),
        pytest.param(
            {"values": {"type": "array", "items": "boolean"}}, "takes an array of numbers", id="booleans"
        ),
        pytest.param({"meter_id": "bytes"}, "meter_id of IntervalBlock takes a text", id="bytes-name"),
    ],
)
def test_schemas_that_do_not_fit_are_refused_before_any_row(change: dict[str, Any], message: str) -> None:
    """A record or field that cannot be read as the contract's is named with what was found."""
    schema = avro_schema("IntervalBlock")
    schema["name"] = change.pop("name", schema["name"])
    dropped = change.pop("drop", None)
    schema["fields"] = [
        field | {"type": change.get(field["name"], field["type"])} for field in schema["fields"]
    ]
    schema["fields"] = [field for field in schema["fields"] if field["name"] != dropped]
    with pytest.raises(SchemaError, match=message):
        decoder(schema)


def test_wrong_counts_are_errors_for_runs_too() -> None:
    """Single readings read by runs notice a missing or an extra row like the plain reader."""
    made = decoder(avro_schema("MeterReading"))
    payload = b"".join(made.schema.encode(reading_record(slot=n)) for n in range(50))
    for announced in (49, 51):
        with pytest.raises(DecodeError):
            made.decode([payload], [announced])


def test_every_other_kind_is_read() -> None:
    """Service points, registers, events, prices, edits, tariffs, weather: exact, times in microseconds."""
    time = DAY * MICROS
    day = datetime.date(2024, 7, 1)
    days = (day - datetime.date(1970, 1, 1)).days
    order = {"received_at": time, "sequence": None, "source": None}
    register = {"meter_id": "m", "channel": "import", "read_at": time, "unit": "kWh", "scaler": 0, "dials": 6}
    given_records: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "RegisterRead": (
            register | {"value": 12345, "tou_register": None, "quality": 0},
            {"value_int": 12345, "value_float": None, "read_at": time, "dials": 6},
        ),
        "DeviceEvent": (
            {"meter_id": "m", "event_type": "3.26.9.185", "occurred_at": time, "value": 1.5, "detail": None},
            {"event_type": "3.26.9.185", "occurred_at": time, "value": 1.5},
        ),
        "ServicePoint": (
            {"service_point_id": "p", "meter_id": "m", "account_id": "a", "role": "customer",
             "commodity": "electricity", "tariff_id": None, "bill_cycle_day": 1, "interval_s": 900,
             "channels": ["import", "export"], "multiplier": 0.1, "dials": None, "capacity_kw": 9.9,
             "phases": 3, "feeder_id": None, "transformer_id": None, "customer_class": None,
             "status": "active", "valid_from": time, "valid_to": None},
            {"multiplier": "0.1", "channels": ["import", "export"], "capacity_kw": 9.9, "valid_to": None},
        ),
        "PriceSignal": (
            {"series_id": "s", "start": time, "interval_s": 3600, "price": Decimal("-0.123456789"),
             "currency": "EUR"},
            {"price": "-0.123456789", "start": time},
        ),
        "Edit": (
            {"edit_id": "e", "kind": "set", "meter_id": "m", "channel": "import", "from": time,
             "to": time + 1, "value": 1.25, "method": None, "user": "u", "reason": "r", "edited_at": time},
            {"value": "1.25", "from": time, "to": time + 1},
        ),
        "TariffVersion": (
            {"tariff_id": "t", "version": "1", "yaml": TARIFF},
            {"tariff_id": "t", "version": "1", "yaml": TARIFF},
        ),
        "TariffEvent": ({"event": "cpp", "local_date": days}, {"event": "cpp", "local_date": day}),
        "Weather": (
            {"station": "w", "start": time, "interval_s": 3600, "temperature_c": -3.5},
            {"station": "w", "start": time, "temperature_c": -3.5},
        ),
        "Drain": ({"through_day": days}, {"through_day": day}),
    }  # fmt: skip
    for name, (record, expected) in given_records.items():
        schema = avro_schema(name)
        made = decoder(schema)
        record = record | ({} if name == "Drain" else order)
        if "price" in record:
            record["price"] = int(record["price"].scaleb(9)).to_bytes(8, "big", signed=True)
        found = decoded(made, [record, record])
        assert found.table.schema == RAW[made.kind], name
        assert len(found.bad_rows) == 0, (name, [found.faults.reason(int(r)) for r in found.bad_rows])
        row = found.table.to_pylist()[1]
        assert {key: row[key] for key in expected} == expected, name


@pytest.mark.parametrize(
    ("number", "value", "text"),
    [
        pytest.param("double", 0.1, "0.1", id="double"),
        pytest.param("long", 40, "40", id="long"),
        pytest.param("string", "80.50", "80.5", id="text"),
        pytest.param("string", "1e3", "1000", id="exponent"),
        pytest.param(
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            b"\x00\xc8",
            "2",
            id="decimal",
        ),
        pytest.param(["null", "string", "double"], 2.5, "2.5", id="union"),
    ],
)
def test_multiplier_is_the_shortest_decimal(number: Any, value: Any, text: str) -> None:
    """Any way to write a multiplier comes out as exact decimal text."""
    schema = avro_schema("ServicePoint")
    kept = ("service_point_id", "multiplier", "valid_from")
    schema["fields"] = [field for field in schema["fields"] if field["name"] in kept]
    schema["fields"][1] = {"name": "multiplier", "type": number}
    record = {"service_point_id": "p", "multiplier": value, "valid_from": DAY * MICROS}
    row = decoded(decoder(schema), [record]).table.to_pylist()[0]
    assert (row["multiplier"], row["role"], row["status"], row["channels"]) == (
        text,
        "customer",
        "active",
        None,
    )


def test_multiplier_that_is_no_number_is_a_bad_row() -> None:
    """A text that is no finite number is named, the other rows stay."""
    schema = avro_schema("ServicePoint")
    for field in schema["fields"]:
        if field["name"] == "multiplier":
            field["type"] = "string"
            del field["default"]
    base = {field["name"]: field.get("default") for field in schema["fields"]}
    base |= {"service_point_id": "p", "valid_from": DAY * MICROS, "channels": []}
    found = decoded(decoder(schema), [base | {"multiplier": m} for m in ("1", "ten", "NaN", "2")])
    assert found.table["multiplier"].to_pylist() == ["1", "2"]
    assert [found.faults.reason(row) for row in (1, 2)] == ["multiplier is not a number"] * 2


@pytest.mark.parametrize(
    ("kind", "value", "micros"),
    [
        pytest.param(
            {"type": "long", "logicalType": "timestamp-nanos"}, DAY * 10**9, DAY * MICROS, id="nanos"
        ),
        pytest.param(
            {"type": "long", "logicalType": "local-timestamp-millis"}, DAY * 1000, DAY * MICROS, id="local"
        ),
        pytest.param(["long", "null"], DAY * MICROS, DAY * MICROS, id="plain-in-union"),
    ],
)
def test_other_forms_of_time(kind: Any, value: int, micros: int) -> None:
    """Nanos, local timestamps and unions read as microseconds."""
    schema = avro_schema("Weather")
    schema["fields"][1]["type"] = kind
    record = {"station": "w", "start": value, "interval_s": 900, "temperature_c": 1.0}
    record |= {"received_at": None, "sequence": None, "source": None}
    assert decoded(decoder(schema), [record]).table["start"].to_pylist() == [micros]


def test_empty_stretch_gives_an_empty_table() -> None:
    """No rows in, no rows out, in the raw schema, by either reader."""
    for name in ("IntervalBlock", "MeterReading", "DeviceEvent"):
        made = decoder(avro_schema(name))
        assert made.decode([b""], [0]).table.equals(RAW[made.kind].empty_table())
        made.fast = False
        assert made.decode([b""], [0]).table.equals(RAW[made.kind].empty_table())
    assert np.array_equal(decoder(avro_schema("Weather")).decode([], []).bad_rows, np.zeros(0))
    assert pa.Table.from_batches([], RAW[Kind.WEATHER]).num_rows == 0
