"""Meter-week features against a slow reference, a slot at a time."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.calendar import DayGrid, day_grid
from models.features import week_features
from models.series import Bool, Int
from schemas.features import LISTS, SCALARS

Row = dict[str, Any]
Case = tuple[Int, Bool, DayGrid, Bool]
ZONES = ("Europe/Zurich", "Australia/Lord_Howe", "Pacific/Apia", "UTC")
DAYS = (
    20_000, 18_350, 18_711, 18_805, 15_330,
)  # fmt: skip
"""Epoch days near which these zones change their clocks, or (Apia, 2011-12-30) skip a day."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    interval_s = draw(st.sampled_from((900, 1800, 3600, 300, 86_400)))
    grid = day_grid(
        draw(st.sampled_from(ZONES)), interval_s, draw(st.sampled_from(DAYS)), draw(st.integers(1, 23))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 3))
    top = draw(st.sampled_from((3, 5_000_000, 1 << 40)))
    values = rng.integers(draw(st.sampled_from((0, -top))), top, (n, grid.slots))
    share = draw(st.sampled_from((1.0, 0.9, 0.0)))
    have = rng.random((n, grid.slots)) < share
    expected = rng.random((n, grid.days)) < draw(st.sampled_from((1.0, 0.8)))
    return values, have, grid, expected


def reference(values: Int, have: Bool, grid: DayGrid, expected: Bool) -> dict[tuple[int, int], Row]:
    """Rows by (series, Monday); plain Python numbers."""
    rows: dict[tuple[int, int], Row] = {}
    for series in range(len(values)):
        weeks: dict[int, list[int]] = defaultdict(list)
        for day in range(grid.days):
            if expected[series, day]:
                epoch = grid.first_day + day
                weeks[epoch - (epoch + 3) % 7].append(day)
        for monday, days in weeks.items():
            if len(days) >= 4:
                rows[series, monday] = one_week(values[series], have[series], grid, monday, days)
    return rows


def one_week(values: Int, have: Bool, grid: DayGrid, monday: int, days: list[int]) -> Row:
    row: dict[str, Any] = {name: [0] * length for name, (length, _) in LISTS.items()} | dict.fromkeys(
        SCALARS, 0
    )
    held: list[int] = []
    for day in days:
        at = grid.first_day + day - monday
        slots = range(grid.offsets[day], grid.offsets[day + 1])
        row["day_slots"][at] = len(slots)
        seen = [int(values[slot]) for slot in slots if have[slot]]
        held += seen
        row["day_missing"][at] = len(slots) - len(seen)
        row["day_total"][at] = sum(seen)
        row["day_max"][at], row["day_min"][at] = (max(seen), min(seen)) if seen else (0, 0)
        row["day_zeros"][at] = seen.count(0)
        row["day_lone"][at] = sum(
            bool(have[slots[i]] and values[slots[i]] == 0)
            and all(have[slots[j]] and values[slots[j]] > 0 for j in (i - 1, i + 1))
            for i in range(1, len(slots) - 1)
        )
        for slot in slots:
            if have[slot]:
                row["hours"][grid.wall[slot] // 3600] += int(values[slot])
                row["late"][grid.wall[slot] // 3600] += int(values[slot]) * bool(
                    grid.interval_s < 3600 and grid.wall[slot] % 3600 >= 1800
                )
                row["parts"][at * 12 + grid.wall[slot] // 7200] += int(values[slot])
                small = thousandths(values[slot])
                row["squares"] += small * small
                if slot > slots[0] and have[slot - 1]:
                    row["lagged"] += small * thousandths(values[slot - 1])
                    row["variation"] += abs(small - thousandths(values[slot - 1]))
    row["parts"] = [max(-(1 << 31), min((1 << 31) - 1, part // 1000)) for part in row["parts"]]
    row["slots"], row["missing"] = sum(row["day_slots"]), sum(row["day_missing"])
    row["negatives"] = sum(value < 0 for value in held)
    peak = max(row["day_max"])
    row["near_peak"] = sum(value >= peak - peak // 50 for value in held) if peak > 0 else 0
    return row


def thousandths(value: Any) -> int:
    return max(-30_000_000, min(30_000_000, int(value) // 1000))


@given(cases())
def test_every_column_equals_the_reference(case: Case) -> None:
    values, have, grid, expected = case
    found = week_features(values, have, grid, expected=expected)
    keys = list(zip(found["row"].tolist(), found["week"].tolist(), strict=True))
    wanted = reference(values, have, grid, expected)
    assert keys == sorted(wanted)
    for number, key in enumerate(keys):
        row = {name: found[name][number].tolist() for name in (*SCALARS, *LISTS) if name != "day_hash"}
        assert row == {name: value for name, value in wanted[key].items() if name != "day_hash"}


@given(cases(), st.integers(0, 2**32))
def test_day_hash_tells_days_apart_and_nothing_else(case: Case, seed: int) -> None:
    values, have, grid, _ = case
    twice = np.concatenate([values, values])
    again = week_features(twice, np.concatenate([have, have]), grid)
    half = len(again["row"]) // 2
    assert (again["day_hash"][:half] == again["day_hash"][half:]).all()
    zero = week_features(np.zeros_like(values), have, grid)
    assert not zero["day_hash"].any()
    slot = np.random.default_rng(seed).integers(grid.slots)
    other = np.where(np.arange(grid.slots) == slot, values + have, values)
    changed = week_features(other, have, grid)
    day = int(np.searchsorted(grid.offsets, slot, side="right")) - 1
    for number, (row, monday) in enumerate(zip(changed["row"], changed["week"], strict=True)):
        for place in range(7):
            same = changed["day_hash"][number, place] == again["day_hash"][number, place]
            touched = monday + place == grid.first_day + day and have[row, slot]
            assert same != touched or not have[row, grid.offsets[day] : grid.offsets[day + 1]].any()


@given(cases())
def test_grids_and_neighbours_do_not_change_a_row(case: Case) -> None:
    values, have, grid, expected = case
    whole = week_features(values, have, grid, expected=expected)
    for series in range(len(values)):
        one = slice(series, series + 1)
        alone = week_features(values[one], have[one], grid, expected=expected[one])
        mine = whole["row"] == series
        for name in (*SCALARS, *LISTS, "week"):
            assert (whole[name][mine] == alone[name]).all()
