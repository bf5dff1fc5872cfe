"""False flags of the default rules on real meters, and how many injected defects they find.

``python -m tests.bench.flags`` prints both tables of docs/vee.md, from a fixed seed and without registers
or events. Readings count as clean, whatever stands in them.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.calendar import DayGrid
from models.master import MasterData
from models.pack_days import pack_days
from models.series import RULES, SeriesFacts
from models.vee import validate_and_estimate
from schemas.channels import CHANNELS
from schemas.rulebook import RuleBook, load_rule_book
from tests.real_data import shared, swiss_values

Int = NDArray[np.int64]
MICRO = 1_000_000
MONTH = 365.25 / 12
EARLIEST = 30
"""Day of a series from which defects are injected: by then the averages are there."""


@dataclass(frozen=True)
class Meters:
    """Meters of one kind; NaN is no reading. Values in the billing unit, shape (n, slots)."""

    channel: str
    grid: DayGrid
    values: NDArray[np.float64]

    def facts(self) -> SeriesFacts:
        """As the kernels want them: days from the first reading of any of them on are expected."""
        have = ~np.isnan(self.values)
        channel, count = CHANNELS[self.channel], len(have)
        return SeriesFacts(
            grid=self.grid,
            value=np.rint(np.nan_to_num(self.values) * MICRO).astype(np.int64),
            have=have,
            expected=np.ones((count, self.grid.days), np.bool_),
            one_directional=np.full(count, channel.one_directional),
            instantaneous=np.zeros(count, np.bool_),
            channels=(self.channel,) * count,
        )


def swiss() -> Meters:
    """Every home."""
    _, values, grid = swiss_values()
    return Meters("import", grid, values / MICRO)


def nsw() -> Meters:
    """The homes of New South Wales on their own clock, each from its first to its last day."""
    rows = pq.read_table(shared("nsw_halfhour") / "consumption.parquet")
    names, of_row = np.unique(np.array(rows["meter_id"].to_pylist()), return_inverse=True)
    times = rows["local_time"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return _laid("import", 1800, of_row, times, rows["kwh"].to_numpy(), len(names))


def bdg2(name: str, channel: str, factor: float) -> Meters:
    """Meters of the Building Data Genome 2, in hours of their own clock."""
    table = pq.read_table(shared("bdg2_hourly") / f"{name}.parquet")
    times = np.array(table["timestamp"].to_pylist(), "datetime64[s]").astype(np.int64)
    values = np.stack([table[n].to_numpy() for n in table.column_names if n != "timestamp"])
    count = len(values)
    at = np.tile(times, count)
    return _laid(channel, 3600, np.repeat(np.arange(count), len(times)), at, values.ravel() * factor, count)


def gas() -> Meters:
    """The gas meter of the eemeter samples: therms taken as hundreds of cubic feet."""
    with gzip.open(shared("eemeter_hourly") / "il-gas-hdd-only-hourly.csv.gz", "rt") as file:
        rows = [(row["start"], row["value"]) for row in csv.DictReader(file)]
    times = np.array([int(datetime.fromisoformat(at).timestamp()) - 6 * 3600 for at, _ in rows])
    values = np.array([float(value) if value else np.nan for _, value in rows]) * 2.8316846592
    return _laid("volume", 3600, np.zeros(len(rows), np.int64), times, values, 1)


def _laid(
    channel: str, interval: int, row: Int, times: Int, values: NDArray[np.float64], count: int
) -> Meters:
    first, last = int(times.min()) // 86_400, int(times.max()) // 86_400
    grid = DayGrid("UTC", interval, first, last - first + 1)
    laid = np.full((count, grid.slots), np.nan)
    laid[row, (times - grid.origin) // interval] = values
    return Meters(channel, grid, laid)


def findings(meters: Meters, facts: SeriesFacts, book: RuleBook) -> list[tuple[int, int, str]]:
    """(meter, day, rule) of every finding on days between the meter's first and last reading."""
    names = [(str(i), meters.channel) for i in range(facts.count)]
    packs = pack_days(book, names, meters.grid, MasterData([]))
    found = validate_and_estimate(facts, packs).findings
    low, high = _range(meters)
    rows = zip(found.series.tolist(), found.day.tolist(), found.rule.tolist(), strict=True)
    return [(row, day, RULES[rule]) for row, day, rule in rows if low[row] <= day <= high[row]]


def _range(meters: Meters) -> tuple[Int, Int]:
    have = ~np.isnan(meters.values)
    slots = meters.grid.slots
    first, last = have.argmax(axis=1), slots - 1 - have[:, ::-1].argmax(axis=1)
    days = meters.grid.day_of_slot
    return days[first].astype(np.int64), days[last].astype(np.int64)


