"""Local days on the slot grid, against brute force with datetime and zoneinfo."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calendar import (
    DAY_S,
    DayGrid,
    aligned,
    day_date,
    epoch_day,
    local_days,
    local_midnight,
    standard_offset,
    utc_text,
)

ZONES = (
    "UTC",
    "Europe/Zurich",
    "Europe/London",
    "Europe/Moscow",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Chatham",
    "Pacific/Auckland",
)
"""Whole, half and quarter hours; changes of an hour and of half an hour, at night, over midnight, never."""

INTERVALS = (300, 900, 1800, 3600, 14_400, 86_400)

zones = st.sampled_from(ZONES)
calendar_days = st.dates(date(1995, 1, 1), date(2035, 12, 31)).map(epoch_day)
moments = st.integers(788_918_400, 2_082_758_400)
quick = settings(max_examples=60, deadline=None)


def local(zone: str, second: int) -> datetime:
    """The local wall clock at a UTC second."""
    return datetime.fromtimestamp(second, ZoneInfo(zone))


def brute_midnight(zone: str, day: int) -> int:
    """First minute whose local date is the day, found by walking minute by minute."""
    wanted = day_date(day)
    second = day * DAY_S - 15 * 3600
    while local(zone, second).date() < wanted:
        second += 3600
    second -= 3600
    while local(zone, second).date() < wanted:
        second += 60
    return second


def brute_starts(grid: DayGrid) -> list[list[int]]:
    """Slot starts of each day: every aligned minute whose local date is that day's."""
    days = []
    for index in range(grid.days):
        wanted = day_date(grid.first_day + index)
        begin, end = (brute_midnight(grid.zone, grid.first_day + index + k) for k in (0, 1))
        offset = brute_standard(grid.zone, wanted)
        days.append([s for s in range(begin, end, 60) if (s + offset) % grid.interval_s == 0])
    return days


