"""The view ``raw``: every distinct reading as received, whatever the filter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sharding import shard_of_id
from pipelines.store.lake import Lake
from pipelines.store.raw_view import RAW_READINGS, asked_meters, distinct_readings
from pipelines.store.views import connect
from schemas.arrow import RAW_INTERVALS
from schemas.records import Kind
from tests.pipelines.lake_days import new_lake
from tests.pipelines.raw_records import publish_raw
from transforms.raw_codec import read_raw_shards

T0 = 1_772_323_200
METERS = ("m1", "m2", "m3")


def block(**more: Any) -> dict[str, Any]:
    """A block of three quarter hours of meter m1."""
    return {
        "meter_id": "m1",
        "channel": "import",
        "start": T0,
        "interval_s": 900,
        "unit": "Wh",
        "scaler": 0,
        "received_at": T0 * 1_000_000,
        "values_int": [1, 2, 3],
        **more,
    }


@st.composite
def blocks(draw: st.DrawFn) -> dict[str, Any]:
    """A block that likely overlaps or repeats another."""
    length = draw(st.integers(0, 4))
    real = draw(st.booleans())
    number: st.SearchStrategy[Any] = st.integers(-2, 2)
    if real:
        number = st.sampled_from([0.5, 1.0, -1.0, math.nan])
    values = draw(st.lists(st.none() | number, min_size=length, max_size=length))
    quality = draw(st.none() | st.lists(st.sampled_from([0, 8]), min_size=length, max_size=length))
    times = st.sampled_from([T0 * 1_000_000, (T0 + 60) * 1_000_000])
    each = draw(st.none() | st.lists(times, min_size=length, max_size=length))
    return block(
        meter_id=draw(st.sampled_from(METERS)),
        channel=draw(st.sampled_from(["import", "export"])),
        start=T0 + 900 * draw(st.integers(0, 5)),
        unit=draw(st.sampled_from(["Wh", "kWh"])),
        received_at=min(each) if each else draw(st.sampled_from([None, T0 * 1_000_000])),
        received_each=each or None,
        sequence=draw(st.sampled_from([None, 1])),
        source=draw(st.sampled_from([None, "a", "b"])),
        values_int=None if real else values,
        values_float=values if real else None,
        quality=quality,
    )


def slow_raw(files: Sequence[Sequence[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    """The rows of ``raw``, one reading at a time; the least source of exact repeats, none after any."""
    least: dict[tuple[Any, ...], str | None] = {}
    for record in (record for file in files for record in file):
        values: list[Any] = record["values_float"] if record["values_int"] is None else record["values_int"]
        for i, value in enumerate(values):
            if value is None or math.isnan(value):
                continue
            received = record["received_at"]
            if record.get("received_each"):
                received = record["received_each"][i]
            key = (
                record["meter_id"],
                record["channel"],
                datetime.fromtimestamp(record["start"] + i * record["interval_s"], UTC),
                record["interval_s"],
                value,
                type(value).__name__,
                record["unit"],
                record["scaler"],
                (record.get("quality") or [0] * len(values))[i],
                None if received is None else datetime.fromtimestamp(received // 1_000_000, UTC),
                record.get("sequence"),
            )
            source = record.get("source")
            known = least.get(key, source)
            least[key] = min((s for s in (known, source) if s is not None), default=None)
    return ordered((*key[:4], float(key[4]), *key[6:], source) for key, source in least.items())


def ordered(found: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows in a fixed order, whatever stands in them."""
    return sorted((tuple(row) for row in found), key=lambda row: [str(value) for value in row])


FILES = st.lists(st.lists(blocks(), max_size=6), min_size=1, max_size=3)


@given(FILES)
def test_distinct_readings_equal_the_slow_reading(files: list[list[dict[str, Any]]]) -> None:
    """Every distinct reading stands there once, with the least source, however blocks overlap."""
    records = [record for file in files for record in file]
    found = distinct_readings(pa.Table.from_pylist(records, schema=RAW_INTERVALS))
    assert found.schema.names == RAW_READINGS.names
    assert ordered(tuple(row.values()) for row in found.to_pylist()) == slow_raw(files)


@settings(max_examples=8)
@given(FILES)
def test_raw_equals_the_slow_reading(files: list[list[dict[str, Any]]]) -> None:
    """The view is that of all files together, from the raw zone on disk."""
    with TemporaryDirectory() as folder:
        lake = new_lake(Path(folder) / "lake")
        publish_raw(lake, Kind.INTERVALS, *files)
        with connect(lake) as connection:
            found = connection.execute("SELECT * FROM raw").fetchall()
            count = connection.execute("SELECT count(*) FROM raw").fetchall()
    assert ordered(found) == slow_raw(files)
    assert count == [(len(found),)]


