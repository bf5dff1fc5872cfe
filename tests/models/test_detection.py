"""Detect runs over small made-up fleets: what is found, what is not, and that no order shows in it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.attacks import tamper
from models.behaviour import AFTER, BEFORE, step
from models.calendar import DayGrid, day_date, day_grid
from models.comparison import Place, compare
from models.detect import DetectResult, detect
from models.fault_trial import BREAKS, OF_VALUES, draw_faults
from models.series import Bool, Int
from models.theft_bench import Homes

MONDAY = 20_101
GRID = day_grid("Europe/Zurich", 3600, MONDAY, 56)
AS_OF = date(2025, 3, 9)
NAMES = [f"M{number:03d}" for number in range(40)]
CUSTOMERS = {name: Place("customer", None, "active", 0) for name in NAMES}


def fleet(seed: int = 1, grid: DayGrid = GRID) -> Int:
    """Forty homes with a profile of their own, a common weather and noise, in micro-kWh."""
    rng = np.random.default_rng(seed)
    hour = np.arange(24)
    weather = np.repeat(np.exp(rng.normal(0, 0.1, grid.days)), 24)
    homes = []
    for _ in NAMES:
        peak, width = rng.uniform(17, 21), rng.uniform(2, 4)
        profile = rng.uniform(0.05, 0.2) + rng.uniform(0.3, 1.5) * np.exp(-(((hour - peak) / width) ** 2))
        homes.append(np.tile(profile, grid.days) * weather * rng.gamma(8, 1 / 8, grid.slots))
    return np.rint(np.array(homes) * 1e3).astype(np.int64) * 1000


def homes_of(load: Int, have: Bool | None = None) -> Homes:
    return Homes(NAMES[: len(load)], load, np.ones(load.shape, np.bool_) if have is None else have, GRID)


def run(
    homes: Homes, places: dict[str, Place] | None = None, extra: list[pa.Table] | None = None
) -> DetectResult:
    return detect([homes.rows, *(extra or [])], homes.weeks, CUSTOMERS if places is None else places, AS_OF)


def ranks(queue: pa.Table) -> dict[str, int]:
    return dict(zip(queue["meter_id"].to_pylist(), queue["rank"].to_pylist(), strict=True))


def test_theft_that_begins_leads_the_change_queue() -> None:
    """A home that reports 40 % from day 30 on is first, with its week, its loss and the day in words."""
    load = fleet()
    true = int(load[7, GRID.offsets[30] :].sum())
    load[7, GRID.offsets[30] :] = load[7, GRID.offsets[30] :] * 4 // 10
    queue = run(homes_of(load)).change_queue.slice(0, 1).to_pylist()[0]
    assert queue["meter_id"] == NAMES[7]
    assert queue["first_week"] == day_date(MONDAY + 28)
    assert abs(queue["kwh_lost"] / (0.6 * true / 1e6) - 1) < 0.15
    assert f"from {day_date(MONDAY + 30)} on" in queue["reasons"]
    assert "kWh a day before → after" in queue["reasons"]


@pytest.mark.parametrize("kind", ["FDI1", "FDI3", "FDI4", "FDI5", "FDI6"])
def test_every_attack_that_hides_energy_rises(kind: str) -> None:
    """Whatever the attack, a thief that begins in view is among the first four of forty."""
    load = fleet(2)
    days = np.arange(GRID.days) >= 30
    load[11] = tamper(load[11], GRID, days, kind, np.random.default_rng(5))
    assert ranks(run(homes_of(load)).change_queue)[NAMES[11]] <= 4


def with_feeder(load: Int, said: Int) -> DetectResult:
    """The fleet behind two metered feeders with 2 % technical loss."""
    homes = homes_of(said)
    places = {name: Place("customer", f"f{row % 2}", "active", 0) for row, name in enumerate(NAMES)}
    through = np.stack([load[side::2].sum(axis=0) * 102 // 100 for side in (0, 1)])
    feeders = homes.measured(["F0", "F1"], through, np.ones(through.shape, np.bool_))
    places |= {f"F{side}": Place("feeder", f"f{side}", "active", 0) for side in (0, 1)}
    return run(homes, places, [feeders])


def test_a_feeder_finds_what_was_always_stolen() -> None:
    """A constant share hidden from the first day: nothing but the feeder's loss can tell."""
    load = fleet(3)
    said = load.copy()
    said[20] = said[20] * 3 // 10
    found = with_feeder(load, said)
    assert ranks(found.state_queue)[NAMES[20]] <= 3
    first = next(row for row in found.state_queue.to_pylist() if row["meter_id"] == NAMES[20])
    assert "its feeder's loss moves with this meter" in first["reasons"]


