"""Kafka messages to raw tables: every record once, every bad message alone, whatever stands beside it."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.arrow import DEAD_LETTERS, RAW
from schemas.errors import MeterbeamError
from schemas.records import Kind, avro_schema
from tests.transforms.avro_files import (
    DAY,
    MICROS,
    TARIFF,
    Reading,
    block_record,
    reading_record,
    readings_of,
    readings_written,
    written_readings,
)
from tests.transforms.datum_messages import FIRST_OFFSET, datum, framed, letters_of, rows_of, taken
from transforms.avro_decode import DATUM_END
from transforms.datums import DatumCount, DecodedDatums

BLOCK = avro_schema("IntervalBlock")
READING = avro_schema("MeterReading")


def readings_in(found: DecodedDatums) -> Counter[Reading]:
    """Every reading of a batch."""
    table = found.tables.get(Kind.INTERVALS, RAW[Kind.INTERVALS].empty_table())
    return readings_of(table)


@given(written_readings())
def test_any_writers_framed_readings_come_out_as_they_were_written(
    written: tuple[dict[str, Any], list[dict[str, Any]], int],
) -> None:
    """Fields shuffled, dropped and added, any number and time type: every reading once, nothing else."""
    schema, records, micros = written
    found = taken(
        "readings", [framed(7, datum(schema, record)) for record in records], by_id={7: json.dumps(schema)}
    )
    assert readings_in(found) == readings_written(records, micros)
    assert (found.letters.num_rows, found.undecodable) == (0, 0)
    assert sum(count.rows for count in found.counts.values()) == len(records)


def _broken(good: bytes, cut: int, where: int, what: int) -> list[bytes]:
    """A datum cut short, with more behind it, with a byte changed, and its neighbour swallowed."""
    changed = bytearray(good)
    changed[where % len(good)] ^= what
    return [good[: cut % len(good)], good + bytes([what]), bytes(changed), good + good, good + DATUM_END]


@st.composite
def mixed_messages(draw: st.DrawFn) -> list[bytes | None]:
    """Plain and framed datums of both records, tombstones, noise, and broken forms of all of them."""
    wide = block_record("a meter with a long name", values=list(range(200)))
    good = [
        datum(BLOCK, block_record("m1")),
        datum(BLOCK, block_record("m2", channel="nothing")),
        datum(BLOCK, wide),
        datum(READING, reading_record("m3", 5)),
        datum(READING, reading_record("m3", 6)),
        datum(READING, reading_record("m4", 0, 10**10, unit="V")),
    ]
    good += [framed(7, good[0]), framed(9, good[0])]
    made: list[bytes | None] = []
    for _ in range(draw(st.integers(1, 30))):
        message = draw(st.sampled_from(good))
        wrong = draw(st.sampled_from([None, None, None, 0, 1, 2, 3, 4, 5]))
        if wrong is None:
            made.append(message)
        elif wrong == 5:
            made.append(draw(st.none() | st.binary(max_size=40)))
        else:
            numbers = st.integers(0, 200), st.integers(0, 200), st.integers(1, 255)
            made.append(_broken(message, *(draw(number) for number in numbers))[wrong])
    return made


@given(mixed_messages())
def test_a_message_fares_as_it_would_alone(messages: list[bytes | None]) -> None:
    """What becomes of a message depends on its own bytes only; each is decoded or kept, never both."""
    known: dict[str, Any] = {"by_id": {7: json.dumps(BLOCK)}}
    together = taken("readings", messages, **known)
    alone = [taken("readings", [message], places=[i], **known) for i, message in enumerate(messages)]
    assert readings_in(together) == sum((readings_in(one) for one in alone), Counter())
    assert letters_of(together) == set().union(*(letters_of(one) for one in alone))
    assert sum(count.rows for count in together.counts.values()) + together.undecodable == len(messages)


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 500])
@pytest.mark.parametrize("bad", [b"{}", b"\xff" * 40, datum(BLOCK, block_record())[:-2]])
def test_one_bad_message_is_found_among_many(count: int, bad: bytes) -> None:
    """It goes to dead letters with topic, partition and offset; the others are all there."""
    records = [block_record(f"m{n}", values=[n, n + 1]) for n in range(count)]
    messages: list[bytes | None] = [datum(BLOCK, record) for record in records]
    place = count * 2 // 3
    messages.insert(place, bad)
    found = taken("readings", messages)
    assert readings_in(found) == readings_written(records)
    assert found.letters.schema == DEAD_LETTERS
    (letter,) = rows_of(found.letters)
    assert (letter["source"], letter["offset"]) == ("readings/0", FIRST_OFFSET + place)
    assert (letter["kind"], letter["bytes"], letter["rows"]) == ("message", bad, 0)
    assert letter["reason"].endswith("expected one IntervalBlock or MeterReading and no more")
    assert found.undecodable == 1


def test_a_readable_row_that_cannot_be_used_is_kept_with_its_reason() -> None:
    """The whole message is the letter; it counts as decoded, and its readings as dead."""
    bad = datum(BLOCK, block_record("m2", unit="furlong"))
    found = taken("readings", [datum(BLOCK, block_record("m1")), bad])
    (letter,) = rows_of(found.letters)
    assert letter["reason"].startswith("unknown unit 'furlong' for channel import")
    assert (letter["kind"], letter["bytes"], letter["offset"]) == ("intervals", bad, FIRST_OFFSET + 1)
    assert (letter["rows"], letter["readings"], found.undecodable) == (1, 3, 0)
    assert found.counts == {Kind.INTERVALS: DatumCount(2, 6, 1, 3)}


def test_blocks_and_single_readings_share_a_topic() -> None:
    """They are told apart by their bytes, also with few values, small values and long names."""
    blocks = [
        block_record(f"m{n}", values=values, quality=quality)
        for n, (values, quality) in enumerate(
            [([1], []), ([3, 40, 50, 60], []), ([0] * 96, [0] * 96), ([10**10], [8]), ([-5, 5], [])]
        )
    ]
    singles = [reading_record(f"m{n}", n, value) for n, value in enumerate((0, 1, -1, 3, 10**10, 127))]
    messages: list[bytes | None] = [datum(BLOCK, record) for record in blocks]
    messages += [datum(READING, record) for record in singles]
    found = taken("readings", messages)
    assert found.letters.num_rows == 0
    assert readings_in(found) == readings_written(blocks + singles)


def test_single_readings_in_a_row_become_one_block() -> None:
    """A raw row holds consecutive readings, up to midnight, as in a file."""
    found = taken("readings", [datum(READING, reading_record(slot=n, value=n)) for n in range(40)])
    assert found.tables[Kind.INTERVALS]["values_int"].to_pylist() == [list(range(40))]


def test_frames_choose_the_writers_schema() -> None:
    """Each number its own schema; an unknown number is a dead letter that lists the known ones."""
    floats = avro_schema("IntervalBlock")
    floats["fields"][4]["type"]["items"] = "double"
    records = [block_record("m1", values=[1, 2]), block_record("m2", values=[0.5, 2.5]), block_record("m3")]
    messages: list[bytes | None] = [
        framed(1, datum(BLOCK, records[0])),
        framed(300, datum(floats, records[1])),
        datum(BLOCK, records[2]),
        framed(4, b"whatever it is"),
    ]
    found = taken("readings", messages, by_id={1: json.dumps(BLOCK), 300: json.dumps(floats)})
    assert readings_in(found) == readings_written(records)
    assert [row["reason"] for row in rows_of(found.letters)] == ["found schema 4, expected one of: 1, 300"]


def test_a_numbered_schema_that_cannot_be_read_spoils_its_own_messages_only() -> None:
    """A registry may hold schemas of other topics."""
    stranger = {"type": "record", "name": "Stranger", "fields": [{"name": "x", "type": "long"}]}
    messages: list[bytes | None] = [framed(2, b"\x02"), datum(BLOCK, block_record())]
    found = taken("readings", messages, by_id={2: json.dumps(stranger)})
    assert readings_in(found) == readings_written([block_record()])
    (letter,) = rows_of(found.letters)
    assert "schema 2: record 'Stranger', expected one of: " in letter["reason"]


def test_a_plain_schema_of_the_topic_replaces_the_contracts_own() -> None:
    """Plain datums of a writer with other fields are read with the schema given for the topic."""
    other = avro_schema("MeterReading")
    other["fields"] = [{"name": "note", "type": "string"}, *reversed(other["fields"])]
    record = reading_record(value=5) | {"note": ""}
    found = taken("readings", [datum(other, record)], plain={"readings": json.dumps(other)})
    assert readings_in(found) == readings_written([record])


def test_a_plain_schema_that_cannot_be_read_stops() -> None:
    """It is the user's own setting: an error, not a dead letter a message."""
    with pytest.raises(MeterbeamError, match="plain messages of topic readings.*not of a record"):
        taken("readings", [b"\x02"], plain={"readings": '"string"'})


