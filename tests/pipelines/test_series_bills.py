"""Bills on a tariff that charges by a price series, from the lake's ``prices``."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from models.calendar import day_date, epoch_day
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.pipelines.stream_messages import Sent, disorder, stream
from tests.pipelines.towns import assert_equal, run, write

MIDNIGHT = datetime(2026, 4, 30, 22, tzinfo=UTC)
"""2026-05-01 00:00 in Zurich."""
TARIFF = """
id: spot
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar: {periods: [{id: all}]}
charges:
  - {id: basic, type: fixed, amount: "5.00", per: month}
  - {id: spot, type: energy_series, series: day-ahead, multiplier: "1.1", adder: "0.01"}
"""
FLAT = TARIFF.replace("id: spot\nversion", "id: flat\nversion").replace(
    '{id: spot, type: energy_series, series: day-ahead, multiplier: "1.1", adder: "0.01"}',
    '{id: energy, type: energy, rates: {all: "0.20"}}',
)


def point(number: int, tariff: str) -> dict[str, Any]:
    """A customer on a tariff."""
    return {"service_point_id": f"SP{number}", "meter_id": f"m{number}", "account_id": f"A{number}",
            "tariff_id": tariff, "interval_s": 3600, "channels": ["import"], "bill_cycle_day": 1,
            "valid_from": datetime(2020, 1, 1, tzinfo=UTC)}  # fmt: skip


def load(day: int, meter: str = "m1") -> dict[str, Any]:
    """An hourly day of about one kWh an hour, so that no rule hits."""
    start = MIDNIGHT + timedelta(days=day)
    values = [1000 + hour * 3 + day % 7 for hour in range(24)]
    return {"meter_id": meter, "channel": "import", "start": start, "interval_s": 3600, "values": values,
            "unit": "Wh", "received_at": start + timedelta(hours=25)}  # fmt: skip


def price(hour: int, value: str, sequence: int = 0, **other: Any) -> dict[str, Any]:
    """A price of one hour after midnight of 1 May."""
    start = MIDNIGHT + timedelta(hours=hour)
    return {"series_id": "day-ahead", "start": start, "interval_s": 3600, "price": Decimal(value),
            "currency": "CHF", "received_at": start - timedelta(hours=12),
            "sequence": sequence, **other}  # fmt: skip


def of_hour(hour: int) -> str:
    """0.10 by night, 0.25 from 8 to 20, negative on Sundays at noon."""
    day, clock = divmod(hour, 24)
    if day % 7 == 2 and clock == 12:
        return "-0.05"
    return "0.25" if 8 <= clock < 20 else "0.10"


PRICES = [price(hour, of_hour(hour)) for hour in range(61 * 24)]


def expected(first: int, last: int, changed: dict[int, str] | None = None) -> Decimal:
    """The spot line of days first … last, slot by slot."""
    total = Decimal(0)
    for day in range(first, last + 1):
        for clock, wh in enumerate(load(day)["values"]):
            at = Decimal((changed or {}).get(day * 24 + clock, of_hour(day * 24 + clock)))
            total += Decimal(wh) / 1000 * (at * Decimal("1.1") + Decimal("0.01"))
    return round(total, 2)


def bills(lake: Path) -> list[tuple[Any, ...]]:
    """All revisions of the bills of account A1 with the amount of their spot line."""
    with connect(Lake.open(lake)) as connection:
        return connection.execute(
            "SELECT b.account_id, b.period_start, b.revision, b.status, l.amount, b.reason FROM bills b "
            "LEFT JOIN bill_lines l ON l.bill_id = b.bill_id AND l.revision = b.revision AND charge = 'spot' "
            "WHERE account_id = 'A1' ORDER BY ALL"
        ).fetchall()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tariffs; two customers with 70 days of load."""
    for name, text in (("spot", TARIFF), ("flat", FLAT)):
        (tmp_path / "tariffs").mkdir(exist_ok=True)
        (tmp_path / "tariffs" / f"{name}.yaml").write_text(text)
    write(tmp_path / "in" / "points.avro", "ServicePoint", [point(1, "spot"), point(2, "flat")])
    blocks = [load(day, meter) for day in range(70) for meter in ("m1", "m2")]
    write(tmp_path / "in" / "loads.avro", "IntervalBlock", blocks)
    return tmp_path


