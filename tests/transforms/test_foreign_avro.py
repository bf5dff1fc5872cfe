"""Records of others through a field mapping: nested, exact, local, as text; what cannot be told is named."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from fastavro.schema import parse_schema
from hypothesis import given
from hypothesis import strategies as st

from schemas.mapping import FieldMapping
from transforms.avro_columns import SchemaError
from transforms.avro_decode import Decoded, Decoder
from transforms.avro_reader import RecordSchema

NAME = "acme.Reading"
TIME = {"type": "long", "logicalType": "timestamp-micros"}
MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
FIELDS = {"meter_id": "device", "start": "at", "value": "kwh"}
CONSTANTS = {"interval_s": 900, "unit": "kWh", "channel": "import"}


def field(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind}


def record(*fields: dict[str, Any], name: str = NAME) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def read(schema: dict[str, Any], records: list[dict[str, Any]], **mapping: Any) -> Decoded:
    """Records in a block as their writer encodes them, decoded by a mapping."""
    own = {"as": "MeterReading", "fields": FIELDS, "constants": CONSTANTS} | mapping
    made = Decoder(json.dumps(schema), FieldMapping.model_validate({"records": {NAME: own}}), "Europe/Zurich")
    parsed, out = parse_schema(schema, {}), io.BytesIO()
    for one in records:
        fastavro.schemaless_writer(out, parsed, one)
    return made.decode([out.getvalue()], [len(records)])


def told(found: Decoded) -> list[tuple[Any, ...]]:
    """Meter, start, values and scaler of each block."""
    return [
        (row["meter_id"], row["start"], row["values_int"] or row["values_float"], row["scaler"])
        for row in found.table.to_pylist()
    ]


def reasons(found: Decoded) -> dict[int, str]:
    """Bad rows with their reasons."""
    return {int(row): found.faults.reason(int(row)) for row in found.bad_rows}


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("rows", [1, 400])
def test_fields_of_nested_records(nullable: bool, rows: int) -> None:
    """A name with dots is looked for within, through records that may be null; a null one is a bad row."""
    sender = record(field("device", "string"), name="From")
    body = record(field("at", TIME), field("kwh", "double"), name="Body")
    schema = record(
        field("header", record(field("seq", "long"), field("from", sender), name="Header")),
        field("body", ["null", body] if nullable else body),
    )  # fmt: skip
    records: list[dict[str, Any]] = [
        {
            "header": {"seq": n, "from": {"device": "m1"}},
            "body": {"at": (MONDAY + 900 * n) * 10**6, "kwh": 0.5 + n},
        }
        for n in range(rows)
    ]
    if nullable:
        records.append({"header": {"seq": 0, "from": {"device": "m2"}}, "body": None})
    names = {"meter_id": "header.from.device", "start": "body.at", "value": "body.kwh"}
    found = read(schema, records, fields=names)
    values = [value for row in found.table.to_pylist() for value in row["values_float"]]
    assert values == [0.5 + n for n in range(rows)]
    assert {row["meter_id"] for row in found.table.to_pylist()} == {"m1"}
    assert reasons(found) == ({rows: "start is null"} if nullable else {})


def test_a_name_that_is_not_within() -> None:
    """The error lists the names there are, with their dots."""
    schema = record(field("header", record(field("device", "string"), name="Header")), field("at", TIME))
    with pytest.raises(SchemaError, match=r"no field 'header.meter' .* the writer has: header.device, at"):
        read(schema, [], fields={**FIELDS, "meter_id": "header.meter"})


KINDS: dict[str, tuple[Any, Any]] = {
    "device": ("string", "m1"),
    "at": (TIME, MONDAY * 10**6),
    "kwh": (["null", "double", "long"], 0.25),
    "unit": ({"type": "enum", "name": "Unit", "symbols": ["Wh", "kWh"]}, "kWh"),
    "seq": ("long", 7),
    "note": (["null", "string"], None),
}


@given(st.permutations(list(KINDS)), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_however_fields_are_nested_the_rows_are_the_same(names: list[str], depths: list[int]) -> None:
    """A record in a record is its fields: any nesting of them reads as the flat record does."""
    fields, values, paths = [], {}, {}
    for name, depth in zip(names, depths, strict=True):
        kind, value = KINDS[name]
        inner = field(name, kind)
        path = name
        for level in range(depth):
            group = f"g{level}_{name}"
            inner = field(group, record(inner, name=f"G{level}{name}"))
            value, path = {inner["type"]["fields"][0]["name"]: value}, f"{group}.{path}"
        fields.append(inner)
        values[inner["name"]] = value
        paths[name] = path
    mapping = {
        "fields": {"meter_id": paths["device"], "start": paths["at"], "value": paths["kwh"],
                   "unit": paths["unit"], "sequence": paths["seq"]},
        "constants": {"interval_s": 900, "channel": "import"},
    }  # fmt: skip
    found = read(record(*fields), [values] * 3, **mapping)
    row = found.table.to_pylist()[0]
    assert (row["meter_id"], row["start"], row["values_float"], row["unit"]) == ("m1", MONDAY, [0.25], "kWh")
    assert found.readings == 3


def test_a_type_that_is_used_again() -> None:
    """An enum named in one field and meant in two others, one of which may be null."""
    quality = {"type": "enum", "name": "Q", "symbols": ["ok", "bad"]}
    schema = record(field("q", quality), field("device", "string"), field("q2", "Q"), field("at", TIME),
                    field("kwh", "double"), field("q3", ["null", "Q"]))  # fmt: skip
    one = {"q": "ok", "q2": "bad", "q3": "ok", "device": "m1", "at": MONDAY * 10**6, "kwh": 1.5}
    assert told(read(schema, [one])) == [("m1", MONDAY, [1.5], 0)]


def test_a_type_that_holds_itself() -> None:
    """It has no flat form, and is read all the same where it stands beside what is wanted."""
    chain = record(field("next", ["null", "Chain"]), name="Chain")
    schema = record(
        field("device", "string"), field("chain", chain), field("at", TIME), field("kwh", "double")
    )
    assert RecordSchema.of(schema).flat().fields.keys() == {"device", "chain", "at", "kwh"}
    one = {"device": "m1", "chain": {"next": {"next": None}}, "at": MONDAY * 10**6, "kwh": 1.5}
    assert told(read(schema, [one])) == [("m1", MONDAY, [1.5], 0)]


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 3}
FIXED = {"type": "fixed", "name": "D", "size": 12, "logicalType": "decimal", "precision": 28, "scale": 3}


@pytest.mark.parametrize("kind", [DECIMAL, FIXED], ids=["bytes", "fixed"])
def test_decimals_are_exact(kind: dict[str, Any]) -> None:
    """Whole numbers at the decimal's own power of ten; one beyond 62 bits is named."""
    schema = record(field("device", "string"), field("at", TIME), field("kwh", ["null", kind]))
    values = ["0.125", "-1234567.891", "4611686018427387.905", None]
    records = [
        {"device": "m1", "at": (MONDAY + 900 * n) * 10**6, "kwh": None if v is None else Decimal(v)}
        for n, v in enumerate(values)
    ]
    found = read(schema, records)
    numbers = [(v, row["scaler"]) for row in found.table.to_pylist() for v in row["values_int"]]
    assert numbers == [(125, -3), (-1234567891, -3), (None, -3)]
    assert reasons(found) == {2: "value is not an exact number"}


