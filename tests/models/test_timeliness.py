"""Readings that came within a day of the end of their day, where midnight comes once, twice or never."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.timeliness import arrivals

QUARTER = 900
MICROS = 1_000_000
NEAR = {
    "Europe/Zurich": date(2026, 10, 31),
    "America/Havana": date(2026, 10, 30),  # 00:00 to 01:00 of 1 November comes twice
    "Africa/Cairo": date(2026, 4, 23),  # 24 April begins at 01:00
}


def slowly(start: int, zone: str) -> tuple[date, int]:
    """Local day of a reading, and the moment by which it is timely: the first of the day after the next."""
    here = ZoneInfo(zone)
    day = datetime.fromtimestamp(start, here).date()
    at = start
    while datetime.fromtimestamp(at, here).date() < day + timedelta(days=2):
        at += QUARTER
    return day.replace(day=1), at


@pytest.mark.parametrize("zone", NEAR)
@given(
    sent=st.lists(
        st.tuples(st.integers(0, 3), st.integers(-40, 400), st.none() | st.integers(-2, 2)), max_size=30
    )
)
def test_counts_equal_a_look_at_each_reading(zone: str, sent: list[tuple[int, int, int | None]]) -> None:
    """Series, local month, and whether it came a moment before, at or after its time; or not known when."""
    low = int(datetime.combine(NEAR[zone], time(), UTC).timestamp())
    wanted: dict[tuple[int, date], list[int]] = {}
    rows = []
    for series, quarters, off in sent:
        start = low + quarters * QUARTER
        month, limit = slowly(start, zone)
        counts = wanted.setdefault((series, month), [0, 0])
        counts[0] += off is not None
        counts[1] += off is not None and off <= 0
        rows.append((series, start, limit * MICROS + (off or 0), off is not None))
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    found = arrivals(columns[0], columns[1], columns[2], columns[3].astype(np.bool_), zone)
    months = [date(1970, 1, 1) + timedelta(days=day) for day in found.month.tolist()]
    counted = zip(found.dated.tolist(), found.timely.tolist(), strict=True)
    keys = list(zip(found.series.tolist(), months, strict=True))
    assert keys == sorted(wanted)
    assert dict(zip(keys, map(list, counted), strict=True)) == wanted
