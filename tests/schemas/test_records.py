"""Record kinds: schemas load, and each is what the input contract says."""

from __future__ import annotations

from typing import Any

import fastavro
import pytest

from schemas.arrow import RAW, REQUIRED
from schemas.records import NAMESPACE, RECORDS, Kind, avro_schema, record_type


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_every_schema_is_valid_avro_of_its_own_name(name: str) -> None:
    """The .avsc of a record parses, and carries the record's full name and a doc for each field."""
    schema = avro_schema(name)
    parsed: Any = fastavro.parse_schema(schema)
    assert parsed["name"] == f"{NAMESPACE}.{name}"
    assert all(field["doc"] for field in schema["fields"])


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_fields_and_raw_columns_agree(name: str) -> None:
    """What a record brings is what its raw table holds, apart from the values of readings."""
    numbers = {"value", "values", "value_int", "value_float", "values_int", "values_float"}
    numbers |= {"received_each"}  # of readings joined to blocks
    fields = {field["name"] for field in avro_schema(name)["fields"]}
    assert fields - numbers == set(RAW[RECORDS[name].kind].names) - numbers


def test_required_columns_exist() -> None:
    """Each required column is one of the raw table."""
    for kind in Kind:
        assert set(REQUIRED[kind]) <= set(RAW[kind].names)


@pytest.mark.parametrize(
    ("full_name", "expected"),
    [
        pytest.param("meterbeam.v1.IntervalBlock", "IntervalBlock", id="full"),
        pytest.param("MeterReading", "MeterReading", id="bare"),
        pytest.param("acme.MeterReading", None, id="foreign-namespace"),
        pytest.param("meterbeam.v1.Nothing", None, id="unknown"),
    ],
)
def test_record_name_decides_the_kind(full_name: str, expected: str | None) -> None:
    """Only our namespace, or none, is taken as ours."""
    found = record_type(full_name)
    assert (found.name if found else None) == expected


def test_unknown_schema_names_what_there_is() -> None:
    """Asking for a schema that does not exist lists those that do."""
    with pytest.raises(KeyError, match="IntervalBlock"):
        avro_schema("Nothing")


def test_each_call_gives_a_fresh_schema() -> None:
    """Changing a returned schema does not change the next one."""
    avro_schema("Drain")["fields"].clear()
    assert avro_schema("Drain")["fields"]
