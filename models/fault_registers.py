"""Faults of a register beside its intervals: it stopped, jumped, passed its last digit, or is another's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.fault_days import MICRO, Days, Fault
from models.series import Bool, Int, Reads

__all__ = ["RegisterReads", "register_faults"]

LEAST_USE = MICRO
"""Intervals must have counted this much [micro-kWh] before a register counts as stopped or jumped."""
STEPS = 10
"""And this many steps of the register."""
OFF = 0.2
"""Share by which an advance must miss the intervals' sum."""
JUMP = 3
"""Times the intervals' sum from which one advance is a jump."""
MATCH = 0.03
"""Share by which an advance may miss the sum of the intervals it belongs to."""
MISMATCHED, OF_ALL = 2, 0.6
"""Read intervals that must miss, and of all complete ones their share, before the register is another's."""
MOST_MISMATCHED = 1000
"""With more such meters something else is wrong; partners are then not looked for."""
MOST_DIALS = 9


@dataclass(frozen=True)
class RegisterReads:
    """Total-register reads of the import channel.

    Attributes:
        meters: Ids.
        reads: Sorted by (meter, second); ``series`` is the place in ``meters``, shape (n,).
        day: Local epoch day of each read, shape (n,).
        midnight: Whether it was taken at that day's start, shape (n,).
    """

    meters: list[str]
    reads: Reads
    day: Int
    midnight: Bool


@dataclass(frozen=True)
class Spans:
    """Times between two reads of one meter, all of whose days are among the features; (k,) each.

    Attributes:
        row: The meter.
        first, last: Columns of its days, ``last`` one past; days with a read inside them included.
        advance: As the register counted, the raw difference where that is negative and cannot have wrapped.
        wrapped: Whether it passed its last digit.
        before, after: The two reads.
        resolution: Step of the register. All in micro-units.
        least, most: Sum of the intervals of whole days, and with the days of the reads. [micro-unit]
        complete: Whether no slot is missing.
    """

    row: Int
    first: Int
    last: Int
    advance: Int
    wrapped: Bool
    before: Int
    after: Int
    resolution: Int
    least: Int
    most: Int
    complete: Bool

    def within(self, share: float, least: Int, most: Int) -> Bool:
        """Whether the advance fits a sum of intervals: to a share of it, or two steps; (k,)."""
        slack = np.maximum(2 * self.resolution, (share * np.maximum(self.advance, most)).astype(np.int64))
        fits: Bool = (self.advance >= least - slack) & (self.advance <= most + slack)
        return fits

    def missed(self, chosen: Bool) -> Missed:
        """What is kept of some of them."""
        names = Missed.__dataclass_fields__
        return Missed(**{name: getattr(self, name)[chosen] for name in names})


@dataclass(frozen=True)
class Missed:
    """Of meters whose register is another's, the spans that miss their intervals; as in ``Spans``."""

    row: Int
    first: Int
    last: Int
    advance: Int
    resolution: Int
    most: Int

    @staticmethod
    def joined(parts: list[Missed]) -> Missed:
        """All parts, sorted by meter; the spans of one keep their order."""
        names = Missed.__dataclass_fields__
        whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        order = np.argsort(whole["row"], kind="stable")
        return Missed(**{name: column[order] for name, column in whole.items()})

    def meters(self) -> tuple[list[int], list[slice]]:
        """The meters, and which spans are whose."""
        starts = np.flatnonzero(np.diff(self.row, prepend=-1))
        bounds = [*starts.tolist(), len(self.row)]
        return self.row[starts].tolist(), [slice(low, high) for low, high in pairwise(bounds)]


def register_faults(days: Days, pieces: Iterable[RegisterReads]) -> list[Fault]:
    """All of them, in no order.

    Args:
        days: Of the customers' meters.
        pieces: Reads up to the moment, all of a meter in one piece; of meters without features none counts.
            Of each piece only the spans are kept that another meter's register may explain.

    Returns:
        The same for any pieces.
    """
    row_of = {meter: row for row, meter in enumerate(days.table.meters)}
    found: list[Fault] = []
    missed: list[Missed] = []
    for registers in pieces:
        spans = _spans(days, registers, row_of)
        if len(spans.row):
            own, others = _own_faults(days, spans)
            found += own
            missed.append(others)
    return found + _mismatches(days, Missed.joined(missed)) if missed else found


