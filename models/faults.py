"""Meter faults by rule, before any forest looks at a meter: each with its dates and its evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.series import Bool, Int
from models.week_table import WEEK, WeekTable
from models.weekly_features import METERS_AT_ONCE, Float

MICRO = 1_000_000
FEW_NEGATIVES = 8
"""Fewer negative slots than this are glitches, not a meter that runs backwards."""
LEAVES_POPULATION = frozenset({"dead_meter", "negative", "duplicate", "multiplier_x10", "unit_error"})
"""Faults that take a meter out of the theft population (SEMANTICS, Theft evidence)."""


@dataclass(frozen=True)
class Fault:
    """One fault of one meter.

    Attributes:
        meter: Row in the week table.
        since, until: Epoch days, inclusive; ``until`` is None while it lasts to the last day seen.
    """

    meter: int
    fault: str
    since: int
    until: int | None
    severity: str
    evidence: str


def find_faults(table: WeekTable) -> list[Fault]:
    """All faults, sorted by meter, fault and day."""
    days = Days(table)
    found = [
        *_dead(days),
        *_runs(days, days.seen & (days.peak > 0) & (days.peak == days.low), "stuck_value", 1, "error",
               "every slot of the day has the same value"),
        *_runs(days, days.seen & (days.total == 0) & days.used[:, None], "stuck_zero", 2, "error",
               "only zeros on a meter that measured before and after"),
        *_negative(table, days),
        *_multiplier(days),
        *_lumps(days),
        *_dropouts(days),
        *_duplicates(table, days),
    ]  # fmt: skip
    return sorted(found, key=lambda f: (f.meter, f.fault, f.since))


class Days:
    """Daily views of a week table; (m, d) each."""

    def __init__(self, table: WeekTable) -> None:
        self.table = table
        self.have, self.total = table.days("day_have"), table.days("day_total")
        self.peak, self.low, self.zero = table.days("day_max"), table.days("day_min"), table.days("day_zeros")
        self.seen: Bool = self.have > 0
        self.used: Bool = (self.total > 0).sum(axis=1) >= 7
        self.first = int(table.weeks[0]) if len(table.weeks) else 0
        self.count = self.total.shape[1]

    def day(self, index: int) -> int:
        """Epoch day of a column; weeks without a row are skipped over."""
        return int(self.table.weeks[index // 7]) + index % 7


def _runs(days: Days, hit: Bool, fault: str, shortest: int, severity: str, evidence: str) -> list[Fault]:
    """Runs of at least ``shortest`` days."""
    found = []
    padded = np.zeros((len(hit), days.count + 2), np.int8)
    padded[:, 1:-1] = hit
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        if end - start >= shortest:
            until = None if end == days.count else days.day(end - 1)
            found.append(
                Fault(row, fault, days.day(start), until, severity, f"{end - start} days: {evidence}")
            )
    return found


def _dead(days: Days) -> list[Fault]:
    dead = (days.seen.sum(axis=1) >= 7) & (days.total == 0).all(axis=1)
    return [
        Fault(row, "dead_meter", days.day(0), None, "error", "it reports, but never measured anything")
        for row in np.flatnonzero(dead).tolist()
    ]


def _negative(table: WeekTable, days: Days) -> list[Fault]:
    """Negative slots; a meter that has many of them runs backwards and leaves the population."""
    found = []
    for row in np.flatnonzero(table.negatives.sum(axis=1) > 0).tolist():
        weeks = np.flatnonzero(table.negatives[row])
        count, lowest = int(table.negatives[row].sum()), int(days.low[row].min())
        name, severity = ("negative", "error") if count >= FEW_NEGATIVES else ("negative_values", "warning")
        evidence = f"{count} negative slots, down to {lowest / MICRO:.3f}"
        since, until = int(table.weeks[weeks[0]]), int(table.weeks[weeks[-1]]) + 6
        found.append(Fault(row, name, since, until, severity, evidence))
    return found


def _multiplier(days: Days) -> list[Fault]:
    """A lasting step of the level by a factor that only a ratio or a unit explains."""
    found = []
    step, place = _largest_steps(days)
    for factor, name, slack in ((3.0, "unit_error", 0.15), (1.0, "multiplier_x10", 0.12)):
        for row in np.flatnonzero(np.abs(step - factor) < slack).tolist():
            evidence = f"daily use went ×{10 ** step[row]:.1f} overnight and stayed"
            found.append(Fault(row, name, days.day(int(place[row])), None, "error", evidence))
    return found


def _largest_steps(days: Days) -> tuple[Float, Int]:
    """Largest difference of the medians of the week after and before a day (log10), and that day; (m,)."""
    known = days.seen & (days.total > 0)
    if days.count < 2 * WEEK:
        return np.zeros(len(known)), np.zeros(len(known), np.int64)
    parts = [
        _steps(known[low : low + METERS_AT_ONCE], days.total[low : low + METERS_AT_ONCE])
        for low in range(0, len(known), METERS_AT_ONCE)
    ]
    step, place = (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else np.zeros((2, 0))
    return step, place.astype(np.int64)


def _steps(known: Bool, total: NDArray[np.integer]) -> tuple[Float, Int]:
    """`_largest_steps` of some meters."""
    # Days without use repeat the one before, so that windows stay whole.
    last = np.maximum.accumulate(np.where(known, np.arange(known.shape[1]), -1), axis=1)
    level = np.take_along_axis(total, np.maximum(last, 0), axis=1)
    logs = np.where(last >= 0, np.log10(np.maximum(level, 1)), np.nan)
    medians = np.sort(np.lib.stride_tricks.sliding_window_view(logs, WEEK, axis=1), axis=2)[:, :, WEEK // 2]
    step = np.nan_to_num(medians[:, WEEK:] - medians[:, :-WEEK])
    step[known.sum(axis=1) < 2 * WEEK] = 0
    place = np.abs(step).argmax(axis=1)
    return np.take_along_axis(step, place[:, None], axis=1)[:, 0], place + WEEK


def _lumps(days: Days) -> list[Fault]:
    """A gap whose use comes back in one slot."""
    found = []
    expected = days.have.max(axis=1, keepdims=True)
    for row in range(len(days.have)):
        full = (days.have[row] == expected[row]) & (days.have[row] > 0)
        if full.sum() < 7:
            continue
        usual = float(np.median(days.peak[row][full]))
        short = np.flatnonzero((days.have[row] < expected[row]) | (days.zero[row] > expected[row] // 2))
        for day in short.tolist():
            for after in (day, day + 1):
                if after < days.count and days.peak[row, after] > 5 * usual > 0:
                    peak = days.peak[row, after] / MICRO
                    found.append(
                        Fault(
                            row, "lump_after_gap", days.day(day), days.day(after), "warning",
                            f"one slot of {peak:.2f} after missing or zero slots, 5 times the usual peak",
                        )
                    )  # fmt: skip
                    break
    return found


def _dropouts(days: Days) -> list[Fault]:
    """Zeros strewn over the days of a meter whose base load is above zero."""
    share = days.zero / np.maximum(days.have, 1)
    strewn = days.seen & (share > 0.05) & (share < 0.6) & (days.total > 0)
    found = []
    for row in range(len(share)):
        clean = days.seen[row] & (days.zero[row] == 0)
        hits = np.flatnonzero(strewn[row])
        if len(hits) >= 7 and clean.sum() >= 7 and _steady(days, row, clean):
            found.append(
                Fault(
                    row, "dropouts", days.day(int(hits[0])), days.day(int(hits[-1])), "warning",
                    f"{len(hits)} days with {share[row][hits].mean():.0%} zeros on a base load above zero",
                )
            )  # fmt: skip
    return found


def _steady(days: Days, row: int, clean: Bool) -> bool:
    lows = days.low[row][clean]
    return bool(np.median(lows) > 0.1 * np.median(days.total[row][clean] / days.have[row][clean]))


def _duplicates(table: WeekTable, days: Days) -> list[Fault]:
    """Two meters with the same series, slot by slot, for at least a week."""
    signature = table.signature
    used = table.there & (table.lists["day_max"].max(axis=2) > 0) & (signature != 0)
    row, week = np.nonzero(used)
    key = signature[row, week]
    order = np.lexsort((row, key, week))
    row, week, key = row[order], week[order], key[order]
    same = (week[1:] == week[:-1]) & (key[1:] == key[:-1])
    twins: dict[int, tuple[set[int], set[int]]] = {}
    for i in np.flatnonzero(same).tolist():
        pair = int(row[i]), int(row[i + 1])
        for one, other in (pair, pair[::-1]):
            others, weeks = twins.setdefault(one, (set(), set()))
            others.add(other)
            weeks.add(int(week[i]))
    return [
        Fault(
            row, "duplicate", int(table.weeks[min(weeks)]), int(table.weeks[max(weeks)]) + 6, "error",
            f"{len(weeks)} weeks equal to {', '.join(table.meters[o] for o in sorted(others)[:3])}",
        )
        for row, (others, weeks) in sorted(twins.items())
    ]  # fmt: skip


def leaving(faults: list[Fault], count: int) -> Bool:
    """Meters that are no part of the theft population; (m,)."""
    gone = np.zeros(count, np.bool_)
    gone[[fault.meter for fault in faults if fault.fault in LEAVES_POPULATION]] = True
    return gone
