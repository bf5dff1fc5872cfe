"""Faults that two meters share: the same series twice, and two series that changed places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.fault_days import Days, Fault
from models.series import Bool, Int
from models.standing import nan_median
from models.week_table import WEEK
from models.weekly_features import Float

__all__ = ["crossed_series", "duplicates"]

FEWEST_DAYS = 3
"""Equal days that make a duplicate: slot by slot, none of them of one value only."""
NAMED = 3
"""Other meters that evidence names at most."""
WINDOW = 21
"""Days before and after that two series are compared by."""
SHARP = 3.0
ALIKE = (0.2, 0.25, 0.5)
"""How far use, daily peak and base load of one meter may be from the other's former ones. [log10]"""
APART = 0.15
"""How far use or peak of both must be from their own former ones. [log10]"""
LIKELIER = 0.05
"""How much more a profile must be like the other's former one than like its own, both taken together."""
NEAREST = 16
"""Partners that are tried of each meter on each day: the nearest by use."""
WIDTH = 100.0
"""More than any level. [log10 micro]"""


def duplicates(days: Days) -> list[Fault]:
    """Two meters with the same series, slot by slot, on at least ``FEWEST_DAYS`` days."""
    equal = _equal_days(days)
    found = []
    for row, (others, shared) in sorted(equal.items()):
        if len(shared) < FEWEST_DAYS:
            continue
        names = ", ".join(days.table.meters[other] for other in sorted(others)[:NAMED])
        last = max(shared)
        until = None if last >= days.last_seen(row) else days.day(last)
        told = f"{len(shared)} days equal slot by slot to {names}"
        found.append(Fault(row, "duplicate", days.day(min(shared)), until, "error", told))
    return found


def _equal_days(days: Days) -> dict[int, tuple[set[int], set[int]]]:
    """Other meters and equal days of each meter that has any; the meters are sorted day by day."""
    found: dict[int, tuple[set[int], set[int]]] = {}
    for week in range(0, days.count, WEEK):
        some = slice(week, week + WEEK)
        hashes = days.hash[:, some]
        lively = (hashes != 0) & (days.peak[:, some] > days.low[:, some]) & (days.total[:, some] > 0)
        for day in range(WEEK):
            row = np.flatnonzero(lively[:, day])
            for pair in _equal_pairs(row, hashes[row, day]):
                for one, other in (pair, pair[::-1]):
                    others, shared = found.setdefault(one, (set(), set()))
                    others.add(other)
                    shared.add(week + day)
    return found


def _equal_pairs(row: Int, key: Int) -> list[tuple[int, int]]:
    """Meters of one key, each with the next; ``row`` ascends."""
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():  # most days: no need to know which is which
        return []
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    return list(zip(row[order[same]].tolist(), row[order[same + 1]].tolist(), strict=True))


@dataclass(frozen=True)
class Changed:
    """What some meters were before and after their sharpest change.

    Attributes:
        row: Their rows, shape (n,).
        day: Index of the first day after it, shape (n,).
        before, after: Usual use, daily peak and base load, NaN where unknown; (n, 3). [log10 micro]
        profile_before, profile_after: By half hour, mean 0 and length 1; (n, 48).
    """

    row: Int
    day: Int
    before: Float
    after: Float
    profile_before: Float
    profile_after: Float


def crossed_series(days: Days) -> list[Fault]:
    """Two meters whose series changed places on one day: each is from then on what the other was.

    Only meters with a sharp change are looked at, and of those only pairs that changed within a day of each
    other and are next to each other by use, so that the cost grows with the meters and not with their pairs.
    """
    if not len(days.total):
        return []
    changed = _changed(days)
    found = []
    for one, other in _pairs(changed):
        since = max(int(changed.day[one]), int(changed.day[other]))
        for me, partner in ((one, other), (other, one)):
            name = days.table.meters[int(changed.row[partner])]
            told = f"from one day on its use, peak, base load and profile are those of {name}"
            row, evidence = int(changed.row[me]), f"{told}, and the reverse"
            found.append(Fault(row, "crossed_meters", days.day(since), None, "error", evidence))
    return found