def test_recursive_records_are_read_one_by_one() -> None:
    """Where a record may hold another of its kind no end mark can be laid behind it."""
    schema = avro_schema("IntervalBlock")
    schema["fields"].append({"name": "parent", "type": ["null", "IntervalBlock"]})
    records = [
        block_record(parent=block_record("m2", parent=None)),
        block_record("m3", values=[4], parent=None),
    ]
    messages: list[bytes | None] = [framed(1, datum(schema, record)) for record in records]
    found = taken("readings", [*messages, framed(1, b"junk")], by_id={1: json.dumps(schema)})
    assert readings_in(found) == readings_written(records)
    assert found.undecodable == 1


def test_drains_ride_on_the_tariff_events() -> None:
    """A datum of one number is a Drain, every other a TariffEvent."""
    day = datetime.date(2024, 7, 1)
    event = {"event": "cpp", "local_date": day, "received_at": None, "source": None, "sequence": None}
    messages: list[bytes | None] = [
        datum(avro_schema("TariffEvent"), event),
        datum(avro_schema("Drain"), {"through_day": day}),
        datum(avro_schema("Drain"), {"through_day": datetime.date(1970, 1, 1)}),
    ]
    found = taken("tariff-events", messages)
    assert found.letters.num_rows == 0
    assert [(r["event"], r["local_date"]) for r in rows_of(found.tables[Kind.TARIFF_EVENTS])] == [
        ("cpp", day)
    ]
    assert found.tables[Kind.DRAINS]["through_day"].to_pylist() == [day, datetime.date(1970, 1, 1)]