def test_decimals_beside_a_scaler_of_the_writer() -> None:
    """The power of ten that the record states counts as well."""
    schema = record(
        field("device", "string"), field("at", TIME), field("kwh", DECIMAL), field("power", "int")
    )
    one = {"device": "m1", "at": MONDAY * 10**6, "kwh": Decimal("1.5"), "power": 1}
    found = read(schema, [one], fields={**FIELDS, "scaler": "power"})
    assert told(found) == [("m1", MONDAY, [1500], -2)]


def test_numbers_written_as_text() -> None:
    """Up to nine decimals, exactly; anything else is a bad row."""
    schema = record(field("device", "string"), field("at", TIME), field("kwh", ["null", "string"]))
    values = ["0.123456789", "1e-3", "-7", "12,5", "0.1234567891", "NaN", "1e999999999", None]
    records = [{"device": "m1", "at": (MONDAY + 900 * n) * 10**6, "kwh": v} for n, v in enumerate(values)]
    found = read(schema, records)
    numbers = [value for row in found.table.to_pylist() for value in row["values_int"]]
    assert numbers == [123456789, 1_000_000, -7_000_000_000, None]
    assert reasons(found) == dict.fromkeys((3, 4, 5, 6), "value is not an exact number")


def test_blocks_of_decimals() -> None:
    """A block's values too; a block is bad with any of them."""
    schema = record(
        field("device", "string"),
        field("at", TIME),
        field("kwh", {"type": "array", "items": ["null", DECIMAL]}),
    )
    good, bad = [Decimal("0.125"), None, Decimal("2")], [Decimal("1"), Decimal("4611686018427387.905")]
    records = [{"device": "m1", "at": MONDAY * 10**6, "kwh": values} for values in (good, bad)]
    names = {"meter_id": "device", "start": "at", "values": "kwh"}
    found = read(schema, records, **{"as": "IntervalBlock"}, fields=names)
    assert [(row["values_int"], row["scaler"]) for row in found.table.to_pylist()] == [
        ([125, None, 2000], -3),
    ]
    assert reasons(found) == {1: "values is not exact numbers"}