def rates(meters: Meters, book: RuleBook) -> dict[str, float]:
    """Findings a meter-month by rule, but for the meters' own gaps."""
    low, high = _range(meters)
    months = float((high - low + 1).sum()) / MONTH
    counts = Counter(rule for _, _, rule in findings(meters, meters.facts(), book))
    gaps = ("missing", "prolonged_estimation")
    return {rule: n / months for rule, n in sorted(counts.items()) if rule not in gaps}


Defect = Callable[[Int, int, int], Int]
"""From the values from a day on, the slots of a day and a place in it, to the values with a defect."""


def _peak(values: Int, day: int, at: int) -> Int:
    top = int(values[:day].argmax())
    values[top] *= 10
    return values


def _level(days: int, share: float) -> Defect:
    def change(values: Int, day: int, at: int) -> Int:
        part = slice(0, days * day)
        values[part] = (values[part] * share).astype(np.int64)
        return values

    return change


def _stuck(values: Int, day: int, at: int) -> Int:
    values[: 2 * day] = max(int(values[at]), int(values[:day].max()) // 2, 10_000) + 137
    return values


def _below(values: Int, day: int, at: int) -> Int:
    values[at] = -abs(values[at]) - 50_000
    return values


def _drip(values: Int, day: int, at: int) -> Int:
    values[: 7 * day] += 4_000
    return values


DEFECTS: dict[str, tuple[str, Defect]] = {
    "the day's highest slot × 10": ("spike", _peak),
    "a negative slot": ("negative", _below),
    "two days at one value": ("flat_line", _stuck),
    "ten days of zeros": ("zero_run", _level(10, 0.0)),
    "a day × 8": ("high_usage", _level(1, 8.0)),
    "a day ÷ 100": ("low_usage", _level(1, 0.01)),
    "a week's leak of 4 l an hour": ("leak", _drip),
}
"""Defect → the rule that should find it, and how it is made."""


def recall(meters: Meters, book: RuleBook, seed: int = 0) -> dict[str, tuple[float, int]]:
    """Share of the defects that their rule finds, and how many were injected: one a meter at a random day.

    Days with a gap, or without usage of 0.1 units, are left out, and rules that the meters' pack has not.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    clean, grid = meters.facts(), meters.grid
    day = 86_400 // grid.interval_s
    names = [("0", meters.channel)]
    rules = pack_days(book, names, grid, MasterData([])).at(0, grid.days - 1).rules
    result = {}
    for name, (rule, defect) in DEFECTS.items():
        if getattr(rules, rule) is None:
            continue
        value, placed = clean.value.copy(), []
        for row in range(clean.count):
            days = random.permutation(np.arange(EARLIEST, grid.days - 12))[:40].tolist()
            for chosen in days:
                start = int(grid.offsets[chosen])
                before = slice(int(grid.offsets[chosen - EARLIEST]), start + 12 * day)
                whole = bool(clean.have[row, before].all())
                if whole and int(clean.value[row, start : start + day].sum()) > MICRO // 10:
                    here = slice(start, start + 12 * day)
                    value[row, here] = defect(value[row, here].copy(), day, int(random.integers(day)))
                    placed.append((row, chosen))
                    break
        found = {(r, d) for r, d, hit in findings(meters, replace(clean, value=value), book) if hit == rule}
        hits = sum(any((row, d + late) in found for late in range(12)) for row, d in placed)
        if placed:
            result[name] = hits / len(placed), len(placed)
    return result


GROUPS: dict[str, Callable[[], Meters]] = {
    "Swiss homes": swiss,
    "NSW homes": nsw,
    "solar": lambda: bdg2("solar", "export", 1.0),
    "irrigation water": lambda: bdg2("irrigation", "cold_water", 0.001),
    "gas": gas,
}


def main() -> None:
    """Print both tables."""
    book = load_rule_book(sys.argv[1] if len(sys.argv) > 1 else "default")
    groups = {name: load() for name, load in GROUPS.items()}
    flagged = {name: rates(meters, book) for name, meters in groups.items()}
    rules = sorted({rule for found in flagged.values() for rule in found})
    lines = [["meters", *rules, "together"]]
    for name, found in flagged.items():
        lines.append([name, *(f"{found.get(rule, 0):.2f}" for rule in rules), f"{sum(found.values()):.2f}"])
    print_table(lines)
    caught = {name: recall(meters, book) for name, meters in groups.items()}
    lines = [["defect", "rule", *groups]]
    for defect, (rule, _) in DEFECTS.items():
        cells = [caught[name].get(defect) for name in groups]
        lines.append([defect, rule, *("–" if c is None else f"{c[0]:.0%} of {c[1]}" for c in cells)])
    print_table(lines)


def print_table(lines: list[list[str]]) -> None:
    """A table in Markdown."""
    head, *rest = lines
    sys.stdout.write("| " + " | ".join(head) + " |\n|" + "---|" * len(head) + "\n")
    for line in rest:
        sys.stdout.write("| " + " | ".join(line) + " |\n")
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
