"""The views of input records: of each key the record that holds, as the kernels see it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.master import master_data
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from schemas.arrow import RAW
from schemas.records import Kind
from schemas.units import unit_factor
from tests.pipelines.lake_days import new_lake
from tests.pipelines.raw_records import publish_raw

T0 = 1_772_323_200_000_000
"""Midnight UTC of 2026-03-01. [µs]"""
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
ORDER = {
    "received_at": st.sampled_from([None, T0, T0 + 1]),
    "sequence": st.sampled_from([None, 0, 7]),
    "source": st.sampled_from([None, "a", "b"]),
}


def service_point(**more: Any) -> dict[str, Any]:
    """One version of a service point."""
    return {
        "service_point_id": "sp1",
        "meter_id": "m1",
        "account_id": "a1",
        "role": "customer",
        "commodity": "electricity",
        "bill_cycle_day": 1,
        "interval_s": 900,
        "channels": ["import"],
        "multiplier": "1",
        "status": "active",
        "valid_from": T0,
        **more,
    }


POINTS = st.builds(
    service_point,
    service_point_id=st.sampled_from(["sp1", "sp2"]),
    meter_id=st.sampled_from(["m", "m 1", "m1", "M"]),
    tariff_id=st.sampled_from([None, "None", "t", "t9", "t10"]),
    bill_cycle_day=st.sampled_from([2, 10]),
    channels=st.sampled_from([[], ["import"], ["import", "export"]]),
    dials=st.sampled_from([None, 5, 12]),
    capacity_kw=st.sampled_from([None, 9.5, 10.0]),
    multiplier=st.sampled_from(["1", "40", "0.5"]),
    **ORDER,
)


@settings(max_examples=12)
@given(st.lists(POINTS, min_size=1, max_size=8))
def test_service_points_hold_as_the_kernel_says(points: list[dict[str, Any]]) -> None:
    """The version that the view shows is the one that processing used, ties without any order included."""
    versions = master_data(pa.Table.from_pylist(points, schema=RAW[Kind.SERVICE_POINTS])).versions
    expected = sorted(
        (
            v.service_point_id,
            v.meter_id,
            v.tariff_id or "-",
            v.bill_cycle_day,
            list(v.channels),
            v.dials,
            v.capacity_kw,
            v.multiplier,
        )
        for v in versions
    )
    with TemporaryDirectory() as folder:
        lake = new_lake(Path(folder) / "lake")
        publish_raw(lake, Kind.SERVICE_POINTS, points[:3], points[3:])
        with connect(lake) as connection:
            found = connection.execute(
                "SELECT service_point_id, meter_id, coalesce(tariff_id, '-'), bill_cycle_day, channels, "
                "dials, capacity_kw, multiplier FROM service_points ORDER BY 1"
            ).fetchall()
    shown = [(*row[:6], None if row[6] is None else Fraction(row[6]), Fraction(row[7])) for row in found]
    assert shown == expected


def register(**more: Any) -> dict[str, Any]:
    """One register read."""
    return {"meter_id": "m1", "channel": "import", "read_at": T0, "unit": "Wh", "scaler": 0} | more


READS = st.builds(
    register,
    read_at=st.sampled_from([T0, T0 + 900_000_000]),
    tou_register=st.sampled_from([None, "T1"]),
    unit=st.sampled_from(["Wh", "kWh", "MWh", "WH"]),
    scaler=st.sampled_from([0, -3, 3]),
    value_int=st.sampled_from([1, 999, 1000, 2_000_000]),
    quality=st.sampled_from([None, 0, 8]),
    **ORDER,
)


def slow_register(read: dict[str, Any]) -> tuple[Any, ...]:
    """The order of SEMANTICS, as far as reads that differ in value or quality need it."""
    factor = unit_factor(read["unit"], "import")
    assert factor is not None
    never = read["received_at"] is None
    return (
        not never,
        read["received_at"] or 0,
        -1 if read["sequence"] is None else read["sequence"],
        read["value_int"] * factor * Fraction(10) ** read["scaler"],
        -1 if read["quality"] is None else read["quality"],
    )


@settings(max_examples=12)
@given(st.lists(READS, min_size=1, max_size=8))
def test_the_greatest_register_read_holds(reads: list[dict[str, Any]]) -> None:
    """By arrival, sequence, quantity (not the bare number) and quality."""
    best: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for read in reads:
        key = read["read_at"], read["tou_register"]
        best[key] = max(best.get(key, slow_register(read)), slow_register(read))
    with TemporaryDirectory() as folder:
        lake = new_lake(Path(folder) / "lake")
        publish_raw(lake, Kind.REGISTERS, reads)
        with connect(lake) as connection:
            cursor = connection.execute(
                "SELECT epoch_us(read_at), tou_register, * EXCLUDE (tou_register) FROM registers"
            )
            names = [column[0] for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    shown = {}
    for row in found:
        received = row["received_at"]
        micros = None if received is None else round((received - MOMENT).total_seconds() * 1e6) + T0
        shown[row["epoch_us(read_at)"], row["tou_register"]] = slow_register(
            row | {"value_int": int(row["value"]), "received_at": micros}
        )
    assert shown == best


def one(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with connect(lake) as connection:
        return connection.execute(sql).fetchall()


def test_events_prices_and_edits(tmp_path: Path) -> None:
    """Repeats of an event are one, with the least source; prices and edits show their last version."""
    lake = new_lake(tmp_path)
    event = {"meter_id": "m1", "event_type": "3.26.0.85", "occurred_at": T0, "received_at": T0}
    publish_raw(
        lake, Kind.EVENTS, [{**event, "source": "b"}, {**event, "source": "a"}, {**event, "value": 2.0}]
    )
    price = {"series_id": "spot", "start": T0, "interval_s": 3600, "currency": "EUR"}
    publish_raw(
        lake,
        Kind.PRICES,
        [{**price, "price": "9.5"}, {**price, "price": "10.25"}, {**price, "price": "-3", "sequence": 1}],
        [{**price, "start": T0 + 3_600_000_000, "price": text} for text in ("9.5", "10.25", "-11")],
    )
    edit = {"edit_id": "e1", "kind": "set", "meter_id": "m1", "from": T0, "to": T0 + 1, "edited_at": T0}
    publish_raw(lake, Kind.EDITS, [{**edit, "value": "1.5", "received_at": T0 + 1}, {**edit, "value": "7"}])
    assert one(lake, "SELECT occurred_at, value, source FROM events ORDER BY value NULLS FIRST") == [
        (MOMENT, None, "a"),
        (MOMENT, 2.0, None),
    ]
    assert one(lake, "SELECT price FROM prices ORDER BY start") == [(Decimal(-3),), (Decimal("10.25"),)]
    assert one(lake, 'SELECT value, "from", kind FROM edits') == [(Decimal("1.5"), MOMENT, "set")]


@pytest.mark.parametrize("as_of", [pytest.param(1, id="first"), pytest.param(2, id="second")])
def test_records_as_of_a_run(as_of: int, tmp_path: Path) -> None:
    """Records of later runs do not hold yet."""
    lake = new_lake(tmp_path)
    publish_raw(lake, Kind.SERVICE_POINTS, [service_point(received_at=T0, status="active")])
    publish_raw(lake, Kind.SERVICE_POINTS, [service_point(received_at=T0 + 1, status="closed")])
    with connect(lake, as_of) as connection:
        found = connection.execute("SELECT status FROM service_points").fetchall()
    assert found == [("active" if as_of == 1 else "closed",)]
