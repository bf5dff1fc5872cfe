"""Bills and suspects in the report: what an analyst or a customer would check by hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from pipelines.report import report
from tests.pipelines.page_reader import Reader
from tests.pipelines.report_fixture import FIRST_DAY, day_row, empty, insert

SLOTS = 24


def _read(connection: duckdb.DuckDBPyConnection, **options: Any) -> Reader:
    return Reader(report(connection, title="T", **options))


def _spaces(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.fixture
def one_bill() -> duckdb.DuckDBPyConnection:
    """A day's bill of account A1: 10.005 kWh at 0.3 is 3.0015, rounded 3.00; 10 % tax on 3.00 is 0.30."""
    connection = empty()
    insert(connection, "slot_days", [day_row("a", FIRST_DAY, ["0.416875"] * SLOTS)])
    insert(
        connection,
        "service_points",
        [
            {
                "service_point_id": "s",
                "meter_id": "a",
                "account_id": "A1",
                "valid_from": datetime(2025, 1, 1, tzinfo=UTC),
            }
        ],
    )
    insert(
        connection,
        "determinants",
        [
            {
                "meter_id": "a",
                "local_day": FIRST_DAY,
                "tariff_id": "t",
                "period": "all",
                "direction": "import",
                "quantity": Decimal("10.005000"),
                "unit": "kWh",
            }
        ],
    )
    insert(
        connection,
        "bills",
        [
            {
                "bill_id": "b1",
                "account_id": "A1",
                "period_start": FIRST_DAY,
                "period_end": FIRST_DAY,
                "revision": 2,
                "status": "active",
                "total": Decimal("3.30"),
                "currency": "CHF",
                "estimated_share": 0.25,
            }
        ],
    )
    for line, (charge, quantity, unit, rate, amount) in enumerate(
        [("energy", "10.005", "kWh", "0.3", "3.00"), ("tax", "3.00", "CHF", "0.1", "0.30")], start=1
    ):
        insert(
            connection,
            "bill_lines",
            [
                {
                    "bill_id": "b1",
                    "revision": 2,
                    "line": line,
                    "charge": charge,
                    "tariff_id": "t",
                    "tariff_version": 3,
                    "period": "all" if charge == "energy" else None,
                    "quantity": quantity,
                    "unit": unit,
                    "rate": rate,
                    "amount": amount,
                }
            ],
        )
    # Lines of the revision before must not be shown.
    insert(
        connection,
        "bill_lines",
        [
            {
                "bill_id": "b1",
                "revision": 1,
                "line": 1,
                "charge": "stale",
                "quantity": "1",
                "unit": "kWh",
                "rate": "9",
                "amount": "9",
                "tariff_id": "t",
                "tariff_version": 1,
            }
        ],
    )
    return connection


def test_sample_bill_is_explained_line_by_line(one_bill: duckdb.DuckDBPyConnection) -> None:
    """Quantity, rate, amount and the redone product of each line of the current revision, and the sum."""
    page = _read(one_bill)
    rows = [[_spaces(cell) for cell in row] for row in page.tables["Quantity × rate = amount"]]
    assert rows[1:] == [
        [
            "1",
            "energy all",
            "t v3",
            "10.005",
            "kWh",
            "×",
            "0.30",
            "=",
            "3.00",
            "✓ 3.0015, rounded to 2 places",
        ],
        ["2", "tax", "t v3", "3", "CHF", "×", "10 %", "=", "0.30", "✓ exactly"],
        ["", "Total", "", "", "", "", "", "=", "3.30", "✓ sum of the lines"],
    ]
    assert page.tables["From slots to billed quantities"][1:] == [
        ["all", "import", "10.005", "10.005", "kWh"]
    ]
    assert "Measured share75 %" in _spaces(page.sections["bills"])
    assert (
        "2026-01-05: 10.005 kWh; slots: 24 measured, 0 estimated or edited, 0 without a value" in page.tips()
    )
    assert "Billed3.30 CHF1 billOpen suspects" in _spaces(page.sections[""])


