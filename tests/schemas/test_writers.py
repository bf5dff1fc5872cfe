"""A folder of writers' schemas for Kafka messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.errors import MeterbeamError
from schemas.records import avro_schema
from schemas.writers import TOPICS, load_writers


def test_topics_are_those_of_the_contract() -> None:
    """Nine topics; readings come as blocks or one by one, and a Drain rides on the tariff events."""
    assert TOPICS == {
        "readings": ("IntervalBlock", "MeterReading"),
        "registers": ("RegisterRead",),
        "events": ("DeviceEvent",),
        "service-points": ("ServicePoint",),
        "prices": ("PriceSignal",),
        "edits": ("Edit",),
        "tariffs": ("TariffVersion",),
        "tariff-events": ("TariffEvent", "Drain"),
        "weather": ("Weather",),
    }


def test_a_schema_is_known_by_its_number_or_its_topic(tmp_path: Path) -> None:
    """``17.avsc`` serves messages framed with 17, ``readings.avsc`` plain ones; other files are none."""
    block = json.dumps(avro_schema("IntervalBlock"))
    (tmp_path / "17.avsc").write_text(block)
    (tmp_path / "readings.avsc").write_text(block)
    (tmp_path / "readme.txt").write_text("no schema")
    writers = load_writers(tmp_path)
    assert (dict(writers.by_id), dict(writers.plain)) == ({17: block}, {"readings": block})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("17.avsc", "{", r"17\.avsc.*expected an Avro schema as JSON", id="no-json"),
        pytest.param("meters.avsc", "{}", r"the name 'meters', expected.*topic: readings", id="no-topic"),
    ],
)
def test_a_file_that_fits_nothing_is_an_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The file is named, with what its name may be."""
    (tmp_path / name).write_text(text)
    with pytest.raises(MeterbeamError, match=message):
        load_writers(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A wrong ``--schemas`` says so."""
    with pytest.raises(MeterbeamError, match=r"nowhere.*no folder.*expected a folder of \.avsc files"):
        load_writers(tmp_path / "nowhere")
