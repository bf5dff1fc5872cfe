"""How a read interval moved one estimate: the arithmetic of ``models.scale``, told for one slot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from models.estimate import Estimates
from models.registers import ReadIntervals, shared_parts
from models.scale import good_whole, scale_parts, targets, unscaled
from models.series import Int, SeriesFacts
from models.tou_registers import register_code
from models.tou_scale import tou_targets
from models.vee import Stages
from schemas.quality import Method
from schemas.rulepack import RulePack

__all__ = ["Interval", "Moved", "Part", "interval_of"]


@dataclass(frozen=True)
class Moved:
    """An estimate in a read interval: slot's start [s], method, unscaled and final value [micro-unit].

    Attributes:
        register: The time-of-use register that counts it; None where none moved it.
        by_register: Value after that register moved it, ``before`` where none did. [micro-unit]
    """

    start: int
    method: str
    before: int
    after: int
    register: str | None
    by_register: int


@dataclass(frozen=True)
class Part:
    """A time-of-use register: its advance, and what its estimates have to sum to. [micro-unit]."""

    register: str
    advance: int
    target: int


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
        parts: Of the time-of-use registers that moved estimates before the total register did.
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
    parts: tuple[Part, ...]
    estimates: tuple[Moved, ...]
    number: int | None

    @property
    def total(self) -> int:
        """Sum [micro-unit] of the estimates, unscaled but for the time-of-use registers."""
        return sum(each.by_register for each in self.estimates)

    @property
    def factor(self) -> Fraction | None:
        """What every estimate is multiplied by; None where nothing is scaled, or evenly spread."""
        return Fraction(self.target, self.total) if self.total and self.target >= 0 else None

    @property
    def spare(self) -> tuple[int, int] | None:
        """Units left over after rounding down, and the slot's rank by remainder; None where not scaled."""
        if self.number is None or self.target < 0:
            return None
        weights = [each.by_register if self.total else 1 for each in self.estimates]
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
    only = replace(own, usable=np.arange(len(own.usable)) == number)
    target = targets(intervals, made.settled.seen)
    moved, parts = _moved(
        facts, made, only, force.pack, Estimates(pool.slot[mine], pool.value[mine], pool.method[mine]), target
    )
    at = np.flatnonzero(pool.slot[mine] == slot)
    return Interval(
        start=int(intervals.start[number]),
        end=int(intervals.end[number]),
        reads=(_read(facts, row, intervals.start, number), _read(facts, row, intervals.end, number)),
        advance=int(intervals.advance[number]),
        resolution=int(intervals.resolution[number]),
        actual=int(made.settled.seen[number]),
        shared=int(shared_parts(only, made.settled.final, facts)[number]),
        target=int(target[number]),
        good=good_whole(facts, made.checked, intervals, number),
        parts=parts,
        estimates=moved,
        number=int(at[0]) if len(at) else None,
    )


def _moved(
    facts: SeriesFacts, made: Stages, only: ReadIntervals, pack: RulePack, unscaled: Estimates, target: Int
) -> tuple[tuple[Moved, ...], tuple[Part, ...]]:
    """The estimates of the one usable interval, and the time-of-use registers that moved them."""
    number = int(np.flatnonzero(only.usable)[0])
    fixed = made.settled.final.ravel().copy()
    final = fixed[unscaled.slot]
    fixed[unscaled.slot] = 0
    holder = np.full(len(unscaled.slot), number)
    split = tou_targets(facts, only, pack, slot=unscaled.slot, holder=holder, fixed=fixed, target=target)
    if target[number] < 0:
        split = replace(split, part=np.full(len(holder), -1, np.int64))
    value, _ = scale_parts(unscaled.value, unscaled.method, split.part, split.target)
    name = {register_code(part.name): part.name for part in pack.registers.tou}
    parts = [
        Part(name[code], advance, due)
        for code, advance, due in zip(
            split.register.tolist(), split.advance.tolist(), split.target.tolist(), strict=True
        )
    ]
    moved = [
        Moved(
            int(facts.grid.starts[unscaled.slot[i] % facts.grid.slots]),
            Method(int(unscaled.method[i])).name.lower(),
            int(unscaled.value[i]),
            int(final[i]),
            parts[part].register if part >= 0 else None,
            int(value[i]),
        )
        for i, part in enumerate(split.part.tolist())
    ]
    return tuple(moved), tuple(parts) if (split.part >= 0).any() else ()


def _read(facts: SeriesFacts, row: int, moments: Int, number: int) -> int:
    """What the register of a series showed [micro-unit] at an end of an interval."""
    reads = facts.reads
    found = np.flatnonzero((reads.series == row) & (reads.at == moments[number]))
    return int(reads.value[found[0]])
