"""Verdicts and scaling: intervals made to agree with their register, exactly (docs/vee.md, Registers)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.days import half_away
from models.estimate import Estimates
from models.registers import ReadIntervals, shared_parts, shared_slots
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from models.tou_scale import tou_targets
from schemas.quality import SCALED, Method
from schemas.rulepack import RulePack


@dataclass(frozen=True)
class Settled:
    """The outcome of the registers.

    Attributes:
        final: Final values, 0 where there is none; (n, slots). [micro-unit]
        estimates: Slots that hold an estimate now, with their final value and method.
        kept: Suspect slots that the register confirms; flat, increasing.
        verified: Intervals whose sum check passed; numbers of intervals.
        rejected: Intervals that fail the sum check; numbers of intervals.
        rejected_whole: Those among them whose slots are all measured.
        seen: Sum of the values of each interval before scaling; (m,). [micro-unit]
    """

    final: Int
    estimates: Estimates
    kept: Int
    verified: Int
    rejected: Int
    rejected_whole: Int
    seen: Int


def settle(
    facts: SeriesFacts, checked: Screen, estimates: Estimates, intervals: ReadIntervals, pack: RulePack
) -> Settled:
    """Judge the suspects, scale the estimates and check the sums of every usable read interval."""
    slots = facts.grid.slots
    flat = np.empty(facts.count * slots + 1, np.int64)  # one more, so that a segment may end at the end
    final = flat[:-1].reshape(facts.count, slots)
    final[...] = facts.value
    flat[checked.absent] = 0
    flat[-1] = 0

    pool, holder = unscaled(facts, checked, estimates, intervals, pack)
    suspect = _among(pool.slot, checked.suspects)
    value, method = pool.value, pool.method

    standing = (holder < 0) & (method != Method.NONE)
    flat[pool.slot] = 0
    flat[pool.slot[standing]] = value[standing]
    actual = _whole_sums(flat, intervals, slots) + shared_parts(intervals, final, facts)
    tolerance = intervals.tolerance(int(pack.rules.sum_check.tolerance * 1000))
    doubted = _sums(facts.value.ravel()[pool.slot], suspect, holder, len(actual))
    others = _sums(value, ~suspect, holder, len(actual))
    failed = actual + doubted + others > intervals.advance + tolerance
    held = suspect & (holder >= 0)
    held[held] = ~failed[holder[held]]
    kept = pool.slot[held]
    flat[kept] = facts.value.ravel()[kept]
    actual += np.where(failed, 0, doubted)

    scaled = (holder >= 0) & ~held
    counts = np.bincount(holder[scaled], minlength=len(actual))
    target = targets(intervals, actual)
    short = (counts > 0) & (target < 0)
    scalable = scaled.copy()
    scalable[scaled] = ~short[holder[scaled]]
    split = tou_targets(
        facts, intervals, pack, slot=pool.slot[scalable], holder=holder[scalable], fixed=flat, target=target
    )
    by_tou, of_tou = scale_parts(value[scalable], method[scalable], split.part, split.target)
    value[scalable], of_total = scale_segments(by_tou, method[scalable], holder[scalable], target)
    method[scalable] = np.maximum(of_tou, of_total)
    placed = ~held & (method != Method.NONE)
    flat[pool.slot[placed]] = value[placed]

    checkable = intervals.usable & (counts == 0) & _all_measured(facts, checked, intervals)
    off = checkable & (np.abs(actual - intervals.advance) > tolerance)
    return Settled(
        final=final,
        estimates=Estimates(pool.slot[placed], value[placed], method[placed]),
        kept=kept,
        verified=np.flatnonzero(checkable & ~off),
        rejected=np.flatnonzero(off | short),
        rejected_whole=np.flatnonzero(off),
        seen=actual,
    )


def unscaled(
    facts: SeriesFacts, checked: Screen, estimates: Estimates, intervals: ReadIntervals, pack: RulePack
) -> tuple[Estimates, Int]:
    """What registers may move, before they do, those that only a register can fill included.

    Returns:
        New estimates, and the number of the usable interval that holds each whole, −1 where none does.
    """
    pool = _with_externals(facts, estimates) if pack.estimation.scale_external else estimates
    series, column = np.divmod(pool.slot, facts.grid.slots)
    holder = intervals.holding(series, column, facts.grid)
    value, method = pool.value.copy(), pool.method.copy()
    _by_register(facts, checked, intervals, holder, value, method)
    return Estimates(pool.slot, value, method), holder


def targets(intervals: ReadIntervals, actual: Int) -> Int:
    """What the estimates of each interval have to sum to [micro-unit], negative where they cannot; (m,)."""
    target = intervals.advance - actual
    return np.where((target < 0) & (target >= -intervals.resolution), 0, target)


def scale_segments(
    value: Int, method: NDArray[np.int8], segment: Int, target: Int
) -> tuple[Int, NDArray[np.int8]]:
    """Scale each segment's estimates so that they sum to its target, to the micro-unit.

    Estimate e of a segment of sum Σ gets ⌊e · T / Σ⌋; the units left over go one each to the largest
    remainders, the earliest first among equals. A segment of zeros is filled evenly, the remainder
    one unit each to its earliest slots.

    Args:
        value: Estimates ≥ 0 in slot order, shape (k,). [micro-unit]
        method: schemas.quality.Method of each, shape (k,).
        segment: Read interval of each, non-decreasing, shape (k,).
        target: Target ≥ 0 of each read interval, indexed by segment. [micro-unit]

    Returns:
        The scaled values and their methods.
    """
    if not len(value):
        return value, method
    total = np.zeros(len(target), np.int64)
    np.add.at(total, segment, value)
    weight = np.where(total[segment] == 0, 1, value)
    np.add.at(total, segment, np.where(total[segment] == 0, 1, 0))
    share, remainder = _mul_div(weight, target[segment], total[segment])
    given = np.zeros(len(target), np.int64)
    np.add.at(given, segment, share)
    order = np.lexsort((np.arange(len(value)), -remainder, segment))
    starts = np.searchsorted(segment, segment)
    rank = np.arange(len(value)) - starts  # order keeps segments contiguous, so ranks line up
    share[order] += rank < (target - given)[segment]
    before = np.zeros(len(target), np.int64)
    np.add.at(before, segment, value)
    moved = (before != target)[segment] & (method != Method.REGISTER)
    return share, np.where(moved, method + SCALED, method).astype(np.int8)


def scale_parts(value: Int, method: NDArray[np.int8], part: Int, target: Int) -> tuple[Int, NDArray[np.int8]]:
    """The same for parts whose estimates need not stand together; those of part −1 stay as they are."""
    order = np.argsort(part, kind="stable")
    order = order[part[order] >= 0]
    value, method = value.copy(), method.copy()
    value[order], method[order] = scale_segments(value[order], method[order], part[order], target)
    return value, method


def _mul_div(a: Int, b: Int, c: Int) -> tuple[Int, Int]:
    """⌊a · b / c⌋ and the remainder, exact also where a · b exceeds 63 bits; all ≥ 0, c > 0."""
    limit = np.iinfo(np.int64).max
    large = np.flatnonzero(b > limit // np.maximum(a, 1))
    small_b = b.copy()
    small_b[large] = 0
    quotient, remainder = np.divmod(a * small_b, c)
    for i in large.tolist():
        quotient[i], remainder[i] = divmod(int(a[i]) * int(b[i]), int(c[i]))
    return quotient, remainder


def _whole_sums(flat: Int, intervals: ReadIntervals, slots: int) -> Int:
    """Sum of each interval's whole slots; (m,)."""
    if not len(intervals.series):
        return np.zeros(0, np.int64)
    bounds = np.empty(2 * len(intervals.series), np.int64)
    bounds[::2] = intervals.series * slots + intervals.first
    bounds[1::2] = intervals.series * slots + intervals.last
    sums = np.add.reduceat(flat, bounds)[::2]
    return np.where(intervals.last > intervals.first, sums, 0)


