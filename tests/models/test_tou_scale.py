"""Estimates moved to the time-of-use registers of their meter, then to the total register."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendar import DayGrid, epoch_day
from models.series import Bool, Int, Reads, SeriesFacts, TouReads
from models.tou_registers import register_code
from models.tou_scale import register_of_slots
from models.vee import validate_and_estimate
from schemas.quality import SCALED, Method
from schemas.rulepack import RulePack, load_rule_pack
from tests.models.test_vee_reference import assert_equal, briefly
from tests.reference_vee import reference_vee

KWH = 1_000_000
GRID = DayGrid("Europe/Zurich", 3600, epoch_day(date(2026, 3, 2)), 42)
"""From a Monday on; the clock changes on the last day of the fourth week."""
PARTS = [{"name": "peak", "days": ["weekday"], "at": ["07:00", "21:00"]}, {"name": "rest"}]


def pack_of(parts: list[Any]) -> RulePack:
    pack = load_rule_pack("default")
    registers = type(pack.registers).model_validate({"max_read_gap_days": 62, "tou": parts})
    return pack.model_copy(update={"registers": registers})


PACK = pack_of(PARTS)
CODES = register_of_slots(PACK, GRID, frozenset())


def facts_of(truth: Int, have: Bool, days: list[int], step: int = 1) -> SeriesFacts:
    """One meter with its registers, total and by time of use, read at midnight of some days."""
    at = np.array([GRID.offsets[day] for day in days])

    def shown(counted: Int) -> Int:
        running = np.concatenate([[0], np.cumsum(counted)])
        value: Int = (5 * KWH + running)[at] // step * step
        return value

    none, second = np.zeros(len(at), np.int64), GRID.origin + at * GRID.interval_s
    reads = Reads(none, second, shown(truth), none, none + step, np.zeros((len(at), 2), np.int64))
    names = sorted((register_code("peak"), register_code("rest")))
    tou = [
        (0, code, 0, int(moment), int(value), 0, step)
        for code in names
        for moment, value in zip(second, shown(np.where(code == CODES, truth, 0)), strict=True)
    ]
    return SeriesFacts(
        grid=GRID,
        value=np.where(have, truth, 0)[None],
        have=have[None],
        expected=np.ones((1, GRID.days), np.bool_),
        one_directional=np.ones(1, np.bool_),
        instantaneous=np.zeros(1, np.bool_),
        reads=reads,
        tou=TouReads(*np.ascontiguousarray(np.array(tou, np.int64).T)),
        channels=("import",),
    )


def truth_of(seed: int) -> Int:
    """Cheap nights and dear days, no hour like the other."""
    rng = np.random.default_rng(seed)
    day = np.where((GRID.wall >= 7 * 3600) & (GRID.wall < 21 * 3600), 900, 300)
    truth: Int = np.rint(day * rng.lognormal(0, 0.4, GRID.slots) * 1000).astype(np.int64)
    return truth


@briefly
@given(
    seed=st.integers(0, 999),
    gaps=st.lists(st.tuples(st.integers(0, GRID.slots - 1), st.integers(1, 90)), max_size=4),
    every=st.sampled_from([1, 3, 7, 14]),
    step=st.sampled_from([1, 1, 1000, 100_000]),
)
def test_each_register_and_the_total_agree(
    seed: int, gaps: list[tuple[int, int]], every: int, step: int
) -> None:
    """Over every read interval the slots of a register sum to its advance, to the micro-unit where it shows
    that much and within a step of each register where not; the total always exactly. As the loops have it.
    """
    truth, have = truth_of(seed), np.ones(GRID.slots, np.bool_)
    for start, length in gaps:
        have[start : start + length] = False
    days = list(range(0, GRID.days, every))
    facts = facts_of(truth, have, days, step)
    found = validate_and_estimate(facts, PACK)
    assert_equal(found, reference_vee(facts, PACK), facts)
    for first, last in pairwise(days):
        low, high = GRID.offsets[first], GRID.offsets[last]
        own = found.value[0, low:high]
        if have[low:high].all():
            continue
        shown = facts.reads.value[days.index(last)] - facts.reads.value[days.index(first)]
        assert own.sum() == shown
        for code in np.unique(CODES[low:high]).tolist():
            mine = np.flatnonzero(facts.tou.register == code)
            advance = facts.tou.value[mine][days.index(last)] - facts.tou.value[mine][days.index(first)]
            off = abs(int(own[CODES[low:high] == code].sum()) - int(advance))
            assert off <= (0 if step == 1 else 4 * step)


def test_a_dear_gap_takes_what_its_own_register_counted() -> None:
    """A weekday's gap from 5 to 9 o'clock: two hours are cheap and two dear, each by its register."""
    truth, have = truth_of(3), np.ones(GRID.slots, np.bool_)
    low = int(GRID.offsets[37])
    have[low + 5 : low + 9] = False
    facts = facts_of(truth, have, [35, 42 - 1])
    found = validate_and_estimate(facts, PACK)
    assert found.value[0, low + 5 : low + 7].sum() == truth[low + 5 : low + 7].sum()
    assert found.value[0, low + 7 : low + 9].sum() == truth[low + 7 : low + 9].sum()
    assert (found.method[0, low + 5 : low + 9] == Method.SIMILAR + SCALED).all()


@pytest.mark.parametrize("fault", ["another register", "one read missing", "measured more", "a read between"])
def test_registers_that_do_not_fit_move_nothing(fault: str) -> None:
    """The estimates are then what they are without time-of-use registers, scaled to the total."""
    truth, have = truth_of(4), np.ones(GRID.slots, np.bool_)
    low = int(GRID.offsets[37])
    have[low + 5 : low + 9] = False
    facts = facts_of(truth, have, [35, 41])
    tou = facts.tou
    if fault == "another register":
        code = np.where(tou.register == register_code("peak"), register_code("third"), tou.register)
        order = np.lexsort((tou.at, code))
        tou = TouReads(
            *(getattr(replace(tou, register=code), name)[order] for name in TouReads.__dataclass_fields__)
        )
    elif fault == "one read missing":
        tou = TouReads(*(getattr(tou, name)[1:] for name in TouReads.__dataclass_fields__))
    elif fault == "measured more":
        tou = replace(tou, value=np.where(tou.at == tou.at.max(), tou.value - 20 * KWH, tou.value))
    else:
        again = [
            np.insert(getattr(tou, name), 1, getattr(tou, name)[0]) for name in TouReads.__dataclass_fields__
        ]
        tou = TouReads(*again)
        tou.at[1] += 3600
    told = validate_and_estimate(replace(facts, tou=tou), PACK)
    plain = validate_and_estimate(replace(facts, tou=TouReads.none()), PACK)
    np.testing.assert_array_equal(told.value, plain.value)
    np.testing.assert_array_equal(told.method, plain.method)


def test_the_first_part_that_holds_a_slot_counts_it() -> None:
    """By type of day, month and local clock, over midnight too; a slot of no part has no register."""
    parts = [
        {"name": "a", "at": ["22:00", "06:00"]},
        {"name": "b", "days": ["saturday"], "months": [3]},
        {"name": "a", "days": ["saturday"]},
    ]
    found = register_of_slots(pack_of(parts), GRID, frozenset())
    a, b = register_code("a"), register_code("b")
    friday, saturday, april = (int(GRID.offsets[day]) for day in (4, 5, 33))
    assert found[friday : friday + 24].tolist() == [a] * 6 + [0] * 16 + [a] * 2
    assert found[saturday : saturday + 24].tolist() == [a] * 6 + [b] * 16 + [a] * 2
    assert found[april : april + 24].tolist() == [a] * 24
