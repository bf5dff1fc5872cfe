"""From which day on accounts of a stream are priced anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
import pytest

from models.bill_cycles import Contract, Term
from models.shard_scope import EVER
from pipelines.streaming.bill_starts import Reach, bill_starts, reaches
from schemas.lake import SERIES

JULY, LAST = 200, 260
WHOLE = Reach(first=100, last=LAST, lengths=1)
PLAIN = Contract("SP1", "A1", "m1", "electricity", "home", 1, 0, None)


def starts(
    contract: Contract = PLAIN, reach: Reach = WHOLE, states: dict[str, int] | None = None
) -> dict[int, set[str]]:
    """Of one account whose first changed period begins in July."""
    return bill_starts({"A1": JULY}, [contract], {"m1": reach}, states or {}, LAST)


def test_nothing_handed_on_begins_with_what_changed() -> None:
    """Also where a state is handed on by a bill that is priced anew itself, or to another account."""
    for states in ({}, {"A1": JULY}, {"A1": JULY + 31}, {"A2": 0}):
        assert starts(states=states) == {JULY: {"A1"}}


def test_a_state_before_begins_with_the_first_bill() -> None:
    """Whichever bill before has one: those after it may be held, and tell none."""
    assert starts(states={"A1": JULY - 1}) == {EVER: {"A1"}}


@pytest.mark.parametrize(
    "reach",
    [replace(WHOLE, first=JULY + 1), replace(WHOLE, last=LAST - 1), replace(WHOLE, lengths=2)],
)
def test_a_meter_without_all_days_begins_with_the_first_bill(reach: Reach) -> None:
    """Which channel is billed, and from when on, is seen in the days themselves."""
    assert starts(reach=reach) == {EVER: {"A1"}}


def test_loads_of_several_meters_begin_with_the_first_bill() -> None:
    """As does a meter that nothing is known of, and an account that is asked for as a whole."""
    composed = replace(PLAIN, load="SP1", terms=(Term("SP1", "m1", 0, 1, 900),))
    assert starts(composed) == {EVER: {"A1"}}
    assert starts(replace(PLAIN, formula=True)) == {EVER: {"A1"}}
    assert bill_starts({"A1": JULY}, [PLAIN], {}, {}, LAST) == {EVER: {"A1"}}
    assert bill_starts({"A1": EVER}, [PLAIN], {"m1": WHOLE}, {}, LAST) == {EVER: {"A1"}}


def test_one_contract_that_must_takes_its_account_along() -> None:
    """Bills of an account are compared together."""
    other = replace(PLAIN, service_point_id="SP2", load="m2")
    third = replace(PLAIN, service_point_id="SP3", account_id="A3", load="m1")
    meters = {"m1": WHOLE, "m2": replace(WHOLE, lengths=2)}
    wanted = {"A1": JULY, "A3": JULY + 31}
    found = bill_starts(wanted, [PLAIN, other, third], meters, {}, LAST)
    assert found == {EVER: {"A1"}, JULY + 31: {"A3"}}


def test_a_meter_reaches_as_far_as_all_its_channels() -> None:
    """The latest first day, the earliest last one."""
    day = date(1970, 1, 1)
    rows = [("m", "import", 900, 3, 9), ("m", "export", 900, 5, 8), ("n", "import", 900, 1, 2)]
    columns = zip(*((m, c, i, day + timedelta(a), day + timedelta(b)) for m, c, i, a, b in rows), strict=True)
    series = pa.table([list(column) for column in columns], schema=SERIES.schema)
    assert reaches(series) == {"m": Reach(5, 8, 1), "n": Reach(1, 2, 1)}
