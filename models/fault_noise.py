"""Meters that count noise: every slot jumps about what it should be, at the same level.

Noise that multiplies leaves a day's use as it was, while its highest slot rises and its lowest falls; both
from one day on, beside the fleet's own days, and from slot to slot the week is rougher.
"""

from __future__ import annotations

import numpy as np

from models.behaviour import step
from models.fault_days import Days, Fault, usual_variance
from models.series import Int
from models.standing import nan_median
from models.week_table import WEEK, some_meters
from models.weekly_features import NAMES, Float

__all__ = ["noise_faults"]

SHARP = 3.0
APART = (0.04, 0.09)
"""How much further from the use the daily peak and the base load must be. [log10]"""
SAME_LEVEL = 0.12
"""How far the use may have moved. [log10]"""
ROUGHER = 1.15
"""Times the former roughness of the median week."""


def noise_faults(days: Days) -> list[Fault]:
    """One for each noisy meter."""
    if not len(days.total):
        return []
    apart = np.empty(days.total.shape)
    for rows in some_meters(len(apart)):
        _, peaks, bases = days.levels(rows)
        apart[rows] = peaks - bases
    sharp, at = _sharpest(apart)
    found = []
    for row in np.flatnonzero(sharp >= SHARP).tolist():
        day = int(at[row])
        use, peak, base = (level[0] for level in days.levels(np.array([row])))
        higher, lower = _rise(peak - use, day), _rise(use - base, day)
        rougher = _rougher(days, row, day)
        if (higher > APART[0] and lower > APART[1] and rougher > ROUGHER
                and abs(_rise(use, day)) < SAME_LEVEL):  # fmt: skip
            told = f"at the same use the daily peak is ×{10**higher:.2f}, the base load ×{10**-lower:.2f}"
            evidence = f"{told} and the roughness ×{rougher:.2f} from one day on"
            found.append(Fault(row, "noise", days.day(day), None, "warning", evidence))
    return found


def _sharpest(apart: Float) -> tuple[Float, Int]:
    """How sharp the sharpest lasting rise is, t, and its day; (m,) each, from (m, d)."""
    usual = usual_variance(apart)
    steps = [step(apart[rows], usual) for rows in some_meters(len(apart))]
    sharp, _, at = (np.concatenate(column) for column in zip(*steps, strict=True))
    return sharp, at


def _rise(level: Float, day: int) -> float:
    """Median from a day on less that before it; NaN days are unknown; (d,)."""
    after, before = nan_median(level[None, day:], 1), nan_median(level[None, :day], 1)
    return float(after[0] - before[0])


def _rougher(days: Days, row: int, day: int) -> float:
    """Roughness of the median whole week after a day in that of the one before."""
    rough = days.table.features[row, :, NAMES.index("roughness")].astype(np.float64)
    before, after = rough[None, : day // WEEK], rough[None, -(-day // WEEK) :]
    return float(nan_median(after, 1)[0] / max(float(nan_median(before, 1)[0]), 1e-9))
