"""The table that detection works on, and the kernels that go over it some meters at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import week_table as module
from models.behaviour import BEFORE, step, steps
from models.comparison import Place, compare
from models.fault_days import Days
from models.fault_twins import FEWEST_DAYS, duplicates
from models.series import Int
from models.standing import fleet_median, nan_median, nan_quantile, nan_quantiles
from models.week_table import DAILY, WeekTable, week_table
from tests.models.test_detection import GRID, MODEL, NAMES, fleet, homes_of

HOMES = homes_of(fleet(11))


def whole() -> WeekTable:
    return week_table([HOMES.rows], HOMES.weeks)


def assert_same(one: WeekTable, other: WeekTable) -> None:
    """Equal to the last bit."""
    assert one.meters == other.meters
    for name in ("weeks", "there", "negatives", "features", "halves", "parts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert list(one.lists) == list(other.lists)
    for name, column in one.lists.items():
        np.testing.assert_array_equal(column, other.lists[name], err_msg=name)


@given(st.sets(st.integers(0, len(NAMES) - 1)), st.integers(0, 100))
def test_a_table_of_some_meters_is_that_part_of_the_whole(wanted: set[int], seed: int) -> None:
    """Whatever the pieces; who has no row in them has none in the table."""
    rows = np.array(sorted(wanted), np.int64)
    piece = np.random.default_rng(seed).integers(0, 4, len(NAMES))
    names = pa.array(NAMES)
    pieces = [
        HOMES.rows.filter(pa.compute.is_in(HOMES.rows["meter_id"], names.filter(pa.array(piece == number))))
        for number in range(4)
    ]
    meters = [*(NAMES[row] for row in wanted), "nobody"]
    assert_same(week_table(iter(pieces), HOMES.weeks, meters=meters), whole().chosen(rows))


@given(st.sets(st.integers(0, len(NAMES) - 1)), st.sampled_from((1, 3, 128)))
def test_a_table_narrowed_in_its_own_memory_is_the_chosen_one(wanted: set[int], at_once: int) -> None:
    """However many meters move at once, and with the daily columns that were asked for."""
    rows, daily = np.array(sorted(wanted), np.int64), tuple(DAILY)[:3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "METERS_AT_ONCE", at_once)
        assert_same(whole().narrowed(rows, daily), whole().chosen(rows, daily))


def test_a_comparison_is_the_same_for_known_meters_and_for_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Faults and scores bit for bit; a meter of a feeder counts but is no customer."""
    load = fleet(12)
    load[7, GRID.offsets[30] :] //= 3
    homes = homes_of(load)
    places = {name: Place("customer", "F1", "active", 0) for name in NAMES}
    places[NAMES[0]] = Place("feeder", "F1", "active", 0)
    usual = compare([homes.rows], homes.weeks, places, model=MODEL)
    monkeypatch.setattr(module, "METERS_AT_ONCE", 1)
    few = compare(iter([homes.rows]), homes.weeks, places, model=MODEL, meters={*NAMES, "nobody"})
    assert few.meters == usual.meters == len(NAMES)
    assert few.customers == usual.customers == NAMES[1:]
    assert few.faults == usual.faults
    assert few.faults
    assert few.scored is not None
    assert usual.scored is not None
    assert_same(few.scored.table, usual.scored.table)
    np.testing.assert_array_equal(few.scored.state.score, usual.scored.state.score)
    np.testing.assert_array_equal(few.scored.change.lost, usual.scored.change.lost)
    np.testing.assert_array_equal(few.scored.columns(), usual.scored.columns())


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_the_median_of_a_fleet_is_that_of_each_day(seed: int, days: int) -> None:
    """To the last bit, with and without what is taken off each meter."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((6, days)) < 0.3, np.nan, rng.normal(size=(6, days)))
    less = rng.normal(size=6)
    np.testing.assert_array_equal(fleet_median(values), nan_median(values, 0))
    np.testing.assert_array_equal(fleet_median(values, less), nan_median(values - less[:, None], 0))
    together = nan_quantiles(values.T, (0.5, 0.9), 0) if days else []
    for share, found in zip((0.5, 0.9), together, strict=False):
        np.testing.assert_array_equal(found, nan_quantile(values.T, share, 0))


@given(st.integers(0, 2**32), st.integers(1, 3 * BEFORE))
def test_both_ways_of_a_step_are_those_of_the_days_and_of_their_negative(seed: int, days: int) -> None:
    """To the last bit, unknown days and too short series included."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((5, days)) < 0.1, np.nan, np.round(rng.normal(size=(5, days)), 1))
    for found, expected in zip(steps(values, 0.5), (step(values, 0.5), step(-values, 0.5)), strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def equal_days(days: Days, load: Int) -> dict[int, set[int]]:
    """Days of each home that another has too, by a look at every pair of homes."""
    cut = [load[:, GRID.offsets[day] : GRID.offsets[day + 1]] for day in range(GRID.days)]
    found: dict[int, set[int]] = {}
    for day, slots in enumerate(cut):
        for one in range(len(load)):
            others = [row for row in range(len(load)) if row != one and (slots[row] == slots[one]).all()]
            if others and slots[one].max() > slots[one].min() and slots[one].sum() > 0:
                found.setdefault(one, set()).add(day)
    return {row: shared for row, shared in found.items() if len(shared) >= FEWEST_DAYS}


@given(st.integers(0, 2**32))
def test_duplicates_are_those_of_a_look_at_every_pair(seed: int) -> None:
    """Days copied from home to home at random, from several and onwards again."""
    rng = np.random.default_rng(seed)
    load = fleet(13)[:8].copy()
    for _ in range(5):
        source, target = rng.choice(8, 2, replace=False)
        low, high = np.sort(rng.integers(0, GRID.days + 1, 2))
        load[target, GRID.offsets[low] : GRID.offsets[high]] = load[
            source, GRID.offsets[low] : GRID.offsets[high]
        ]
    homes = homes_of(load)
    days = Days(week_table([homes.rows], homes.weeks))
    expected = equal_days(days, load)
    found = {fault.meter: fault for fault in duplicates(days)}
    assert set(found) == set(expected)
    for row, shared in expected.items():
        assert found[row].evidence.startswith(f"{len(shared)} days equal")
        assert found[row].since == days.day(min(shared))
