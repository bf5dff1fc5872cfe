"""Several packs on the days of the same series: each day has what its own pack says of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendar import DayGrid, epoch_day
from models.master import MasterData
from models.pack_days import PackDays, pack_days
from models.series import Outages, Reads, SeriesFacts
from models.vee import validate_and_estimate
from schemas.quality import Method
from schemas.rulebook import Entry, RuleBook, When, book_of
from schemas.rulepack import RulePack, load_rule_pack
from tests.models.test_vee_reference import assert_equal, briefly
from tests.strategies import rule_packs, series_facts, with_holidays


@given(
    facts=series_facts(max_incidents=8), packs=st.lists(rule_packs(), min_size=2, max_size=3), data=st.data()
)
@briefly
def test_series_of_one_pack_are_as_with_that_pack_alone(
    facts: SeriesFacts, packs: list[RulePack], data: st.DataObject
) -> None:
    """Meters under different packs in one batch give what each gives under its own, in every bit."""
    packs = [with_holidays(pack, facts) for pack in packs]
    meter = np.arange(facts.count) if facts.meter is None else facts.meter
    of_meter = data.draw(st.lists(st.integers(0, len(packs) - 1), min_size=8, max_size=8))
    of_day = np.array([[of_meter[number]] * facts.grid.days for number in meter], np.int64)
    found = validate_and_estimate(facts, PackDays(tuple(packs), of_day))
    for number, pack in enumerate(packs):
        rows = np.flatnonzero(of_day[:, 0] == number)
        alone = validate_and_estimate(facts, pack)
        for name in ("value", "quality", "method", "flags"):
            inside = facts.expected[:, facts.grid.day_of_slot][rows]
            assert np.array_equal(getattr(found, name)[rows][inside], getattr(alone, name)[rows][inside])


@given(facts=series_facts(max_incidents=20), pack=rule_packs(), data=st.data())
@briefly
def test_a_change_to_an_equal_pack_changes_nothing(
    facts: SeriesFacts, pack: RulePack, data: st.DataObject
) -> None:
    """Days dealt out to two packs that say the same end where one pack ends: nothing is lost at the seams."""
    pack = with_holidays(pack, facts)
    deal = st.lists(st.integers(0, 1), min_size=facts.grid.days, max_size=facts.grid.days)
    of_day = np.array([data.draw(deal) for _ in range(facts.count)], np.int64)
    twin = pack.model_copy(update={"version": pack.version + 1})
    found = validate_and_estimate(facts, PackDays((pack, twin), of_day))
    assert_equal(found, validate_and_estimate(facts, pack), facts)


def flat(first: date, days: int, lost: list[int]) -> SeriesFacts:
    """A series of 1 and 3 kWh in turn in hours, without the readings of some days."""
    grid = DayGrid("UTC", 3600, epoch_day(first), days)
    value = np.where(np.arange(grid.slots) % 2, 3_000_000, 1_000_000)[None, :]
    have = ~np.isin(grid.day_of_slot, lost)[None, :]
    ones = np.ones((1, days), np.bool_)
    shape = (np.ones(1, np.bool_), np.zeros(1, np.bool_))
    return SeriesFacts(grid, np.where(have, value, 0), have, ones, *shape, outages=Outages.none())


def test_a_day_is_estimated_by_the_pack_in_force_on_it() -> None:
    """Two lost days on both sides of a change: like day before it, the flat average from it on."""
    like, level = (
        load_rule_pack("california").model_copy(update={"id": method, "estimation": estimation})
        for method in ("like_day", "flat")
        if (estimation := _only(method))
    )
    facts = flat(date(2024, 5, 1), 40, [30, 31])
    entries = (Entry(pack=like), Entry(pack=level, valid_from=date(2024, 6, 1)))
    book = RuleBook(id="b", entries=entries, otherwise=like)
    packs = pack_days(book, [("m", "import")], facts.grid, MasterData([]))
    result = validate_and_estimate(facts, packs)
    day = facts.grid.day_of_slot
    assert set(result.method[0, day == 30].tolist()) == {Method.LIKE_DAY}
    assert set(result.method[0, day == 31].tolist()) == {Method.FLAT}
    assert result.value[0, day == 31].tolist() == [2_000_000] * 24

    nothing = np.zeros(2, np.int64)
    at = facts.grid.day_starts[[30, 32]]
    reads = Reads(nothing, at, np.array([0, 60_000_007]), nothing, nothing + 1, np.zeros((2, 2), np.int64))
    scaled = validate_and_estimate(SeriesFacts(**{**vars(facts), "reads": reads}), packs)
    assert int(scaled.value[0, (day == 30) | (day == 31)].sum()) == 60_000_007
    assert set(scaled.method[0, day == 31].tolist()) == {Method.FLAT_SCALED}


def _only(method: str) -> Any:
    pack = load_rule_pack("california").model_dump(by_alias=True)
    pack["estimation"] = {"order": [{"method": method}]}
    return RulePack.model_validate(pack).estimation


def test_the_entry_with_most_conditions_holds_then_the_latest() -> None:
    """Class beats none, two conditions beat one, a later begin beats an earlier one."""
    names = ("a", "b", "c", "d")
    a, b, c, d = (load_rule_pack("default").model_copy(update={"id": name}) for name in names)
    home = When(customer_class=("residential",))
    export = When(customer_class=("residential",), channel=("export",))
    entries = (
        Entry(pack=c, when=export, valid_to=date(2024, 12, 31)),
        Entry(pack=b, when=home),
        Entry(pack=d, valid_from=date(2024, 7, 1)),
        Entry(pack=a),
    )
    book = RuleBook(id="x", entries=entries, otherwise=a)

    def held(customer_class: str | None, channel: str) -> list[tuple[str, str]]:
        found = book.stretches(customer_class, "electricity", channel)
        return [(str(first), book.packs[number].id) for first, number in found if first.year > 1900]

    assert held(None, "import") == [("2024-07-01", "d")]
    assert held("residential", "import") == []
    assert held("residential", "export") == [("2025-01-01", "b")]


@pytest.mark.parametrize("name", ["california", "default"])
def test_a_book_of_one_pack_holds_everywhere(name: str) -> None:
    """Whatever the series, on every day of its effective dates."""
    book = book_of(load_rule_pack(name))
    assert {book.packs[number].id for _, number in book.stretches("x", "gas", "volume")[-1:]} == {name}
