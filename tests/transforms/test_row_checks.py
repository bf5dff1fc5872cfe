"""Bad rows inside good blocks: each fault has its reason, and only its rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.mapping import FieldMapping
from schemas.records import avro_schema
from tests.transforms.avro_files import DAY, MICROS, TARIFF, block_record, reading_record
from transforms.avro_decode import Decoder

INF = float("inf")
NAN = float("nan")


def reason(name: str, record: dict[str, Any], types: dict[str, Any] | None = None) -> str:
    """The reason of the second of three records, the first and third being sound; empty if it is sound."""
    schema = avro_schema(name)
    good = (block_record if name == "IntervalBlock" else reading_record)()
    for field in schema["fields"]:
        field["type"] = (types or {}).get(field["name"], field["type"])
        field.pop("default", None)
    decoder = Decoder(json.dumps(schema), FieldMapping(), "UTC")
    payload = b"".join(decoder.schema.encode(row) for row in (good, good | record, good))
    found = decoder.decode([payload], [3])
    assert set(found.bad_rows.tolist()) <= {1}
    return found.faults.reason(1) if len(found.bad_rows) else ""


BOTH = ("IntervalBlock", "MeterReading")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param({"meter_id": ""}, "meter_id is empty", id="empty-meter"),
        pytest.param({"channel": ""}, "channel is empty", id="empty-channel"),
        pytest.param(
            {"channel": "Import"}, "unknown channel 'Import', expected one of: import, ", id="channel"
        ),
        pytest.param({"unit": ""}, "unit is empty", id="empty-unit"),
        pytest.param(
            {"unit": "m3"}, "unknown unit 'm3' for channel import, expected one of: Wh, kWh", id="unit"
        ),
        pytest.param({"unit": "mwh"}, "unknown unit 'mwh'", id="ambiguous-unit"),
        pytest.param({"interval_s": 0}, "interval_s 0 does not divide a day of 86400 s", id="zero-interval"),
        pytest.param({"interval_s": -900}, "interval_s -900 does not divide", id="negative-interval"),
        pytest.param({"interval_s": 700}, "interval_s 700 does not divide", id="odd-interval"),
        pytest.param({"scaler": 21}, "scaler 21 is not between -20 and 20", id="scaler"),
        pytest.param({"scaler": -21}, "scaler -21 is not between", id="small-scaler"),
        pytest.param({"start": DAY * MICROS + 500_000}, "start is not a whole second", id="sub-second"),
        pytest.param({"start": -MICROS}, "start is not between 1970 and 2200", id="before-1970"),
        pytest.param({"start": 9_000_000_000 * MICROS}, "start is not between", id="after-2200"),
    ],
)
def test_faults_of_a_row(name: str, record: dict[str, Any], message: str) -> None:
    """The faulty row has the reason, its neighbours none."""
    assert reason(name, record).startswith(message)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("field", ["meter_id", "channel", "unit", "interval_s", "start"])
def test_null_in_a_required_field(name: str, field: str) -> None:
    """A writer may make any field nullable; a null where a value must stand is a bad row."""
    kinds = {f["name"]: f["type"] for f in avro_schema(name)["fields"]}
    assert reason(name, {field: None}, {field: ["null", kinds[field]]}) == f"{field} is null"


@pytest.mark.parametrize(
    ("number", "unit", "scaler", "value", "bad"),
    [
        pytest.param("long", "Wh", 0, 10**10, False, id="long-fits"),
        pytest.param("long", "Wh", 0, 10**10 + 1, True, id="long-too-large"),
        pytest.param("long", "Wh", 0, -(10**10) - 1, True, id="long-too-small"),
        pytest.param("long", "kWh", 6, 5_000_000, True, id="scaler-makes-it-large"),
        pytest.param("long", "Wh", -20, 2**62, False, id="scaler-makes-it-small"),
        pytest.param("double", "kWh", 0, 1e7, False, id="double-fits"),
        pytest.param("double", "kWh", 0, 1.001e7, True, id="double-too-large"),
        pytest.param("double", "kWh", 0, INF, True, id="infinite"),
        pytest.param("double", "kWh", 0, -INF, True, id="minus-infinite"),
        pytest.param("double", "kWh", 0, NAN, False, id="nan-is-no-reading"),
        pytest.param(["null", "long"], "kWh", 0, None, False, id="null-is-no-reading"),
        pytest.param(["long", "double"], "kWh", 0, 1e30, True, id="in-a-union"),
    ],
)
@pytest.mark.parametrize("name", BOTH)
def test_values_must_fit_micro_units(
    name: str, number: Any, unit: str, scaler: int, value: Any, bad: bool
) -> None:
    """A value whose micro-units do not fit is a bad row; no reading at all is not."""
    record: dict[str, Any] = {"unit": unit, "scaler": scaler}
    record |= {"values": [1, value]} if name == "IntervalBlock" else {"value": value}
    kind = {"type": "array", "items": number} if name == "IntervalBlock" else number
    found = reason(name, record, {"value": kind, "values": kind})
    assert found == ("a value beyond what micro-units can hold" if bad else "")


def test_quality_must_match_the_values() -> None:
    """A quality list is empty or has a code a value."""
    assert reason("IntervalBlock", {"quality": [8]}) == "quality has another number of elements than values"
    assert reason("IntervalBlock", {"quality": [8, 0, 0]}) == ""


def test_null_values_are_no_values() -> None:
    """A block without values is kept out, null and empty alike."""
    kind = ["null", {"type": "array", "items": "long"}]
    assert reason("IntervalBlock", {"values": None}, {"values": kind}) == "no values"
    assert reason("IntervalBlock", {"values": []}) == "no values"


def test_null_scaler_is_zero() -> None:
    """A nullable scaler that is null counts as not given."""
    for name in BOTH:
        assert reason(name, {"scaler": None}, {"scaler": ["null", "int"]}) == ""


def test_integers_that_do_not_fit_are_named() -> None:
    """A writer's long where the contract has an int is taken if it fits."""
    assert reason("IntervalBlock", {"interval_s": 2**40}, {"interval_s": "long"}) == (
        "interval_s is not an integer that fits int32"
    )
    assert reason("MeterReading", {"interval_s": 2**40}, {"interval_s": "long"}).startswith(
        "interval_s is not"
    )