def test_late_and_corrected_prices_re_issue_the_bills_they_touch(folder: Path) -> None:
    """Held until every hour has a price; a correction in June leaves May and the other customer alone."""
    lake, may, june = folder / "lake", date(2026, 5, 1), date(2026, 6, 1)
    lost = 40 * 24 + 5
    first = [row for hour, row in enumerate(PRICES) if hour != lost]
    write(folder / "in" / "prices.avro", "PriceSignal", first)
    run(lake, folder / "in", tariffs=folder / "tariffs")
    reason = (
        "tariff spot: no price of series day-ahead at 2026-06-10T03:00:00Z, expected a price for every slot"
    )
    assert bills(lake) == [
        ("A1", may, 1, "active", expected(0, 30), ""),
        ("A1", june, 1, "held", None, reason),
    ]
    run(lake, write(folder / "late.avro", "PriceSignal", [PRICES[lost]]))
    assert bills(lake)[1:] == [
        ("A1", june, 1, "reversed", None, reason),
        ("A1", june, 2, "active", expected(31, 60), ""),
    ]
    run(lake, write(folder / "fix.avro", "PriceSignal", [price(lost, "4.00", sequence=1)]))
    assert bills(lake)[0][:4] == ("A1", may, 1, "active")
    assert bills(lake)[-1] == ("A1", june, 3, "active", expected(31, 60, {lost: "4.00"}), "")
    older = run(lake, write(folder / "older.avro", "PriceSignal", [price(lost, "9.00", sequence=-1)]))
    assert older["bills_written"] == 0
    with connect(Lake.open(lake)) as connection:
        other = "SELECT max(revision) FROM bills WHERE account_id = 'A2'"
        assert connection.execute(other).fetchone() == (1,)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"currency": "EUR"}, "series day-ahead at 2026-05-04T05:00:00Z in EUR", id="eur"),
        pytest.param({"price": Decimal("1E9")}, "of 1.000E+9, expected prices below", id="beyond"),
        pytest.param({"series_id": "other"}, "no price of series day-ahead at 2026-05-04T05:00", id="gap"),
    ],
)  # fmt: skip
def test_prices_that_cannot_be_used_hold_the_bill(folder: Path, wrong: dict[str, Any], said: str) -> None:
    """The reason names series, moment and expectation; the month after is billed."""
    at = 3 * 24 + 7
    rows = [{**row, **wrong} if hour == at else row for hour, row in enumerate(PRICES)]
    write(folder / "in" / "prices.avro", "PriceSignal", rows)
    run(folder / "lake", folder / "in", tariffs=folder / "tariffs")
    held, good = bills(folder / "lake")
    assert held[3] == "held"
    assert said in held[5]
    assert good[3:5] == ("active", expected(31, 60))


def test_a_stream_of_prices_ends_where_the_backfill_ends(folder: Path) -> None:
    """Readings, prices and corrections in disorder on their topics; every table is equal."""
    chance = random.Random(7)
    fixes = [price(hour, "0.33", sequence=1) for hour in chance.sample(range(61 * 24), 40)]
    sent: list[Sent] = [("ServicePoint", point(1, "spot")), ("ServicePoint", point(2, "flat"))]
    sent += [("IntervalBlock", load(day, meter)) for day in range(70) for meter in ("m1", "m2")]
    sent += [("PriceSignal", row) for row in [*PRICES, *fixes]]
    through = day_date(epoch_day(date(2026, 5, 1)) + 69)
    options: dict[str, Any] = {"tariffs": folder / "tariffs", "timezone": "Europe/Zurich"}
    stream(folder / "stream", disorder(sent, chance, through, 9), shards=3, **options)
    write(folder / "in" / "prices.avro", "PriceSignal", [*PRICES, *fixes])
    run(folder / "backfill", folder / "in", detect=False, through=through, **options)
    assert_equal(folder / "backfill", folder / "stream")
    assert [row[3] for row in bills(folder / "backfill")] == ["active", "active"]
