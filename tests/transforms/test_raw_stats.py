"""Figures of raw files, against a plain loop over the readings."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.arrow import RAW, RAW_INTERVALS
from schemas.records import Kind
from tests.transforms.test_raw_codec import row, table_of
from transforms.raw_stats import RawStats, raw_stats

DAY = 1_704_067_200


def slow(rows: list[dict[str, Any]]) -> RawStats:
    """The same, reading by reading."""
    readings = [
        (r["start"] + k * 900, r["received_at"] if r["received_each"] is None else r["received_each"][k])
        for r in rows
        for k, value in enumerate(r["values_int"] if r["values_float"] is None else r["values_float"])
        if value is not None and not math.isnan(value)
    ]
    starts = [start for start, _ in readings]
    timely = [s for s, received in readings if received is None or s <= received // 1_000_000 + 180]
    return RawStats(
        len(rows),
        len(readings),
        min((r["start"] for r in rows if any(_is(v) for v in _values(r))), default=None),
        max(starts, default=None) and max(starts) + 900,
        max(timely) + 900 if timely else None,
    )


def _values(r: dict[str, Any]) -> list[Any]:
    return list(r["values_int"] if r["values_float"] is None else r["values_float"])


def _is(value: Any) -> bool:
    return value is not None and not math.isnan(value)


@st.composite
def rows_of(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that arrived before, while and after their slots passed; some elements missing."""
    rows = []
    for _ in range(draw(st.integers(0, 8))):
        is_float = draw(st.booleans())
        item: st.SearchStrategy[Any] = st.sampled_from([1.5, math.nan, None] if is_float else [1, None])
        made = row(draw(st.lists(item, min_size=1, max_size=6)), is_float=is_float)
        made["start"] = DAY + 900 * draw(st.integers(0, 20))
        made["received_at"] = draw(
            st.none() | st.integers(DAY - 1000, DAY + 30_000).map(lambda s: s * 1_000_000)
        )
        if made["received_at"] is not None and draw(st.booleans()):
            later = st.integers(0, 8000).map(lambda s: s * 1_000_000)
            count = len(_values(made))
            each = [made["received_at"] + d for d in draw(st.lists(later, min_size=count, max_size=count))]
            made |= {"received_each": each, "received_at": min(each)}
        rows.append(made)
    return rows


@given(rows_of(), st.integers(1, 3))
def test_interval_figures_are_those_of_the_readings(rows: list[dict[str, Any]], pieces: int) -> None:
    """Counts, range and the latest end among readings that did not come before their time."""
    assert raw_stats(Kind.INTERVALS, table_of(rows, pieces)) == slow(rows)


def test_three_minutes_of_tolerance() -> None:
    """A start 180 s after arrival still counts, 181 s after it does not."""
    made = row([1], is_float=False) | {"start": DAY + 180, "received_at": DAY * 1_000_000}
    assert raw_stats(Kind.INTERVALS, table_of([made])).latest_end == DAY + 180 + 900
    assert raw_stats(Kind.INTERVALS, table_of([made | {"start": DAY + 181}])).latest_end is None


def test_registers_and_others() -> None:
    """Registers have a range and readings but no latest end; master data has rows only."""
    schema = RAW[Kind.REGISTERS]
    base = dict.fromkeys(schema.names)
    reads = [base | {"read_at": t * 1_000_000, "value_int": v, "value_float": f} for t, v, f in
             ((5, 1, None), (3, None, 2.5), (9, None, None), (4, None, math.nan))]  # fmt: skip
    assert raw_stats(Kind.REGISTERS, pa.Table.from_pylist(reads, schema=schema)) == RawStats(4, 2, 3, 9, None)
    points = pa.Table.from_pylist(
        [dict.fromkeys(RAW[Kind.SERVICE_POINTS].names)], schema=RAW[Kind.SERVICE_POINTS]
    )
    assert raw_stats(Kind.SERVICE_POINTS, points) == RawStats(1, 0, None, None, None)
    assert raw_stats(Kind.INTERVALS, RAW_INTERVALS.empty_table()) == RawStats(0, 0, None, None, None)