def test_the_balance_of_a_feeder() -> None:
    """An honest feeder has its technical loss and little else; the other hides what was stolen."""
    load = fleet(4)
    said = load.copy()
    said[21] = said[21] * 2 // 10
    stolen = (load[21].sum() - said[21].sum()) / 1e6
    rows = {row["feeder_id"]: row for row in with_feeder(load, said).feeder_balance.to_pylist()}
    assert rows["f1"]["rank"] == 1
    assert abs(rows["f1"]["through_kwh"] - load[1::2].sum() * 1.02 / 1e6) < 0.1
    assert abs(rows["f1"]["reported_kwh"] - said[1::2].sum() / 1e6) < 0.1
    assert 0.5 < rows["f1"]["hidden_kwh"] / stolen < 1.6
    assert rows["f0"]["hidden_share"] < 0.01
    assert abs(rows["f0"]["technical_kwh"] / rows["f0"]["through_kwh"] - 0.02) < 0.01


def test_without_a_feeder_the_queue_says_so() -> None:
    """No balance, and each reason names what is missing."""
    found = run(homes_of(fleet()))
    assert found.feeder_balance.num_rows == 0
    assert all("no feeder meter" in text for text in found.state_queue["reasons"].to_pylist())


def test_tampering_is_named_near_its_change_only() -> None:
    """A cover removed on the day is evidence; one removed a month before is not."""
    load = fleet()
    load[7, GRID.offsets[30] :] //= 3
    events = {NAMES[7]: [(MONDAY, "cover_removed"), (MONDAY + 31, "reverse_rotation")]}
    homes = homes_of(load)
    reasons = detect([homes.rows], homes.weeks, CUSTOMERS, AS_OF, events).change_queue["reasons"][0].as_py()
    assert f"reverse_rotation on {day_date(MONDAY + 31)}" in reasons
    assert "cover_removed" not in reasons


def test_devices_report_their_own_faults_and_contracts_end() -> None:
    """A low battery is a fault of its meter; so is use behind a closed service point, from that day on."""
    homes = homes_of(fleet())
    events = {NAMES[3]: [(MONDAY + 2, "low_battery"), (MONDAY + 9, "low_battery")]}
    places = {**CUSTOMERS, NAMES[5]: Place("customer", None, "closed", MONDAY + 20)}
    rows = detect([homes.rows], homes.weeks, places, AS_OF, events).faults.to_pylist()
    named = {(row["meter_id"], row["fault"]): row for row in rows}
    battery = named[NAMES[3], "battery"]
    assert (battery["since"], battery["until"]) == (day_date(MONDAY + 2), day_date(MONDAY + 9))
    assert named[NAMES[5], "use_without_contract"]["since"] == day_date(MONDAY + 20)


@settings(max_examples=8)
@given(st.integers(0, 1000))
def test_no_order_of_pieces_or_rows_shows(seed: int) -> None:
    """Shards of any cut, in any order, their rows shuffled: the same tables bit for bit."""
    rng = np.random.default_rng(seed)
    load = fleet(seed)
    load[rng.integers(40), GRID.offsets[30] :] //= 2
    homes = homes_of(load)
    whole = run(homes)
    shard = rng.integers(0, 3, len(NAMES))
    meters = homes.rows["meter_id"].to_pylist()
    of_row = shard[[NAMES.index(meter) for meter in meters]]
    pieces = [
        homes.rows.take(rng.permutation(np.flatnonzero(of_row == number)))
        for number in rng.permutation(3).tolist()
    ]
    again = detect(pieces, homes.weeks, CUSTOMERS, AS_OF)
    for name in ("change_queue", "state_queue", "faults", "feeder_balance"):
        assert getattr(again, name).equals(getattr(whole, name)), name


