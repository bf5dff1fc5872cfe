"""How much better the weeks of a meter agree when its clock is taken to have been set, or to drift.

A hypothesis moves the weeks from one on back; what then is common to all n weeks is M, the sum of their white
profiles. Its score is |M|² / n over the meter's own noise, the log likelihood of n weeks of one habit, and
what the fleet's usual shapes explain of M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.clock_profiles import Fleet
from models.series import Bool, Int
from models.weekly_features import Float

__all__ = ["PER_HOUR", "Best", "Move", "Weeks", "best_move", "drifts", "steps"]

PER_HOUR = 2
USUAL = 60.0
"""What it weighs that the shapes of a large fleet explain all of a meter's."""
FEWEST_WEEKS = 2
"""Weeks on either side of a step of one meter."""
SLOPES = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Half hours a week that a clock may gain or lose."""
STEADY = 6.0
"""What a drift must explain better than a step to be told as one: it can be like several of them."""
LEAST_DRIFT, MOST_DRIFT, DRIFT_WEEKS = 3, 12, 3
"""Half hours of the last week that a drift comes to, and its fewest weeks."""


@dataclass(frozen=True)
class Move:
    """A clock that runs late from one week on, early where the numbers are negative.

    Attributes:
        week: Its first week.
        halves: By how many half hours; 0 of a drift.
        slope: Half hours a week of a drift; 0 of a step.
    """

    week: int
    halves: int
    slope: float = 0.0

    def late(self, weeks: int) -> Int:
        """Half hours that each week from its first one on runs late; (weeks − week,)."""
        late: Int = np.rint(self.slope * (np.arange(weeks - self.week) + 0.5)).astype(np.int64)
        return late + self.halves

    def moved_back(self, x: Float) -> Float:
        """Sum of the weeks from the first one on, in the time before; (m, 48) from all weeks, (m, w, 48)."""
        if not self.slope:
            return np.roll(x[:, self.week :].sum(axis=1), -self.halves, axis=1)
        back = np.zeros((len(x), x.shape[2]))
        for week, late in enumerate(self.late(x.shape[1]).tolist(), self.week):
            back += np.roll(x[:, week], -late, axis=1)
        return back


@dataclass(frozen=True)
class Best:
    """The best hypothesis of each meter; (m,) each.

    Attributes:
        move: Its number.
        score: Its score.
        regained: Share that it explains of what is lost where the weeks before and after share no habit.
    """

    move: Int
    score: Float
    regained: Float


def steps(weeks: int, most_hours: int, edge: int = FEWEST_WEEKS) -> list[Move]:
    """Whole hours, either way, at every week that leaves some on either side."""
    hours = [hour for hour in range(-most_hours, most_hours + 1) if hour]
    return [Move(week, PER_HOUR * hour) for week in range(edge, weeks - edge + 1) for hour in hours]


def drifts(weeks: int) -> list[Move]:
    """Slopes, either way, that come to more than an hour and less than a few."""
    return [
        Move(week, 0, slope)
        for week in range(FEWEST_WEEKS, weeks - DRIFT_WEEKS + 1)
        for size in SLOPES
        if LEAST_DRIFT <= size * (weeks - week - 0.5) <= MOST_DRIFT
        for slope in (-size, size)
    ]


@dataclass(frozen=True)
class Weeks:
    """Some meters' weeks as they are read.

    Attributes:
        x: White profiles, shape (m, w, 48).
        known: Whether there is such a week, shape (m, w).
        noise: Of the meters' own, shape (m,).
        fleet: What is usual.
    """

    x: Float
    known: Bool
    noise: Float
    fleet: Fleet

    def score(self, common: Float, square: Float, weeks: Float) -> Float:
        """Of what is common to all weeks, (m, 48), with its square and how many weeks it stands for; (m,)."""
        usual = _square(common @ self.fleet.shapes) / (square + 1e-9)
        score: Float = square / np.maximum(weeks, 1) / self.noise + USUAL * self.fleet.trust * usual
        return score

    def stayed(self) -> Float:
        """Score of a clock that was never touched; (m,)."""
        whole = self.x.sum(axis=1)
        return self.score(whole, _square(whole), self.known.sum(axis=1))


def best_move(weeks: Weeks, moves: Sequence[Move]) -> Best:
    """The hypothesis of the highest score, the first among equals."""
    x, count = weeks.x, np.maximum(weeks.known.sum(axis=1), 1)
    best = Best(np.full(len(x), -1), np.full(len(x), -np.inf), np.zeros(len(x)))
    whole = _square(x.sum(axis=1)) / count
    for number, move in enumerate(moves):
        common = x[:, : move.week].sum(axis=1) + move.moved_back(x)
        square = _square(common)
        score = weeks.score(common, square, count) - (STEADY if move.slope else 0.0)
        better = score > best.score
        best.move[better], best.score[better] = number, score[better]
        lost = _lost(x[better], weeks.known[better], move) - whole[better]
        best.regained[better] = (square[better] / count[better] - whole[better]) / np.maximum(lost, 1e-9)
    return best


def _lost(x: Float, known: Bool, move: Move) -> Float:
    """|M|² / n of the weeks before, and of those after by themselves: one by one of a drift; (m,)."""
    early, late = x[:, : move.week], x[:, move.week :]
    before = _square(early.sum(axis=1)) / np.maximum(known[:, : move.week].sum(axis=1), 1)
    if move.slope:
        after = np.einsum("mwi,mwi->m", late, late)
    else:
        after = _square(late.sum(axis=1)) / np.maximum(known[:, move.week :].sum(axis=1), 1)
    lost: Float = before + after
    return lost


def _square(profiles: Float) -> Float:
    square: Float = np.einsum("mi,mi->m", profiles, profiles)
    return square