def _sums(value: Int, chosen: Bool, holder: Int, count: int) -> Int:
    """Sum of the chosen slots of each interval; (m,)."""
    chosen = chosen & (holder >= 0)
    result = np.zeros(count, np.int64)
    np.add.at(result, holder[chosen], value[chosen])
    return result


def _by_register(
    facts: SeriesFacts,
    checked: Screen,
    intervals: ReadIntervals,
    holder: Int,
    value: Int,
    method: NDArray[np.int8],
) -> None:
    """Give slots no estimator could fill the mean good slot of their read interval; in place."""
    orphans = np.flatnonzero((method == Method.NONE) & (holder >= 0))
    for number in np.unique(holder[orphans]).tolist():
        usage, count = good_whole(facts, checked, intervals, number)
        mean = half_away(np.array([usage]), np.array([max(count, 1)]))[0]
        mine = orphans[holder[orphans] == number]
        value[mine], method[mine] = mean, Method.REGISTER


def good_whole(facts: SeriesFacts, checked: Screen, intervals: ReadIntervals, number: int) -> tuple[int, int]:
    """Sum [micro-unit] and count of the good whole slots of a read interval."""
    where = (
        int(intervals.series[number]),
        slice(int(intervals.first[number]), int(intervals.last[number])),
    )
    good = facts.value[where][checked.good[where]]
    return int(good.sum()), len(good)


def _with_externals(facts: SeriesFacts, estimates: Estimates) -> Estimates:
    """The estimates and the head-end's own, for packs that scale those too; not those below zero."""
    if facts.external is None:
        return estimates
    own = facts.external & facts.have & (facts.value >= 0)
    slot = np.flatnonzero(own if facts.edited is None else own & ~facts.edited)
    series, column = np.divmod(slot, facts.grid.slots)
    scalable = facts.expected[series, facts.grid.day_of_slot[column]] & ~facts.instantaneous[series]
    slot = slot[scalable & ~np.isin(slot, estimates.slot)]
    every = np.concatenate([estimates.slot, slot])
    order = np.argsort(every, kind="stable")
    values = np.concatenate([estimates.value, facts.value.ravel()[slot]])
    methods = np.concatenate([estimates.method, np.full(len(slot), Method.EXTERNAL, np.int8)])
    return Estimates(every[order], values[order], methods[order])


def _all_measured(facts: SeriesFacts, checked: Screen, intervals: ReadIntervals) -> Bool:
    """Intervals without an external slot, and without an absent or external shared slot; (m,)."""
    measured = np.ones(len(intervals.series), np.bool_)
    number, slot = shared_slots(intervals, facts.grid)
    doubtful = _among(slot, checked.absent)
    if facts.external is not None:
        there = facts.external & facts.have
        doubtful |= there.ravel()[slot]
        external = np.flatnonzero(there)
        holder = intervals.holding(*np.divmod(external, facts.grid.slots), facts.grid)
        measured[holder[holder >= 0]] = False
    measured[number[doubtful]] = False
    return measured


def _among(slot: Int, others: Int) -> Bool:
    """Which slots stand among others, which increase; (k,). To look them up is quicker than to sort all."""
    at = np.searchsorted(others, slot)
    found: Bool = np.append(others, -1)[at] == slot
    return found
