"""Which days new facts make dirty: the closure of SEMANTICS, in ranges."""

from __future__ import annotations

import itertools

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.calendar import local_midnight
from models.dirty import DirtyDays, changed_ranges, changed_reads, changed_slots, merge, read_days
from schemas.arrow import RAW
from schemas.records import Kind

ZONE = "Europe/Berlin"
NAME = ("m", "import")
NAMES = [("a", "import"), ("a", "export"), ("b", "import"), ("b", "import_proxy_day")]
"""The last one is of a reference channel."""
RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda r: (r[0], r[0] + r[1])), max_size=8
)


def days(ranges: list[tuple[int, int]]) -> set[int]:
    """Every day of the ranges."""
    return {day for first, last in ranges for day in range(first, last + 1)}


@given(RANGES)
def test_merged_ranges_cover_the_same_days_and_never_touch(ranges: list[tuple[int, int]]) -> None:
    """Sorted, disjoint, with at least a day between them."""
    merged = merge(ranges)
    assert days(merged) == days(ranges)
    assert all(b[0] > a[1] + 1 for a, b in itertools.pairwise(merged))


def test_a_changed_slot_reaches_a_day_back_and_thirty_five_ahead() -> None:
    """X − 1 … x + 35."""
    dirty = DirtyDays()
    dirty.changed(NAME, 100, 100)
    assert dirty.merged() == {NAME: [(99, 135)]}


def test_read_intervals_that_dirty_days_touch_are_dirty_whole() -> None:
    """Those no longer than the limit; a dirty day between two longer-spaced reads adds nothing."""
    dirty = DirtyDays()
    dirty.add(NAME, 50, 52)
    dirty.close_over_reads({NAME: [10, 40, 51, 60, 200]}, longest=62)
    assert dirty.merged() == {NAME: [(40, 60)]}
    far = DirtyDays()
    far.add(NAME, 100, 100)
    far.close_over_reads({NAME: [10, 40, 51, 60, 200]}, longest=62)
    assert far.merged() == {NAME: [(100, 100)]}


@given(
    RANGES.filter(bool),
    st.lists(st.integers(0, 80), unique=True, max_size=12).map(sorted),
    st.integers(0, 30),
)
def test_read_intervals_are_those_of_a_loop_over_all_of_them(
    ranges: list[tuple[int, int]], reads: list[int], longest: int
) -> None:
    """Each stretch of dirty days alone decides which intervals it touches."""
    wanted = days(ranges)
    for low, high in merge(ranges):
        for first, last in itertools.pairwise(reads):
            if last - first <= longest + 1 and first <= high and last >= low:
                wanted |= set(range(min(first, low), max(last, high) + 1))
    dirty = DirtyDays({NAME: list(ranges)})
    dirty.close_over_reads({NAME: reads}, longest)
    assert days(dirty.merged()[NAME]) == wanted


MOMENTS = st.tuples(
    st.sampled_from(NAMES), st.integers(85, 95), st.integers(0, 23), st.booleans(), st.booleans()
)
"""Series, epoch day, hour, fresh, and one choice more; a clock change lies on day 89."""


@given(st.lists(st.tuples(MOMENTS, st.integers(0, 60)), max_size=12))
def test_fresh_blocks_mark_what_each_of_their_days_reaches(
    blocks: list[tuple[tuple[tuple[str, str], int, int, bool, bool], int]],
) -> None:
    """As a loop over blocks of integers or doubles; a block of a reference channel marks its own days."""
    rows, wanted = [], DirtyDays()
    for (name, day, hour, fresh, doubles), count in blocks:
        start = local_midnight(ZONE, day) + 3600 * hour
        values = "values_float" if doubles else "values_int"
        row = {"meter_id": name[0], "channel": name[1], "start": start, "interval_s": 3600}
        rows.append(row | {values: [1] * count, "fresh": fresh})
        last = max(
            d for d in range(day, day + 5) if local_midnight(ZONE, d) <= start + 3600 * max(count - 1, 0)
        )
        first = day if local_midnight(ZONE, day + 1) > start else day + 1
        if fresh:
            (wanted.add if name == NAMES[-1] else wanted.changed)(name, first, last)
    dirty = DirtyDays()
    changed_slots(dirty, _table(rows, Kind.INTERVALS), ZONE)
    assert dirty.merged() == wanted.merged()


@given(st.lists(MOMENTS, max_size=12))
def test_fresh_reads_mark_the_days_about_them_and_repeated_ones_a_changed_slot(
    reads: list[tuple[tuple[str, str], int, int, bool, bool]],
) -> None:
    """As a loop over reads of the total register and of another one; the other one does not repeat it."""
    rows, wanted, of_series = [], DirtyDays(), dict[tuple[str, str], set[int]]()
    for name, day, hour, fresh, total in reads:
        at = local_midnight(ZONE, day) + 1800 * hour
        row = {"meter_id": name[0], "channel": name[1], "read_at": at * 1_000_000}
        rows.append(row | {"tou_register": None if total else "t1", "fresh": fresh})
        if total:
            of_series.setdefault(name, set()).add(day)
        if fresh:
            wanted.add(name, day - 1, day + 1)
            if sum((other[:3], other[4]) == ((name, day, hour), True) for other in reads) > 1:
                wanted.changed(name, day, day)
    dirty, table = DirtyDays(), _table(rows, Kind.REGISTERS)
    changed_reads(dirty, table, ZONE)
    assert dirty.merged() == wanted.merged()
    assert read_days(table, ZONE) == {name: sorted(found) for name, found in of_series.items()}


def _table(rows: list[dict[str, object]], kind: Kind) -> pa.Table:
    """Rows in the raw schema of a kind, with ``fresh``."""
    return pa.Table.from_pylist(rows, schema=RAW[kind].append(pa.field("fresh", pa.bool_())))


def test_days_that_enter_or_leave_a_range() -> None:
    """Grown, shrunk, begun, ended, and unchanged."""
    cases = [
        ((10, 20), (10, 25), {21, 22, 23, 24, 25}),
        ((10, 20), (10, 17), {18, 19, 20}),
        ((10, 20), (8, 20), {8, 9}),
        ((10, 20), (12, 20), {10, 11}),
        (None, (3, 4), {3, 4}),
        ((3, 4), None, {3, 4}),
        ((3, 4), (3, 4), set()),
    ]
    for before, now, wanted in cases:
        dirty = DirtyDays()
        changed_ranges(dirty, {NAME: before} if before else {}, {NAME: now} if now else {})
        assert days(dirty.merged().get(NAME, [])) == wanted, (before, now)
