"""The customer's page: neighbours only where nobody can be told from them, and a PDF."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.tariffs.bill_page import bill_page
from pipelines.tariffs.neighbours import neighbours
from pipelines.tariffs.print_page import print_page
from schemas.errors import MeterbeamError
from tests.pipelines.chromium import executable
from tests.requirements_gate import gate

FIRST, DAYS = date(2026, 5, 1), 31
BILL = {"account_id": "A0", "period_start": FIRST, "period_end": FIRST + timedelta(days=DAYS - 1)}


def street(uses: list[str], *, transformer: int = 99, days: dict[int, int] | None = None) -> Any:
    """A lake's views of one feeder: account A0 first, the daily use of each, some with fewer days.

    The first ``transformer`` accounts hang on one transformer, the others on another one.
    """
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE service_points (service_point_id TEXT, meter_id TEXT, account_id TEXT, role TEXT, "
        "commodity TEXT, feeder_id TEXT, transformer_id TEXT, customer_class TEXT, valid_from TIMESTAMPTZ, "
        "valid_to TIMESTAMPTZ);"
        "CREATE TABLE days (meter_id TEXT, channel TEXT, local_day DATE, start TIMESTAMPTZ, "
        "total DECIMAL(26, 6))"
    )
    for number, use in enumerate(uses):
        near = "T1" if number < transformer else "T2"
        row = [f"S{number}", f"m{number}", f"A{number}", "customer", "electricity", "F1", near, None]
        connection.execute(
            "INSERT INTO service_points VALUES (?, ?, ?, ?, ?, ?, ?, ?, TIMESTAMPTZ '2020-01-01', NULL)", row
        )
        for day in range((days or {}).get(number, DAYS)):
            at = FIRST + timedelta(days=day)
            connection.execute("INSERT INTO days VALUES (?, 'import', ?, ?, ?)", [f"m{number}", at, at, use])
    return connection


@pytest.mark.parametrize(
    ("uses", "options", "expected"),
    [
        pytest.param(["5"] + ["10"] * 15, {}, ("transformer_id", 15, "310.0"), id="fifteen others"),
        pytest.param(["5"] + ["10"] * 14, {}, None, id="one too few"),
        pytest.param(["500"] + ["10"] * 15, {}, ("transformer_id", 15, "310.0"), id="own use does not count"),
        pytest.param(["5"] + ["10"] * 15 + ["30"], {}, None, id="one makes a sixth"),
        pytest.param(
            ["5"] + ["10"] * 15 + ["26"], {}, ("transformer_id", 16, "341.0"), id="one makes a seventh"
        ),
        pytest.param(
            ["5"] + ["10"] * 19, {"transformer": 5}, ("feeder_id", 19, "310.0"), id="the feeder instead"
        ),
        pytest.param(["5"] + ["10"] * 15, {"days": {3: 30}}, None, id="one moved in on the second"),
    ],
)
def test_neighbours_obey_the_15_15_rule(uses: list[str], options: dict[str, Any], expected: Any) -> None:
    """At least 15 others with every day of the bill, none above 15 % of their sum; the nearest such group."""
    found = neighbours(street(uses, **options), BILL)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found["by"], found["customers"], found["mean"]) == expected
        assert Decimal(found["own"]) == Decimal(uses[0]) * DAYS


def page() -> str:
    """A short bill as a page."""
    line = {"charge": "energy", "period": "all", "tier": None, "quantity": "155.00", "unit": "kWh",
            "rate": "0.20", "amount": "31.00", "service_point_id": "S0",
            "days": [{"local_day": "2026-05-01", "quantity": "5.000000"}]}  # fmt: skip
    return bill_page(
        {"bill_id": "b1", "account_id": "A0", "period_start": "2026-05-01", "period_end": "2026-05-31",
         "revision": 1, "status": "active", "total": "31.00", "currency": "CHF", "reason": "",
         "estimated_share": 0.0125, "changes": None, "lines": [line],
         "neighbours": {"by": "feeder_id", "customers": 19, "mean": "310.0", "own": "155.0"}}
    )  # fmt: skip


def test_the_page_shows_neighbours_and_estimates() -> None:
    """Own use, their mean and number, and how much is estimated."""
    shown = page()
    assert "Mean of 19 neighbours<td class=n>310.0" in shown
    assert "width:50%" in shown
    assert "1.2% of the readings are estimated" in shown


def test_a_page_is_printed(tmp_path: Path) -> None:
    """One A4 page."""
    gate("browser", executable() is not None, "install Chromium (on Debian: apt-get install chromium)")
    print_page(page(), tmp_path / "bill.pdf")
    content = (tmp_path / "bill.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") == 1


def test_without_a_browser_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No PDF, and what would print one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeterbeamError, match="no browser that prints"):
        print_page(page(), tmp_path / "bill.pdf")
    assert not (tmp_path / "bill.pdf").exists()
