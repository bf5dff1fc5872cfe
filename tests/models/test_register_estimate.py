"""Registers counted on from a read, beside a look at each second."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.register_estimate import counted_since, shown


@given(
    values=st.lists(st.none() | st.integers(-50, 10**7), min_size=1, max_size=12),
    length=st.sampled_from([60, 900, 3600]),
    since=st.integers(-100, 9000),
    lasts=st.integers(1, 9000),
    gap=st.none() | st.integers(0, 11),
)
def test_the_sum_equals_a_look_at_each_slot(
    values: list[int | None], length: int, since: int, lasts: int, gap: int | None
) -> None:
    """Parts of the first and last slot rounded as everywhere; it ends at the first second no slot covers."""
    until = since + lasts
    slots = [(place * length, value) for place, value in enumerate(values) if place != gap]
    total, at = 0, since
    while at < until:
        here = [(low, value) for low, value in slots if low <= at < low + length]
        if not here or here[0][1] is None:
            break
        low, own = here[0][0], here[0][1] or 0
        high = min(low + length, until)
        total += own * (high - low) // length - own * (at - low) // length
        at = high
    start = np.array([low for low, _ in slots], np.int64)
    known = np.array([value is not None for _, value in slots], np.bool_)
    value = np.array([value or 0 for _, value in slots], np.int64)
    lengths = np.full(len(slots), length)
    assert counted_since(start, lengths, value, known, since=since, until=until) == (total, at)


def test_a_register_wraps_after_its_last_digit() -> None:
    """99,998 kWh and 5 more on five digits are 3; where no digits are known it goes on."""
    assert shown(99_998_000_000, 5_000_000, 100_000_000_000) == 3_000_000
    assert shown(99_998_000_000, 5_000_000, 0) == 100_003_000_000