def test_times_as_text() -> None:
    """ISO 8601 with any form of offset; without one it tells an instant if the mapping names the zone."""
    schema = record(field("device", "string"), field("at", "string"), field("kwh", "long"))
    zoned_texts = ("2026-03-02T01:00:00+01:00", "2026-03-02 00:15:00Z", "2026-03-02T01:30:00.000+01")
    texts = (*zoned_texts, "2026-03-02T00:45", "yesterday", "")
    records = [{"device": "m1", "at": text, "kwh": 1} for text in texts]
    found = read(schema, records)
    assert told(found) == [("m1", MONDAY, [1, 1, 1], 0)]
    assert reasons(found) == dict.fromkeys((3, 4, 5), "start is not a time with an offset (ISO 8601)")
    zoned = read(schema, records, zones={"start": "UTC"})
    assert told(zoned) == [("m1", MONDAY, [1, 1, 1, 1], 0)]
    assert set(reasons(zoned)) == {4, 5}


LOCAL = {"type": "long", "logicalType": "local-timestamp-millis"}


@pytest.mark.parametrize("text", [False, True])
def test_local_times_of_the_hours_that_a_clock_repeats_or_skips(text: bool) -> None:
    """They are placed in the zone named; what the clock shows twice or never is a bad row, not a guess."""
    schema = record(field("device", "string"), field("at", "string" if text else LOCAL), field("kwh", "long"))
    walls = [(3, 29, 1, 45), (3, 29, 2, 15), (3, 29, 3, 0), (10, 25, 1, 45), (10, 25, 2, 15), (10, 25, 3, 0)]
    moments = [datetime(2026, *wall) for wall in walls]  # noqa: DTZ001 a clock on a wall
    records = [
        {"device": "m1", "kwh": n, "at": at.isoformat(" ") if text else at} for n, at in enumerate(moments)
    ]
    found = read(schema, records, zones={"start": "Europe/Zurich"})
    starts = [datetime.fromtimestamp(row["start"], UTC) for row in found.table.to_pylist()]
    hours = [(3, 29, 0, 45), (10, 24, 23, 45), (10, 25, 2, 0)]
    assert starts == [datetime(2026, *hour, tzinfo=UTC) for hour in hours]
    assert [row["values_int"] for row in found.table.to_pylist()] == [[0, 2], [3], [5]]
    assert set(reasons(found)) == {1, 4}
    assert "the clock of Europe/Zurich shows once" in reasons(found)[4]


def test_local_timestamps_need_their_zone() -> None:
    """Read as UTC they would be wrong by hours without a word."""
    schema = record(field("device", "string"), field("at", LOCAL), field("kwh", "long"))
    with pytest.raises(SchemaError, match="field 'at' with local times where start .* under `zones`"):
        read(schema, [])