def test_a_bill_that_does_not_add_up_is_shown_as_such(one_bill: duckdb.DuckDBPyConnection) -> None:
    """A total that differs from the sum of its lines is not passed off as right."""
    one_bill.execute("update bills set total = 3.31")
    assert _read(one_bill).tables["Quantity × rate = amount"][-1][-1] == "the lines sum to 3.30"


@pytest.fixture
def suspect() -> duckdb.DuckDBPyConnection:
    """Meter a halves in its second week; b does not change. One day of a's readings was estimated."""
    connection = empty()
    for day in range(14):
        at = FIRST_DAY + timedelta(days=day)
        level = "2" if day < 7 else "1"
        estimated = day == 8
        insert(
            connection,
            "slot_days",
            [
                day_row(
                    "a",
                    at,
                    ["7" if estimated else level] * SLOTS,
                    measured=[None if estimated else level] * SLOTS,
                    qualities=["ESTIMATED" if estimated else "VALIDATED"] * SLOTS,
                ),
                day_row("b", at, ["4"] * SLOTS),
            ],
        )
    insert(
        connection,
        "change_queue",
        [
            {
                "meter_id": "a",
                "rank": 1,
                "score": 5.5,
                "first_week": FIRST_DAY + timedelta(days=7),
                "kwh_lost": 168.0,
                "money_lost": Decimal("42.1"),
                "currency": "CHF",
                "model": "own",
                "reasons": "level fell by half; nights too",
                "against": '["moved out"]',
            },
            {"meter_id": "b", "rank": 2, "score": 0.1, "reasons": ""},
        ],
    )
    return connection


def test_a_suspect_shows_measured_load_before_and_after(suspect: duckdb.DuckDBPyConnection) -> None:
    """The mean week is of values as received: an estimate enters neither side, and leaves a hole where "
    "alone.
    """
    tips = _read(suspect).tips()
    assert "Mon 07:00: before 2 kW, since 1 kW" in tips
    assert "Tue 07:00: before 2 kW, since –" in tips


def test_a_suspect_is_measured_against_the_fleet(suspect: duckdb.DuckDBPyConnection) -> None:
    """Weekly energy, and what it would be had it followed the fleet's mean week."""
    # Fleet, week 1: (48 + 96) × 7 / 2 = 504. Week 2: a 6 × 24 + 168 = 312, b 672, mean 492.
    # So a, at 336 before, would be at 336 × 492 / 504 = 328.
    tips = _read(suspect).tips()
    assert "Week of 2026-01-05: 336.0 kWh; with the fleet it would be 336.0" in tips
    assert "Week of 2026-01-12: 312.0 kWh; with the fleet it would be 328.0" in tips


def test_reasons_and_what_speaks_against_are_listed(suspect: duckdb.DuckDBPyConnection) -> None:
    """Text with semicolons and JSON lists both become lines; a meter without a change has no card."""
    page = _read(suspect)
    told = page.sections["theft"]
    assert "Whylevel fell by halfnights tooWhat speaks againstmoved out" in told
    assert "1 of 2 ranked meters have a change that cost energy, together about 168 kWh" in told
    assert page.tables["The change queue"][1][:5] == ["1", "a", "5.50", "2026-01-12", "168.0"]
    assert told.count("Mean week of") == 1
    assert "Mean week of" not in _read(suspect, suspects=0).sections["theft"]


def test_a_suspect_shows_the_money_its_bills_lack(suspect: duckdb.DuckDBPyConnection) -> None:
    """Card, table and lead say it where the queue does, and say nothing of it where it does not."""
    page = _read(suspect)
    told = _spaces(page.sections["theft"])
    assert "about 168 kWh or 42.10 CHF lost" in told
    assert "together about 168 kWh, or 42.10 CHF for the 1 that have bills." in told
    assert told.count("Ordered by the model own.") == 1
    assert [_spaces(row[5]) for row in page.tables["The change queue"]] == ["Money lost", "42.10 CHF", "–"]
    suspect.execute("update change_queue set money_lost = null, currency = null, model = null")
    told = _spaces(_read(suspect).sections["theft"])
    assert "CHF" not in told
    assert "about 168 kWh lost" in told
    assert "Ordered by" not in told