def test_every_other_topic_gives_its_kind() -> None:
    """A plain datum of the contract's own schema, decoded to the raw schema of its kind."""
    time = DAY * MICROS
    order = {"received_at": time, "source": None, "sequence": None}
    given_records: dict[str, tuple[str, Kind, dict[str, Any]]] = {
        "registers": ("RegisterRead", Kind.REGISTERS, {"meter_id": "m", "channel": "import", "read_at": time,
            "value": 5, "unit": "kWh", "scaler": 0, "dials": 6, "tou_register": None, "quality": 0}),
        "events": ("DeviceEvent", Kind.EVENTS, {"meter_id": "m", "event_type": "3.26.9.185",
            "occurred_at": time, "value": None, "detail": "x"}),
        "weather": ("Weather", Kind.WEATHER, {"station": "w", "start": time, "interval_s": 3600,
            "temperature_c": -3.5}),
        "tariffs": ("TariffVersion", Kind.TARIFFS, {"tariff_id": "t", "version": "1", "yaml": TARIFF}),
    }  # fmt: skip
    for topic, (name, kind, record) in given_records.items():
        found = taken(topic, [datum(avro_schema(name), record | order)] * 3)
        assert set(found.tables) == {kind}
        table = found.tables[kind]
        assert (table.schema, table.num_rows) == (RAW[kind], 3)
        shown = {key: value for key, value in record.items() if key in table.column_names}
        row = rows_of(table)[2]
        assert {key: row[key] for key in shown} == shown


def test_an_unknown_topic_is_an_error() -> None:
    """It lists the topics of the contract."""
    with pytest.raises(MeterbeamError, match="topic.*'reading'.*readings"):
        taken("reading", [])


def test_no_message_gives_nothing() -> None:
    """An empty batch is no fault."""
    found = taken("readings", [])
    assert (found.tables, found.letters.num_rows, found.counts, found.undecodable) == ({}, 0, {}, 0)
