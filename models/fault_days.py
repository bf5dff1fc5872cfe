"""Daily views that the fault rules read, and the record of one fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.behaviour import steps
from models.series import Bool, Int
from models.standing import fleet_median, nan_median
from models.week_table import WeekTable, some_meters
from models.weekly_features import Float

__all__ = ["MICRO", "Days", "Fault", "runs", "usual_variance"]

MICRO = 1_000_000
CHANGING = (0, 1)
"""Use and daily peak: the levels whose lasting change counts."""


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


class Days:
    """Daily views of a week table; (m, d) each."""

    def __init__(self, table: WeekTable) -> None:
        self.table = table
        self.have, self.total = table.days("day_have"), table.days("day_total")
        self.peak, self.low, self.zero = table.days("day_max"), table.days("day_min"), table.days("day_zeros")
        self.lone, self.hash = table.days("day_lone"), table.days("day_hash")
        self.seen: Bool = self.have > 0
        self.whole: Bool = self.seen & (table.days("day_missing") == 0)
        self.used: Bool = (self.total > 0).sum(axis=1) >= 7
        self.count = self.total.shape[1]

    @cached_property
    def slots(self) -> Int:
        """Slots of a whole day of each meter; (m,)."""
        slots: Int = self.have.max(axis=1, initial=0)
        return slots

    @cached_property
    def zero_share(self) -> Float:
        """Share of the day's values that are zero, 0 on days without values; (m, d)."""
        share: Float = self.zero / np.maximum(self.have, 1)
        return share

    def levels(self, rows: Int | slice) -> list[Float]:
        """Use, daily peak and base load of some meters beside the fleet's own days.

        What the median meter's day did against its own usual one is taken out; NaN where there is none; three
        of (n, d). [log10 micro]
        """
        fleet, *_ = self._against_fleet
        return [self._level(measure, rows) - fleet[measure] for measure in range(len(fleet))]

    @property
    def change(self) -> tuple[Int, Float]:
        """Index of the first day after the sharpest lasting change of use or daily peak, −1 without one, and
        its t statistic; (m,) each.
        """
        _, day, sharp = self._against_fleet
        return day, sharp

    @cached_property
    def _against_fleet(self) -> tuple[list[Float], Int, Float]:
        """What the fleet's days did, in use, peak and base load, (d,) each; ``change``.

        Of the fleet's levels one measure is held at a time.
        """
        count = len(self.total)
        day, sharp = np.full(count, -1), np.zeros(count)
        level, fleet = np.empty(self.total.shape), []
        for measure in range(3):
            for rows in some_meters(count):
                level[rows] = self._level(measure, rows)
            fleet.append(fleet_median(level, _of_each(level, _usual)))
            if measure in CHANGING:
                for rows in some_meters(count):
                    level[rows] -= fleet[-1]
                _sharper(level, day, sharp)
        return fleet, day, sharp

    def _level(self, measure: int, rows: Int | slice) -> Float:
        """Use, peak or base load, NaN where there is none; (n, d). [log10 micro]."""
        values = (self.total, self.peak, self.low)[measure][rows]
        known = self.seen[rows] & (values > 0)
        return np.where(known, np.log10(np.maximum(values, 1)), np.nan)

    def day(self, index: int) -> int:
        """Epoch day of a column; weeks without a row are skipped over."""
        return int(self.table.weeks[index // 7]) + index % 7

    def last_seen(self, row: int) -> int:
        """Column of a meter's last day with a value, −1 without one."""
        known = np.flatnonzero(self.seen[row])
        return int(known[-1]) if len(known) else -1


def _of_each(level: Float, number: Callable[[Float], Float]) -> Float:
    """A number of each meter's days; (m,)."""
    return np.concatenate([np.zeros(0), *(number(level[rows]) for rows in some_meters(len(level)))])


def _sharper(level: Float, day: Int, sharp: Float) -> None:
    """Day and t statistic of the changes of a level that are sharper than those known; in place."""
    usual = usual_variance(level)
    for rows in some_meters(len(level)):
        for found, _, at in steps(level[rows], usual):
            day[rows] = np.where(found > sharp[rows], at, day[rows])
            sharp[rows] = np.maximum(sharp[rows], found)


def usual_variance(level: Float) -> float:
    """Variance of the median meter's known days."""
    return float(np.median(_of_each(level, _variance))) if len(level) else 0.0


def _usual(level: Float) -> Float:
    """Median day; (n,)."""
    return nan_median(level, 1)


def _variance(level: Float) -> Float:
    """Of the known days; (n,)."""
    known = np.isfinite(level)
    number = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, level, 0)
    variance: Float = (filled**2).sum(axis=1) / number - (filled.sum(axis=1) / number) ** 2
    return variance


def runs(days: Days, hit: Bool, fault: str, shortest: int, severity: str, evidence: str) -> list[Fault]:
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
            told = f"{end - start} days: {evidence}"
            found.append(Fault(row, fault, days.day(start), until, severity, told))
    return found
