"""Field mappings: read from YAML, checked when read."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import MeterbeamError
from schemas.mapping import FieldMapping, load_mapping

GOOD = """
records:
  acme.Reading:
    as: MeterReading
    fields: {meter_id: device, start: ts, value: reading}
    constants: {interval_s: 900, unit: kWh}
    times: {start: s}
    channels: {"1.8.0": import}
"""


def test_a_mapping_is_read(tmp_path: Path) -> None:
    """Names, constants, time units and lookups are there under the writer's record name."""
    path = tmp_path / "mapping.yaml"
    path.write_text(GOOD)
    found = load_mapping(path).for_record("acme.Reading")
    assert found is not None
    assert found.type.name == "MeterReading"
    assert (found.source_of("meter_id"), found.source_of("unit")) == ("device", "unit")
    assert (found.constants["interval_s"], found.times["start"], found.channels["1.8.0"]) == (
        900,
        "s",
        "import",
    )


def test_records_of_the_contract_need_no_mapping() -> None:
    """Our own records are read as they are, foreign ones are unknown, and a message can list both."""
    mapping = FieldMapping()
    own = mapping.for_record("meterbeam.v1.Weather")
    assert own is not None
    assert own.record == "Weather"
    assert mapping.for_record("acme.Reading") is None
    assert "meterbeam.v1.Weather" in mapping.expected()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("records: [", "valid YAML", id="no-yaml"),
        pytest.param("- 1", "a field mapping: fields such as records", id="a-list"),
        pytest.param("records: {a: {as: Nothing}}", "unknown record 'Nothing'", id="unknown-record"),
        pytest.param(
            "records: {a: {as: Weather, fields: {meter: m}}}",
            r"\['meter'\] not in Weather",
            id="unknown-field",
        ),
        pytest.param("records: {a: {as: Weather, times: {station: s}}}", "no times of Weather", id="no-time"),
        pytest.param("records: {a: {as: Weather, times: {start: h}}}", "'h'", id="unknown-time-unit"),
        pytest.param("records: {a: {as: Weather, extra: 1}}", "extra", id="unknown-key"),
        pytest.param(
            "records: {a: {as: Weather, fields: {start: t}, constants: {start: 1}}}",
            "given twice",
            id="twice",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    """A mapping that cannot be meant says where and why."""
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    with pytest.raises(MeterbeamError, match=message) as caught:
        load_mapping(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is an input error."""
    with pytest.raises(MeterbeamError, match=r"nowhere\.yaml"):
        load_mapping(tmp_path / "nowhere.yaml")
