"""Slot lengths and clocks: the same rules on slots of 1 to 60 minutes and on days of any length."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from models.vectors import compare, misfits
from schemas.rulepack import RulePack, load_rule_pack
from schemas.vectors import Vector

FIRST = date(2024, 5, 1)
DAYS = 14


def vector(**fields: Any) -> Vector:
    """A vector under the default pack."""
    return Vector.model_validate({"name": "here", "pack": "default", **fields})


def assert_met(vector: Vector, pack: RulePack) -> None:
    """The vector is well made, and the pack meets it."""
    assert not misfits(vector)
    assert not compare(vector, pack)


@pytest.mark.parametrize("minutes", [1, 5, 10, 15, 30, 60])
def test_a_gap_of_two_hours_is_drawn_straight(minutes: int) -> None:
    """From 1 to 4 kWh in equal steps, whatever the length of a slot; california draws up to two hours."""
    lost, per_day = 120 // minutes, 1440 // minutes
    rise = [1 + 3 * step / (lost + 1) for step in range(1, lost + 1)]
    drawn = " ".join(f"{value:.6f}" for value in rise)
    rest = per_day - lost - 2
    made = vector(
        interval_minutes=minutes,
        days=[{"day": FIRST, "slots": f"1 {lost}*_ 4 {rest}*2"}],
        expect=[
            {"day": FIRST, "slots": f"1 {drawn} 4 {rest}*2", "method": f"NONE {lost}*LINEAR {rest + 1}*NONE"}
        ],
    )
    assert_met(made, load_rule_pack("california"))


@pytest.mark.parametrize("minutes", [1, 5, 10, 15, 30, 60])
def test_a_habit_is_found_on_slots_of_any_length(minutes: int) -> None:
    """Three hours lost of a day like the fourteen before it come back as they were."""
    hour = 60 // minutes
    day = f"{6 * hour}*0.2 {6 * hour}*0.4 {6 * hour}*0.8 {6 * hour}*0.3"
    lost = FIRST + timedelta(days=DAYS)
    made = vector(
        interval_minutes=minutes,
        days=[
            {"day": FIRST, "through": lost - timedelta(days=1), "slots": day},
            {
                "day": lost,
                "slots": f"{6 * hour}*0.2 {5 * hour}*0.4 {3 * hour}*_ {4 * hour}*0.8 {6 * hour}*0.3",
            },
        ],
        expect=[
            {
                "day": lost,
                "slots": day,
                "method": f"{11 * hour}*NONE {3 * hour}*SIMILAR {10 * hour}*NONE",
            }
        ],
    )
    assert_met(made, load_rule_pack("default"))


@pytest.mark.parametrize(
    ("zone", "minutes", "day", "slots"),
    [
        pytest.param("Australia/Lord_Howe", 30, date(2024, 4, 7), 49, id="half an hour more"),
        pytest.param("Australia/Lord_Howe", 30, date(2024, 10, 6), 47, id="half an hour less"),
        pytest.param("Australia/Lord_Howe", 15, date(2024, 10, 6), 94, id="half an hour less in quarters"),
        pytest.param("Europe/Zurich", 60, date(2024, 10, 27), 25, id="an hour more"),
        pytest.param("America/Sao_Paulo", 60, date(2018, 11, 4), 23, id="no midnight"),
        pytest.param("Asia/Kathmandu", 15, date(2024, 6, 1), 96, id="an odd offset"),
    ],
)
@pytest.mark.parametrize("pack", ["default", "california", "ontario", "nem"])
def test_a_lost_day_of_any_length_takes_the_level_of_the_days_before(
    pack: str, zone: str, minutes: int, day: date, slots: int
) -> None:
    """Every slot the clock gives is estimated, and no other."""
    usual = 1440 // minutes
    made = vector(
        zone=zone,
        interval_minutes=minutes,
        days=[
            {"day": day - timedelta(days=DAYS), "through": day - timedelta(days=1), "slots": f"{usual}*0.5"},
            {"day": day, "slots": f"{slots}*_"},
        ],
        expect=[
            {"day": day, "slots": f"{slots}*0.5", "quality": f"{slots}*ESTIMATED", "findings": ["missing"]}
        ],
    )
    assert_met(made, load_rule_pack(pack))