FILTERS = (
    "meter_id = 'm1'",
    "meter_id IN ('m1', 'm3') AND value > 0",
    "meter_id = 'm1' OR channel = 'export'",
    "NOT meter_id = 'm1'",
    "meter_id > 'm1'",
    "meter_id LIKE '%2'",
    "meter_id = 'nobody'",
    "start >= TIMESTAMPTZ '2026-03-01 00:30:00+00'",
    "start = TIMESTAMPTZ '2026-03-01 00:15:00+00' AND meter_id = 'm2'",
    "start < TIMESTAMPTZ '2026-03-01 00:00:00+00'",
    "source IS NULL",
    "received_at IS NOT NULL AND sequence = 1",
    "quality <> 0 AND unit = 'kWh'",
    "value BETWEEN -1 AND 1",
)


@settings(max_examples=6)
@given(FILES)
def test_a_filter_chooses_rows_and_changes_none(files: list[list[dict[str, Any]]]) -> None:
    """What a filter lets the scan skip is never a row that passes it, nor one that decides a repeat."""
    with TemporaryDirectory() as folder:
        lake = new_lake(Path(folder) / "lake")
        publish_raw(lake, Kind.INTERVALS, *files)
        with connect(lake) as connection:
            connection.execute("CREATE TABLE whole AS SELECT * FROM raw")
            for condition in FILTERS:
                found, expected = (
                    connection.execute(f"SELECT * FROM {name} WHERE {condition} ORDER BY ALL").fetchall()
                    for name in ("raw", "whole")
                )
                assert found == expected, condition


def test_a_query_of_one_meter_reads_one_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other shards, and files of other times, are not read at all."""
    lake = new_lake(tmp_path / "lake", shards=64)
    meters = [f"m{number}" for number in range(40)]
    publish_raw(lake, Kind.INTERVALS, [block(meter_id=meter) for meter in meters])
    publish_raw(lake, Kind.INTERVALS, [block(meter_id=meter, start=T0 + 86_400) for meter in meters])
    read: list[tuple[str, int]] = []

    def counted(paths: Sequence[Path], kind: Kind, shards: Sequence[int]) -> Any:
        read.extend((path.name, shard) for path in paths for shard in shards)
        return read_raw_shards(paths, kind, shards)

    monkeypatch.setattr("pipelines.store.raw_view.read_raw_shards", counted)
    mine = shard_of_id("m7", 64)
    with connect(lake) as connection:
        found = connection.execute("SELECT count(*), min(start), max(value) FROM raw WHERE meter_id = 'm7'")
        assert found.fetchall() == [(6, datetime.fromtimestamp(T0, UTC), 3.0)]
        assert read == [("001-0.arrow", mine), ("002-0.arrow", mine)]
        read.clear()
        one_day = "meter_id IN ('m7') AND start < TIMESTAMPTZ '2026-03-02 00:00:00+00'"
        assert connection.execute(f"SELECT count(*) FROM raw WHERE {one_day}").fetchall() == [(3,)]
        assert read == [("001-0.arrow", mine)]


def test_raw_as_of_a_run(tmp_path: Path) -> None:
    """Raw files of later runs are not there yet; a connection can be asked twice."""
    lake = new_lake(tmp_path)
    publish_raw(lake, Kind.INTERVALS, [block(source="b")])
    publish_raw(lake, Kind.INTERVALS, [block(source="a"), block(start=T0 + 900, values_int=[7])])
    sql = "SELECT value, source FROM raw ORDER BY start, value"
    with connect(lake, 1) as connection:
        assert connection.execute(sql).fetchall() == [(1.0, "b"), (2.0, "b"), (3.0, "b")]
    with connect(Lake.open(tmp_path)) as connection:
        for _ in range(2):
            assert connection.execute(sql).fetchall() == [(1.0, "a"), (2.0, "a"), (7.0, None), (3.0, "a")]


METER, VALUE = ds.field("meter_id"), ds.field("value")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(METER == "a", {"a"}, id="equal"),
        pytest.param((METER == "a") & (VALUE > 3), {"a"}, id="and"),
        pytest.param((METER == "a") | (METER == "b"), {"a", "b"}, id="or of meters"),
        pytest.param(METER.isin(["b", "a"]), {"a", "b"}, id="in"),
        pytest.param((METER == "a") & (ds.field("unit") == "b"), {"a", "b"}, id="other text only widens"),
        pytest.param((METER == "a") | (VALUE > 3), None, id="or of anything"),
        pytest.param(~(METER == "a"), None, id="not"),
        pytest.param(METER > "a", None, id="range"),
        pytest.param(ds.field("unit") == "a", None, id="other column"),
        pytest.param(VALUE > 3, None, id="no text"),
        pytest.param(METER == 'a"b', None, id="escaped"),
        pytest.param(METER == "", {""}, id="empty id"),
    ],
)
def test_asked_meters(wanted: Any, expected: set[str] | None) -> None:
    """The meters that can pass a filter are found where provable; in doubt, all can."""
    assert asked_meters(wanted) == expected
