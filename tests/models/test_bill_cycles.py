"""Billing periods: which local days make one bill."""

from __future__ import annotations

import itertools
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bill_cycles import BillingPeriod, Contract, billing_periods
from models.calendar import day_date, epoch_day


def contract(first: date, last: date | None = None, cycle: int = 1) -> Contract:
    """A customer's contract."""
    end = None if last is None else epoch_day(last)
    return Contract("sp", "a", "m", "electricity", "t", cycle, epoch_day(first), end)


def periods(of: Contract, seen_from: date, closed: date) -> list[tuple[str, str]]:
    """First and last days as text."""
    found = billing_periods(of, epoch_day(seen_from), epoch_day(closed))
    return [(day_date(p.first).isoformat(), day_date(p.last).isoformat()) for p in found]


def test_whole_months_once_the_day_after_has_closed() -> None:
    """March is due when 1 April has closed, not a day sooner."""
    of = contract(date(2026, 1, 1))
    assert periods(of, date(2026, 1, 1), date(2026, 3, 31))[-1] == ("2026-02-01", "2026-02-28")
    assert periods(of, date(2026, 1, 1), date(2026, 4, 1))[-1] == ("2026-03-01", "2026-03-31")


def test_a_period_that_begins_before_the_range_is_not_billed() -> None:
    """Readings from the 2nd on: the first bill is the next month's."""
    assert periods(contract(date(2020, 1, 1)), date(2026, 1, 2), date(2026, 3, 2)) == [
        ("2026-02-01", "2026-02-28")
    ]


def test_moves_cut_periods() -> None:
    """Move-in on the 10th and move-out on the 20th of the next month."""
    of = contract(date(2026, 1, 10), date(2026, 2, 20))
    assert periods(of, date(2026, 1, 10), date(2026, 6, 1)) == [
        ("2026-01-10", "2026-01-31"),
        ("2026-02-01", "2026-02-20"),
    ]


@pytest.mark.parametrize(("cycle", "first"), [(29, "2027-02-28"), (30, "2027-02-28"), (31, "2027-02-28")])
def test_cycle_days_that_a_month_lacks(cycle: int, first: str) -> None:
    """The cycle begins on the month's last day."""
    found = periods(contract(date(2026, 12, 1), cycle=cycle), date(2026, 12, 1), date(2027, 5, 1))
    assert first in [start for start, _ in found]


@given(
    st.integers(1, 31), st.integers(0, 800), st.integers(0, 800), st.one_of(st.none(), st.integers(0, 900))
)
def test_bills_follow_each_other_without_gap_or_overlap(
    cycle: int, first: int, closed: int, length: int | None
) -> None:
    """Each begins the day after the last one ends, within contract and range, at most 31 days long."""
    start = epoch_day(date(2025, 11, 17)) + first
    of = Contract(
        "sp", "a", "m", "electricity", "t", cycle, start, None if length is None else start + length
    )
    found: list[BillingPeriod] = billing_periods(of, start, start + closed)
    for here, after in itertools.pairwise(found):
        assert after.first == here.last + 1
    for period in found:
        assert start <= period.first <= period.last < start + closed
        assert of.last_day is None or period.last <= of.last_day
        assert period.last - period.first <= 30
