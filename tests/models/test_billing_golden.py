"""The four golden bills of the example tariff, line by line."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from models.billing import BillState, Priced, Window, price_window
from models.calendar import DayGrid, epoch_day
from schemas.tariff import load_tariff

GOLDEN = Path(__file__).parent.parent / "golden" / "tariffs"
BILLS: list[dict[str, Any]] = json.loads((GOLDEN / "golden_bills.json").read_text("utf-8"))


def month_number(text: str) -> int:
    """``2025-07`` as year · 12 + month − 1."""
    return int(text[:4]) * 12 + int(text[5:]) - 1


def priced(bill: dict[str, Any]) -> tuple[Priced, Window]:
    """The case's load under the example tariff, from the case's state."""
    tariff = load_tariff(GOLDEN / "tariff_example.yaml")
    table = pq.read_table(GOLDEN / "golden_loads.parquet")
    load = table.filter(pc.equal(table["case"].cast("string"), bill["case"])).sort_by("start_utc")
    first, last = (date.fromisoformat(bill[name]) for name in ("first_local_day", "last_local_day"))
    grid = DayGrid(tariff.timezone, 900, epoch_day(first), (last - first).days + 1)
    window = Window(
        grid=grid,
        imported=load["import_micro_kwh"].to_numpy()[None],
        exported=load["export_micro_kwh"].to_numpy()[None],
        month=last.year * 12 + last.month - 1,
        billed_days=grid.days,
        events={"cpp": frozenset(epoch_day(date.fromisoformat(day)) for day in bill["event_days"])},
        power_factor=[Decimal(bill["power_factor"])],
    )
    peaks = {
        month_number(month): np.array([int(Decimal(kw) * 1_000_000)], np.int64)
        for month, kw in bill["past_peaks_kw"].items()
    }
    credit = np.array([int(Decimal(bill["credit_in"]) * 100)], np.int64)
    return price_window(tariff, window, BillState(peaks, credit, np.zeros(1, np.int64))), window


CASES = [pytest.param(bill, id=bill["case"]) for bill in BILLS]


@pytest.mark.parametrize("bill", CASES)
def test_every_line_to_the_cent(bill: dict[str, Any]) -> None:
    """Charge, period, tier, quantity, rate and amount of each line, in the order of the bill."""
    result, _ = priced(bill)
    lines = [
        (
            " ".join(filter(None, (line.charge, line.period, f"T{line.tier}" if line.tier else None))),
            Decimal(int(line.quantity[0])).scaleb(-line.quantity_dp),
            line.unit,
            "" if line.rate is None else str(line.rate),
            Decimal(int(line.amount[0])).scaleb(-2),
        )
        for line in result.lines
        if line.amount[0]
    ]
    expected = [
        (
            "export" if line["charge"] == "export credit" else line["charge"],
            Decimal(line["quantity"]),
            line["unit"],
            line["rate"],
            Decimal(line["amount"]),
        )
        for line in bill["lines"]
    ]
    assert lines == expected
    assert Decimal(int(result.total[0])).scaleb(-2) == Decimal(bill["total"])


@pytest.mark.parametrize("bill", CASES)
def test_slots_days_and_state(bill: dict[str, Any]) -> None:
    """Slots and days of the window, measured demand, and the credit handed on."""
    result, window = priced(bill)
    assert (window.grid.slots, window.grid.days) == (bill["slots"], bill["billed_days"])
    assert int(result.measured_kw[0]) == int(Decimal(bill["measured_kw"]) * 1_000_000)
    assert int(result.state.credit[0]) == int(Decimal(bill["credit_out"]) * 100)
    months = {month_number(month) for month in bill["past_peaks_kw"]} | {window.month}
    assert set(result.state.peaks_kw) == months
