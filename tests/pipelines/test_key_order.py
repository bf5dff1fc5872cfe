"""Rows in the order of their keys: as Python sorts them."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.store.key_order import key_order, rises

DAYS = st.integers(-3, 3).map(lambda day: date(1970, 1, 1) + timedelta(day))
ROWS = st.lists(st.tuples(st.sampled_from(["", "a", "é", "b", "B"]), st.none() | DAYS, st.integers(-2, 2)))


@given(ROWS, st.booleans(), st.integers(0, 5))
def test_order_is_that_of_the_values(rows: list[tuple[str, date | None, int]], coded: bool, cut: int) -> None:
    """Texts by their bytes, nulls first, equal rows as they were; of several chunks."""
    schema = pa.schema([("text", pa.string()), ("day", pa.date32()), ("number", pa.int32())])
    parts = [
        pa.table([list(column) for column in zip(*some, strict=True)] or [[], [], []], schema=schema)
        for some in (rows[:cut], rows[cut:])
    ]
    if coded:
        parts = [part.set_column(0, "text", part["text"].dictionary_encode()) for part in parts]
    table = pa.concat_tables(parts)

    def place(at: int) -> tuple[bytes, date, int]:
        text, day, number = rows[at]
        return text.encode(), day or date.min, number

    order = key_order(table, schema.names)
    assert order.tolist() == sorted(range(len(rows)), key=place)
    ordered = [rows[at] for at in order]
    assert rises(table, schema.names, order).tolist() == [
        place > 0 and ordered[place] != ordered[place - 1] for place in range(len(rows))
    ]