def brute_standard(zone: str, day: date) -> int:
    """Offset of the zone's standard time at the middle of a day."""
    noon = local(zone, brute_midnight(zone, epoch_day(day)) + DAY_S // 2)
    offset, saving = noon.utcoffset(), noon.dst()
    assert offset is not None
    assert saving is not None
    return int((offset - saving).total_seconds())


@given(zone=zones, day=calendar_days)
@quick
def test_a_day_begins_at_the_first_moment_with_its_date(zone: str, day: int) -> None:
    """Midnight, or the jump over it, or the first of two midnights."""
    assert local_midnight(zone, day) == brute_midnight(zone, day)


@pytest.mark.parametrize("zone", [pytest.param(zone, id=zone) for zone in ZONES])
def test_midnights_of_three_years(zone: str) -> None:
    """Every day of 2017-2019 begins at its first second and the second before belongs to the day before."""
    for day in range(epoch_day(date(2017, 1, 1)), epoch_day(date(2020, 1, 1))):
        second = local_midnight(zone, day)
        assert local(zone, second).date() == day_date(day)
        assert local(zone, second - 1).date() == day_date(day - 1)


@given(zone=zones, interval_s=st.sampled_from(INTERVALS), first=calendar_days, days=st.integers(1, 4))
@quick
def test_grid_holds_every_aligned_slot_once(zone: str, interval_s: int, first: int, days: int) -> None:
    """Starts, day of each slot, offsets and lengths are those of a walk through the minutes."""
    grid = DayGrid(zone, interval_s, first, days)
    walked = brute_starts(grid)
    assert grid.starts.tolist() == [second for day in walked for second in day]
    assert grid.lengths.tolist() == [len(day) for day in walked]
    assert grid.day_of_slot.tolist() == [i for i, day in enumerate(walked) for _ in day]
    assert grid.offsets.tolist() == [sum(map(len, walked[:i])) for i in range(days + 1)]
    assert (grid.slots, grid.origin) == (sum(map(len, walked)), walked[0][0])


@given(zone=zones, interval_s=st.sampled_from(INTERVALS), first=calendar_days, days=st.integers(1, 9))
@quick
def test_wall_clock_of_each_slot(zone: str, interval_s: int, first: int, days: int) -> None:
    """Seconds since local midnight on the wall clock, slot by slot, and its column per wall-clock slot."""
    grid = DayGrid(zone, interval_s, first, days)
    columns: dict[tuple[int, int], int] = {}
    for column, second in enumerate(grid.starts.tolist()):
        clock = local(zone, second)
        seconds = clock.hour * 3600 + clock.minute * 60 + clock.second
        assert grid.wall[column] == seconds
        columns.setdefault((int(grid.day_of_slot[column]), seconds // interval_s), column)
    table = [[columns.get((day, k), -1) for k in range(DAY_S // interval_s)] for day in range(days)]
    assert grid.wall_columns.tolist() == table


@given(zone=zones, first=calendar_days, days=st.integers(1, 400))
@quick
def test_dates_weekdays_and_regular_runs(zone: str, first: int, days: int) -> None:
    """Dates follow each other, weekdays are datetime's, and runs cover all days with one length each."""
    grid = DayGrid(zone, 3600, first, days)
    dates = [day_date(first) + timedelta(days=i) for i in range(days)]
    assert [grid.date(i) for i in range(days)] == dates
    assert grid.weekdays.tolist() == [day.weekday() for day in dates]
    assert grid.last_day == epoch_day(dates[-1])
    runs = grid.regular_runs
    assert [day for a, b in runs for day in range(a, b)] == list(range(days))
    lengths = [set(grid.lengths[a:b].tolist()) for a, b in runs]
    assert all(len(some) == 1 for some in lengths)
    assert all(a != b for a, b in pairwise(lengths))


@given(zone=zones, interval_s=st.sampled_from(INTERVALS), first=calendar_days, cut=st.integers(1, 6))
@quick
def test_grids_are_pieces_of_one_another(zone: str, interval_s: int, first: int, cut: int) -> None:
    """A grid of seven days is the grid of the first days followed by that of the rest."""
    whole = DayGrid(zone, interval_s, first, 7)
    head, tail = DayGrid(zone, interval_s, first, cut), DayGrid(zone, interval_s, first + cut, 7 - cut)
    assert whole.starts.tolist() == [*head.starts.tolist(), *tail.starts.tolist()]
    assert whole.wall.tolist() == [*head.wall.tolist(), *tail.wall.tolist()]


@given(zone=zones, seconds=st.lists(moments, max_size=30))
@quick
def test_local_days_are_those_of_zoneinfo(zone: str, seconds: list[int]) -> None:
    """Any moments in any order get the date on the wall, in the shape they came in."""
    wanted = [epoch_day(local(zone, second).date()) for second in seconds]
    assert local_days(zone, np.array(seconds, np.int64)).tolist() == wanted
    column = np.array(seconds, np.int64).reshape(-1, 1)
    assert local_days(zone, column).shape == column.shape


@given(zone=zones, interval_s=st.sampled_from(INTERVALS), first=calendar_days, data=st.data())
@quick
def test_aligned_means_on_the_grid(zone: str, interval_s: int, first: int, data: st.DataObject) -> None:
    """A second of a day is aligned exactly when it is the start of one of the day's slots."""
    grid = DayGrid(zone, interval_s, first, 1)
    starts = set(grid.starts.tolist())
    begin, end = local_midnight(zone, first), local_midnight(zone, first + 1)
    step = st.integers(begin // 60, -(-end // 60) - 1).map(lambda minute: minute * 60)
    near = st.sampled_from(sorted(starts)).flatmap(lambda s: st.sampled_from([s - 1, s, s + 1, s + 60]))
    chosen = data.draw(st.lists(st.one_of(step, near, st.integers(begin, end - 1)), min_size=1, max_size=40))
    seconds = np.array([second for second in chosen if begin <= second < end], np.int64)
    assert aligned(zone, seconds, interval_s).tolist() == [int(second) in starts for second in seconds]


@pytest.mark.parametrize(
    ("zone", "day", "slots"),
    [
        pytest.param("Europe/Zurich", date(2024, 3, 31), 92, id="zurich-spring"),
        pytest.param("Europe/Zurich", date(2024, 10, 27), 100, id="zurich-autumn"),
        pytest.param("Europe/Zurich", date(2024, 6, 1), 96, id="zurich-plain"),
        pytest.param("Australia/Lord_Howe", date(2024, 4, 7), 98, id="half-an-hour-more"),
        pytest.param("Australia/Lord_Howe", date(2024, 10, 6), 94, id="half-an-hour-less"),
        pytest.param("America/Sao_Paulo", date(2018, 11, 4), 92, id="no-midnight"),
        pytest.param("America/Sao_Paulo", date(2018, 2, 17), 100, id="midnight-repeated"),
        pytest.param("Asia/Kathmandu", date(2024, 3, 31), 96, id="quarter-hour-offset"),
    ],
)
def test_quarter_hours_of_days_around_clock_changes(zone: str, day: date, slots: int) -> None:
    """92, 96 or 100 slots, and 94 or 98 where half an hour is moved."""
    grid = DayGrid(zone, 900, epoch_day(day) - 1, 3)
    assert grid.lengths[1] == slots
    assert grid.lengths.sum() == grid.slots


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        pytest.param("Europe/Moscow", date(2011, 3, 27), id="permanent-summer"),
        pytest.param("Europe/Moscow", date(2014, 10, 26), id="permanent-winter"),
        pytest.param("Europe/Istanbul", date(2016, 9, 7), id="summer-made-standard"),
        pytest.param("America/Caracas", date(2016, 5, 1), id="half-an-hour-for-good"),
        pytest.param("Pacific/Apia", date(2011, 12, 30), id="a-day-that-never-was"),
        pytest.param("Europe/Dublin", date(2024, 3, 31), id="standard-time-in-summer"),
    ],
)
def test_standard_time_that_changes(zone: str, day: date) -> None:
    """A zone that moves its standard time keeps one grid of half-hour slots; a skipped date has none."""
    grid = DayGrid(zone, 1800, epoch_day(day) - 2, 5)
    walked = brute_starts(grid)
    assert grid.starts.tolist() == [second for day in walked for second in day]
    assert grid.lengths.tolist() == [len(day) for day in walked]
    assert aligned(zone, grid.starts, 1800).all()
    assert local_days(zone, grid.starts).tolist() == (grid.first_day + grid.day_of_slot).tolist()


def test_sao_paulo_begins_its_day_at_one() -> None:
    """On 2018-11-04 the clock jumps from 0:00 to 1:00: the first slot is at 1:00, the four before are not."""
    grid = DayGrid("America/Sao_Paulo", 900, epoch_day(date(2018, 11, 4)), 1)
    assert utc_text(grid.origin) == "2018-11-04T03:00:00Z"
    assert grid.wall[0] == 3600
    assert grid.wall_columns[0, :6].tolist() == [-1, -1, -1, -1, 0, 1]


def test_a_repeated_hour_uses_its_first_column() -> None:
    """On 2024-10-27 Zurich has 2:00-2:45 twice; the wall clock points at the first pass."""
    grid = DayGrid("Europe/Zurich", 900, epoch_day(date(2024, 10, 27)), 1)
    assert grid.wall[8:16].tolist() == [7200, 8100, 9000, 9900, 7200, 8100, 9000, 9900]
    assert grid.wall_columns[0, 7:13].tolist() == [7, 8, 9, 10, 11, 16]


def test_hourly_slots_of_lord_howe_stay_on_standard_time() -> None:
    """Standard time is 10:30 east, so summer's hourly slots start at half past on the wall."""
    summer = DayGrid("Australia/Lord_Howe", 3600, epoch_day(date(2024, 1, 10)), 1)
    winter = DayGrid("Australia/Lord_Howe", 3600, epoch_day(date(2024, 7, 10)), 1)
    assert set((summer.wall % 3600).tolist()) == {1800}
    assert set((winter.wall % 3600).tolist()) == {0}
    assert standard_offset("Australia/Lord_Howe", summer.first_day) == 37_800


@pytest.mark.parametrize(
    ("interval_s", "days", "message"),
    [
        pytest.param(0, 1, "divide a day of 86400 s, got 0", id="no-length"),
        pytest.param(7000, 1, "divide a day of 86400 s, got 7000", id="does-not-divide"),
        pytest.param(900, 0, "at least one day, got 0", id="no-days"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(interval_s: int, days: int, message: str) -> None:
    """The error names what was given."""
    with pytest.raises(ValueError, match=message):
        DayGrid("UTC", interval_s, 0, days)


@given(day=st.dates())
def test_epoch_days_and_dates_are_inverse(day: date) -> None:
    """A date becomes an integer and comes back."""
    assert day_date(epoch_day(day)) == day


def test_utc_text_is_iso_with_a_z() -> None:
    """Seconds become ISO 8601 text in UTC."""
    assert utc_text(int(datetime(2024, 3, 31, 1, 0, 5, tzinfo=UTC).timestamp())) == "2024-03-31T01:00:05Z"
