"""The raw zone: what is written to a shard is what is read from it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.arrow import RAW, RAW_INTERVALS
from schemas.errors import MeterbeamError
from schemas.records import Kind
from transforms.raw_codec import (
    decode_raw_intervals,
    encode_raw_intervals,
    raw_shards,
    read_raw_shards,
    write_raw_file,
)

INTS: st.SearchStrategy[Any] = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5)
SMALL: st.SearchStrategy[Any] = st.lists(st.integers(-200, 200), min_size=3, max_size=3)
FLOATS: st.SearchStrategy[Any] = st.lists(st.none() | st.floats(), min_size=1, max_size=5)


def row(
    values: list[Any], *, is_float: bool, quality: list[int] | None = None, meter: str = "m"
) -> dict[str, Any]:
    """One raw interval row."""
    return {
        "meter_id": meter,
        "channel": "import",
        "start": 1_704_067_200,
        "interval_s": 900,
        "unit": "Wh",
        "scaler": -3,
        "received_at": None,
        "sequence": 4,
        "source": "hes",
        "values_int": None if is_float else values,
        "values_float": values if is_float else None,
        "quality": quality,
        "received_each": None,
    }


def table_of(rows: list[dict[str, Any]], pieces: int = 1) -> pa.Table:
    """Rows as a table of several chunks, each with its own dictionaries."""
    cuts = np.array_split(np.arange(len(rows)), pieces)
    parts = [pa.Table.from_pylist([rows[i] for i in cut], schema=RAW_INTERVALS) for cut in cuts]
    return pa.concat_tables(parts)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], pa.Table]:
    """Rows of integers, of doubles, or of both; equal lengths, or any."""
    kind = draw(st.sampled_from(["small", "ints", "floats", "both"]))
    rows = []
    for number in range(draw(st.integers(1, 12))):
        is_float = kind == "floats" or (kind == "both" and draw(st.booleans()))
        values: list[Any] = draw(SMALL if kind == "small" else FLOATS if is_float else INTS)
        quality = draw(st.sampled_from([None, [8] * len(values)]))
        made = row(values, is_float=is_float, quality=quality, meter=f"m{number}")
        if draw(st.booleans()):
            times = st.integers(1_704_067_200_000_000, 1_704_157_200_000_000)
            made["received_each"] = draw(st.lists(times, min_size=len(values), max_size=len(values)))
            made["received_at"] = min(made["received_each"], default=None)
        rows.append(made)
    return rows, table_of(rows, draw(st.integers(1, 3)))


@given(tables(), st.randoms())
def test_round_trip_in_any_order(made: tuple[list[dict[str, Any]], pa.Table], random: Any) -> None:
    """Encoding keeps every value, null, NaN and time of arrival, in the order asked for."""
    rows, table = made
    order = list(range(len(rows)))
    random.shuffle(order)
    (batch,) = encode_raw_intervals(table, np.array(order)).to_batches()
    back = decode_raw_intervals([batch])
    assert back.schema == RAW_INTERVALS
    assert repr(back.to_pylist()) == repr([rows[i] for i in order])


@pytest.mark.parametrize(
    ("values", "planes"),
    [
        pytest.param([-128, 127], ["i0"], id="one"),
        pytest.param([-129, 0], ["i0", "i1"], id="two"),
        pytest.param([0, 32768], ["i0", "i1", "i2", "i3"], id="four"),
        pytest.param([-(2**31) - 1], [f"i{k}" for k in range(8)], id="eight"),
    ],
)
def test_planes_are_as_few_as_hold_the_values(values: list[int], planes: list[str]) -> None:
    """Values are narrowed to 1, 2, 4 or 8 bytes, and no more columns are made."""
    encoded = encode_raw_intervals(table_of([row(values, is_float=False)]), np.array([0]))
    assert [name for name in encoded.column_names if name[0] == "i" and name[1:].isdigit()] == planes


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_each_shard_reads_its_own_rows(shards: list[int]) -> None:
    """A file has a batch a shard; rows keep their order; a shard that is not there is empty."""
    rows = [row([n] * (n % 3 + 1), is_float=False, meter=f"m{n}") for n in range(len(shards))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw.arrow"
        size = write_raw_file(path, Kind.INTERVALS, table_of(rows, 2), np.array(shards, np.int32))
        assert path.stat().st_size == size
        assert [p.name for p in Path(folder).iterdir()] == ["raw.arrow"]
        assert raw_shards(path, Kind.INTERVALS) == sorted(set(shards))
        for shard in range(7):
            found, rows_of = read_raw_shards([path], Kind.INTERVALS, [shard])
            assert rows_of.tolist() == [found.num_rows]
            assert found.schema == RAW_INTERVALS
            assert found.to_pylist() == [r for r, s in zip(rows, shards, strict=True) if s == shard]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.INTERVALS, Kind.DRAINS)])
def test_other_kinds_round_trip(kind: Kind, tmp_path: Path) -> None:
    """Every other kind comes back in its raw schema, shard by shard."""
    schema = RAW[kind]
    values: dict[Any, Any] = {
        pa.string(): "x",
        pa.float64(): 1.5,
        pa.date32(): None,
        pa.list_(pa.string()): ["a"],
    }
    one = {
        field.name: values.get(field.type, "s" if pa.types.is_dictionary(field.type) else 7)
        for field in schema
    }
    nulls = dict.fromkeys(schema.names)
    path = tmp_path / "raw.parquet"
    write_raw_file(
        path, kind, pa.Table.from_pylist([one, nulls, one], schema=schema), np.array([3, 1, 3], np.int32)
    )
    assert raw_shards(path, kind) == [1, 3]
    assert read_raw_shards([path], kind, [3])[0].equals(pa.Table.from_pylist([one, one], schema=schema))
    assert read_raw_shards([path], kind, [1])[0].to_pylist() == [nulls]
    assert read_raw_shards([path], kind, [0])[0].equals(schema.empty_table())


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """An Arrow file without a list of shards is not one of the raw zone."""
    path = tmp_path / "other.arrow"
    table = pa.table({"a": [1]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(MeterbeamError, match=r"other\.arrow: found no list of shards"):
        read_raw_shards([path], Kind.INTERVALS, [0])


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """No half-written file, not even the draft."""
    with pytest.raises(KeyError):
        write_raw_file(tmp_path / "raw.arrow", Kind.INTERVALS, pa.table({"a": [1]}), np.zeros(1, np.int32))
    assert list(tmp_path.iterdir()) == []


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    """A file is a function of its rows: writing it again changes nothing."""
    table = table_of([row([n, 2 * n], is_float=False, meter=f"m{n}") for n in range(50)], 3)
    shard = np.arange(50, dtype=np.int32) % 4
    for name in ("a", "b"):
        write_raw_file(tmp_path / name, Kind.INTERVALS, table, shard)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
