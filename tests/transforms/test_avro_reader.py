"""Records to Arrow columns: the fast reader never returns other rows than were announced."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import avro_schema
from tests.transforms.avro_files import block_record
from transforms.avro_reader import DecodeError, RecordReader, RecordSchema

SCHEMA = RecordSchema.of(avro_schema("IntervalBlock"))
COLUMNS = ["meter_id", "start", "values"]
NO_UNIONS = RecordSchema.of(
    {
        "type": "record",
        "name": "R",
        "fields": [f for f in SCHEMA.bare["fields"] if not isinstance(f["type"], list)],
    }
)


def encoded(count: int) -> list[bytes]:
    """Records one by one."""
    return [SCHEMA.encode(block_record(f"m{n}", values=[n] * (n % 4))) for n in range(count)]


def test_rows_of_several_blocks_come_in_order() -> None:
    """Blocks are decoded as one, only the chosen columns, times as plain integers."""
    rows = encoded(10)
    table = RecordReader(SCHEMA, COLUMNS).read([b"".join(rows[:3]), b"".join(rows[3:])], 10)
    assert table.column_names == COLUMNS
    assert table["meter_id"].to_pylist() == [f"m{n}" for n in range(10)]
    assert table["values"].to_pylist() == [[n] * (n % 4) for n in range(10)]
    assert table["start"].to_pylist() == [block_record()["start"]] * 10


@pytest.mark.parametrize("announced", [0, 1, 8, 9, 11, 12, 1000])
def test_wrong_row_counts_are_errors(announced: int) -> None:
    """Fewer or more rows announced than there are: an error, never a shorter table."""
    with pytest.raises(DecodeError):
        RecordReader(SCHEMA, COLUMNS).read([b"".join(encoded(10))], announced)


@given(st.data())
def test_cut_and_noise_are_errors_or_what_the_reference_gives(data: st.DataObject) -> None:
    """On any bytes the fast reader gives an error, or every row that fastavro gives.

    Branches of unions that do not exist are left out: the fast reader takes them for null.
    """
    payload = b"".join(NO_UNIONS.encode(block_record(f"m{n}", values=[n] * (n % 4))) for n in range(6))
    start = data.draw(st.integers(0, len(payload)))
    end = data.draw(st.integers(start, len(payload)))
    damaged = payload[:start] + data.draw(st.binary(max_size=12)) + payload[end:]
    rows = data.draw(st.integers(4, 8))
    reader = RecordReader(NO_UNIONS, list(NO_UNIONS.fields))
    try:
        found = reader.read([damaged], rows).to_pylist()
    except DecodeError:
        return
    assert found == list(reader.records(damaged, rows))


@pytest.mark.parametrize("size", range(1, 40))
def test_a_cut_end_never_passes(size: int) -> None:
    """Bytes missing at the end, or too many of them, are noticed by both readers."""
    payload = b"".join(encoded(6))
    reader = RecordReader(SCHEMA, COLUMNS)
    for damaged in (payload[:-size], payload + bytes(size), payload + payload[:size]):
        with pytest.raises(DecodeError):
            reader.read([damaged], 6)
        with pytest.raises(DecodeError):
            list(reader.records(damaged, 6))


def test_records_are_whole_and_plain() -> None:
    """The reference reader keeps every field and leaves times as numbers."""
    (record,) = RecordReader(SCHEMA, COLUMNS).records(encoded(1)[0], 1)
    assert record == block_record("m0", values=[])


def test_left_over_bytes_are_an_error_of_the_reference_too() -> None:
    """Bytes after the last announced row are not passed over, unless the caller wants a part."""
    rows = encoded(3)
    reader = RecordReader(SCHEMA, COLUMNS)
    with pytest.raises(DecodeError, match=f"{len(rows[2])} bytes after the last of 2"):
        list(reader.records(b"".join(rows), 2))
    assert len(list(reader.records(b"".join(rows), 2, whole=False))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('"string"', "not of a record", id="primitive"),
        pytest.param('{"type": "array", "items": "int"}', "not of a record", id="array"),
        pytest.param('{"type": "record", "name": "R"}', "not of a record", id="no-fields"),
        pytest.param(
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "nope"}]}', "nope", id="type"
        ),
        pytest.param("{", "Expecting", id="no-json"),
    ],
)
def test_schemas_that_cannot_be_read(text: str, message: str) -> None:
    """A schema that is no record is an error that says what it is."""
    with pytest.raises(ValueError, match=message):
        RecordSchema(text)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"type": "map", "values": "long"}, id="map"),
        pytest.param(["null", "string", "long"], id="union-of-three"),
        pytest.param({"type": "enum", "name": "E", "symbols": ["A", "B"]}, id="enum"),
        pytest.param({"type": "fixed", "name": "F", "size": 3}, id="fixed"),
        pytest.param({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, id="decimal"),
        pytest.param(["null", {"type": "array", "items": ["null", "R"]}], id="recursive"),
        pytest.param({"type": "array", "items": {"type": "array", "items": "boolean"}}, id="nested"),
    ],
)
def test_examples_can_be_written_for_any_type(kind: Any) -> None:
    """Example records of every variant are valid records of the schema, recursion included."""
    fields = [{"name": "id", "type": "string"}, {"name": "x", "type": kind}]
    schema = RecordSchema.of({"type": "record", "name": "R", "fields": fields})
    reader = RecordReader(schema, ["id"])
    payload = b"".join(schema.encode(schema.example(variant)) for variant in range(4))
    assert [record["x"] for record in reader.records(payload, 4)] == [
        schema.example(v)["x"] for v in range(4)
    ]