def _own_faults(days: Days, spans: Spans) -> tuple[list[Fault], Missed]:
    """Faults that a register shows beside its own meter's intervals, and what only another's may explain."""
    used = spans.least >= np.maximum(LEAST_USE, STEPS * spans.resolution)
    stopped = (np.abs(spans.advance) <= spans.resolution) & used & ~spans.wrapped
    found = _stopped(days, spans, stopped)
    back = (spans.advance < -spans.resolution) | spans.wrapped
    found += [_turned(days, spans, at) for at in np.flatnonzero(back).tolist()]
    off = spans.complete & ~stopped & ~back & ~spans.within(OFF, spans.least, spans.most)
    others = _anothers(spans, off, len(days.total))[spans.row]
    jumped = off & (spans.advance > JUMP * spans.most + STEPS * spans.resolution + LEAST_USE)
    found += [_jump(days, spans, at) for at in np.flatnonzero(jumped & ~others).tolist()]
    return found, spans.missed(off & others)


def _spans(days: Days, registers: RegisterReads, row_of: dict[str, int]) -> Spans:
    reads = registers.reads
    row = np.array([row_of.get(meter, -1) for meter in registers.meters], np.int64)[reads.series]
    sound = np.flatnonzero((row >= 0) & (reads.value >= 0))
    pair = np.flatnonzero(row[sound][1:] == row[sound][:-1])
    here, there = sound[pair], sound[pair + 1]
    epoch = (days.table.weeks[:, None] + np.arange(7)).ravel()
    low, high = registers.day[here], registers.day[there] + ~registers.midnight[there]
    first, last = np.searchsorted(epoch, low), np.searchsorted(epoch, high)
    inside = (last - first == high - low) & (last > first) & (last <= len(epoch))
    inside &= (epoch[np.minimum(first, len(epoch) - 1)] == low) if len(epoch) else False
    inside &= reads.version[here, 1] == reads.version[there, 0]
    here, there, first, last = (part[inside] for part in (here, there, first, last))
    advance = reads.value[there] - reads.value[here]
    modulus = np.where(reads.modulus[here] == reads.modulus[there], reads.modulus[here], 0)
    wrapped = (advance < 0) & (modulus > 0) & (2 * (advance + modulus) < modulus)
    meters, mine = np.unique(row[here], return_inverse=True)
    start, end = first + ~registers.midnight[here], last - ~registers.midnight[there]
    sums, whole = _running(days.total[meters]), _running(days.whole[meters])
    return Spans(
        row=row[here],
        first=first,
        last=last,
        advance=np.where(wrapped, advance + modulus, advance),
        wrapped=wrapped,
        before=reads.value[here],
        after=reads.value[there],
        resolution=np.maximum(reads.resolution[here], reads.resolution[there]),
        least=np.maximum(sums[mine, np.maximum(end, start)] - sums[mine, start], 0),
        most=sums[mine, last] - sums[mine, first],
        complete=whole[mine, last] - whole[mine, first] == last - first,
    )


def _running(days: NDArray[np.generic]) -> Int:
    """Sums of all days before each; (m, d) to (m, d + 1)."""
    sums = np.zeros((days.shape[0], days.shape[1] + 1), np.int64)
    np.cumsum(days, axis=1, out=sums[:, 1:])
    return sums


def _stopped(days: Days, spans: Spans, stopped: Bool) -> list[Fault]:
    """Runs of intervals in which the register stood and the intervals counted on."""
    found = []
    at = np.flatnonzero(stopped)
    starts = np.flatnonzero(np.diff(at, prepend=-2) != 1)
    breaks = np.union1d(starts, np.flatnonzero(np.diff(spans.row[at], prepend=-1)))
    for run in np.split(at, breaks[1:].tolist()) if len(at) else []:
        row, last = int(spans.row[run[0]]), int(run[-1])
        lasts = last + 1 == len(spans.row) or spans.row[last + 1] != row
        until = None if lasts else days.day(int(spans.last[last]) - 1)
        told = f"the register stood at {spans.after[last] / MICRO:.3f} while the intervals counted"
        evidence = f"{told} {spans.least[run].sum() / MICRO:.1f}"
        found.append(
            Fault(row, "register_stopped", days.day(int(spans.first[run[0]])), until, "error", evidence)
        )
    return found


