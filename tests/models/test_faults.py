"""Faults of clocks, registers, pairs of meters and master data, on made-up meters with known answers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendar import day_date, day_grid
from models.comparison import Place, compare
from models.detect import detect
from models.fault_clock import clock_faults
from models.fault_days import Days, Fault
from models.fault_evaluation import evaluate_faults, named_faults
from models.fault_noise import noise_faults
from models.fault_registers import RegisterReads, register_faults
from models.fault_trial import BREAKS, OF_VALUES, draw_faults
from models.fault_twins import crossed_series, duplicates
from models.fault_values import value_faults
from models.features import feature_rows, week_features
from models.series import Int, Reads
from models.slot_signs import lone_zeros
from models.theft_bench import Homes
from models.week_table import week_table
from schemas.errors import MeterbeamError
from tests.models.test_detection import AS_OF, GRID, MONDAY, NAMES, fleet, homes_of

KWH = 1_000_000
HOUR = 24
IMPORTS = frozenset({"import"})


def days_of(load: Int) -> Days:
    homes = homes_of(load)
    return Days(week_table([homes.rows], homes.weeks))


@pytest.fixture(scope="module")
def trial() -> tuple[Homes, list[str], list[list[str]]]:
    """The fleet with two homes of each fault that more than their values show, and what was named."""
    homes = homes_of(fleet(8))
    others = [name for name in BREAKS if name not in OF_VALUES]
    able = np.ones(len(NAMES), np.bool_)
    drawn = draw_faults(homes.load, homes.have, GRID, seed=5, able=able, each=2, kinds=others)
    return homes, drawn.kind, named_faults(homes, drawn)


@pytest.mark.parametrize("kind", sorted(set(BREAKS) - set(OF_VALUES) - {"crossed meters"}))
def test_each_fault_beside_the_values_is_named(
    trial: tuple[Homes, list[str], list[list[str]]], kind: str
) -> None:
    """Registers, master data and events: the injected fault is named on its meter."""
    _, kinds, named = trial
    for row in (row for row, name in enumerate(kinds) if name == kind):
        assert set(named[row]) & set(BREAKS[kind][1]), named[row]


def test_whole_meters_beside_them_have_no_fault(trial: tuple[Homes, list[str], list[list[str]]]) -> None:
    """No alarm on the homes left whole, but for those whose series another was given."""
    _, kinds, named = trial
    others = {name for row, names in enumerate(named) if not kinds[row] for name in names}
    assert others <= {"duplicate"}


def moved(load: Int, rows: list[int], day: int, hours: int) -> Int:
    changed = load.copy()
    low = int(GRID.offsets[day])
    changed[rows, low:] = np.roll(load[rows], hours, axis=1)[:, low:]
    return changed


@pytest.mark.parametrize(("hours", "way"), [(1, "later"), (-1, "earlier"), (3, "later")])
def test_a_clock_set_wrong_is_named_with_its_week(hours: int, way: str) -> None:
    """From the week of the change on, by how many hours and which way."""
    found = clock_faults(days_of(moved(fleet(3), [9], 28, hours)))
    assert [(fault.meter, fault.fault, fault.since) for fault in found] == [(9, "clock_shift", MONDAY + 28)]
    assert f"{abs(hours)} h {way}" in found[0].evidence


def test_what_a_group_does_in_one_week_is_no_fault() -> None:
    """Thirty of forty keep a clock change and ten do not; a clock set wrong weeks later is still seen."""
    load = moved(fleet(3), list(range(30)), 21, -1)
    assert clock_faults(days_of(load)) == []
    for row in (4, 35):
        found = clock_faults(days_of(moved(load, [row], 35, 1)))
        assert [(fault.meter, fault.since) for fault in found] == [(row, MONDAY + 35)]


def test_a_clock_that_runs_slow_is_a_drift() -> None:
    """Four hours over six weeks, half an hour at a time, are told as a drift and not as a step."""
    load = fleet(3)
    low = int(GRID.offsets[14])
    late = np.arange(GRID.slots - low) * 4 // (GRID.slots - low)
    load[11, low:] = load[11, np.arange(low, GRID.slots) - late]
    found = clock_faults(days_of(load))
    assert [(fault.meter, fault.fault) for fault in found] == [(11, "clock_drift")]


def test_days_equal_slot_by_slot_are_duplicates_from_three_on() -> None:
    """Five equal days name both meters with the first and last of them; two equal days are chance."""
    load = fleet()
    load[2, GRID.offsets[20] : GRID.offsets[25]] = load[7, GRID.offsets[20] : GRID.offsets[25]]
    load[3, GRID.offsets[20] : GRID.offsets[22]] = load[8, GRID.offsets[20] : GRID.offsets[22]]
    found = duplicates(days_of(load))
    assert [(fault.meter, fault.since, fault.until) for fault in found] == [
        (row, MONDAY + 20, MONDAY + 24) for row in (2, 7)
    ]
    assert "5 days" in found[0].evidence
    assert NAMES[7] in found[0].evidence


def test_meters_that_changed_places_name_each_other() -> None:
    """A large home and a small one swapped on one day; nothing is crossed without the swap."""
    load = fleet(3)
    load[5] *= 4
    assert crossed_series(days_of(load)) == []
    low = int(GRID.offsets[30])
    load[[5, 6], low:] = load[[6, 5], low:]
    found = crossed_series(days_of(load))
    assert [(fault.meter, fault.since) for fault in found] == [(5, MONDAY + 30), (6, MONDAY + 30)]
    assert NAMES[6] in found[0].evidence
    assert NAMES[5] in found[1].evidence


def registers(values: dict[int, list[int]], days: list[int], *, dials: int = 0) -> RegisterReads:
    """Registers of some meters, read at the start of some days, in kWh, to the kWh."""
    count = len(days) * len(values)
    none = np.zeros(count, np.int64)
    series = np.repeat(np.arange(len(values)), len(days))
    day = np.tile(np.array(days) + MONDAY, len(values))
    shown = np.array(list(values.values()), np.int64).ravel() * KWH
    modulus = none + (10**dials * KWH if dials else 0)
    reads = Reads(series, day, shown, modulus, none + KWH, np.zeros((count, 2), np.int64))
    return RegisterReads([NAMES[row] for row in values], reads, day, np.ones(count, np.bool_))


def flat(*kwh_a_day: int) -> Days:
    """Meters that use the same every day."""
    load = np.repeat(np.array(kwh_a_day, np.int64)[:, None] * KWH // HOUR, GRID.slots, axis=1)
    return days_of(load)


def told(found: list[Fault]) -> list[tuple[int, str, int, int | None, str]]:
    return [
        (f.meter, f.fault, f.since - MONDAY, None if f.until is None else f.until - MONDAY, f.severity)
        for f in sorted(found, key=lambda f: (f.meter, f.since))
    ]


@pytest.mark.parametrize(
    ("shown", "dials", "wanted"),
    [
        pytest.param([100, 170, 240, 310], 0, [], id="as the intervals"),
        pytest.param([100, 170, 170, 170], 0, [("register_stopped", 7, None, "error")], id="stopped"),
        pytest.param(
            [100, 100, 170, 240], 0, [("register_stopped", 0, 6, "error")], id="stopped and went on"
        ),
        pytest.param([100, 170, 1240, 1310], 0, [("register_jump", 7, 13, "error")], id="jumped"),
        pytest.param([400, 470, 40, 110], 0, [("register_jump", 7, 13, "error")], id="fell"),
        pytest.param([960, 30, 100, 170], 3, [("register_rollover", 0, 6, "info")], id="past three dials"),
        pytest.param([99_960, 30, 100, 170], 0, [("register_rollover", 0, 6, "warning")], id="unknown dials"),
        pytest.param([100, 140, 180, 220], 0, [("register_mismatch", 0, None, "warning")], id="another's"),
    ],
)
def test_a_register_beside_ten_kwh_a_day(
    shown: list[int], dials: int, wanted: list[tuple[str, int, int | None, str]]
) -> None:
    """What four weekly reads of a meter that uses 10 kWh a day mean, with since and until."""
    found = register_faults(flat(10), [registers({0: shown}, [0, 7, 14, 21], dials=dials)])
    assert told(found) == [(0, *one) for one in wanted]


def test_two_registers_that_fit_the_other_meter_are_crossed() -> None:
    """Each register counts what the other's intervals say, and a third that fits nobody is a mismatch."""
    shown = {0: [0, 210, 420], 1: [0, 70, 140], 2: [0, 300, 600], 3: [0, 35, 70]}
    days = flat(10, 30, 20, 5)
    found = register_faults(days, [registers(shown, [0, 7, 14])])
    assert [(f.meter, f.fault) for f in found] == [
        (0, "crossed_meters"), (1, "crossed_meters"), (2, "register_mismatch"),
    ]  # fmt: skip
    assert NAMES[1] in found[0].evidence
    assert NAMES[0] in found[1].evidence
    nothing = RegisterReads([], Reads.none(), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    apart = [registers({row: shown[row]}, [0, 7, 14]) for row in (3, 1, 2, 0)]
    assert register_faults(days, [nothing, *apart]) == found


def test_a_meter_exchanged_between_two_reads_is_not_compared() -> None:
    """Another service-point version at the second read: its register is another one."""
    reads = registers({0: [100, 5, 75]}, [0, 7, 14])
    version = reads.reads.version.copy()
    version[0, 1], version[1:] = 0, 1
    changed = Reads(**{**vars(reads.reads), "version": version})
    assert register_faults(flat(10), [RegisterReads(reads.meters, changed, reads.day, reads.midnight)]) == []


@given(st.integers(0, 2**32))
def test_registers_of_their_own_intervals_are_silent(seed: int) -> None:
    """Reads at any days and at any time of a day, gaps in the intervals included: no fault."""
    rng = np.random.default_rng(seed)
    load = fleet(1)[:3]
    have = rng.random(load.shape) > rng.choice([0.0, 0.05])
    slots = np.sort(rng.choice(GRID.slots + 1, (3, 6), replace=True), axis=1)
    slots[:, 1] = slots[:, 1] // HOUR * HOUR
    slots.sort(axis=1)
    running = np.concatenate([np.zeros((3, 1), np.int64), load.cumsum(axis=1)], axis=1)
    shown = np.take_along_axis(running, slots, axis=1).ravel() // 1000 * 1000
    day, rest = np.divmod(slots.ravel(), HOUR)
    none = np.zeros(18, np.int64)
    series = np.repeat(np.arange(3), 6)
    reads = Reads(series, slots.ravel(), shown, none, none + 1000, np.zeros((18, 2), np.int64))
    homes = Homes(NAMES[:3], load * have, have, GRID)
    days = Days(week_table([homes.rows], homes.weeks))
    assert register_faults(days, [RegisterReads(NAMES[:3], reads, MONDAY + day, rest == 0)]) == []


def test_export_is_a_fault_where_nothing_generates() -> None:
    """Three days of export name a meter whose master data list import only, and no other."""
    load = fleet()[:6]
    homes = homes_of(load)
    fed = np.zeros((3, GRID.slots), np.int64)
    fed[:, GRID.offsets[10] + 12] = fed[:, GRID.offsets[11] + 12] = fed[:, GRID.offsets[19] + 12] = KWH
    rows = feature_rows(
        week_features(fed, np.ones(fed.shape, np.bool_), GRID), [(n, "export") for n in NAMES[:3]], 3600
    )
    places = {name: Place("customer", None, "active", 0, IMPORTS) for name in NAMES}
    places[NAMES[1]] = Place("customer", None, "active", 0, IMPORTS | {"export"})
    places[NAMES[2]] = Place("customer", None, "active", 0, IMPORTS, generates=True)
    table = detect([homes.rows, rows], homes.weeks, places, AS_OF).faults
    assert [(row["meter_id"], row["fault"], row["since"]) for row in table.to_pylist()] == [
        (NAMES[0], "export_without_generation", day_date(MONDAY + 10))
    ]
    assert table["evidence"][0].as_py().startswith(f"3.0 kWh on 3 days, the last on {day_date(MONDAY + 19)}")


def test_a_value_a_day_is_stuck_only_where_it_repeats() -> None:
    """Meters of daily values: three equal days are stuck from the second on, changing ones never."""
    grid = day_grid("Europe/Zurich", 86_400, MONDAY, 28)
    load = np.arange(1, 57, dtype=np.int64).reshape(2, 28) * KWH
    load[1, 10:13] = 99 * KWH
    homes = Homes(NAMES[:2], load, np.ones(load.shape, np.bool_), grid)
    found = value_faults(Days(week_table([homes.rows], homes.weeks)))
    assert told(found) == [(1, "stuck_value", 11, 12, "error")]


def test_a_day_with_hardly_a_value_is_not_stuck() -> None:
    """Five of twenty-four values, all the same, are no stuck day; six are."""
    load, have = fleet()[:6], np.ones((6, GRID.slots), np.bool_)
    for day, known in ((20, 5), (30, 6)):
        low, high = GRID.offsets[day : day + 2]
        load[2, low:high], have[2, low + known : high] = KWH, False
    homes = homes_of(load, have)
    found = value_faults(Days(week_table([homes.rows], homes.weeks)))
    stuck = [fault for fault in found if fault.fault == "stuck_value"]
    assert told(stuck) == [(2, "stuck_value", 30, 30, "error")]


def test_homes_that_cannot_be_compared_are_said() -> None:
    """Two weeks of data: nothing can be broken and told, so an error and no table of NaN."""
    grid = day_grid("Europe/Zurich", 3600, MONDAY, 14)
    load = fleet(1, grid)
    homes = Homes(NAMES, load, np.ones(load.shape, np.bool_), grid)
    with pytest.raises(MeterbeamError, match="too short to be compared"):
        next(evaluate_faults(homes, seeds=1, each=1))


def test_use_after_closing_ends_with_its_last_day() -> None:
    """Use for ten days behind a closed service point, and none after: since and until."""
    load = fleet()[:6]
    load[3, GRID.offsets[30] :] = 0
    homes = homes_of(load)
    places = {name: Place("customer", None, "active", 0) for name in NAMES}
    places[NAMES[3]] = Place("customer", None, "closed", MONDAY + 20)
    found = [
        f for f in compare([homes.rows], homes.weeks, places).faults if f.fault == "use_without_contract"
    ]
    assert told(found) == [(3, "use_without_contract", 20, 29, "error")]


def test_features_of_an_older_lake_are_read_without_the_new_columns() -> None:
    """Rows whose later columns are null: hours are cut in two, no zero is lone, the clock is still seen."""
    homes = homes_of(moved(fleet(3), [9], 28, 2))
    rows = homes.rows
    for name in ("late", "day_lone"):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(name), pa.nulls(len(rows), rows.schema.field(name).type))
    days = Days(week_table([rows], homes.weeks))
    assert not days.lone.any()
    assert [fault.meter for fault in clock_faults(days)] == [9]


