"""Which days new facts make dirty: the closure of SEMANTICS, in ranges."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from models.dirty import DirtyDays, changed_ranges, merge

NAME = ("m", "import")
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
