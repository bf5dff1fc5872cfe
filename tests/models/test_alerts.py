"""Alerts of device events, and of meters that fell silent."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

from models.alerts import dead_meters, event_alerts
from models.ledger import LedgerRules, ShardLedger
from schemas.alerts import ALERTS
from schemas.arrow import RAW_EVENTS
from schemas.records import Kind
from tests.models.ledger_keeper import BOOK, PRICES
from tests.models.ledger_worlds import FIRST, ZONE, tables, world


def event(kind: str, **more: Any) -> dict[str, Any]:
    """One device event."""
    return {"meter_id": "m", "event_type": kind, "occurred_at": 5_000_000, "received_at": 7_000_000, **more}


@pytest.mark.parametrize(
    ("kind", "alert"),
    [
        pytest.param("3.12.29.212", "tamper", id="cover-removed-by-code"),
        pytest.param("Power Down", "outage", id="by-name"),
        pytest.param("last_gasp", "outage", id="last-gasp"),
        pytest.param("clock_changed", None, id="nobody-needs-to-know"),
    ],
)
def test_an_event_gives_its_alert(kind: str, alert: str | None) -> None:
    """By CIM code or by name; the event's own words are kept."""
    found = event_alerts(pa.Table.from_pylist([event(kind, detail="seen")], schema=RAW_EVENTS))
    assert found.schema == ALERTS
    assert found["alert"].to_pylist() == ([] if alert is None else [alert])
    assert found["seen"].to_pylist() == ([] if alert is None else ["seen"])


def test_a_meter_that_falls_silent_is_told_once() -> None:
    """On the first day without a reading after one that had some; not on the days that follow."""
    made = world(random.Random(2), days=8, meters=1)
    name = ("m0", "import")
    blocks = [r for r in made.records if r[0] is Kind.INTERVALS and r[1]["channel"] == name[1]]
    last = max(FIRST + (row["start"] - blocks[0][1]["start"]) // 86_400 for _, row in blocks)
    ledger = ShardLedger(LedgerRules(ZONE, BOOK, lambda tariffs, events: PRICES, cells=1 << 16))
    ledger.take(Kind.INTERVALS, tables(blocks)[Kind.INTERVALS])
    told: list[str] = []
    for day in range(FIRST, last + 5):
        ledger.close(day)
        ranges = ledger.flush().ranges
        alerts = dead_meters(ledger.state.raw[Kind.INTERVALS], ranges, day, ZONE)
        told += alerts["meter_id"].to_pylist()
    assert told == [name[0]]