@given(st.integers(0, 2**32), st.sampled_from((900, 3600, 86_400)))
def test_lone_zeros_equals_a_look_at_each_slot(seed: int, interval_s: int) -> None:
    """A zero with a slot above zero of the same day on either side, across a clock change."""
    grid = day_grid("Europe/Zurich", interval_s, 20_176, 4)
    rng = np.random.default_rng(seed)
    value = rng.integers(-1, 3, (2, grid.slots))
    have = rng.random(value.shape) < 0.9
    value *= have
    found = lone_zeros(value, have, grid)
    for row in range(2):
        for slot in range(grid.slots):
            day = grid.day_of_slot[slot]
            beside = [n for n in (slot - 1, slot + 1) if 0 <= n < grid.slots and grid.day_of_slot[n] == day]
            lone = have[row, slot] and value[row, slot] == 0 and len(beside) == 2
            assert found[row, slot] == (lone and all(value[row, n] > 0 for n in beside))


def test_no_order_of_meters_shows_in_the_faults(trial: tuple[Homes, list[str], list[list[str]]]) -> None:
    """Features in two pieces, the later meters first: the same faults as in one."""
    homes, _, _ = trial
    load = homes.load.copy()
    load[3, GRID.offsets[30] :] //= 3
    load[5] *= 4
    load[[5, 6], GRID.offsets[30] :] = load[[6, 5], GRID.offsets[30] :]
    changed = homes_of(load)
    low = pa.compute.less(changed.rows["meter_id"], NAMES[20])
    pieces = [changed.rows.filter(pa.compute.invert(low)), changed.rows.filter(low)]
    places = {name: Place("customer", None, "active", 0) for name in NAMES}
    whole = compare([changed.rows], changed.weeks, places).faults
    assert {"reversed_ct", "crossed_meters"} <= {fault.fault for fault in whole}
    assert compare(pieces, changed.weeks, places).faults == whole


def test_noise_is_told_from_another_level() -> None:
    """A meter whose slots jump about what they should be is named; one at half its use, and one at rest for
    half the weeks, is not.
    """
    load, low = fleet(4), int(GRID.offsets[28])
    jumps = np.random.default_rng(3).lognormal(0, 0.6, load.shape[1] - low)
    load[7, low:] = np.rint(load[7, low:] * jumps)
    load[8, low:] //= 2
    load[9, low:] = load[9, low:].min()
    found = [(fault.meter, fault.since) for fault in noise_faults(days_of(load))]
    assert [meter for meter, _ in found] == [7]
    assert abs(found[0][1] - (MONDAY + 28)) <= 2