def _changed(days: Days) -> Changed:
    day, sharp = days.change
    row = np.flatnonzero(sharp >= SHARP)
    levels = days.levels(row)
    index = np.arange(days.count)[None, :] - day[row, None]
    early, late = (index < 0) & (index >= -WINDOW), (index >= 0) & (index < WINDOW)
    before, after = (np.stack([_usual(level, some) for level in levels], axis=1) for some in (early, late))
    halves = np.sqrt(np.maximum(days.table.halves[row].astype(np.float64), 0))
    week = (
        np.arange(halves.shape[1])[None, :] + len(days.table.weeks) - halves.shape[1] - day[row, None] // WEEK
    )
    return Changed(row, day[row], before, after, _profile(halves, week < 0), _profile(halves, week > 0))


def _usual(level: Float, some: Bool) -> Float:
    """Median of some days, NaN where none of them is known; (n,)."""
    chosen = np.where(some, level, np.nan)
    return np.where(np.isfinite(chosen).any(axis=1), nan_median(chosen, 1), np.nan)


def _profile(halves: Float, some: Bool) -> Float:
    total = (halves * some[:, :, None]).sum(axis=1)
    centred = total - total.mean(axis=1, keepdims=True)
    profile: Float = centred / (np.sqrt((centred**2).sum(axis=1, keepdims=True)) + 1e-9)
    return profile


def _pairs(changed: Changed) -> list[tuple[int, int]]:
    """Places in ``changed`` of meters that are each other's best partner, each pair once."""
    one, other = _neighbours(changed)
    off, known = np.zeros(len(one)), np.ones(len(one), np.bool_)
    for me, you in ((one, other), (other, one)):
        apart = np.abs(changed.after[me] - changed.before[you])
        apart[np.isnan(changed.after[me]) & np.isnan(changed.before[you])] = 0
        known &= (apart <= ALIKE).all(axis=1)  # never with NaN, one of them unknown
        known &= np.nanmax(np.abs(changed.after[me] - changed.before[me])[:, :2], axis=1, initial=0) >= APART
        off += apart.sum(axis=1)
    known &= _likelier(changed, one, other) >= LIKELIER
    best: dict[int, tuple[float, int]] = {}
    tried = (part[known].tolist() for part in (one, other, off))
    for me, you, distance in zip(*tried, strict=True):
        best[me] = min(best.get(me, (np.inf, -1)), (distance, you))
    partner = {me: you for me, (_, you) in best.items()}
    return [(me, you) for me, you in sorted(partner.items()) if me < you and partner.get(you) == me]


def _likelier(changed: Changed, one: Int, other: Int) -> Float:
    """Likeness to each other's former profiles less that to their own, the mean of both; (k,)."""
    before, after = changed.profile_before, changed.profile_after
    swapped = (after[one] * before[other]).sum(axis=1) + (after[other] * before[one]).sum(axis=1)
    own = (after[one] * before[one]).sum(axis=1) + (after[other] * before[other]).sum(axis=1)
    more: Float = (swapped - own) / 2
    return more


def _neighbours(changed: Changed) -> tuple[Int, Int]:
    """Pairs to try: meters that changed within a day, the former use of the second next to the present use of
    the first; (k,) each.
    """
    count = len(changed.row)
    ones, others = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    key = changed.day * WIDTH + np.nan_to_num(changed.before[:, 0])
    order = np.argsort(key, kind="stable")
    for days in (-1, 0, 1):
        aim = (changed.day + days) * WIDTH + np.nan_to_num(changed.after[:, 0])
        place = np.searchsorted(key[order], aim)[:, None] + np.arange(-NEAREST // 2, NEAREST // 2)
        one = np.broadcast_to(np.arange(count)[:, None], place.shape)
        inside = (place >= 0) & (place < count)
        other = order[np.clip(place, 0, max(count - 1, 0))] if count else place
        ones.append(one[inside])
        others.append(other[inside])
    one, other = np.concatenate(ones), np.concatenate(others)
    near = (one != other) & (np.abs(changed.day[one] - changed.day[other]) <= 1)
    return one[near], other[near]
