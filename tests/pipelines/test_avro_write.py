"""Container files written from arrays, read back by fastavro."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.town.avro_write import (
    CODECS,
    ContainerWriter,
    text,
    write_blocks,
    write_readings,
    write_records,
    write_registers,
)
from schemas.records import avro_schema

START = 1_767_571_200  # 2026-01-05 00:00 UTC
MICROS = 1_000_000


def read(path: Path) -> list[dict[str, Any]]:
    """All records, by fastavro."""
    with path.open("rb") as file:
        return [dict(row) for row in fastavro.reader(file)]  # type: ignore[arg-type]


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def some_values() -> NDArray[np.int64]:
    """Values of every width, negative ones among them."""
    rng = np.random.default_rng(3)
    return rng.integers(-(2**40), 2**40, 500) >> rng.integers(0, 41, 500)


@pytest.mark.parametrize("codec", CODECS)
def test_blocks_come_back(tmp_path: Path, codec: str) -> None:
    """Blocks of differing lengths, an empty one too, hold exactly what was given."""
    values = some_values()
    lengths = np.array([96, 0, 4, 300, 100])
    starts = START + np.arange(5) * 86_400
    received = (starts + 90_000) * MICROS
    heads = [text(f"meter-{i}") + text("import" if i % 2 else "export") for i in range(5)]
    path = tmp_path / "r.avro"
    with ContainerWriter(path, avro_schema("IntervalBlock"), codec) as writer:
        write_blocks(
            writer, heads=heads, starts=starts, interval_s=900, values=values, lengths=lengths,
            received=received, unit="kWh", scaler=-3, source="head-end",
        )  # fmt: skip
    ends = np.cumsum(lengths)
    assert read(path) == [
        {
            "meter_id": f"meter-{i}", "channel": "import" if i % 2 else "export", "start": at(int(starts[i])),
            "interval_s": 900, "values": values[ends[i] - lengths[i] : ends[i]].tolist(), "unit": "kWh",
            "scaler": -3, "quality": [], "received_at": at(int(starts[i]) + 90_000), "source": "head-end",
            "sequence": None,
        }
        for i in range(5)
    ]  # fmt: skip


@pytest.mark.parametrize("codec", CODECS)
def test_single_readings_come_back(tmp_path: Path, codec: str) -> None:
    """Readings of several meters, interleaved, hold exactly what was given."""
    values = some_values()
    count = len(values)
    meter = np.arange(count) % 3
    starts = START + np.arange(count) * 1800
    names = ["a", "a-longer-name", "ü"]
    path = tmp_path / "r.avro"
    with ContainerWriter(path, avro_schema("MeterReading"), codec) as writer:
        write_readings(
            writer, heads=[text(name) + text("import") for name in names], meter=meter, starts=starts,
            interval_s=1800, values=values, received=(starts + 1) * MICROS, qualities=np.arange(count) % 9,
        )  # fmt: skip
    assert read(path) == [
        {
            "meter_id": names[i % 3], "channel": "import", "start": at(int(starts[i])), "interval_s": 1800,
            "value": int(values[i]), "unit": "Wh", "scaler": 0, "quality": i % 9,
            "received_at": at(int(starts[i]) + 1), "source": None, "sequence": None,
        }
        for i in range(count)
    ]  # fmt: skip


def test_quality_codes_only_where_one_differs(tmp_path: Path) -> None:
    """A block of measured values has the empty array; a block with any other code has all of its codes."""
    path = tmp_path / "r.avro"
    with ContainerWriter(path, avro_schema("IntervalBlock"), "null") as writer:
        write_blocks(
            writer, heads=[text("m") + text("import")] * 2, starts=np.array([START, START + 86_400]),
            interval_s=900, values=np.arange(5), lengths=np.array([2, 3]),
            qualities=np.array([0, 0, 8, 0, 11]),
        )  # fmt: skip
    assert [row["quality"] for row in read(path)] == [[], [8, 0, 11]]
    assert [row["received_at"] for row in read(path)] == [None, None]


def test_registers_come_back(tmp_path: Path) -> None:
    """Register reads hold value, time, dials and time of arrival."""
    path = tmp_path / "g.avro"
    moments = START + np.arange(4) * 86_400
    with ContainerWriter(path, avro_schema("RegisterRead"), "zstandard") as writer:
        write_registers(
            writer, heads=[text("m") + text("import")] * 4, read_at=moments,
            values=np.array([5, 999_999_999, 0, 70]), received=moments * MICROS + 5, dials=9,
        )  # fmt: skip
    rows = read(path)
    assert [row["value"] for row in rows] == [5, 999_999_999, 0, 70]
    assert [row["read_at"] for row in rows] == [at(int(moment)) for moment in moments]
    assert {(row["unit"], row["scaler"], row["dials"], row["quality"]) for row in rows} == {("Wh", 0, 9, 0)}
    assert rows[0]["received_at"].microsecond == 5


def blocks_of(path: Path) -> list[int]:
    """Records of each container block."""
    with path.open("rb") as file:
        return [block.num_records for block in fastavro.block_reader(file)]


def write_days(path: Path, calls: list[int], block_bytes: int) -> None:
    """Days of 96 readings of one meter, so many in each call."""
    day = 0
    with ContainerWriter(path, avro_schema("IntervalBlock"), "snappy", block_bytes=block_bytes) as writer:
        for days in calls:
            write_blocks(
                writer, heads=[text("m") + text("import")] * days,
                starts=START + (day + np.arange(days)) * 86_400, interval_s=900,
                values=np.arange(days * 96) + day * 96, lengths=np.full(days, 96),
            )  # fmt: skip
            day += days


def test_container_blocks_do_not_follow_calls(tmp_path: Path) -> None:
    """Many small calls fill blocks just as one large call does: the same bytes."""
    one, many = tmp_path / "one" / "r.avro", tmp_path / "many" / "r.avro"
    for path, calls in ((one, [40]), (many, [1] * 7 + [0, 13, 20])):
        path.parent.mkdir()
        write_days(path, calls, 700)
    assert one.read_bytes() == many.read_bytes()
    assert sum(blocks_of(one)) == 40
    assert blocks_of(one)[0] == max(blocks_of(one)) > 1
    assert 5 < len(blocks_of(one)) < 40


def test_a_record_larger_than_a_block(tmp_path: Path) -> None:
    """It has a block of its own."""
    path = tmp_path / "r.avro"
    write_days(path, [3], 10)
    assert blocks_of(path) == [1, 1, 1]


def test_bytes_follow_from_the_content(tmp_path: Path) -> None:
    """Two files of one name and content are equal; the sync marker differs with the name."""
    first, again, other = tmp_path / "a" / "r.avro", tmp_path / "b" / "r.avro", tmp_path / "a" / "s.avro"
    for path in (first, again, other):
        path.parent.mkdir(exist_ok=True)
        write_days(path, [4], 1000)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_an_empty_file_is_valid(tmp_path: Path) -> None:
    """A header and no block."""
    path = tmp_path / "r.avro"
    write_days(path, [], 1000)
    assert read(path) == []


def test_unknown_codec(tmp_path: Path) -> None:
    """The message lists the codecs there are."""
    with pytest.raises(ValueError, match="null, deflate, snappy, zstandard, got 'lzo'"):
        ContainerWriter(tmp_path / "r.avro", avro_schema("IntervalBlock"), "lzo")


def test_small_records_by_fastavro(tmp_path: Path) -> None:
    """Defaults of the schema are filled in, and the bytes follow from the content."""
    rows = [{"meter_id": "m", "event_type": "power_down", "occurred_at": at(START)}]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_records(tmp_path / folder / "e.avro", "DeviceEvent", rows)
    assert (tmp_path / "a" / "e.avro").read_bytes() == (tmp_path / "b" / "e.avro").read_bytes()
    assert [(row["event_type"], row["received_at"]) for row in read(tmp_path / "a" / "e.avro")] == [
        ("power_down", None)
    ]