def _turned(days: Days, spans: Spans, at: int) -> Fault:
    """A register that went back: over its last digit, or for no reason."""
    before, after = int(spans.before[at]), int(spans.after[at])
    told = f"the register went from {before / MICRO:.3f} to {after / MICRO:.3f}"
    since, until = days.day(int(spans.first[at])), days.day(int(spans.last[at]) - 1)
    row, step = int(spans.row[at]), int(spans.resolution[at])
    if spans.wrapped[at]:
        return Fault(row, "register_rollover", since, until, "info", f"{told}: past its last digit")
    slack = max(2 * step, int(OFF * spans.most[at]))
    for dials in range(3, MOST_DIALS + 1):
        advance = after + step * 10**dials - before
        if spans.least[at] - slack <= advance <= spans.most[at] + slack:
            evidence = f"{told}: with {dials} digits past its last, which master data do not say"
            return Fault(row, "register_rollover", since, until, "warning", evidence)
    evidence = f"{told}; the intervals counted {spans.most[at] / MICRO:.1f}"
    return Fault(row, "register_jump", since, until, "error", evidence)


def _jump(days: Days, spans: Spans, at: int) -> Fault:
    told = f"the register advanced by {spans.advance[at] / MICRO:.1f}"
    evidence = f"{told} while the intervals counted {spans.most[at] / MICRO:.1f}"
    since, until = days.day(int(spans.first[at])), days.day(int(spans.last[at]) - 1)
    return Fault(int(spans.row[at]), "register_jump", since, until, "error", evidence)


def _anothers(spans: Spans, off: Bool, count: int) -> Bool:
    """Meters whose register misses their intervals again and again; (m,)."""
    misses = np.bincount(spans.row[off], minlength=count)
    known = np.bincount(spans.row[spans.complete], minlength=count)
    result: Bool = (misses >= MISMATCHED) & (misses >= OF_ALL * known)
    return result


def _mismatches(days: Days, missed: Missed) -> list[Fault]:
    """Meters whose register is another's: crossed with that one where it is known."""
    rows, slices = missed.meters()
    partner = _partners(days, missed) if len(rows) <= MOST_MISMATCHED else {}
    found = []
    for row, mine in zip(rows, slices, strict=True):
        since = days.day(int(missed.first[mine.start]))
        advance, counted = missed.advance[mine].sum() / MICRO, missed.most[mine].sum() / MICRO
        count = mine.stop - mine.start
        told = f"{count} times the register advanced by another amount than the intervals counted"
        evidence = f"{told}: {advance:.1f} against {counted:.1f} in all"
        other = partner.get(row, -1)
        name, severity = "register_mismatch", "warning"
        if other >= 0 and partner.get(other) == row:
            name, severity = "crossed_meters", "error"
            evidence += f"; each register fits the intervals of the other, {days.table.meters[other]}"
        found.append(Fault(row, name, since, None, severity, evidence))
    return found


def _partners(days: Days, missed: Missed) -> dict[int, int]:
    """The meter, of those that mismatch, whose intervals fit each one's register best and all the time."""
    rows, slices = missed.meters()
    sums = _running(days.total[rows])
    found = {}
    for number, (row, mine) in enumerate(zip(rows, slices, strict=True)):
        advance = missed.advance[mine].astype(np.float64)
        slack = np.maximum(2.0 * missed.resolution[mine], MATCH * np.abs(advance))
        first, last = missed.first[mine], missed.last[mine]
        once = np.abs(sums[:, last[0]] - sums[:, first[0]] - advance[0]) / slack[0]
        once[number] = np.inf
        able = np.flatnonzero(once <= 1)  # most do not even fit the first time
        theirs = (sums[able[:, None], last] - sums[able[:, None], first]).astype(np.float64)
        most = (np.abs(theirs - advance) / slack).max(axis=1)
        if len(able) and most.min() <= 1:
            found[row] = rows[int(able[most.argmin()])]
    return found