def test_times_out_of_reach_do_not_overflow() -> None:
    """Milliseconds far beyond any date are a bad row, not another date."""
    kind = {"type": "long", "logicalType": "timestamp-millis"}
    record = block_record(start=2**62)
    types = {"start": kind}
    sound = block_record(start=DAY * 1000)
    schema = avro_schema("IntervalBlock")
    schema["fields"] = [f | {"type": types.get(f["name"], f["type"])} for f in schema["fields"]]
    decoder = Decoder(json.dumps(schema), FieldMapping(), "UTC")
    payload = b"".join(decoder.schema.encode(row) for row in (sound, record))
    found = decoder.decode([payload], [2])
    assert (found.bad_rows.tolist(), found.faults.reason(1)) == ([1], "start is not a time")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("t", TARIFF, None, id="sound"),
        pytest.param("other", TARIFF, "yaml: found tariff t, expected other", id="other-name"),
        pytest.param(
            "t", TARIFF.replace("EUR", "euro"), "yaml, line 4: currency: found 'euro', expected ", id="wrong"
        ),
        pytest.param("t", "{", "yaml, line 1: found ", id="no-yaml"),
    ],
)
def test_a_received_tariff_is_read_as_its_file_would_be(name: str, text: str, message: str | None) -> None:
    """One that cannot be priced by is kept out with the line that is wrong, and its neighbours go on."""
    order = {"received_at": DAY * MICROS, "source": None, "sequence": None}
    decoder = Decoder(json.dumps(avro_schema("TariffVersion")), FieldMapping(), "UTC")
    rows = [
        {"tariff_id": "t", "version": "1", "yaml": TARIFF},
        {"tariff_id": name, "version": "2", "yaml": text},
    ]
    found = decoder.decode([b"".join(decoder.schema.encode(row | order) for row in rows)], [2])
    assert found.bad_rows.tolist() == ([] if message is None else [1])
    assert message is None or found.faults.reason(1).startswith(message)
