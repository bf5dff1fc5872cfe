"""Clocks that were set wrong, or that run too fast or slow: the day of a meter against its own past.

A profile by half hour of the weeks before a split is laid over that of the weeks after it, moved back by some
hours. What counts is how much of the likeness that was lost comes back. Where the weeks after the split move
on, half hour by half hour, the clock drifts. A step that a whole group of meters makes in one week (a clock
change that some keep and some do not) is the group's: it is taken back, of each meter that made it, before
any is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from models.fault_days import Days, Fault
from models.series import Bool, Int
from models.weekly_features import Float

__all__ = ["clock_faults"]

MOST_HOURS, PER_HOUR = 4, 2
WINDOW = 4
"""Weeks on either side of a step that are compared, where there are as many."""
FEWEST_WEEKS = 2
"""Weeks on either side of a step of one meter."""
REGAINED, UNLIKE = 0.3, 0.1
"""Share of the lost likeness (1 less a correlation, and a little more) that moving back must return."""
LIKENESS = 0.6
DRIFT_WEEKS, DRIFT_SPAN, DRIFT_LEFT = 3, 2, 0.4
"""Weeks of a drift, half hours that it grows by, and the share of their variance that a line may leave."""
GROUP, FEWEST_OF_GROUP = 0.05, 5
"""Share of the meters, and the fewest, that make one step in one week a matter of the fleet."""
MOST_EVENTS, MOST_HOURS_OF_GROUP = 4, 2
"""How many such steps are looked for, and the hours of one."""
SHAPES, USUAL = 7, 0.3
"""Components of the fleet's edges, and what it weighs that they explain a meter's."""
OWN_STEP = 0.04
"""What a step of its own must add to a meter's likeness, so that a group's is not explained by it."""
METERS_AT_ONCE = 512


@dataclass(frozen=True)
class Step:
    """A clock that runs some hours late, or early where they are negative, from one week on."""

    week: int
    hours: int


@dataclass(frozen=True)
class Best:
    """The step of each meter that gives most back; (m,) each.

    Attributes:
        step: Number of the step.
        regained: Share of the lost likeness that it gives back.
        like: Correlation after it.
    """

    step: Int
    regained: Float
    like: Float

    @property
    def hit(self) -> Bool:
        """Whether it is a clock's."""
        hit: Bool = (self.regained > REGAINED) & (self.like > LIKENESS)
        return hit


def clock_faults(days: Days) -> list[Fault]:
    """The clearest fault of each meter at most; none where there are fewer than five weeks."""
    halves = days.table.halves
    weeks = halves.shape[1]
    if weeks <= 2 * FEWEST_WEEKS or not len(halves):
        return []
    unit = np.empty(halves.shape)
    for low in range(0, len(unit), METERS_AT_ONCE):
        some = slice(low, low + METERS_AT_ONCE)
        unit[some] = _unit(np.sqrt(np.maximum(halves[some].astype(np.float64), 0)))
    unit = _without_groups(unit)
    steps = _steps(weeks, FEWEST_WEEKS, MOST_HOURS)
    best = _best(unit, steps)
    first = len(days.table.weeks) - weeks
    return [
        _fault(days, row, steps[int(best.step[row])], float(best.like[row]), unit[row], first)
        for row in np.flatnonzero(best.hit).tolist()
    ]


def _fault(days: Days, row: int, step: Step, like: float, unit: Float, first: int) -> Fault:
    late = _late_by(unit, step.week)
    since = int(days.table.weeks[first + step.week])
    if _grows(late):
        way = "later" if late[-1] > 0 else "earlier"
        told = f"its day runs {way} from week to week, {abs(late[-1]) / PER_HOUR:.1f} h in the last"
        return Fault(row, "clock_drift", since, None, "warning", f"{told}; the fleet's did not move")
    told = f"its day runs {abs(step.hours)} h {'later' if step.hours > 0 else 'earlier'} than before"
    evidence = f"{told}, and so moved is {like:.0%} like it; the fleet's did not move"
    return Fault(row, "clock_shift", since, None, "warning", evidence)


def _late_by(unit: Float, week: int) -> Int:
    """By how many half hours each week from one on runs late against those before, from (w, 48); (k,)."""
    before = unit[max(week - WINDOW, 0) : week].sum(axis=0)
    lags = range(-PER_HOUR * MOST_HOURS, PER_HOUR * MOST_HOURS + 1)
    likeness = np.stack([np.einsum("wi,i->w", unit[week:], np.roll(before, lag)) for lag in lags], axis=1)
    late: Int = likeness.argmax(axis=1) + lags[0]
    return late


def _grows(late: Int) -> bool:
    """Whether a line explains the half hours of at least three weeks much better than their mean."""
    at = np.arange(len(late)) - (len(late) - 1) / 2
    off = late - late.mean()
    if len(late) < DRIFT_WEEKS or not off.any():
        return False
    slope = float((at * off).sum() / (at**2).sum())
    left = float(((off - slope * at) ** 2).sum() / (off**2).sum())
    return left <= DRIFT_LEFT and abs(slope) * (len(late) - 1) >= DRIFT_SPAN


