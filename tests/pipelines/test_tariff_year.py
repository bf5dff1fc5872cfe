"""A leap year of bills reckoned by hand: both clock changes, a tariff change in mid-month, a ratchet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.calendar import DayGrid, epoch_day, utc_text
from pipelines.cli import main
from schemas.tariff import load_tariff

HEAD = """
id: year
version: 1
effective: {from: 2028-01-01, to: 2028-07-15}
currency: USD
timezone: America/Los_Angeles
calendar:
  holidays: {named: [independence], shift: {sun: mon}}
  periods: [{id: peak, days: weekday, at: ["16:00", "21:00"]}, {id: off}]
charges:
  - {id: customer, type: fixed, amount: "12.00", per: month}
  - {id: energy, type: energy, rates: {peak: "0.30", off: "0.10"}}
  - {id: demand, type: demand, window_min: 60, periods: [peak], rate: "3.00", ratchet: {pct: "0.6"}}
  - {id: tax, type: tax, rate: "0.05"}
"""
CHANGES = {
    "version: 1": "version: 2",
    "from: 2028-01-01, to: 2028-07-15": "from: 2028-07-16",
    '"12.00"': '"15.00"',
    '"0.30", off: "0.10"': '"0.32", off: "0.11"',
}
# One kWh an hour, and five in one hour of 14 June. Peak kWh are five a weekday; 4 July is a Tuesday. The
# rest of each month is off: 743 hours in March, 721 in November, 696 in February.
EXPECTED: list[tuple[int, list[str], str]] = [
    # month, amounts of customer, off, peak, demand, tax of each version in force, total
    (1, ["12.00", "63.90", "31.50", "3.00", "5.52"], "115.92"),
    (2, ["12.00", "59.10", "31.50", "3.00", "5.28"], "110.88"),
    (3, ["12.00", "62.80", "34.50", "3.00", "5.62"], "117.92"),  # tax 5.615, half up
    (4, ["12.00", "62.00", "30.00", "3.00", "5.35"], "112.35"),
    (5, ["12.00", "62.90", "34.50", "3.00", "5.62"], "118.02"),
    (6, ["12.00", "61.00", "34.20", "15.00", "6.11"], "128.31"),  # 5 kW
    # 15 and 16 of 31 days; 9 and 11 peak days; 60 % of June's 5 kW
    (7, ["5.81", "31.50", "13.50", "4.35", "2.76", "7.74", "36.19", "17.60", "4.65", "3.31"], "127.41"),
    (8, ["15.00", "69.19", "36.80", "9.00", "6.50"], "136.49"),
    (9, ["15.00", "67.65", "33.60", "9.00", "6.26"], "131.51"),
    (10, ["15.00", "69.74", "35.20", "9.00", "6.45"], "135.39"),
    (11, ["15.00", "67.21", "35.20", "9.00", "6.32"], "132.73"),
    (12, ["15.00", "70.29", "33.60", "9.00", "6.39"], "134.28"),
]
DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of both versions, and the year's load."""
    folder, load = tmp_path / "versions", tmp_path / "load.csv"
    folder.mkdir()
    (folder / "1.yaml").write_text(HEAD)
    second = HEAD
    for old, new in CHANGES.items():
        assert old in second
        second = second.replace(old, new)
    (folder / "2.yaml").write_text(second)
    grid = DayGrid(
        "America/Los_Angeles", 3600, epoch_day(load_tariff(folder / "1.yaml").effective.from_), 366
    )
    rows = [utc_text(second) for second in grid.starts.tolist()]
    dear = "2028-06-14T23:00:00Z"  # 16:00 there
    assert dear in rows
    load.write_text("start_utc,import_kwh\n" + "".join(f"{at},{5 if at == dear else 1}\n" for at in rows))
    return folder, load


def test_twelve_bills_in_a_row(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line of every month, each bill beginning with the state of the one before."""
    folder, load = files
    state = tmp_path / "state.json"
    state.write_text("{}")
    slots = 0
    for (month, amounts, total), days in zip(EXPECTED, DAYS, strict=True):
        span = ["--from", f"2028-{month:02d}-01", "--to", f"2028-{month:02d}-{days}"]
        arguments = ["tariff", "price", str(folder), "--load", str(load), *span, "--state", str(state)]
        assert main([*arguments, "--json"]) == 0
        bill: dict[str, Any] = json.loads(capsys.readouterr().out)
        lines = [(line["charge"], line["period"], line["amount"]) for line in bill["lines"]]
        heads = [("customer", None), ("energy", "off"), ("energy", "peak"), ("demand", None), ("tax", None)]
        assert lines == [(*heads[i % 5], amount) for i, amount in enumerate(amounts)]
        assert (bill["total"], bill["billed_days"]) == (total, days)
        state.write_text(json.dumps(bill["state"]))
        slots += bill["slots"]
    assert slots == 366 * 24
    assert json.loads(state.read_text())["past_peaks_kw"]["2028-06"] == "5"
