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


def shares(lake: Path) -> dict[datetime, dict[str | None, tuple[Decimal, Decimal, Decimal]]]:
    """By slot and supplier of feeder F1: drawn, its share of the losses, and the losses."""
    with connect(Lake.open(lake)) as connection:
        rows = connection.execute(
            "SELECT start, supplier, drawn, share_of_losses, losses FROM settlement WHERE feeder_id = 'F1'"
        ).fetchall()
    found: dict[datetime, dict[str | None, tuple[Decimal, Decimal, Decimal]]] = {}
    for start, supplier, *sums in rows:
        found.setdefault(start, {})[supplier] = (sums[0], sums[1], sums[2])
    return found


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


def test_losses_are_dealt_out_by_what_was_drawn(lake: Path) -> None:
    """To the micro-unit: each within one of its exact share, and all of them together the losses."""
    for by_supplier in shares(lake).values():
        drawn = sum(row[0] for row in by_supplier.values())
        (losses,) = {row[2] for row in by_supplier.values()}
        assert sum(row[1] for row in by_supplier.values()) == losses
        for took, share, _ in by_supplier.values():
            assert abs(share - losses * took / drawn) < Decimal("0.000001")
    first = shares(lake)[MIDNIGHT]  # drawn 1.006, 0.406 and 0.126 kWh; 0.125 kWh were lost
    assert {supplier: row[1] for supplier, row in first.items()} == {
        "green": Decimal("0.081762"),
        "blue": Decimal("0.032997"),
        None: Decimal("0.010241"),
    }


def test_a_gain_is_dealt_out_like_a_loss(tmp_path: Path) -> None:
    """What three equal customers of two suppliers took beyond the feeder: 1 micro-unit more to the larger."""
    points = [point(f"SP{n}", f"m{n}", "customer", 3600) for n in (1, 2, 3)]
    write(tmp_path / "in" / "points.avro", "ServicePoint", [*points, point("F1", "f1", "feeder", 3600)])
    blocks = [block(f"m{n}", 3600, [100] * 24) for n in (1, 2, 3)]
    micro = {**block("f1", 3600, [299_999] * 24), "scaler": -3}
    write(tmp_path / "in" / "loads.avro", "IntervalBlock", [*blocks, micro])
    (tmp_path / "tariffs").mkdir()
    (tmp_path / "tariffs" / "flat.yaml").write_text(TARIFF)
    (tmp_path / "tariffs" / "billing.yaml").write_text(
        "suppliers:\n  - {id: green, effective: {from: 2026-01-01}, service_points: [SP1, SP2]}\n"
    )
    run(tmp_path / "lake", tmp_path / "in", tariffs=tmp_path / "tariffs", detect=False)
    found = shares(tmp_path / "lake")[MIDNIGHT]
    assert {name: (row[1], row[2]) for name, row in found.items()} == {
        "green": (Decimal("-0.000001"), Decimal("-0.000001")),
        None: (Decimal(0), Decimal("-0.000001")),
    }


EXCHANGED = datetime(2026, 3, 28, 9, 15, tzinfo=UTC)
"""10:15 in Zurich, within an hour of the feeder meter."""


def test_a_meter_exchanged_in_mid_day_is_one_point(tmp_path: Path) -> None:
    """Each slot stands at its own time, whichever meter measured it; the hour of the exchange has both."""
    before = point("SP1", "old", "customer", 900)
    points = [
        before,
        {**before, "meter_id": "new", "valid_from": EXCHANGED},
        point("F1", "f1", "feeder", 3600),
    ]
    write(tmp_path / "in" / "points.avro", "ServicePoint", points)
    slots = int((EXCHANGED - MIDNIGHT).total_seconds()) // 900
    loads = [block("old", 900, [100 + i for i in range(slots)])]
    loads += [{**block("new", 900, [100 + i for i in range(slots, 96)]), "start": EXCHANGED}]
    loads += [block("f1", 3600, [1000] * 24)]
    write(tmp_path / "in" / "loads.avro", "IntervalBlock", loads)
    run(tmp_path / "lake", tmp_path / "in", detect=False)
    found = settled(tmp_path / "lake", "local_day = '2026-03-28'")
    day = [100 + i for i in range(96)]
    assert [(row[3], row[5], row[6]) for row in found] == [
        (MIDNIGHT + timedelta(hours=hour), 1, kwh(day, hour)) for hour in range(24)
    ]


def test_customers_without_a_feeder_are_settled_too(lake: Path) -> None:
    """Their own slots, no losses; a day alone can be asked for."""
    found = settled(lake, "feeder_id IS NULL AND local_day = '2026-03-29'")
    assert len(found) == 92
    assert {(row[1], row[4], row[8], row[9]) for row in found} == {(None, 900, None, None)}
    assert sum(row[6] for row in found) == Decimal(sum(SP1[96 : 96 + 92])) / 1000