def _unit(profiles: Float) -> Float:
    """Mean 0 and length 1; zeros stay zeros."""
    centred = profiles - profiles.mean(axis=2, keepdims=True)
    unit: Float = centred / np.sqrt((centred**2).sum(axis=2, keepdims=True) + 1e-9)
    return unit


def _steps(weeks: int, edge: int, most: int) -> list[Step]:
    lags = [*range(-most, 0), *range(1, most + 1)]
    return [Step(week, lag) for week in range(edge, weeks - edge + 1) for lag in lags]


def _best(unit: Float, steps: list[Step]) -> Best:
    parts = [
        _best_of_some(unit[low : low + METERS_AT_ONCE], steps) for low in range(0, len(unit), METERS_AT_ONCE)
    ]
    return Best(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _best_of_some(unit: Float, steps: list[Step]) -> tuple[Int, Float, Float]:
    count = len(unit)
    best, regained, like = np.full(count, -1), np.full(count, -np.inf), np.zeros(count)
    for week, same in groupby(enumerate(steps), key=lambda numbered: numbered[1].week):
        before = _length_one(unit[:, max(week - WINDOW, 0) : week].sum(axis=1))
        after = _length_one(unit[:, week : week + WINDOW].sum(axis=1))
        stayed, twice = _product(before, after), np.concatenate([after, after], axis=1)
        for number, step in same:
            moved = PER_HOUR * step.hours % after.shape[1]
            now = _product(before, twice[:, moved : moved + after.shape[1]])  # rolled back, without a copy
            share = (now - stayed) / (1 + UNLIKE - stayed)
            better = share > regained
            best[better], regained[better], like[better] = number, share[better], now[better]
    return best, regained, like


def _length_one(profiles: Float) -> Float:
    unit: Float = profiles / (np.sqrt(_product(profiles, profiles))[:, None] + 1e-9)
    return unit


def _product(one: Float, other: Float) -> Float:
    """Of the profiles of each meter: their correlation where they are units; (m,)."""
    product: Float = np.einsum("mi,mi->m", one, other)
    return product


def _without_groups(unit: Float) -> Float:
    """Profiles with the steps that groups of meters made taken back, of each meter that made them; in place.

    The weeks before such a step are moved, so that all end in the present's time.
    """
    steps = _steps(unit.shape[1], 1, MOST_HOURS_OF_GROUP)
    for _ in range(MOST_EVENTS):
        best = _best(unit, steps)
        made = np.bincount(best.step[best.hit], minlength=len(steps))
        step = steps[int(made.argmax())]
        if made.max() <= max(GROUP * len(unit), FEWEST_OF_GROUP):
            break
        shapes = _usual_shapes(unit[:, unit.shape[1] // 2 :].mean(axis=1))
        for low in range(0, len(unit), METERS_AT_ONCE):
            some = unit[low : low + METERS_AT_ONCE]
            back = some.copy()
            back[:, : step.week] = np.roll(some[:, : step.week], PER_HOUR * step.hours, axis=2)
            mine = _made_it(some, back, shapes, step.hours)
            some[mine] = back[mine]
    return unit


def _made_it(unit: Float, back: Float, shapes: Float, lag: int) -> Bool:
    """Meters whose weeks are more alike, and their edges more like the fleet's, with a step taken back than
    without, whatever one step of their own by as many hours, either way, does; (m,).
    """
    mine: Bool = _together(back, shapes, lag) > _together(unit, shapes, lag)
    return mine


def _edges(profiles: Float) -> Float:
    """Rises and falls from one half hour to the next, of length 1; (m, 48)."""
    return _length_one(profiles - np.roll(profiles, 1, axis=1))


def _usual_shapes(profiles: Float) -> Float:
    """The few shapes of which most meters' edges are made: principal components, (48, ``SHAPES``)."""
    edges = _edges(profiles)
    _, vectors = np.linalg.eigh(np.einsum("mi,mj->ij", edges, edges))
    shapes: Float = vectors[:, -SHAPES:]
    return shapes


def _together(unit: Float, shapes: Float, hours: int) -> Float:
    """How alike the weeks are, and how usual their edges, after the best step by some hours or none; (m,)."""
    weeks = unit.shape[1]
    late = unit[:, ::-1].cumsum(axis=1)[:, ::-1] / weeks

    def score(mean: Float) -> Float:
        usual = (np.einsum("mi,ik->mk", _edges(mean), shapes) ** 2).sum(axis=1)
        total: Float = USUAL * usual - np.log(1 + UNLIKE - _product(mean, mean))
        return total

    best = score(late[:, 0])
    for week in range(FEWEST_WEEKS, weeks - FEWEST_WEEKS + 1):
        before = late[:, 0] - late[:, week]
        for lag in (-hours, hours):
            moved = before + np.roll(late[:, week], -PER_HOUR * lag, axis=1)
            best = np.maximum(best, score(moved) - OWN_STEP)
    return best
