"""What is a customer's: of each meter the time in which their account held it, by what is known now."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.customers import Holdings
from pipelines.groups import GroupRule, daily_groups
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.pipelines.towns import run, write

MIDNIGHT = datetime(2026, 3, 1, 23, tzinfo=UTC)
"""2026-03-02 00:00 in Zurich."""
DAYS = 6
MOVED = MIDNIGHT + timedelta(days=2)
NOON = MIDNIGHT + timedelta(days=3, hours=12)


def point(number: str, meter: str, account: str, since: datetime, **other: Any) -> dict[str, Any]:
    """A version of a service point on feeder F1."""
    return {"service_point_id": number, "meter_id": meter, "account_id": account, "interval_s": 900,
            "channels": ["import"], "bill_cycle_day": 1, "feeder_id": "F1", "valid_from": since,
            "received_at": since, **other}  # fmt: skip


def block(meter: str, wh: int) -> dict[str, Any]:
    """Six days of one value."""
    return {"meter_id": meter, "channel": "import", "start": MIDNIGHT, "interval_s": 900, "unit": "Wh",
            "values": [wh] * (96 * DAYS), "received_at": MIDNIGHT + timedelta(days=DAYS)}  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Meter ``moved`` goes to another point whose former one was never ended; the tenant of ``noon`` changes
    at noon, the tariff of ``same`` too; of ``late``, only the second run knows that the tenant has changed.
    """
    folder = tmp_path_factory.mktemp("holdings")
    points = [
        point("S1", "moved", "first", MIDNIGHT),
        point("S2", "moved", "second", MOVED),
        point("S3", "noon", "morning", MIDNIGHT, valid_to=NOON),
        point("S3", "noon", "evening", NOON),
        point("S4", "same", "same", MIDNIGHT),
        point("S4", "same", "same", NOON, tariff_id="other"),
        point("S5", "late", "old", MIDNIGHT),
    ]
    write(folder / "in" / "points.avro", "ServicePoint", points)
    write(folder / "in" / "loads.avro", "IntervalBlock", [block(m, 100) for m in ("moved", "noon", "same")])
    write(folder / "in" / "late.avro", "IntervalBlock", [block("late", 200)])
    run(folder / "lake", folder / "in", detect=False)
    run(folder / "lake", write(folder / "more.avro", "ServicePoint", [point("S5", "late", "new", MOVED)]),
        detect=False)  # fmt: skip
    return folder / "lake"


def seen(lake: Path, account: str, view: str, as_of: int | None = None) -> list[tuple[str, datetime]]:
    """Meter and start of what a customer with this account is shown."""
    with connect(Lake.open(lake)) as present, connect(Lake.open(lake), as_of) as views:
        where, given = Holdings.of(present, [account]).condition(view)
        select = f"SELECT meter_id, start FROM {view} v WHERE {where} ORDER BY start"
        return views.execute(select, given).fetchall()


def slots(meter: str, first: datetime, last: datetime) -> list[tuple[str, datetime]]:
    """All slots from one moment to another."""
    return [
        (meter, first + timedelta(minutes=15 * n)) for n in range(int((last - first).total_seconds()) // 900)
    ]


END = MIDNIGHT + timedelta(days=DAYS)


@pytest.mark.parametrize(
    ("account", "as_of", "expected"),
    [
        pytest.param("first", None, slots("moved", MIDNIGHT, MOVED), id="the former point was never ended"),
        pytest.param("second", None, slots("moved", MOVED, END), id="the point that holds the meter"),
        pytest.param("morning", None, slots("noon", MIDNIGHT, NOON), id="to noon"),
        pytest.param("evening", None, slots("noon", NOON, END), id="from noon"),
        pytest.param("old", None, slots("late", MIDNIGHT, MOVED), id="a move"),
        pytest.param("old", 1, slots("late", MIDNIGHT, MOVED), id="before the move was known"),
        pytest.param("new", 1, slots("late", MOVED, END), id="the new tenant, before the move was known"),
        pytest.param("nobody", None, [], id="nobody"),
    ],
)
def test_readings_of_a_customer(
    lake: Path, account: str, as_of: int | None, expected: list[tuple[str, datetime]]
) -> None:
    """Each slot is one tenant's, in the past as at present."""
    assert seen(lake, account, "readings", as_of) == expected


@pytest.mark.parametrize(
    ("account", "meter", "days"),
    [
        pytest.param("morning", "noon", [0, 1, 2], id="before the day of the change"),
        pytest.param("evening", "noon", [4, 5], id="after it"),
        pytest.param("same", "same", [0, 1, 2, 3, 4, 5], id="another tariff is no other tenant"),
    ],
)
def test_a_day_of_two_tenants_is_shown_to_neither(
    lake: Path, account: str, meter: str, days: list[int]
) -> None:
    """Its values would tell of both."""
    assert seen(lake, account, "days") == [(meter, MIDNIGHT + timedelta(days=day)) for day in days]


def test_findings_are_of_the_tenant_who_had_the_meter(lake: Path) -> None:
    """Flat lines day by day; that the meter is contested is told to who holds it from then on."""
    days = [("moved", MIDNIGHT + timedelta(days=day)) for day in range(DAYS)]
    assert seen(lake, "first", "findings") == days[:2]
    assert seen(lake, "second", "findings") == [days[2], *days[2:]]


def test_a_contested_meter_counts_once(lake: Path) -> None:
    """In settlement and in groups: 96 slots of 100 Wh each for three meters, of 200 Wh for the fourth."""
    with connect(Lake.open(lake)) as views:
        settled = views.execute(
            "SELECT max(points), sum(drawn) FROM settlement WHERE local_day = '2026-03-06'"
        ).fetchall()
        day = date(2026, 3, 6)
        grouped = views.execute(daily_groups("feeder_id", GroupRule(1, 1)), ["import", day, day]).fetchall()
    assert settled == [(4, Decimal(48))]
    assert grouped == [("F1", day, 4, Decimal(48))]
