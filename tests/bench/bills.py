"""Pricing: `python -m tests.bench.bills [METERS]`, CPU seconds of one process, SAM beside it in the same run.

The example tariff (TOU, tiers in time order, an event, demand with ratchet and power factor, net billing,
rider, minimum, tax) on a year of 15-minute values, month by month, each bill from the state of the last.
Every figure is the best of three: other work on the machine only ever adds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from models.bill_lines import decimal_bills
from models.billing import BillState, Window, price_quantities
from models.calendar import DayGrid, epoch_day
from models.slot_quantities import measure
from schemas.tariff import Tariff, load_tariff

METERS = 1_000
EXAMPLE = Path(__file__).parents[1] / "golden" / "tariffs" / "tariff_example.yaml"
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
YEAR = 2026
REPEATS = 3
SAM_STEPS = 35_040


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        what: Named.
        count: Readings, or bills.
        unit: Of the count.
        spent: CPU seconds.
    """

    what: str
    count: int
    unit: str
    spent: float

    def markdown(self) -> str:
        """As a table row."""
        rate = self.count / self.spent
        return f"| {self.what} | {self.count:,} {self.unit} | {self.spent:.2f} | {rate:,.0f} |"


def windows(tariff: Tariff, meters: int, *, exported: bool) -> list[Window]:
    """A year of months of random loads."""
    rng, found = np.random.default_rng(1), []
    first = epoch_day(tariff.effective.from_)
    for month, days in enumerate(DAYS):
        grid = DayGrid(tariff.timezone, 900, first, days)
        shape = (meters, grid.slots)
        found.append(
            Window(
                grid=grid,
                imported=rng.integers(0, 900_000, shape),
                exported=rng.integers(0, 700_000, shape) if exported else None,
                month=YEAR * 12 + month,
                billed_days=days,
                events={"cpp": frozenset({first + 14})} if month == 6 else {},
                power_factor=[Decimal("0.85")] * meters,
            )
        )
        first += days
    return found


def bills(tariff: Tariff, months: list[Window]) -> int:
    """Price the months one after another, down to decimal lines; the number of bills."""
    state, count = BillState.empty(len(months[0].imported)), 0
    for window in months:
        priced = price_quantities(tariff, window, measure(tariff, window), state)
        state = priced.state
        count += len(decimal_bills(priced))
    return count


def sam() -> Callable[[], Any]:
    """SAM's Utilityrate5 with its default commercial rate on one meter-year."""
    from PySAM import Utilityrate5

    model = Utilityrate5.default("FlatPlatePVCommercial")
    rng = np.random.default_rng(1)
    model.Load.load = rng.uniform(0, 4, SAM_STEPS).tolist()
    model.SystemOutput.gen = rng.uniform(0, 3, SAM_STEPS).tolist()
    model.SystemOutput.degradation = [0]
    model.Lifetime.analysis_period = 1
    model.ElectricityRates.en_electricity_rates = 1
    return lambda: model.execute(0)


def best(what: str, count: int, unit: str, work: Callable[[], Any]) -> Figure:
    """The least CPU time of some runs; the first one, which fills caches, does not count."""
    work()
    spent = []
    for _ in range(REPEATS):
        before = time.process_time()
        work()
        spent.append(time.process_time() - before)
    return Figure(what, count, unit, min(spent))


def report(meters: int) -> str:
    """Measure; a table as Markdown."""
    tariff = load_tariff(EXAMPLE)
    figures = []
    for exported, said in ((False, "import"), (True, "import and export")):
        months = windows(tariff, meters, exported=exported)
        readings = meters * sum(window.grid.slots for window in months) * (2 if exported else 1)
        reduce = f"kernel: periods, netting, demand, event; {said}"
        figures += [
            best(reduce, readings, "readings", lambda m=months: [measure(tariff, w) for w in m]),  # type: ignore[misc]
            best(
                f"bills with decimal lines; {said}",
                meters * len(months),
                "meter-months",
                lambda m=months: bills(tariff, m),  # type: ignore[misc]
            ),
        ]
    figures.append(best("SAM Utilityrate5, 15 minutes, one meter-year", SAM_STEPS, "readings", sam()))
    head = ["| what | count | CPU s | a second and core |", "|---|---:|---:|---:|"]
    return "\n".join([*head, *(figure.markdown() for figure in figures)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(report(int(sys.argv[1]) if len(sys.argv) > 1 else METERS))
