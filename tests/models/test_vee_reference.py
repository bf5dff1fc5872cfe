"""The VEE kernels against the slow reference, and the laws both must keep."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from models.calendar import DAY_S, DayGrid, epoch_day
from models.series import RULES, Findings, Outages, Reads, SeriesFacts, SeriesResult
from models.vee import validate_and_estimate
from schemas.quality import Method, Quality
from schemas.rulepack import RulePack, load_rule_pack
from tests.reference_vee import reference_vee
from tests.strategies import grids, rule_packs, series_facts, with_holidays

EXAMPLES = 150
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
checked = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW, phases=PHASES)
briefly = settings(checked, max_examples=EXAMPLES // 3)


def listed(findings: Findings) -> list[tuple[Any, ...]]:
    """Findings as rows (series, day, rule, start, end, seen, expected), in their order."""
    columns = ("series", "day", "rule", "start", "end", "seen", "expected")
    rows = zip(*(getattr(findings, name).tolist() for name in columns), strict=True)
    return [(row, day, RULES[rule], *rest) for row, day, rule, *rest in rows]


def in_range(facts: SeriesFacts) -> np.ndarray[Any, Any]:
    """Expected slots: the only ones whose result means anything."""
    inside = facts.expected[:, facts.grid.day_of_slot]
    return inside if facts.unserved is None else inside & ~facts.unserved


def assert_equal(found: SeriesResult, wanted: SeriesResult, facts: SeriesFacts) -> None:
    """Equal slot for slot on expected days, and in every finding."""
    note(f"grid {facts.grid}")
    inside = in_range(facts)
    for name in ("value", "quality", "method", "flags"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        where = np.argwhere((ours != theirs) & inside)
        seen = [(*at, int(ours[tuple(at)]), int(theirs[tuple(at)])) for at in where[:6].tolist()]
        assert not seen, f"{name} differs at (series, slot, found, wanted): {seen}"
    assert listed(found.findings) == listed(wanted.findings)


def cut_columns(result: SeriesResult, rows: Any, columns: Any) -> list[np.ndarray[Any, Any]]:
    """The four dense columns at rows and slots."""
    return [getattr(result, name)[rows, columns] for name in ("value", "quality", "method", "flags")]


@given(facts=series_facts(), pack=rule_packs())
@checked
def test_kernels_equal_the_reference(facts: SeriesFacts, pack: RulePack) -> None:
    """Value, quality, method, flags and findings are those of the plain loops."""
    pack = with_holidays(pack, facts)
    assert_equal(validate_and_estimate(facts, pack), reference_vee(facts, pack), facts)


@given(facts=series_facts(max_incidents=30, max_series=2), pack=rule_packs())
@checked
def test_kernels_equal_the_reference_when_much_is_wrong(facts: SeriesFacts, pack: RulePack) -> None:
    """The same with so many incidents that they overlap."""
    pack = with_holidays(pack, facts)
    assert_equal(validate_and_estimate(facts, pack), reference_vee(facts, pack), facts)


FEW_DAYS = grids(min_days=3, max_days=6, max_slots=300)


@given(facts=series_facts(grid=FEW_DAYS, channels=True), pack=rule_packs())
@checked
def test_channels_of_a_meter_are_judged_together(facts: SeriesFacts, pack: RulePack) -> None:
    """The same with several channels a meter and short slots: siblings, reactive energy, leaks."""
    assert_equal(validate_and_estimate(facts, pack), reference_vee(facts, pack), facts)


@given(facts=series_facts(), pack=rule_packs())
@briefly
def test_a_value_that_no_rule_fails_is_never_altered(facts: SeriesFacts, pack: RulePack) -> None:
    """Only absent slots, and external ones where the pack scales them, differ from what was received."""
    result = validate_and_estimate(facts, pack)
    untouched = facts.have & in_range(facts) & (result.quality != Quality.SUBSTITUTED)
    if facts.external is not None and pack.estimation.scale_external:
        untouched &= ~facts.external
    assert np.array_equal(result.value[untouched], facts.value[untouched])
    kept = (Quality.QUESTIONABLE, Quality.FAILED, Quality.VALIDATED, Quality.VERIFIED)
    made = np.isin(result.method, (Method.NONE, Method.EXTERNAL))
    assert np.all(made[facts.have & np.isin(result.quality, kept) & in_range(facts)])


@given(facts=series_facts(), pack=rule_packs())
@briefly
def test_results_are_the_same_bits_each_time(facts: SeriesFacts, pack: RulePack) -> None:
    """A second run over the same facts, which the first left alone, gives the same result."""
    before = facts.value.copy(), facts.have.copy()
    first, second = validate_and_estimate(facts, pack), validate_and_estimate(facts, pack)
    assert np.array_equal(before[0], facts.value)
    assert np.array_equal(before[1], facts.have)
    everything = slice(None), slice(None)
    for a, b in zip(cut_columns(first, *everything), cut_columns(second, *everything), strict=True):
        assert np.array_equal(a, b)
    assert listed(first.findings) == listed(second.findings)


def alone(facts: SeriesFacts, rows: list[int]) -> SeriesFacts:
    """Some series of the facts."""

    def only(table: Any) -> Any:
        return None if table is None else table[rows]

    def mine(records: Any) -> Any:
        here = np.isin(records.series, rows)
        columns = {name: getattr(records, name)[here] for name in records.__dataclass_fields__}
        return replace(records, **(columns | {"series": np.searchsorted(rows, columns["series"])}))

    dense = ("value", "have", "expected", "one_directional", "instantaneous")
    maybe = ("external", "conflict", "disconnected", "capacity", "inactive", "meter", "unserved")
    sparse = ("outages", "reads", "events", "repeats", "tou")
    kept = {name: only(getattr(facts, name)) for name in dense + maybe}
    kept |= {name: mine(getattr(facts, name)) for name in sparse}
    return replace(facts, **kept, channels=tuple(facts.channels[row] for row in rows if facts.channels))


@given(facts=series_facts(max_series=5), pack=rule_packs(), data=st.data())
@briefly
def test_a_series_does_not_depend_on_its_batch(
    facts: SeriesFacts, pack: RulePack, data: st.DataObject
) -> None:
    """A meter alone gives what it gives among others."""
    row = data.draw(st.integers(0, facts.count - 1))
    rows = [row] if facts.meter is None else np.flatnonzero(facts.meter == facts.meter[row]).tolist()
    together, single = validate_and_estimate(facts, pack), validate_and_estimate(alone(facts, rows), pack)
    everything = slice(None)
    for a, b in zip(
        cut_columns(together, rows, everything), cut_columns(single, everything, everything), strict=True
    ):
        inside = in_range(facts)[rows]
        assert np.array_equal(a[inside], b[inside])
    ours = [found for found in listed(together.findings) if found[0] in rows]
    assert [(rows.index(row), *rest) for row, *rest in ours] == listed(single.findings)


def cut_days(facts: SeriesFacts, first: int, last: int) -> SeriesFacts:
    """The facts on the days first … last of the grid only; outages and reads are not cut."""
    old = facts.grid
    grid = DayGrid(old.zone, old.interval_s, old.first_day + first, last - first + 1)
    slots, days = slice(int(old.offsets[first]), int(old.offsets[last + 1])), slice(first, last + 1)

    def piece(table: Any, where: slice) -> Any:
        return None if table is None else table[:, where]

    of_slots = ("value", "have", "external", "conflict", "unserved")
    by_slot = {name: piece(getattr(facts, name), slots) for name in of_slots}
    by_day = {
        name: piece(getattr(facts, name), days)
        for name in ("expected", "disconnected", "capacity", "inactive")
    }
    return replace(facts, grid=grid, **by_slot, **by_day)


GAP = 5


@given(
    facts=series_facts(grid=grids(min_days=52, max_days=64, max_slots=400), max_series=2),
    pack=rule_packs(max_read_gap_days=GAP),
    data=st.data(),
)
@briefly
def test_a_day_depends_on_its_reach_only(facts: SeriesFacts, pack: RulePack, data: st.DataObject) -> None:
    """Days farther than 35 days and a read interval back, or one and an interval on, do not matter."""
    day = data.draw(st.integers(35 + GAP + 2, facts.grid.days - 1))
    first = data.draw(st.integers(0, day - 35 - GAP - 2))
    last = data.draw(st.integers(min(day + GAP + 2, facts.grid.days - 1), facts.grid.days - 1))
    wide, narrow = (
        validate_and_estimate(facts, pack),
        validate_and_estimate(cut_days(facts, first, last), pack),
    )
    here = slice(int(facts.grid.offsets[day]), int(facts.grid.offsets[day + 1]))
    there = slice(here.start - int(facts.grid.offsets[first]), here.stop - int(facts.grid.offsets[first]))
    inside = in_range(facts)[:, here]
    everything = slice(None)
    columns = cut_columns(wide, everything, here), cut_columns(narrow, everything, there)
    for a, b in zip(*columns, strict=True):
        assert np.array_equal(a[inside], b[inside])
    long = {"read_interval"} if _too_long(facts.reads) else set()
    found = [row for row in listed(wide.findings) if row[1] == day and row[2] not in long]
    other = [row for row in listed(narrow.findings) if row[1] == day - first and row[2] not in long]
    assert [(row[0], *row[2:]) for row in found] == [(row[0], *row[2:]) for row in other]


def _too_long(reads: Reads) -> bool:
    """Whether reads of one series lie farther apart than the reach: their finding needs all days between."""
    return bool(np.any((np.diff(reads.series) == 0) & (np.diff(reads.at) > GAP * DAY_S)))


@given(facts=series_facts(max_incidents=6, instantaneous=False), pack=rule_packs())
@checked
def test_a_scaled_interval_equals_its_register(facts: SeriesFacts, pack: RulePack) -> None:
    """Whole slots and shares of a usable interval that was scaled sum to the advance, to the micro-unit."""
    result = validate_and_estimate(facts, pack)
    scaled = np.isin(
        result.method,
        [method for method in Method if method.name.endswith("_SCALED")],
    )
    reads, grid = facts.reads, facts.grid
    good = (reads.value >= 0) & ((reads.modulus == 0) | (reads.value < reads.modulus))
    kept = np.flatnonzero(good)
    for k, n in pairwise(kept):
        row, start, end = int(reads.series[k]), int(reads.at[k]), int(reads.at[n])
        if reads.series[n] != row:
            continue
        first, last = max(start, grid.origin), min(end, grid.origin + grid.slots * grid.interval_s)
        inside = (grid.starts >= start) & (grid.starts + grid.interval_s <= end)
        if first >= last or not np.any(scaled[row] & inside):
            continue
        total = sum(_part(facts, result, row, slot, start, end) for slot in range(grid.slots))
        advance = int(reads.value[n] - reads.value[k])
        advance += int(reads.modulus[n]) if advance < 0 else 0
        estimates = result.value[row][scaled[row] & inside]
        least = 0 if estimates.any() else -max(int(reads.resolution[k]), int(reads.resolution[n]))
        assert least <= advance - total <= 0


def _part(facts: SeriesFacts, result: SeriesResult, row: int, slot: int, start: int, end: int) -> int:
    """What a slot of the result gives to [start, end)."""
    length = facts.grid.interval_s
    begin = int(facts.grid.starts[slot])
    value = (
        0 if result.quality[row, slot] in (Quality.FAILED, Quality.MISSING) else int(result.value[row, slot])
    )
    low, high = max(begin, start), min(begin + length, end)
    return 0 if low >= high else value * (high - begin) // length - value * (low - begin) // length


def small(values: list[int | None], *, interval_s: int = 1800) -> SeriesFacts:
    """One plain series of one day in UTC whose other slots repeat 75 and 100 in turn."""
    grid = DayGrid("UTC", interval_s, epoch_day(date(2024, 5, 15)), 1)
    rest: list[int | None] = [75_000_000 + 25_000_000 * (i % 2) for i in range(grid.slots - len(values))]
    slots = values + rest
    return SeriesFacts(
        grid=grid,
        value=np.array([[value or 0 for value in slots]], np.int64),
        have=np.array([[value is not None for value in slots]]),
        expected=np.ones((1, 1), np.bool_),
        one_directional=np.ones(1, np.bool_),
        instantaneous=np.zeros(1, np.bool_),
        outages=Outages.none(),
        reads=Reads.none(),
    )


@pytest.mark.parametrize("vee", [validate_and_estimate, reference_vee])
def test_linear_golden_vector(vee: Any) -> None:
    """75, four missing, 100 becomes 80, 85, 90, 95."""
    facts = small([75_000_000, None, None, None, None, 100_000_000])
    result = vee(facts, load_rule_pack("default"))
    assert result.value[0, :6].tolist() == [kwh * 1_000_000 for kwh in (75, 80, 85, 90, 95, 100)]
    assert result.method[0, :6].tolist() == [0, *[Method.LINEAR] * 4, 0]
    assert result.quality[0, :6].tolist() == [Quality.VALIDATED, *[Quality.ESTIMATED] * 4, Quality.VALIDATED]
    assert listed(result.findings) == [
        (0, 0, "missing", facts.grid.origin + 1800, facts.grid.origin + 9000, 4, 0)
    ]
