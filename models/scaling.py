"""How a read interval moved one estimate: the arithmetic of ``models.scale``, told for one slot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from models.registers import shared_parts
from models.scale import good_whole, targets, unscaled
from models.series import Int, SeriesFacts
from models.vee import Stages
from schemas.quality import Method

__all__ = ["Interval", "Moved", "interval_of"]


@dataclass(frozen=True)
class Moved:
    """An estimate in a read interval: slot's start [s], method, unscaled and final value [micro-unit]."""

    start: int
    method: str
    before: int
    after: int


@dataclass(frozen=True)
class Interval:
    """The usable read interval that holds a slot whole. All but the times in micro-units.

    Attributes:
        start, end: The two reads, UTC. [s]
        reads: What the register showed.
        advance: By how much it advanced, rollover included.
        resolution: Its smallest step.
        actual: Sum of the slots that are no estimates, ``shared`` included.
        shared: Parts of the slots with a read inside.
        target: What the estimates have to sum to; below zero: nothing is scaled.
        good: Sum and count of its good whole slots: their mean fills what no estimator can.
        estimates: Every estimate in it, in time order.
        number: Position of the slot among them; None where it is none.
    """

    start: int
    end: int
    reads: tuple[int, int]
    advance: int
    resolution: int
    actual: int
    shared: int
    target: int
    good: tuple[int, int]
    estimates: tuple[Moved, ...]
    number: int | None

    @property
    def total(self) -> int:
        """Sum [micro-unit] of the unscaled estimates."""
        return sum(each.before for each in self.estimates)

    @property
    def factor(self) -> Fraction | None:
        """What every estimate is multiplied by; None where nothing is scaled, or evenly spread."""
        return Fraction(self.target, self.total) if self.total and self.target >= 0 else None

    @property
    def spare(self) -> tuple[int, int] | None:
        """Units left over after rounding down, and the slot's rank by remainder; None where not scaled."""
        if self.number is None or self.target < 0:
            return None
        weights = [each.before if self.total else 1 for each in self.estimates]
        whole = sum(weights)
        shares = [divmod(weight * self.target, whole) for weight in weights]
        order = sorted(range(len(shares)), key=lambda i: (-shares[i][1], i))
        return self.target - sum(share for share, _ in shares), order.index(self.number) + 1


def interval_of(facts: SeriesFacts, made: Stages, slot: int) -> Interval | None:
    """The usable read interval that holds a slot whole, and what it does to the estimates in it.

    Args:
        facts: As edits left them.
        made: The stages of these facts.
        slot: Flat.
    """
    row, column = divmod(slot, facts.grid.slots)
    intervals = made.intervals
    number = int(intervals.holding(np.array([row]), np.array([column]), facts.grid)[0])
    if number < 0:
        return None
    pack = int(made.of_interval[number])
    own, force = made.own[pack], made.forces[pack]
    pool, holder = unscaled(facts, made.checked, made.estimates, own, force.pack)
    mine = np.flatnonzero((holder == number) & ~np.isin(pool.slot, made.settled.kept))
    final = made.settled.final.ravel()
    moved = tuple(
        Moved(
            int(facts.grid.starts[pool.slot[i] % facts.grid.slots]),
            Method(int(pool.method[i])).name.lower(),
            int(pool.value[i]),
            int(final[pool.slot[i]]),
        )
        for i in mine.tolist()
    )
    at = np.flatnonzero(pool.slot[mine] == slot)
    only = replace(own, usable=np.arange(len(own.usable)) == number)
    return Interval(
        start=int(intervals.start[number]),
        end=int(intervals.end[number]),
        reads=(_read(facts, row, intervals.start, number), _read(facts, row, intervals.end, number)),
        advance=int(intervals.advance[number]),
        resolution=int(intervals.resolution[number]),
        actual=int(made.settled.seen[number]),
        shared=int(shared_parts(only, made.settled.final, facts)[number]),
        target=int(targets(intervals, made.settled.seen)[number]),
        good=good_whole(facts, made.checked, intervals, number),
        estimates=moved,
        number=int(at[0]) if len(at) else None,
    )


def _read(facts: SeriesFacts, row: int, moments: Int, number: int) -> int:
    """What the register of a series showed [micro-unit] at an end of an interval."""
    reads = facts.reads
    found = np.flatnonzero((reads.series == row) & (reads.at == moments[number]))
    return int(reads.value[found[0]])