def test_plain_integers_need_their_unit() -> None:
    """Seconds taken for microseconds would be readings of January 1970."""
    schema = record(field("device", "string"), field("at", ["null", "long"]), field("kwh", "long"))
    with pytest.raises(SchemaError, match="field 'at' with plain integers where start .* under `times`"):
        read(schema, [])
    found = read(schema, [{"device": "m1", "at": MONDAY, "kwh": 1}], times={"start": "s"})
    assert told(found) == [("m1", MONDAY, [1], 0)]


def night(*walls: tuple[int, int], device: str = "m1", day: int = 25) -> list[dict[str, Any]]:
    """Readings of 25 October 2026, when the clock of Zurich shows the third hour twice; numbered."""
    return [
        {"device": device, "kwh": n, "at": datetime(2026, 10, day, *wall)}  # noqa: DTZ001 a clock on a wall
        for n, wall in enumerate(walls)
    ]


def in_order(records: list[dict[str, Any]], *, sequence: bool = False, whole: bool = True) -> Decoded:
    """Local times whose order tells; the readings in two Avro blocks, that of a sequence shuffled."""
    own = {"as": "MeterReading", "fields": FIELDS, "constants": CONSTANTS,
           "zones": {"start": "Europe/Zurich"}, "in_order": True}  # fmt: skip
    fields = [field("device", "string"), field("at", LOCAL), field("kwh", "long")]
    if sequence:
        fields.append(field("sequence", "long"))
        records = [{**one, "sequence": n} for n, one in enumerate(records)][::-1]
    schema = record(*fields)
    made = Decoder(json.dumps(schema), FieldMapping.model_validate({"records": {NAME: own}}), "Europe/Zurich")
    parsed, blocks = parse_schema(schema, {}), []
    for part in (records[:3], records[3:]):
        out = io.BytesIO()
        for one in part:
            fastavro.schemaless_writer(out, parsed, one)
        blocks.append((out.getvalue(), len(part)))
    return made.decode([payload for payload, _ in blocks], [rows for _, rows in blocks], whole=whole)


HALVES = ((1, 30), (2, 0), (2, 30), (2, 0), (2, 30), (3, 0))


@pytest.mark.parametrize("sequence", [False, True])
def test_the_order_tells_the_passes_of_a_repeated_hour_apart(sequence: bool) -> None:
    """Back once: before it the first pass, after it the second; each meter by itself, across Avro blocks."""
    records = [one for pair in zip(night(*HALVES), night(*HALVES, device="m2"), strict=True) for one in pair]
    found = in_order(records, sequence=sequence)
    first = int(datetime(2026, 10, 24, 23, 30, tzinfo=UTC).timestamp())
    starts = {(row["meter_id"], row["start"] + 900 * n, value) for row in found.table.to_pylist()
              for n, value in enumerate(row["values_int"])}  # fmt: skip
    assert starts == {(m, first + 1800 * n, n) for m in ("m1", "m2") for n in range(6)}
    assert reasons(found) == {}
    assert found.readings == 12


@pytest.mark.parametrize(
    "walls",
    [
        pytest.param(((1, 30), (2, 0), (2, 30), (3, 0)), id="one-pass"),
        pytest.param(((2, 0), (2, 0), (2, 30), (2, 30)), id="back-twice"),
        pytest.param(((2, 0), (2, 30), (2, 0), (2, 30), (2, 0), (2, 30)), id="three-passes"),
    ],
)
def test_an_order_that_tells_nothing_is_no_guess(walls: tuple[tuple[int, int], ...]) -> None:
    """The rows of the repeated hour stay bad ones."""
    found = in_order(night(*walls))
    assert set(reasons(found)) == {n for n, wall in enumerate(walls) if wall[0] == 2}


def test_the_order_of_a_part_of_a_file_tells_nothing() -> None:
    """What comes before and after it may be elsewhere: as in a message of Kafka."""
    found = in_order(night(*HALVES), whole=False)
    assert set(reasons(found)) == {1, 2, 3, 4}


def test_order_tells_times_of_readings_with_a_zone_only() -> None:
    """Elsewhere the mapping is refused."""
    for wrong in ({"as": "RegisterRead", "zones": {"read_at": "UTC"}}, {"as": "MeterReading"}):
        with pytest.raises(ValueError, match="in_order: is for start"):
            FieldMapping.model_validate({"records": {NAME: {**wrong, "in_order": True}}})
