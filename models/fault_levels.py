"""Faults that scale everything: a multiplier, a unit, a transformer's ratio, a dead phase, a reversed one.

Use, daily peak and base load must all have moved by one factor from one day on. Each is read against the
fleet's own days and weighs as much as it is known: what wanders from day to day weighs little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.fault_days import Days, Fault
from models.series import Bool, Int
from models.standing import MAD_TO_SIGMA, nan_median, nan_quantile
from models.weekly_features import Float

__all__ = ["level_faults"]

SHARP = 3.5
WINDOW = 21
"""Days before and after the change that are compared."""
FEWEST_DAYS = 5
LATELY = 10
"""Last days on which the change must still hold: who is away comes back."""
OF_MEDIAN = 1.2533
"""Standard error of a median, in those of a mean: the root of π / 2."""
COARSE = (0.02, 0.02, 0.054)
"""What use, peak and base load cannot be told apart by [log10]: meters round a base load."""


@dataclass(frozen=True)
class Scale:
    """A factor that a fault may scale by.

    Attributes:
        under, over: How far the factor seen may be below and above. [log10]
        apart: How far use, peak and base load may be apart, weighed. [log10]
        lately: How far the use of the last days may be off. [log10]
        cause: What explains it. All may be theft as well, but for a level that rises tenfold or more.
    """

    factor: float
    fault: str
    under: float
    over: float
    apart: float
    lately: float
    cause: str


SCALES = (
    Scale(1000, "unit_error", 0.75, 0.75, 0.5, 2.0, "a unit taken for another"),
    Scale(10, "multiplier_x10", 0.25, 0.75, 0.4, 1.2, "a multiplier"),
    Scale(3, "ratio_error", 0.1, 0.1, 0.15, 0.3, "a transformer's ratio"),
    Scale(2, "ratio_error", 0.09, 0.09, 0.12, 0.25, "a transformer's ratio"),
    Scale(2 / 3, "dead_phase", 0.06, 0.06, 0.08, 0.15, "a phase of three that is no longer measured"),
    Scale(1 / 2, "ratio_error", 0.09, 0.09, 0.12, 0.3, "a transformer's ratio"),
    Scale(1 / 3, "reversed_ct", 0.16, 0.16, 0.2, 0.5, "one current transformer of three reversed"),
    Scale(1 / 10, "ratio_error", 0.2, 0.2, 0.3, 1.2, "a multiplier"),
    Scale(1 / 1000, "ratio_error", 0.25, 0.25, 0.5, 2.0, "a unit taken for another"),
)
AIMS = np.log10([scale.factor for scale in SCALES])


@dataclass(frozen=True)
class Changes:
    """The sharpest change of some meters.

    Attributes:
        row: The meters, shape (n,).
        day: Index of its first day, shape (n,).
        moved: By how much use, peak and base load moved, NaN where too few days are known; (n, 3). [log10]
        factor, apart: Their weighed mean and how far they are from it, shape (n,). [log10]
        lately: By how much the use of the last days did, shape (n,). [log10]
        new: Whether such a level was not seen before, shape (n,).
    """

    row: Int
    day: Int
    moved: Float
    factor: Float
    apart: Float
    lately: Float
    new: Bool


def level_faults(days: Days) -> list[Fault]:
    """One lasting change of scale of each meter at most."""
    if not len(days.total):
        return []
    found = _changes(days)
    near = np.abs(found.factor[:, None] - AIMS).argmin(axis=1)
    under, over, apart, lately = (np.array([getattr(scale, name) for scale in SCALES])[near]
                                  for name in ("under", "over", "apart", "lately"))  # fmt: skip
    off = found.factor - AIMS[near]
    hit = found.new & (np.isfinite(found.moved).sum(axis=1) > 1)
    hit &= (off >= -under) & (off <= over) & (found.apart <= apart)
    hit &= np.abs(found.lately - AIMS[near]) <= lately  # never with NaN, too few days
    return [_fault(days, found, at, SCALES[int(near[at])]) for at in np.flatnonzero(hit).tolist()]


def _fault(days: Days, found: Changes, at: int, scale: Scale) -> Fault:
    names = ("use", "daily peak", "base load")
    moved = found.moved[at].tolist()
    parts = [f"{name} ×{10**part:.3g}" for name, part in zip(names, moved, strict=True) if part == part]
    told = f"{', '.join(parts)} from one day on, beside the fleet"
    severity = "error" if scale.factor >= 10 else "warning"
    since = days.day(int(found.day[at]))
    return Fault(int(found.row[at]), scale.fault, since, None, severity, f"{told}: {scale.cause}")


def _changes(days: Days) -> Changes:
    day, sharp = days.change
    row = np.flatnonzero(sharp >= SHARP)
    levels = days.levels(row)
    index = np.arange(days.count)[None, :] - day[row, None]
    early, late = (index < 0) & (index >= -WINDOW), (index >= 0) & (index < WINDOW)
    moved, error = (np.stack(column, axis=1) for column in zip(
        *(_moved(level, early, late) for level in levels), strict=True))  # fmt: skip
    weight = np.where(np.isfinite(moved), 1 / (error**2 + np.square(COARSE)), 0)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    factor = (weight * np.nan_to_num(moved)).sum(axis=1)
    apart = np.sqrt((weight * (np.nan_to_num(moved) - factor[:, None]) ** 2).sum(axis=1))
    use = levels[0]
    lately, _ = _moved(use, early, _last(use, index))
    return Changes(row, day[row], moved, factor, apart, lately, _new(use, index, late))


def _last(level: Float, index: Int) -> Bool:
    """The last ``LATELY`` known days of those after the change; (n, d)."""
    later: Int = np.isfinite(level)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return (later <= LATELY) & (index >= 0)


def _moved(level: Float, early: Bool, late: Bool) -> tuple[Float, Float]:
    """Median of the late days less that of the early ones, and its standard error; NaN where too few days
    are known; (n,) each.
    """
    middle, square = [], np.zeros(len(level))
    enough = np.ones(len(level), np.bool_)
    for days in (early, late):
        some = np.where(days, level, np.nan)
        number = np.isfinite(some).sum(axis=1)
        middle.append(nan_median(some, 1))
        spread = MAD_TO_SIGMA * nan_median(np.abs(some - middle[-1][:, None]), 1)
        square += (OF_MEDIAN * spread) ** 2 / np.maximum(number, 1)
        enough &= number >= FEWEST_DAYS
    return np.where(enough, middle[1] - middle[0], np.nan), np.sqrt(square)


def _new(level: Float, index: Int, late: Bool) -> Bool:
    """Whether a level after a rise was not the meter's before: who was away has only come back; (n,)."""
    before = np.where(index < 0, level, np.nan)
    after = nan_median(np.where(late, level, np.nan), 1)
    new: Bool = (after < nan_median(before, 1)) | (after > nan_quantile(before, 0.9, 1))
    return new
