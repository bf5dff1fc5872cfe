"""Clocks that were set wrong, or that run too fast or slow: the day of a meter against its own past.

Every week's profile by half hour says what it can of each hypothesis (:mod:`models.clock_steps`): that the
clock was never touched, set by whole hours in some week, or drifts. A step of many meters in one week is the
group's (:mod:`models.clock_groups`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from models.clock_groups import find_groups, readings
from models.clock_profiles import fleet, unit_profiles
from models.clock_steps import PER_HOUR, Move, Weeks, best_move, drifts, steps
from models.fault_days import Days, Fault
from models.series import Int
from models.week_table import some_meters
from models.weekly_features import Float

__all__ = ["clock_faults"]

MOST_HOURS = 4
FEWEST_WEEKS = 5
CLEAR, REGAINED, REGAINED_BY_DRIFT = 15.0, 0.3, 0.2
"""What a move must add to a meter's score, and the share of the likeness lost that it must give back; a drift
is held against weeks of no common habit.
"""
LIKELY, LIKENESS, LIKER = 5.0, 0.6, 0.35
"""Less will do where the profile after it, moved back, is so much like that before, and by such a share of
what was lost: correlations of plain profiles, that know nothing of the fleet.
"""
NEVER_LOST = 0.1
"""What is added to the likeness lost."""


@dataclass(frozen=True)
class Found:
    """The best move of each meter; (m,) each."""

    move: Int
    gain: Float
    regained: Float


def clock_faults(days: Days) -> list[Fault]:
    """The clearest fault of each meter at most; none where there are fewer than five weeks."""
    weeks = days.table.halves.shape[1]
    if weeks < FEWEST_WEEKS or not len(days.table.halves):
        return []
    unit, groups = find_groups(unit_profiles(days.table.halves))
    moves = steps(weeks, MOST_HOURS) + drifts(weeks)
    least = np.array([REGAINED_BY_DRIFT if move.slope else REGAINED for move in moves])
    usual = fleet(unit)
    first = days.table.weeks[len(days.table.weeks) - weeks :]
    faults = []
    for some in some_meters(len(unit)):
        found = _best(readings(unit, groups, some, usual), moves)
        clear = (found.gain > CLEAR) & (found.regained > least[found.move])
        for row in np.flatnonzero(clear | (found.gain > LIKELY)).tolist():
            move = moves[int(found.move[row])]
            if clear[row] or _alike(unit[some][row], move):
                faults.append(_fault(some.start + row, move, first))
    return faults


def _alike(unit: Float, move: Move) -> bool:
    """Whether the plain profile is like itself once moved back, and was not before; from (w, 48)."""
    before, after = unit[: move.week].sum(axis=0), unit[move.week :].sum(axis=0)
    back = move.moved_back(unit[None])[0]
    stayed, now = _correlation(before, after), _correlation(before, back)
    return now > LIKENESS and (now - stayed) / (1 + NEVER_LOST - stayed) > LIKER


def _correlation(one: Float, other: Float) -> float:
    """Of two profiles of mean 0."""
    return float(one @ other) / (float(np.sqrt((one @ one) * (other @ other))) + 1e-9)


def _best(readings: Iterable[tuple[Weeks, Float]], moves: list[Move]) -> Found:
    """The best move in any reading, against the clock that was never touched in its best one."""
    tried = [(best_move(weeks, moves), weeks.stayed(), prior) for weeks, prior in readings]
    scores = np.stack([best.score + prior for best, _, prior in tried])
    still = np.stack([unmoved + prior for _, unmoved, prior in tried])
    which, row = scores.argmax(axis=0), np.arange(scores.shape[1])
    move, regained = (np.stack([getattr(best, name) for best, _, _ in tried])[which, row]
                      for name in ("move", "regained"))  # fmt: skip
    return Found(move, scores.max(axis=0) - still.max(axis=0), regained)


def _fault(row: int, move: Move, weeks: Int) -> Fault:
    since = int(weeks[move.week])
    late = int(move.late(len(weeks))[-1])
    way = "later" if late > 0 else "earlier"
    if move.slope:
        told = f"its day runs {way} from week to week, {abs(late) / PER_HOUR:.1f} h in the last"
        return Fault(row, "clock_drift", since, None, "warning", f"{told}; the fleet's did not move")
    told = f"its day runs {abs(late) // PER_HOUR} h {way} than before; the fleet's did not move"
    return Fault(row, "clock_shift", since, None, "warning", told)
