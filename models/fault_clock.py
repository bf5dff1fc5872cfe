"""Clocks that were set wrong, or that run too fast or slow: the day of a meter against its own past.

A profile by hour of the weeks before a split is laid over that of the weeks after it, moved back along a
path: a step of some hours, or a drift that grows week by week. What counts is how much of the likeness that
was lost comes back. A move that a whole group of meters makes in one week (a clock change that some keep
and some do not) is the group's: it is taken back, of each meter that made it, before any is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.fault_days import Days, Fault
from models.series import Bool, Int
from models.weekly_features import Float

__all__ = ["clock_faults"]

MOST_HOURS, PER_HOUR = 4, 2
LAGS = (*range(-MOST_HOURS, 0), *range(1, MOST_HOURS + 1))
WINDOW = 4
"""Weeks on either side of a step that are compared, where there are as many."""
FEWEST_WEEKS, DRIFT_WEEKS = 2, 3
"""Weeks on either side of a step of one meter, and weeks that a drift takes at least."""
REGAINED, UNLIKE = 0.3, 0.1
"""Share of the lost likeness (1 less a correlation, and a little more) that moving back must return."""
DRIFTED, SURER = 0.55, 0.1
"""The same for a drift, which has more ways to fit, and by how much it must be above that of any step."""
LIKENESS = 0.6
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
class Path:
    """By how many hours each week's day runs late.

    Attributes:
        week: The first that does.
        hours: Of every week, 0 before ``week``; (w,).
        drifts: Whether it grows.
    """

    week: int
    hours: Int
    drifts: bool


@dataclass(frozen=True)
class Best:
    """The path of each meter that gives most back; (m,) each.

    Attributes:
        path: Number of the path.
        regained: Share of the lost likeness that it gives back.
        like: Correlation after it.
    """

    path: Int
    regained: Float
    like: Float


def clock_faults(days: Days) -> list[Fault]:
    """The clearest fault of each meter at most; none where there are fewer than five weeks."""
    halves = np.maximum(days.table.halves.astype(np.float64), 0)
    weeks = halves.shape[1]
    if weeks <= 2 * FEWEST_WEEKS or not len(halves):
        return []
    unit = _without_groups(_unit(np.sqrt(halves)))
    paths = [*_steps(weeks, FEWEST_WEEKS), *_drifts(weeks)]
    best = _best(unit, paths)
    first = len(days.table.weeks) - weeks
    drifts = np.array([p.drifts for p in paths])[best.path]
    hit = _hit(best) & (~drifts | (best.regained > DRIFTED))
    return [_fault(days, row, paths[int(best.path[row])], float(best.like[row]), first)
            for row in np.flatnonzero(hit).tolist()]  # fmt: skip


def _hit(best: Best) -> Bool:
    hit: Bool = (best.regained > REGAINED) & (best.like > LIKENESS)
    return hit


def _fault(days: Days, row: int, path: Path, like: float, first: int) -> Fault:
    hours = int(path.hours[-1])
    way = "later" if hours > 0 else "earlier"
    told = f"its day runs {abs(hours)} h {way} than before"
    if path.drifts:
        told = f"its day runs {way} week by week, {abs(hours)} h by the last"
    evidence = f"{told}, and so moved is {like:.0%} like it; the fleet's did not move"
    name = "clock_drift" if path.drifts else "clock_shift"
    return Fault(row, name, int(days.table.weeks[first + path.week]), None, "warning", evidence)


def _unit(profiles: Float) -> Float:
    """Mean 0 and length 1; zeros stay zeros."""
    centred = profiles - profiles.mean(axis=2, keepdims=True)
    unit: Float = centred / np.sqrt((centred**2).sum(axis=2, keepdims=True) + 1e-9)
    return unit


def _steps(weeks: int, edge: int) -> Iterator[Path]:
    for week in range(edge, weeks - edge + 1):
        for lag in LAGS:
            yield Path(week, np.where(np.arange(weeks) >= week, lag, 0), drifts=False)


def _drifts(weeks: int) -> Iterator[Path]:
    """Paths that grow evenly to the last week, by two hours at least: less is a step as well."""
    for week in range(FEWEST_WEEKS, weeks - DRIFT_WEEKS + 1):
        since = np.maximum(np.arange(weeks) - week + 0.5, 0) / (weeks - week)
        for lag in LAGS:
            if abs(lag) > 1:
                yield Path(week, np.rint(lag * since).astype(np.int64), drifts=True)


def _best(unit: Float, paths: list[Path]) -> Best:
    parts = [_best_of_some(unit[low : low + METERS_AT_ONCE], paths)
             for low in range(0, len(unit), METERS_AT_ONCE)]  # fmt: skip
    return Best(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _best_of_some(unit: Float, paths: list[Path]) -> tuple[Int, Float, Float]:
    count, weeks, _ = unit.shape
    path, regained, like = np.full(count, -1), np.full(count, -np.inf), np.zeros(count)
    sides: dict[tuple[int, int], tuple[Float, Float, Float]] = {}
    for number, tried in enumerate(paths):
        until = weeks if tried.drifts else min(tried.week + WINDOW, weeks)
        if (tried.week, until) not in sides:
            before = _length_one(unit[:, max(tried.week - WINDOW, 0) : tried.week].sum(axis=1))
            after = _length_one(unit[:, tried.week : until].sum(axis=1))
            sides[tried.week, until] = before, after, _product(before, after)
        before, after, stayed = sides[tried.week, until]
        now = _product(before, _moved_back(unit, after, tried))
        share = (now - stayed) / (1 + UNLIKE - stayed)
        better = share > regained + SURER * (tried.drifts & (path >= 0))
        path[better], regained[better], like[better] = number, share[better], now[better]
    return path, regained, like


def _moved_back(unit: Float, after: Float, path: Path) -> Float:
    """The profile after a split, each week moved back by its hours; (m, 48)."""
    if not path.drifts:
        return np.roll(after, -PER_HOUR * int(path.hours[path.week]), axis=1)
    moved = np.zeros_like(after)
    for week in range(path.week, len(path.hours)):
        moved += np.roll(unit[:, week], -PER_HOUR * int(path.hours[week]), axis=1)
    return _length_one(moved)


def _length_one(profiles: Float) -> Float:
    unit: Float = profiles / (np.sqrt(_product(profiles, profiles))[:, None] + 1e-9)
    return unit


def _product(one: Float, other: Float) -> Float:
    """Of the profiles of each meter: their correlation where they are units; (m,)."""
    product: Float = np.einsum("mi,mi->m", one, other)
    return product


def _without_groups(unit: Float) -> Float:
    """Profiles with the steps that groups of meters made taken back, of each meter that made them.

    The weeks before such a step are moved, so that all end in the present's time.
    """
    paths = [path for path in _steps(unit.shape[1], 1) if abs(path.hours[-1]) <= MOST_HOURS_OF_GROUP]
    for _ in range(MOST_EVENTS):
        best = _best(unit, paths)
        made = np.bincount(best.path[_hit(best)], minlength=len(paths))
        step = paths[int(made.argmax())]
        if made.max() <= max(GROUP * len(unit), FEWEST_OF_GROUP):
            break
        back = unit.copy()
        back[:, : step.week] = np.roll(unit[:, : step.week], PER_HOUR * int(step.hours[-1]), axis=2)
        mine = _made_it(unit, back, int(step.hours[-1]))
        unit = np.where(mine[:, None, None], back, unit)
    return unit


def _made_it(unit: Float, back: Float, lag: int) -> Bool:
    """Meters whose weeks are more alike, and their edges more like the fleet's, with a step taken back than
    without, whatever one step of their own by as many hours, either way, does; (m,).
    """
    shapes = _usual_shapes(unit[:, unit.shape[1] // 2 :].mean(axis=1))
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
