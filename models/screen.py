"""The screen: what one day's raw slots, its events and its master data say (docs/vee.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.days import per_day, to_slots
from models.series import Bool, Int, Outages, SeriesFacts
from models.slot_marks import micro_rate, slot_marks
from schemas.rulepack import RulePack
from schemas.rules import Rules, SpikeRule

PERMILLE = 1000
BLOCKS = 8
"""A day is cut into this many blocks to bound its third-highest slot from below."""


@dataclass(frozen=True)
class Screen:
    """Verdicts on raw slots. Flat slot numbers are series · slots + column, increasing.

    Attributes:
        good: Usable as neighbour, reference and in averages; (n, slots).
        eligible: Days whose every slot is good; (n, days).
        any_good: Days with at least one good slot; (n, days).
        complete: Days whose every slot has a value; (n, days).
        total: Sum of the values of each day; (n, days). [micro-unit]
        peak: Highest value of each day, 0 where there is none; (n, days). [micro-unit]
        absent: Slots without a usable value: missing, or failed by a rule; not explained ones; flat.
        suspects: Spikes and values over capacity that fail unless a register confirms them; flat.
        zeroed: Slots without a value that an outage or a disconnection explains; flat.
        negative, spike, over_capacity: Slots the rule hit; flat.
        marks: Slots each of ``slot_marks.SLOT_RULES`` hit, where it hit any; flat.
        third_peak: p3 of the day of each spike slot. [micro-unit]
        touched: Slots an outage touches; (n, slots), or None without outages.
        dark: Days wholly in outages or disconnected; (n, days), or None.
    """

    good: Bool
    eligible: Bool
    any_good: Bool
    complete: Bool
    total: Int
    peak: Int
    absent: Int
    suspects: Int
    zeroed: Int
    negative: Int
    spike: Int
    third_peak: Int
    over_capacity: Int
    marks: dict[str, Int]
    touched: Bool | None
    dark: Bool | None


def screen(facts: SeriesFacts, pack: RulePack) -> Screen:
    """Judge every day by itself: no advance of a register, average, neighbour or estimate is looked at."""
    grid, have, rules = facts.grid, facts.have, pack.rules
    peak = per_day(np.maximum.reduce, facts.value, grid)
    negative = negatives(facts)
    spike, third_peak = spikes(facts, negative, rules.spike)
    over = over_capacity(facts, peak)
    if facts.edited is not None:
        negative, over = (part[~facts.edited.ravel()[part]] for part in (negative, over))
    marks = slot_marks(facts, rules)
    touched, whole = outage_slots(facts.outages, grid, facts.count)

    outliers = {"negative": negative, "spike": spike, "over_capacity": over}
    failed = [f for name, f in (outliers | marks).items() if rules.severity(name) == "fail"]
    good = have.copy()
    good.ravel()[np.concatenate([*outliers.values(), *failed])] = False
    usable = good
    if any(len(flat) and rules.severity(name) != "fail" for name, flat in outliers.items()):
        usable = have.copy()  # an outlier that does not fail is no reference, and not absent either
        usable.ravel()[np.concatenate([negative[:0], *failed])] = False
    if facts.unserved is not None:
        usable = usable | facts.unserved  # neither a value nor a gap
    explained = _explained(facts, whole)
    absent = np.flatnonzero(~usable if explained is None else ~usable & ~explained)
    if facts.external is not None:
        good &= ~facts.external
    if touched is not None:
        good &= ~touched
    eligible = per_day(np.logical_and.reduce, good, grid)
    if facts.disconnected is not None:
        eligible &= ~facts.disconnected
    return Screen(
        good=good,
        eligible=eligible,
        any_good=per_day(np.logical_or.reduce, good, grid),
        complete=per_day(np.logical_and.reduce, have, grid),
        total=per_day(np.add.reduce, facts.value, grid),
        peak=peak,
        absent=absent,
        suspects=_suspects(outliers, marks, rules),
        zeroed=np.zeros(0, np.int64) if explained is None else np.flatnonzero(explained),
        negative=negative,
        spike=spike,
        third_peak=third_peak,
        over_capacity=over,
        marks=marks,
        touched=touched,
        dark=_dark(facts, whole),
    )


def _suspects(outliers: dict[str, Int], marks: dict[str, Int], rules: Rules) -> Int:
    """Slots that fail for being high alone: a register may still confirm them."""
    failing = [name for name in ("spike", "over_capacity") if rules.severity(name) == "fail"]
    high = np.unique(np.concatenate([np.zeros(0, np.int64), *(outliers[name] for name in failing)]))
    for name, flat in marks.items():
        if rules.severity(name) == "fail":
            high = np.setdiff1d(high, flat, assume_unique=True)
    return high


def _explained(facts: SeriesFacts, whole: Bool | None) -> Bool | None:
    """Slots without a value that an outage or a disconnection explains; None where there is neither."""
    explained = None if whole is None else whole & ~facts.have
    if facts.disconnected is not None:
        dead = to_slots(facts.disconnected, facts.grid) & ~facts.have
        explained = dead if explained is None else explained | dead
    return explained if explained is None or facts.unserved is None else explained & ~facts.unserved


def _dark(facts: SeriesFacts, whole: Bool | None) -> Bool | None:
    """Days wholly in outages or disconnected."""
    if whole is None:
        return facts.disconnected
    blacked_out: Bool = per_day(np.logical_and.reduce, whole, facts.grid)
    return blacked_out if facts.disconnected is None else blacked_out | facts.disconnected


def negatives(facts: SeriesFacts) -> Int:
    """Flat slots below zero on one-directional channels."""
    rows = np.flatnonzero(facts.one_directional & (facts.value.min(axis=1, initial=0) < 0))
    row, column = np.nonzero(facts.value[rows] < 0)
    return rows[row] * facts.grid.slots + column


def spikes(facts: SeriesFacts, negative: Int, rule: SpikeRule) -> tuple[Int, Int]:
    """Flat slots above p3 · (1 + max_excess), and the p3 of their day.

    Most days are cleared by a bound: the third-highest of the maxima of ``BLOCKS`` parts of the day
    is never above p3. Only the days it does not clear are sorted.
    """
    grid = facts.grid
    limit = int(rule.max_excess * PERMILLE)
    smallest = micro_rate(rule.min_third_peak_kw, grid.interval_s)
    exact = np.zeros(facts.count, np.bool_)
    exact[negative // grid.slots] = True
    if facts.external is not None:
        exact |= facts.external.any(axis=1)
    hits, peaks = [], []
    for a, b in grid.regular_runs:
        first = int(grid.offsets[a])
        block = facts.value[:, first : grid.offsets[b]].reshape(facts.count, b - a, -1)
        series, day = np.nonzero(_may_spike(block, limit, smallest) | exact[:, None])
        rows = block[series, day]
        length = rows.shape[1]
        columns = first + day[:, None] * length + np.arange(length)
        candidate = facts.have[series[:, None], columns] & (rows >= 0)
        if facts.external is not None:
            candidate &= ~facts.external[series[:, None], columns]
        rows = np.where(candidate, rows, -1)
        third = np.sort(rows, axis=1)[:, -3] if length >= 3 else np.full(len(rows), -1)
        counts = (third >= smallest) & (third >= 0)
        excess = (rows - third[:, None]) * PERMILLE > limit * third[:, None]
        at, offset = np.nonzero(excess & counts[:, None])
        hits.append(series[at] * grid.slots + columns[at, offset])
        peaks.append(third[at])
    flat, peak = np.concatenate(hits), np.concatenate(peaks)
    order = np.argsort(flat, kind="stable")
    return flat[order], peak[order]


def _may_spike(block: Int, limit: int, smallest: int) -> Bool:
    """Days a bound on p3 does not clear; block (n, days, length) to (n, days)."""
    n, days, length = block.shape
    if length % BLOCKS or length < 3 * BLOCKS:
        return np.ones((n, days), np.bool_)
    peaks = np.sort(block.reshape(n, days, BLOCKS, -1).max(axis=3), axis=2)
    top, third = peaks[:, :, -1], np.maximum(peaks[:, :, -3], 0)
    result: Bool = ((top - third) * PERMILLE > limit * third) & (top > smallest)
    return result


def over_capacity(facts: SeriesFacts, peak: Int) -> Int:
    """Flat slots above the size of the service; ``peak`` (n, days) as in ``Screen``."""
    if facts.capacity is None:
        return np.zeros(0, np.int64)
    days = (facts.capacity > 0) & (peak > facts.capacity)
    rows = np.flatnonzero(days.any(axis=1))
    stated = facts.capacity[rows]
    limit = to_slots(np.where(stated > 0, stated, np.iinfo(np.int64).max), facts.grid)
    row, column = np.nonzero(facts.have[rows] & (facts.value[rows] > limit))
    return rows[row] * facts.grid.slots + column


def outage_slots(outages: Outages, grid: DayGrid, count: int) -> tuple[Bool | None, Bool | None]:
    """Slots that outages touch, and slots that lie wholly in one; (n, slots) each, None without any."""
    if not len(outages.series):
        return None, None
    touched, whole = np.zeros((2, count, grid.slots), np.bool_)
    last = grid.slots
    for row, start, end in zip(outages.series, outages.start, outages.end, strict=True):
        low, high = int(start) - grid.origin, int(end) - grid.origin
        if high <= low:
            continue
        step = grid.interval_s
        touched[row, min(max(low // step, 0), last) : min(max(-(-high // step), 0), last)] = True
        whole[row, min(max(-(-low // step), 0), last) : min(max(high // step, 0), last)] = True
    return touched, whole
