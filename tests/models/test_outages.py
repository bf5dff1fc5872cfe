"""Outages from events: a power-down and the next restore within a week."""

from __future__ import annotations

import pyarrow as pa

from models.outages import LONGEST_S, outages_of
from schemas.arrow import RAW_EVENTS

DAY = 86_400


def events(*rows: tuple[str, str, int]) -> pa.Table:
    """Rows of (meter, event, second)."""
    records = [{"meter_id": m, "event_type": e, "occurred_at": s * 1_000_000} for m, e, s in rows]
    return pa.Table.from_pylist(records, schema=RAW_EVENTS)


def windows(
    table: pa.Table, rows: dict[str, list[int]]
) -> tuple[list[tuple[int, ...]], list[tuple[str, int]]]:
    """Outages as (series, start, end), and the unpaired."""
    found, unpaired = outages_of(table, rows)
    return list(
        zip(*(part.tolist() for part in (found.series, found.start, found.end)), strict=True)
    ), unpaired


def test_a_power_down_ends_with_the_next_restore() -> None:
    """On every series of its meter; names and CIM codes alike, in any order, repeats once."""
    table = events(
        ("m", "power_restored", 900), ("m", "power_down", 100), ("m", "power_down", 100),
        ("n", "power_down", 50), ("n", "power_restored", 60), ("m", "power_restored", 5000),
    )  # fmt: skip
    assert windows(table, {"m": [0, 3], "n": [1]}) == ([(0, 100, 900), (1, 50, 60), (3, 100, 900)], [])


def test_a_restore_a_week_later_still_counts_and_a_second_more_does_not() -> None:
    """The bound is inclusive; beyond it the power-down is unpaired."""
    kept = events(("m", "power_down", 0), ("m", "power_restored", LONGEST_S))
    lost = events(("m", "power_down", 0), ("m", "power_restored", LONGEST_S + 1))
    assert windows(kept, {"m": [0]}) == ([(0, 0, 7 * DAY)], [])
    assert windows(lost, {"m": [0]}) == ([], [("m", 0)])


def test_events_of_other_kinds_and_meters_say_nothing() -> None:
    """A tamper alarm is no outage; a meter that is not on the grid has no row, yet may be unpaired."""
    table = events(("m", "tamper", 5), ("x", "power_down", 7))
    assert windows(table, {"m": [0]}) == ([], [("x", 7)])
    assert windows(events(), {"m": [0]}) == ([], [])
