"""Exact repeats of records are found column by column, whatever the columns hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.repeats import only, without_repeats

SCHEMA = pa.schema(
    [
        ("meter", pa.dictionary(pa.int32(), pa.string())),
        ("at", pa.int64()),
        ("ints", pa.list_(pa.int64())),
        ("floats", pa.list_(pa.float64())),
        ("names", pa.list_(pa.string())),
        ("number", pa.float64()),
        ("source", pa.string()),
        ("fresh", pa.bool_()),
    ]
)
FLOATS = st.none() | st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")])
ROWS = st.fixed_dictionaries(
    {
        "meter": st.sampled_from(["a", "b"]),
        "at": st.none() | st.integers(0, 1),
        "ints": st.none() | st.lists(st.none() | st.integers(0, 1), max_size=2),
        "floats": st.none() | st.lists(FLOATS, max_size=2),
        "names": st.none() | st.lists(st.none() | st.sampled_from(["", "x", "x,x"]), max_size=2),
        "number": FLOATS,
        "source": st.sampled_from(["s", "t"]),
        "fresh": st.booleans(),
    }
)


@given(st.lists(ROWS, max_size=12).flatmap(lambda rows: st.permutations(rows * 2)), st.integers(1, 5))
def test_the_first_of_each_content_stays(rows: list[dict[str, Any]], chunk: int) -> None:
    """A row goes if an earlier one has the same values, source and freshness aside; order is kept."""
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    table = pa.concat_tables([table.slice(at, chunk) for at in range(0, max(len(rows), 1), chunk)])
    seen, kept = set(), []
    for row in rows:
        content = repr([row[name] for name in SCHEMA.names if name not in ("source", "fresh")])
        if content not in seen:
            kept.append(row)
        seen.add(content)
    found = without_repeats(table, ["meter", "at"], ["source", "fresh"])
    assert repr(found.to_pylist()) == repr(pa.Table.from_pylist(kept, schema=SCHEMA).to_pylist())


@given(
    st.lists(ROWS, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=5),
)
def test_only_what_is_kept_stays_in_its_order(
    contents: list[dict[str, Any]], stretches: list[tuple[int, bool]]
) -> None:
    """As a loop over the rows, be they in long stretches or in short ones."""
    stays = [kept for length, kept in stretches for _ in range(length)]
    rows = [contents[number % len(contents)] for number in range(len(stays))]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    table = pa.concat_tables([table.slice(0, 7), table.slice(7)])
    wanted = [row for row, kept in zip(rows, stays, strict=True) if kept]
    found = only(table, np.array(stays, np.bool_))
    assert repr(found.to_pylist()) == repr(pa.Table.from_pylist(wanted, schema=SCHEMA).to_pylist())
