"""Single readings by runs: the plain reader's rows, or nothing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import avro_schema
from tests.transforms.avro_files import reading_record
from transforms.avro_reader import DecodeError, RecordReader, RecordSchema
from transforms.run_reader import ReadingRuns, RunReader

SCHEMA = RecordSchema.of(avro_schema("MeterReading"))
COLUMNS = list(SCHEMA.fields)


def spread(runs: ReadingRuns) -> list[dict[str, Any]]:
    """Runs as rows: what a run shares is repeated over its rows."""
    ends = [*runs.heads[1:].tolist(), runs.rows.num_rows]
    repeated = [
        shared
        for shared, first, end in zip(runs.shared.to_pylist(), runs.heads.tolist(), ends, strict=True)
        for _ in range(end - first)
    ]
    return [shared | row for shared, row in zip(repeated, runs.rows.to_pylist(), strict=True)]


def encoded(records: list[dict[str, Any]]) -> bytes:
    """Records as one block."""
    return b"".join(SCHEMA.encode(record) for record in records)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "long name"]), st.integers(1, 40), st.booleans()), max_size=8
    ),
    st.sampled_from([0, 1, -1, 63, 64, 8191, 2**40]),
)
def test_runs_are_the_plain_readers_rows(groups: list[tuple[str, int, bool]], value: int) -> None:
    """Whatever the meters and values, runs spread out are what fastavro reads, or nothing is returned."""
    records = [
        reading_record(meter, slot, value * slot, sequence=slot if numbered else None)
        for meter, count, numbered in groups
        for slot in range(count)
    ]
    found = RunReader(SCHEMA, COLUMNS, ["start", "value"]).read([encoded(records)], len(records))
    if found is not None:
        assert spread(found) == records


def test_meters_of_equal_length_are_read_by_runs() -> None:
    """A file ordered by meter has a run a meter, and only the runs' heads are decoded in earnest."""
    records = [reading_record(f"m{n}", slot, slot) for n in range(5) for slot in range(96)]
    found = RunReader(SCHEMA, COLUMNS, ["start", "value"]).read(
        [encoded(records[:100]), encoded(records[100:])], 480
    )
    assert found is not None
    assert found.heads.tolist() == [0, 96, 192, 288, 384]
    assert found.shared["meter_id"].to_pylist() == ["m0", "m1", "m2", "m3", "m4"]
    assert spread(found) == records


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"meter_id": "longer"}, id="longer-name"),
        pytest.param({"meter_id": ""}, id="shorter-name"),
        pytest.param({"sequence": 5}, id="null-to-value"),
        pytest.param({"unit": "kWh", "meter_id": "x"}, id="one-longer-one-shorter"),
        pytest.param({"received_at": 1}, id="shorter-number"),
    ],
)
def test_fields_of_another_length_give_nothing(changed: dict[str, Any]) -> None:
    """A field whose length changes ends the reading by runs, even where the record's length stays."""
    records = [reading_record("m1", slot) for slot in range(100)]
    records[40] |= changed
    assert RunReader(SCHEMA, COLUMNS, ["start", "value"]).read([encoded(records)], 100) is None


def test_attributes_of_equal_length_may_change() -> None:
    """Another meter or unit of the same length starts a run."""
    records = [reading_record("m1", slot) for slot in range(100)]
    records[40] |= {"unit": "MJ"}
    found = RunReader(SCHEMA, COLUMNS, ["start", "value"]).read([encoded(records)], 100)
    assert found is not None
    assert found.heads.tolist() == [0, 40, 41]
    assert spread(found) == records


@given(st.data())
def test_damage_gives_nothing_or_what_the_reference_gives(data: st.DataObject) -> None:
    """Changed bytes lead to None, or to rows that fastavro reads too."""
    payload = encoded([reading_record("m1", slot) for slot in range(40)])
    start = data.draw(st.integers(0, len(payload) - 1))
    damaged = (
        payload[:start] + data.draw(st.binary(max_size=6)) + payload[start + data.draw(st.integers(0, 8)) :]
    )
    found = RunReader(SCHEMA, COLUMNS, ["start", "value"]).read([damaged], 40)
    if found is None:
        return
    try:
        expected = RecordReader(SCHEMA, COLUMNS).read([damaged], 40)
    except DecodeError:
        pytest.fail("the plain reader refuses what runs returned")
    assert spread(found) == expected.to_pylist()


def test_other_field_orders_and_column_choices() -> None:
    """Varying fields may come first or last; fields not asked for are only compared."""
    schema = avro_schema("MeterReading")
    fields = {field["name"]: field for field in schema["fields"]}
    order = ["value", "meter_id", "channel", "interval_s", "unit", "start"]
    schema["fields"] = [fields[name] for name in order]
    made = RecordSchema.of(schema)
    records = [
        {k: v for k, v in reading_record("m1", slot, slot).items() if k in order} for slot in range(50)
    ]
    payload = b"".join(made.encode(record) for record in records)
    found = RunReader(made, ["start", "value", "unit"], ["start", "value"]).read([payload], 50)
    assert found is not None
    assert found.shared.equals(pa.table({"unit": pa.array(["Wh"])}).cast(found.shared.schema))
    assert found.rows["value"].to_pylist() == list(range(50))


def test_nothing_to_read() -> None:
    """No rows, no runs."""
    assert RunReader(SCHEMA, COLUMNS, ["start", "value"]).read([b""], 0) is None
