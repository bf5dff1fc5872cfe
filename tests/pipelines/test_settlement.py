"""The view ``settlement``: per feeder, supplier and slot, against sums made by hand in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.pipelines.towns import run, write

MIDNIGHT = datetime(2026, 3, 27, 23, tzinfo=UTC)
"""2026-03-28 00:00 in Zurich; the 29th has 23 hours."""
HOURS = 24 + 23 + 24
TARIFF = """
id: flat
version: 1
effective: {from: 2026-01-01}
currency: CHF
timezone: Europe/Zurich
calendar: {periods: [{id: all}]}
charges: [{id: energy, type: energy, rates: {all: "1.00"}}]
"""
RULES = """
suppliers:
  - {id: green, effective: {from: 2026-01-01, to: 2026-03-29}, service_points: [SP1]}
  - {id: blue, effective: {from: 2026-03-30}, service_points: [SP1]}
  - {id: blue, effective: {from: 2026-01-01}, service_points: [SP2]}
"""


def point(number: str, meter: str, role: str, interval_s: int, **other: Any) -> dict[str, Any]:
    """A service point on feeder F1."""
    return {"service_point_id": number, "meter_id": meter, "account_id": f"A-{number}", "role": role,
            "tariff_id": "flat", "interval_s": interval_s, "channels": ["import"], "bill_cycle_day": 1,
            "feeder_id": "F1", "valid_from": datetime(2020, 1, 1, tzinfo=UTC), **other}  # fmt: skip


def block(meter: str, interval_s: int, wh: list[int], channel: str = "import") -> dict[str, Any]:
    """All values of a meter."""
    return {"meter_id": meter, "channel": channel, "start": MIDNIGHT, "interval_s": interval_s, "values": wh,
            "unit": "Wh", "received_at": MIDNIGHT + timedelta(days=4)}  # fmt: skip


SP1 = [250 + i % 7 for i in range(4 * HOURS)]
SP2 = [100 + i % 5 for i in range(4 * HOURS)]
SUN = [40 + i % 3 for i in range(4 * HOURS)]
NO_SUPPLIER = [30 + i % 11 for i in range(4 * HOURS)]
THROUGH = [1_500 + i for i in range(HOURS)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quarter hours of customers behind a feeder meter of whole hours; one customer on no feeder."""
    folder = tmp_path_factory.mktemp("settlement")
    (folder / "tariffs").mkdir()
    (folder / "tariffs" / "flat.yaml").write_text(TARIFF)
    (folder / "tariffs" / "billing.yaml").write_text(RULES)
    points = [
        point("SP1", "m1", "customer", 900),
        point("SP2", "m2", "customer", 900, channels=["import", "export"]),
        point("SP3", "m3", "customer", 900),
        point("SP4", "m4", "customer", 900, feeder_id=None),
        point("F1", "f1", "feeder", 3600),
    ]
    write(folder / "in" / "points.avro", "ServicePoint", points)
    blocks = [block("m1", 900, SP1), block("m2", 900, SP2), block("m2", 900, SUN, "export")]
    blocks += [block("m3", 900, NO_SUPPLIER), block("m4", 900, SP1), block("f1", 3600, THROUGH)]
    write(folder / "in" / "loads.avro", "IntervalBlock", blocks)
    run(folder / "lake", folder / "in", tariffs=folder / "tariffs", detect=False)
    return folder / "lake"


def settled(lake: Path, where: str) -> list[tuple[Any, ...]]:
    """Rows of the view."""
    with connect(Lake.open(lake)) as connection:
        return connection.execute(
            "SELECT feeder_id, supplier, local_day::VARCHAR, start, interval_s, points, drawn, fed, through, "
            f"losses FROM settlement WHERE {where} ORDER BY start, supplier"
        ).fetchall()


def kwh(wh: list[int], hour: int) -> Decimal:
    """Energy of an hour of quarter hours."""
    return Decimal(sum(wh[4 * hour : 4 * hour + 4])) / 1000


def test_every_hour_of_a_feeder(lake: Path) -> None:
    """Sums by supplier in force, the feeder's own meter, and the loss beside each; 23 hours on the 29th."""
    found = settled(lake, "feeder_id = 'F1'")
    expected = []
    for hour in range(HOURS):
        day = "2026-03-28" if hour < 24 else "2026-03-29" if hour < 47 else "2026-03-30"
        one, two, rest = (kwh(wh, hour) for wh in (SP1, SP2, NO_SUPPLIER))
        sun, through = kwh(SUN, hour), Decimal(THROUGH[hour]) / 1000
        losses = through - (one + two + rest - sun)
        at = MIDNIGHT + timedelta(hours=hour)
        blue = (2, one + two, sun) if day == "2026-03-30" else (1, two, sun)
        green = [] if day == "2026-03-30" else [("green", (1, one, Decimal(0)))]
        for supplier, sums in [("blue", blue), *green, (None, (1, rest, Decimal(0)))]:
            expected.append(("F1", supplier, day, at, 3600, *sums, through, losses))
    assert found == expected


def test_customers_without_a_feeder_are_settled_too(lake: Path) -> None:
    """Their own slots, no losses; a day alone can be asked for."""
    found = settled(lake, "feeder_id IS NULL AND local_day = '2026-03-29'")
    assert len(found) == 92
    assert {(row[1], row[4], row[8], row[9]) for row in found} == {(None, 900, None, None)}
    assert sum(row[6] for row in found) == Decimal(sum(SP1[96 : 96 + 92])) / 1000
