"""Faults that scale everything: a multiplier, a unit, a transformer's ratio, a dead phase, a reversed one.

Day totals wander, so the scale is read where it is sharp: the daily peak and the base load of the days before
and after the meter's sharpest change of level must both have moved by the same factor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.behaviour import step
from models.fault_days import Days, Fault
from models.series import Bool, Int
from models.standing import nan_median
from models.weekly_features import Float

__all__ = ["level_faults"]

SHARP = 3.5
WINDOW = 28
"""Days before and after the change that are compared."""
LATELY = 10
"""Last days on which the change must still hold: who is away comes back."""
METERS_AT_ONCE = 512
SCALES = (
    (1000.0, "unit_error", 0.2, 1.0, "a unit taken for another"),
    (10.0, "multiplier_x10", 0.25, 0.6, "a multiplier"),
    (3.0, "ratio_error", 0.06, 0.2, "a transformer's ratio"),
    (2.0, "ratio_error", 0.05, 0.15, "a transformer's ratio"),
    (2 / 3, "dead_phase", 0.04, 0.15, "a phase of three that is no longer measured"),
    (1 / 2, "ratio_error", 0.05, 0.2, "a transformer's ratio"),
    (1 / 3, "reversed_ct", 0.1, 0.28, "one current transformer of three reversed"),
    (1 / 10, "ratio_error", 0.15, 0.6, "a multiplier"),
    (1 / 1000, "ratio_error", 0.2, 1.0, "a unit taken for another"),
)
"""Factor, fault, how far the peak and how far the use may be from it (log10), and what explains it. All may
be theft as well, but for a level that rises tenfold or more."""


def level_faults(days: Days) -> list[Fault]:
    """One lasting change of scale of each meter at most."""
    at, sharp, moved = _changes(days)
    found = []
    for row in np.flatnonzero(sharp >= SHARP).tolist():
        total, peak, base, lately = moved[row].tolist()
        for factor, fault, slack, loose, cause in SCALES:
            aim = float(np.log10(factor))
            if _scaled(aim, total, peak, base, slack, loose) and abs(lately - aim) <= 2 * loose:
                low = "" if np.isnan(base) else f", base load ×{10**base:.2f}"
                told = f"daily peak ×{10**peak:.2f}{low}, use ×{10**total:.2f} from one day on"
                severity = "error" if factor >= 10 else "warning"
                since = days.day(int(at[row]))
                found.append(Fault(row, fault, since, None, severity, f"{told}: {cause}"))
                break
    return found


def _scaled(aim: float, total: float, peak: float, base: float, slack: float, loose: float) -> bool:
    """Whether a scale explains the changes: the base load, which meters round, may be far off, or it fits
    closely and the peak may be off by twice as much.
    """
    near, far = abs(peak - aim), abs(total - aim)
    off = 0.0 if np.isnan(base) else abs(base - aim)
    if near <= slack:
        return far <= loose and off <= 2 * loose
    return near <= 2 * slack and far <= 1.5 * loose and not np.isnan(base) and off <= slack


def _changes(days: Days) -> tuple[Int, Float, Float]:
    """Day of the sharpest change, its t; changes of total, peak, base, total lately in log10, (m, 4)."""
    count = len(days.total)
    at, sharp, moved = np.full(count, -1, np.int64), np.zeros(count), np.full((count, 4), np.nan)
    level = _log(days.total, days.seen)
    usual = float(np.median(_spread(level))) if count else 0.0
    for low in range(0, count, METERS_AT_ONCE):
        rows = slice(low, low + METERS_AT_ONCE)
        rise, _, risen = step(level[rows], usual)
        fall, _, fallen = step(-level[rows], usual)
        at[rows] = np.where(rise >= fall, risen, fallen)
        sharp[rows] = np.maximum(rise, fall)
        for column, values in enumerate((days.total, days.peak, days.low)):
            moved[rows, column] = _moved(_log(values[rows], days.seen[rows]), at[rows])
        moved[rows, 3] = _moved(_of_last(level[rows], at[rows]), at[rows], days.count)
    return at, sharp, moved


def _log(values: NDArray[np.integer], seen: Bool) -> Float:
    known = seen & (values > 0)
    return np.where(known, np.log10(np.maximum(values, 1)), np.nan)


def _of_last(level: Float, at: Int) -> Float:
    """The days before ``at`` and the last ``LATELY`` of those from then on; NaN between; (n, d)."""
    known = np.isfinite(level)
    later = known[:, ::-1].cumsum(axis=1)[:, ::-1] <= LATELY
    return np.where(later | (np.arange(level.shape[1])[None, :] < at[:, None]), level, np.nan)


def _spread(level: Float) -> Float:
    """Variance of the known days; (m,)."""
    known = np.isfinite(level)
    number = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, level, 0)
    spread: Float = (filled**2).sum(axis=1) / number - (filled.sum(axis=1) / number) ** 2
    return spread


def _moved(level: Float, at: Int, window: int = WINDOW) -> Float:
    """Median of the days from ``at`` on less that of the days before, NaN where five are not known; (n,)."""
    index = np.arange(level.shape[1])[None, :] - at[:, None]
    before = np.where((index < 0) & (index >= -WINDOW), level, np.nan)
    after = np.where((index >= 0) & (index < window), level, np.nan)
    enough = (np.isfinite(before).sum(axis=1) >= 5) & (np.isfinite(after).sum(axis=1) >= 5) & (at >= 0)
    return np.where(enough, nan_median(after, 1) - nan_median(before, 1), np.nan)
