"""Periods of slots: against a slow look at every slot, over clock changes, holidays and event days."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.calendar import DayGrid, epoch_day
from models.tou import classify, daily_sums, event_slots, holidays_of, run_sums
from schemas.tariff import Holidays, Tariff, load_tariff
from tests.reference_bills import slow_period

GOLDEN = Path(__file__).parent.parent / "golden" / "tariffs"
EXAMPLE = load_tariff(GOLDEN / "tariff_example.yaml")
SHIFTS = {"sun": "mon", "sat": "none"}


def tariff(**changes: Any) -> Tariff:
    """The example tariff with some fields replaced."""
    fields = yaml.safe_load((GOLDEN / "tariff_example.yaml").read_text("utf-8"))
    return Tariff.model_validate({**fields, **changes})


@pytest.mark.parametrize(
    ("zone", "grid_zone", "clock", "interval"),
    [
        pytest.param("America/Los_Angeles", "America/Los_Angeles", "prevailing", 900, id="own zone"),
        pytest.param("America/Los_Angeles", "America/Los_Angeles", "standard", 900, id="standard time"),
        pytest.param("America/Los_Angeles", "America/New_York", "prevailing", 3600, id="another zone"),
        pytest.param("Australia/Lord_Howe", "Australia/Lord_Howe", "prevailing", 900, id="half-hour change"),
        pytest.param("Asia/Kathmandu", "UTC", "prevailing", 1800, id="quarter-hour offset"),
    ],
)
def test_every_slot_of_a_year(zone: str, grid_zone: str, clock: str, interval: int) -> None:
    """Each slot of a year with both clock changes has the period its local clock says."""
    version = tariff(timezone=zone, clock=clock)
    grid = DayGrid(grid_zone, interval, epoch_day(date(2026, 1, 1)), 365)
    periods = classify(version, grid)
    fast = [periods.names[code] for code in periods.of_slot]
    assert fast == [slow_period(version, second) for second in grid.starts.tolist()]


@given(
    cuts=st.lists(st.integers(0, 95), min_size=1, max_size=4, unique=True).map(sorted),
    days=st.sampled_from(["weekday", "weekend", ["saturday"], ["monday", "friday"]]),
    first=st.integers(20_400, 20_900),
)
def test_sub_hour_edges_first_match_wins(cuts: list[int], days: Any, first: int) -> None:
    """Any quarter-hour ranges, over midnight too, match the slow look; sums keep every micro-kWh."""
    text = [f"{c // 4:02d}:{c % 4 * 15:02d}" for c in cuts]
    at = [[a, b] for a, b in zip(text, [*text[1:], text[0]], strict=True) if a != b]
    periods = [{"id": f"p{i}", "days": days, "at": a} for i, a in enumerate(at)]
    version = Tariff.model_validate(
        {
            "id": "t",
            "version": 1,
            "effective": {"from": date(2025, 1, 1)},
            "currency": "EUR",
            "timezone": "Europe/Berlin",
            "calendar": {"periods": [*periods, {"id": "rest"}]},
            "charges": [{"id": "c", "type": "fixed", "amount": "1", "per": "day"}],
        }
    )
    grid = DayGrid("Europe/Berlin", 900, first, 3)
    found = classify(version, grid)
    assert [found.names[c] for c in found.of_slot] == [slow_period(version, s) for s in grid.starts.tolist()]
    load = np.random.default_rng(first).integers(0, 10**9, (3, grid.slots))
    sums = daily_sums(run_sums(load, found), found, grid.days)
    slow = np.zeros_like(sums)
    for slot in range(grid.slots):
        slow[:, grid.day_of_slot[slot], found.of_slot[slot]] += load[:, slot]
    assert (sums == slow).all()


@pytest.mark.parametrize(
    ("named", "year", "expected"),
    [
        pytest.param("independence", 2021, ["2021-07-05"], id="Sunday to Monday"),
        pytest.param("independence", 2026, ["2026-07-04"], id="Saturday stays"),
        pytest.param("thanksgiving", 2026, ["2026-11-26"], id="fourth Thursday"),
        pytest.param("memorial", 2026, ["2026-05-25"], id="last Monday"),
        pytest.param("presidents", 2026, ["2026-02-16"], id="third Monday"),
        pytest.param("new_year", 2023, ["2023-01-02"], id="Sunday New Year"),
    ],
)
def test_holiday_dates(named: Any, year: int, expected: list[str]) -> None:
    """Named holidays fall where the almanac has them, shifted as the tariff says."""
    holidays = Holidays.model_validate({"named": [named], "shift": SHIFTS})
    assert sorted(map(str, holidays_of(holidays, year))) == expected


def test_holiday_shifted_out_of_its_year() -> None:
    """New Year on a Saturday, moved to Friday, belongs to the year before."""
    holidays = Holidays.model_validate({"named": ["new_year"], "shift": {"sat": "fri"}})
    assert date(2021, 12, 31) in holidays_of(holidays, 2021)
    assert holidays_of(holidays, 2022) == frozenset()


def test_event_hours_over_midnight() -> None:
    """An event from 22:00 to 02:00 ends on the morning after its day."""
    fields = yaml.safe_load((GOLDEN / "tariff_example.yaml").read_text("utf-8"))
    fields["calendar"]["events"]["cpp"]["at"] = ["22:00", "02:00"]
    grid = DayGrid("America/Los_Angeles", 3600, epoch_day(date(2026, 7, 13)), 4)
    hours = event_slots(Tariff.model_validate(fields), "cpp", frozenset({epoch_day(date(2026, 7, 14))}), grid)
    assert np.flatnonzero(hours).tolist() == [46, 47, 48, 49]
