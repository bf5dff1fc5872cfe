"""Who is billed for which load: service points in time, loads by formula, shares, composed slots."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bill_cycles import Contract, Term
from models.calendar import day_date, day_grid, epoch_day, local_midnight
from models.composed_loads import compose, share_of
from models.contracts import ContractBook, contract_book
from models.holding import count_slots, holding_reasons
from models.loads import Loads
from models.master import FOREVER, MasterData, Version
from schemas.quality import Quality
from schemas.tariff import BillingRules, Holding

ZONE = "Europe/Zurich"
FIRST = epoch_day(date(2026, 3, 1))


def at(day: int, hour: int = 0) -> int:
    """A local moment as UTC seconds, day 0 being 1 March."""
    return local_midnight(ZONE, FIRST + day) + hour * 3600


def version(point: str, meter: str, since: int, until: int = FOREVER, **other: Any) -> Version:
    """A service-point version."""
    known: dict[str, Any] = {
        "service_point_id": point, "meter_id": meter, "account_id": "A", "role": "customer",
        "commodity": "electricity", "tariff_id": "t", "bill_cycle_day": 1, "interval_s": 900,
        "channels": ("import",), "multiplier": Fraction(1), "dials": None, "capacity_kw": None,
        "feeder_id": None, "transformer_id": None, "customer_class": None, "status": "active",
        "valid_from": since, "valid_to": until,
    }  # fmt: skip
    return Version(**{**known, **other})


def book(versions: list[Version], **rules: Any) -> ContractBook:
    """Contracts of some versions and billing rules."""
    master = MasterData([((i,), each) for i, each in enumerate(versions)])
    return contract_book(master, BillingRules.model_validate(rules), ZONE)


def told(contract: Contract) -> tuple[Any, ...]:
    """Service point, account, tariff and days from 1 March."""
    last = None if contract.last_day is None else contract.last_day - FIRST
    return (
        contract.service_point_id, contract.account_id, contract.tariff_id, contract.first_day - FIRST, last,
    )  # fmt: skip


def test_an_exchange_goes_on_and_a_move_begins_anew() -> None:
    """One contract over two meters, at midnight or at noon; another account is another contract."""
    found = book(
        [version("S", "m1", at(0)), version("S", "m2", at(9, 12)), version("S", "m2", at(20), account_id="B")]
    )
    assert not found.plain
    assert [told(c) for c in found.composed] == [("S", "A", "t", 0, 19), ("S", "B", "t", 20, None)]
    terms = [(t.meter_id, t.start, t.end) for t in found.composed[0].terms]
    assert terms == [("m1", at(0), at(9, 12)), ("m2", at(9, 12), at(20))]


@pytest.mark.parametrize(
    ("hour", "days"),
    [
        pytest.param(0, [("X", 0, 9), ("Y", 10, None)], id="midnight"),
        pytest.param(15, [("X", 0, 10), ("Y", 11, None)], id="afternoon"),
    ],
)
def test_a_change_of_tariff_within_a_day(hour: int, days: list[tuple[Any, ...]]) -> None:
    """No day is billed twice, and none is lost."""
    found = book([version("S", "m1", at(0), tariff_id="X"), version("S", "m1", at(10, hour), tariff_id="Y")])
    assert [told(c)[2:] for c in found.plain["m1"]] == days


def test_whole_days_after_a_vacancy() -> None:
    """Moving out at noon ends with the day before, moving in at noon begins with the day after."""
    found = book([version("S", "m1", at(0), at(5, 12)), version("S", "m1", at(8, 12), account_id="B")])
    assert [told(c) for c in found.plain["m1"]] == [("S", "A", "t", 0, 4), ("S", "B", "t", 9, None)]


def test_a_formula_stands_instead_of_its_service_points() -> None:
    """S1 is billed alone before and after; both versions of the load are one contract with other terms."""
    days = {
        "first": {"from": day_date(FIRST + 10), "to": day_date(FIRST + 19)},
        "then": {"from": day_date(FIRST + 20), "to": day_date(FIRST + 29)},
    }
    common = {"id": "V", "account": "A", "tariff": "t", "instead_of": ["S1"]}
    found = book(
        [version("S1", "m1", at(0)), version("S2", "m2", at(0), account_id="B")],
        loads=[
            {**common, "effective": days["first"], "add": ["S1"], "subtract": ["S2"]},
            {**common, "effective": days["then"], "add": ["S1", "S9"]},
        ],
    )
    assert [told(c)[3:] for c in found.plain["m1"]] == [(0, 9), (30, None)]
    assert [told(c)[3:] for c in found.plain["m2"]] == [(0, None)]
    (load,) = found.composed
    assert told(load) == ("V", "A", "t", 10, 29)
    assert [(t.meter_id, t.sign, t.start, t.end) for t in load.terms] == [
        ("m1", 1, at(10), at(20)), ("m2", -1, at(10), at(20)), ("m1", 1, at(20), at(30)),
    ]  # fmt: skip
    assert load.lack == "no service point S9, expected one with a meter"


@given(st.lists(st.integers(0, 1 << 50), min_size=1), st.lists(st.integers(1, 10**5), min_size=1, max_size=9))
def test_shares_that_make_one_leave_nothing_over(slots: list[int], weights: list[int]) -> None:
    """Parts are whole, within a micro-unit of the exact share, and sum to the slot."""
    edges = [Fraction(sum(weights[:i]), sum(weights)) for i in range(len(weights) + 1)]
    for energy in slots:
        parts = [share_of(energy, low, high) for low, high in pairwise(edges)]
        assert sum(parts) == energy
        for one, (low, high) in zip(parts, pairwise(edges), strict=True):
            assert abs(one - energy * (high - low)) < 1


@given(seed=st.integers(0, 2**32))
def test_composed_slots_are_the_sum_of_their_terms(seed: int) -> None:
    """Values, qualities and export of random terms, against a sum slot by slot."""
    rng = np.random.default_rng(seed)
    grid = day_grid(ZONE, 3600, FIRST + 27, 3)  # 29 March has 23 hours
    shape = (3, grid.slots)
    exported = rng.integers(0, 10**9, shape)
    loads = Loads(
        grid=grid, names=["m0", "m1", "m2"], units=["kWh"] * 3, imported=rng.integers(-50, 10**9, shape),
        exported=exported, exports=np.ones((3, 3), np.bool_),
        first_day=np.full(3, FIRST + 27), quality=rng.integers(0, 9, shape).astype(np.int8),
    )  # fmt: skip
    terms = []
    for _ in range(rng.integers(1, 6)):
        start, end = sorted(int(grid.origin + h * 3600) for h in rng.integers(-5, grid.slots + 5, 2))
        share = (Fraction(1, 3), Fraction(2, 3)) if rng.random() < 0.3 else None
        terms.append(Term("P", f"m{rng.integers(0, 4)}", start, end, 3600, int(rng.choice([1, -1])), share))
    contract = Contract(
        "S", "A", "S\nA", "electricity", "t", 1, FIRST, None, (*terms, Term("P", "m0", 0, 1, 3600))
    )
    made = compose(loads, [contract])
    for slot, second in enumerate(grid.starts.tolist()):
        here = [t for t in terms if t.start <= second < t.end]
        known = [(t, int(t.meter_id[1])) for t in here if t.meter_id != "m3"]
        drawn = sum(t.sign * int(loads.imported[m, slot]) for t, m in known if t.share is None)
        fed = sum(t.sign * part(int(exported[m, slot]), t) for t, m in known)
        lacking = len(known) < len(here) or not here
        worst = min([int(loads.quality[m, slot]) for _, m in known] + [0] * lacking)
        assert made.exported is not None
        assert (made.imported[0, slot], made.exported[0, slot], made.quality[0, slot]) == (drawn, fed, worst)


def part(fed: int, term: Term) -> int:
    """What of a slot counts in a term."""
    return fed if term.share is None else fed * 2 // 3 - fed // 3


def test_reasons_say_figure_and_limit() -> None:
    """A bill at its limit is issued, one slot more holds it; all reasons are told."""
    quality = np.full((3, 400), Quality.VALIDATED, np.int8)
    quality[0, :8], quality[1, :9] = Quality.ESTIMATED, Quality.SUBSTITUTED
    quality[2, :3], quality[2, 3:5], quality[2, 5:7] = Quality.FAILED, Quality.EDITED, Quality.MISSING
    limits = Holding.model_validate(
        {"effective": {"from": "2026-01-01"}, "estimated": "0.02", "edited": "0.004", "missing": "0.005"}
    )
    assert limits.failed == Decimal(0)
    assert holding_reasons(count_slots(quality), 400, limits) == [
        "",
        "9 of 400 slots are estimated: 2.25 %, at most 2 %",
        (
            "3 of 400 slots failed and were not replaced: 0.75 %, at most 0 %; "
            "2 of 400 slots are edited: 0.50 %, at most 0.4 %"
        ),
    ]
