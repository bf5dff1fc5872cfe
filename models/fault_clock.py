"""Clocks that were set wrong: a meter whose day moved by hours against its own past, and the fleet's did not.

Weekly profiles by hour, laid over those of the weeks before at every lag. What the fleet does (a clock
change that meters keep, the seasons) is taken out first; a lag that a whole group of meters shares in one
week is the group's, not a meter's fault.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.fault_days import Days, Fault
from models.series import Bool
from models.weekly_features import Float

__all__ = ["clock_faults"]

MOST_HOURS = 4
LAGS = range(-MOST_HOURS, MOST_HOURS + 1)
WINDOW = 4
"""Weeks before and after that are compared, where there are as many."""
LIKENESS = 0.6
GAIN, NOISE = 0.02, 0.33
"""How like the moved profile must be (a correlation), and how much more so than the unmoved one: by ``GAIN``
and this share of what the moved one itself lacks of 1."""
GROUP, FEWEST_OF_GROUP = 0.05, 5
"""Share of the meters that makes one lag in one week a matter of the fleet, and the fewest meters that do."""


def clock_faults(days: Days) -> list[Fault]:
    """The clearest shift of each meter at most; none where there are fewer than five weeks."""
    hours = np.maximum(days.table.hours.astype(np.float64), 0)
    weeks = hours.shape[1]
    if weeks < 5 or not len(hours):
        return []
    profiles = _unit(_aligned(np.sqrt(hours)))
    gain, lag, like, at = (np.zeros(len(hours)) for _ in range(4))
    for week, now in _lagged(profiles):
        best = now.argmax(axis=1)
        top = np.take_along_axis(now, best[:, None], axis=1)[:, 0]
        more = top - now[:, MOST_HOURS]
        better = more > gain
        gain[better], lag[better] = more[better], best[better] - MOST_HOURS
        like[better], at[better] = top[better], week
    hit = (like > LIKENESS) & (gain > GAIN + NOISE * (1 - like))
    hit &= ~_shared(hit, lag, at)
    first = len(days.table.weeks) - weeks
    return [_fault(days, row, int(lag[row]), float(like[row]), first + int(at[row]))
            for row in np.flatnonzero(hit).tolist()]  # fmt: skip


def _fault(days: Days, row: int, hours: int, like: float, week: int) -> Fault:
    told = f"its day runs {abs(hours)} h {'later' if hours > 0 else 'earlier'} than before"
    evidence = f"{told}, and so moved is {like:.0%} like it; the fleet's did not move"
    return Fault(row, "clock_shift", int(days.table.weeks[week]), None, "warning", evidence)


def _unit(profiles: Float) -> Float:
    """Mean 0 and length 1; zeros stay zeros."""
    centred = profiles - profiles.mean(axis=2, keepdims=True)
    unit: Float = centred / np.sqrt((centred**2).sum(axis=2, keepdims=True) + 1e-9)
    return unit


def _aligned(profiles: Float) -> Float:
    """Profiles with the fleet's own moves, week by week, taken back."""
    unit, moved = _unit(profiles), 0
    result = profiles.copy()
    for week in range(1, profiles.shape[1]):
        likeness = [float((unit[:, week - 1] * np.roll(unit[:, week], -lag, axis=1)).sum()) for lag in LAGS]
        moved += int(np.argmax(likeness)) - MOST_HOURS
        result[:, week] = np.roll(profiles[:, week], -moved, axis=1)
    return result


def _lagged(unit: Float) -> Iterator[tuple[int, Float]]:
    """Correlation of the weeks from each week on with those before it at each lag; (m, lags)."""
    for week in range(2, unit.shape[1] - 1):
        before = unit[:, max(week - WINDOW, 0) : week].sum(axis=1)
        after = unit[:, week : week + WINDOW].sum(axis=1)
        length = np.sqrt((before**2).sum(axis=1) * (after**2).sum(axis=1)) + 1e-9
        moved = [(before * np.roll(after, -lag, axis=1)).sum(axis=1) / length for lag in LAGS]
        yield week, np.stack(moved, axis=1)


def _shared(hit: Bool, lag: Float, at: Float) -> Bool:
    """Meters whose lag in that week is that of a group; (m,)."""
    keys = at * 2 * len(LAGS) + lag
    names, place, counts = np.unique(np.where(hit, keys, np.inf), return_inverse=True, return_counts=True)
    large = (counts > max(GROUP * len(hit), FEWEST_OF_GROUP)) & np.isfinite(names)
    shared: Bool = large[place]
    return shared