def test_a_queue_ranks_everyone_once() -> None:
    """All forty, by falling score."""
    found = run(homes_of(fleet(6)))
    for queue in (found.change_queue, found.state_queue):
        assert sorted(queue["meter_id"].to_pylist()) == NAMES
        assert queue["rank"].to_pylist() == list(range(1, 41))
        assert (np.diff(queue["score"].to_numpy()) <= 0).all()


def test_too_little_to_compare_gives_empty_queues() -> None:
    """Four meters are no population; their faults are still named."""
    load = fleet()[:4]
    load[1] = 0
    homes = homes_of(load)
    found = run(homes)
    assert found.change_queue.num_rows == found.state_queue.num_rows == 0
    assert found.faults["fault"].to_pylist() == ["dead_meter"]


CERTAIN = sorted(set(OF_VALUES) - {"noise", "dead phase, ×2/3", "clock drift to 3 h"})


@pytest.fixture(scope="module")
def broken() -> tuple[Homes, list[str], Int]:
    """The fleet with one or two homes of each fault."""
    load = fleet(8)
    whole = homes_of(load)
    able = np.ones(len(load), np.bool_)
    trial = draw_faults(load, whole.have, GRID, seed=3, able=able, each=1, kinds=OF_VALUES)
    return homes_of(trial.said, trial.have), trial.kind, trial.day


@pytest.mark.parametrize("kind", CERTAIN)
def test_each_fault_is_named_with_its_day(broken: tuple[Homes, list[str], Int], kind: str) -> None:
    """The injected fault is found on its meter, begins within a week of its day, and has evidence."""
    homes, kinds, day = broken
    row = kinds.index(kind)
    found = [fault for fault in compare([homes.rows], homes.weeks, CUSTOMERS).faults if fault.meter == row]
    mine = [fault for fault in found if fault.fault in BREAKS[kind][1]]
    assert mine, [fault.fault for fault in found]
    assert abs(mine[0].since - (MONDAY + int(day[row]))) <= 8 or kind in ("5 spikes", "dead", "duplicate")
    assert mine[0].evidence
    assert mine[0].severity in ("error", "warning")


def test_a_whole_fleet_has_no_faults() -> None:
    """No alarm on forty homes over eight weeks."""
    assert run(homes_of(fleet(9))).faults.num_rows == 0


def test_only_faults_that_spoil_the_comparison_leave_it(broken: tuple[Homes, list[str], Int]) -> None:
    """A reversed transformer looks like theft and stays, the fault against it; a tenfold level leaves."""
    homes, kinds, _ = broken
    queue = {row["meter_id"]: row for row in run(homes).change_queue.to_pylist()}
    assert "reversed_ct" in queue[NAMES[kinds.index("reversed CT, ×1/3")]]["against"]
    for gone in ("multiplier ×10", "unit ×1000", "dead", "duplicate", "reversed, negative"):
        assert NAMES[kinds.index(gone)] not in queue, gone


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_step_equals_every_split_tried(seed: int, days: int) -> None:
    """The sharpest rise is the highest t of all splits, each worked out by itself."""
    rng = np.random.default_rng(seed)
    series = np.where(rng.random(days) < 0.2, np.nan, rng.normal(size=days))
    best, where = 0.0, -1
    for day in range(1, days):
        one, two = (part[np.isfinite(part)] for part in (series[:day], series[day:]))
        if len(one) >= BEFORE and len(two) >= AFTER:
            rest = ((one - one.mean()) ** 2).sum() + ((two - two.mean()) ** 2).sum()
            noise = rest / (len(one) + len(two) - 2) + 0.25 * 0.5 + 1e-9
            t = (two.mean() - one.mean()) / noise**0.5
            t *= (len(one) * len(two) / (len(one) + len(two))) ** 0.5
            if where < 0 or t > best:
                best, where = float(t), day
    found, _, at = step(series[None, :], 0.5)
    assert np.isclose(found[0], best)
    assert (at[0] >= 0) == (where >= 0)
