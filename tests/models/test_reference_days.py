"""Days of the past: which one stands for another, and what it says."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from models.calendar import DayGrid, epoch_day
from models.like_days import day_types
from models.reference_days import ABSOLUTE_ZERO, History, last_year, like_temperature, stand_in

ZONE = "Europe/Zurich"
HOUR = 3600
TARGET = 470
"""Index of 16 April 2026, a Thursday; the same weekday a year before has index 106."""


def history(*, days: int = 480, lacks: tuple[int, ...] = (), holidays: tuple[int, ...] = ()) -> History:
    """Hours of 1000 + the hour of the day, twice that from day 300 on; from 1 January 2025."""
    grid = DayGrid(ZONE, HOUR, epoch_day(date(2025, 1, 1)), days)
    value = 1000 + grid.wall.astype(np.int64) // HOUR
    value = np.where(grid.day_of_slot >= 300, 2 * value, value)
    measured = ~np.isin(grid.day_of_slot, lacks)
    types = day_types(grid, frozenset(grid.first_day + day for day in holidays)).astype(np.int64)
    return History(grid, value, measured, types)


@pytest.mark.parametrize(
    ("lacks", "holidays", "expected"),
    [
        pytest.param((), (), 106, id="same-weekday"),
        pytest.param((106,), (), 105, id="the-earlier-of-two"),
        pytest.param((105, 106), (), 107, id="the-later-where-it-is-nearer"),
        pytest.param((), (106,), 105, id="not-a-holiday"),
        pytest.param((), (TARGET, 113), 113, id="a-holiday-for-a-holiday"),
        pytest.param((), (TARGET,), None, id="no-day-of-its-kind"),
        pytest.param(tuple(range(85, 128)), (), None, id="no-complete-day-near"),
    ],
)
def test_which_day_of_last_year(
    lacks: tuple[int, ...], holidays: tuple[int, ...], expected: int | None
) -> None:
    """The nearest complete one of its kind."""
    assert last_year(history(lacks=lacks, holidays=holidays), TARGET) == expected


def test_a_year_that_does_not_reach_so_far_back_has_no_day() -> None:
    """Index −1 lies before the first day, but the day after it is near enough."""
    assert last_year(history(), 363 - 21) is None
    assert last_year(history(), 363) == 0


def test_which_day_of_like_temperature() -> None:
    """The nearest in temperature, then in time; of its kind, complete, and near enough."""
    past = history(lacks=(460,))
    temperature = np.full(480, ABSOLUTE_ZERO - 1)
    temperature[[200, 300, 450, 454, 460, 461, TARGET]] = [5100, 4900, 5100, 7200, 5000, 9000, 5000]
    kinds = [int(past.types[day]) for day in (200, 300, 450, TARGET)]
    assert kinds[0] != kinds[3] == kinds[1] == kinds[2]  # 200 is a Sunday
    assert like_temperature(past, TARGET, temperature, 2000) == 450
    assert like_temperature(past, TARGET, temperature, 99) is None
    temperature[450] = 5101
    assert like_temperature(past, TARGET, temperature, 2000) == 300
    temperature[TARGET] = ABSOLUTE_ZERO - 1
    assert like_temperature(past, TARGET, temperature, 2000) is None


def test_the_values_follow_the_averages_to_the_millionth() -> None:
    """Twice the usage: twice the values; a third more on one of 28 days: by hand."""
    found = stand_in(history(), TARGET, 106)
    assert found is not None
    assert (found.ratio, found.now[1], found.then[1]) == (2_000_000, 28, 28)
    assert found.value.tolist() == [2 * (1000 + hour) for hour in range(24)]
    assert found.known.all()
    past = history()
    day = TARGET - 3
    past.value[past.grid.offsets[day] : past.grid.offsets[day + 1]] += 811
    found = stand_in(past, TARGET, 106)
    assert found is not None
    then = 28 * (24_000 + 276) - (1000 + 2)  # one of the 28 days before 17 April 2025 lacks the third hour
    now = 56 * (24_000 + 276) - 2 * (1000 + 2) + 24 * 811  # as does 29 March 2026
    assert (found.now, found.then) == ((now, 28), (then, 28))
    ratio = (2 * 1_000_000 * now + then) // (2 * then)
    assert found.ratio == ratio
    assert found.value.tolist() == [((1000 + h) * ratio * 2 + 1_000_000) // 2_000_000 for h in range(24)]
    as_was = stand_in(past, TARGET, 106, scaled=False)
    assert as_was is not None
    assert as_was.value.tolist() == [1000 + hour for hour in range(24)]


def test_averages_that_say_nothing() -> None:
    """Fewer than 7 complete days, no usage then, or ten times another: no day of the past."""
    few = history(lacks=tuple(range(TARGET - 92, TARGET - 6)))
    assert stand_in(few, TARGET, 106) is None
    seven = history(lacks=tuple(range(TARGET - 92, TARGET - 7)))
    assert stand_in(seven, TARGET, 106) is not None
    empty = history()
    empty.value[: empty.grid.offsets[200]] = 0
    assert stand_in(empty, TARGET, 106) is None
    much = history()
    much.value[much.grid.offsets[300] :] *= 6
    assert stand_in(much, TARGET, 106) is None


def test_an_hour_that_the_other_day_lacks_is_not_known() -> None:
    """30 March 2025 has no third hour; the second one of 26 October stands as the first."""
    past = history()
    spring = epoch_day(date(2025, 3, 30)) - past.grid.first_day
    found = stand_in(past, TARGET, spring)
    assert found is not None
    assert np.flatnonzero(~found.known).tolist() == [2]
    autumn = epoch_day(date(2025, 10, 26)) - past.grid.first_day
    found = stand_in(past, autumn, 106, scaled=False)
    assert found is not None
    assert found.value.tolist()[1:5] == [1001, 1002, 1002, 1003]
