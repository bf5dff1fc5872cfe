"""Steps that a whole group of meters makes in one week: a clock change that some keep and some do not.

Such a step is the group's. It is taken back, of each meter that seems to have made it, before any clock is
judged; that a meter belongs to the others remains a second reading of it, as likely as its side is large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.clock_profiles import Fleet, fleet, known_weeks, own_noise, white
from models.clock_steps import Move, Weeks, best_move, steps
from models.series import Bool, Int
from models.week_table import some_meters
from models.weekly_features import Float

__all__ = ["Group", "find_groups", "readings"]

LEAST, FEWEST = 0.05, 5
"""Share of the meters, and the fewest, that make one step in one week a matter of the fleet; of few meters
more than half.
"""
MOST_GROUPS, MOST_HOURS = 3, 2
"""How many such steps are looked for, and the hours of one."""
CLEAR, REGAINED = 20.0, 0.3
"""What a step must add to a meter's score, and the share regained, to count for a group."""
OWN_STEP = 10.0
"""What a step of its own must add besides, so that a group's is not explained by it."""
ROUNDS = 3
"""How often who made it is asked again, knowing how many did."""
RARE = 9.0
"""Weight of the log of a side's share of the meters: weeks are less independent than scores have it."""


@dataclass(frozen=True)
class Group:
    """One step of many meters.

    Attributes:
        move: The step.
        mine: Meters that made it, shape (m,).
    """

    move: Move
    mine: Bool


def _taken_back(unit: Float, move: Move, which: Bool, sign: int = 1) -> Float:
    """Weeks before the step of some of the meters moved into the time after it, or again out of it."""
    back = unit.copy()
    back[which, : move.week] = np.roll(unit[which, : move.week], sign * move.halves, axis=2)
    return back


def find_groups(unit: Float) -> tuple[Float, list[Group]]:
    """All groups, and the unit profiles with their steps taken back, in place; (m, w, 48) each.

    The weeks before such a step are moved, so that all end in the present's time.
    """
    groups: list[Group] = []
    moves = steps(unit.shape[1], MOST_HOURS, 1)
    for _ in range(MOST_GROUPS):
        usual = fleet(unit)
        made = np.bincount(_made(unit, usual, moves), minlength=len(moves) + 1)[1:]
        if made.max(initial=0) <= max(LEAST * len(unit), min(FEWEST, len(unit) / 2), 1):
            break
        move = moves[int(made.argmax())]
        mine = _belongs(unit, move, usual)
        if not mine.any():
            break
        groups.append(Group(move, mine))
        for some in some_meters(len(unit)):  # in place: a fleet's profiles are held once
            unit[some] = _taken_back(unit[some], move, mine[some])
    return unit, groups


def _made(unit: Float, usual: Fleet, moves: list[Move]) -> Int:
    """Number of the clear step of each meter and one, 0 of those without; (m,)."""
    made: Int = np.zeros(len(unit), np.int64)
    for some in some_meters(len(unit)):
        weeks = _read(unit[some], usual)
        best = best_move(weeks, moves)
        clear = (best.score - weeks.stayed() > CLEAR) & (best.regained > REGAINED)
        made[some] = np.where(clear, best.move + 1, 0)
    return made


def _odds(mine: Bool) -> float:
    """What speaks for having made a step before a meter is looked at."""
    share = (mine.sum() + 1) / (len(mine) + 2)
    return RARE * float(np.log(share / (1 - share)))


def _belongs(unit: Float, move: Move, usual: Fleet) -> Bool:
    """Meters that score better with a step taken back than without, whatever one step of their own by as
    many hours, either way, in another week does; (m,).
    """
    own = [
        other
        for other in steps(unit.shape[1], MOST_HOURS)
        if abs(other.halves) == abs(move.halves) and other.week != move.week
    ]
    gain = np.zeros(len(unit))
    for some in some_meters(len(unit)):
        everyone = np.ones(len(unit[some]), np.bool_)
        back = _read(_taken_back(unit[some], move, everyone), usual)
        taken, left = (
            np.maximum(weeks.stayed(), best_move(weeks, own).score - OWN_STEP)
            for weeks in (back, _read(unit[some], usual, back.noise))
        )
        gain[some] = taken - left
    mine: Bool = gain > 0
    for _ in range(ROUNDS):
        mine = gain > -_odds(mine)
    return mine


def _read(unit: Float, usual: Fleet, noise: Float | None = None) -> Weeks:
    """Weeks for evidence, by the noise of their own or, so that two readings compare, by that of others."""
    x, known = white(unit, usual.noise), known_weeks(unit)
    return Weeks(x, known, own_noise(x, known) if noise is None else noise, usual)


def readings(unit: Float, groups: list[Group], some: slice, usual: Fleet) -> Iterator[tuple[Weeks, Float]]:
    """Some meters' weeks, and how likely it is that they have to be read so, (k,): as they are, and with
    their side in one group changed.
    """
    profiles = unit[some]
    weeks = _read(profiles, usual)
    yield weeks, np.zeros(len(profiles))
    for group in groups:
        mine = group.mine[some]
        other = _taken_back(_taken_back(profiles, group.move, mine, -1), group.move, ~mine)
        odds = _odds(group.mine)
        yield _read(other, usual, weeks.noise), np.where(mine, -odds, odds)
