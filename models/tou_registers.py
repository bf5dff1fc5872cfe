"""Time-of-use registers against the total register of the same meter (docs/vee.md, Registers)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from models.registers import ReadIntervals, advances
from models.series import Int, TouReads

__all__ = ["TouAdvances", "register_code", "tou_advances", "tou_differences"]


def register_code(name: str) -> int:
    """A number for a register's name that is the same whatever other registers there are."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


@dataclass(frozen=True)
class TouAdvances:
    """Advances of the time-of-use registers over the usable read intervals that they can judge.

    An interval can be judged when the same registers, one or more, were read at exactly its two moments, each
    without a read between, and each of them advanced.

    Attributes:
        number: Of the interval, non-decreasing, shape (k,).
        register: Code of the register, shape (k,).
        advance, step: Of the register, and its smallest step, shape (k,). [micro-unit]
    """

    number: Int
    register: Int
    advance: Int
    step: Int


def tou_advances(intervals: ReadIntervals, reads: TouReads) -> TouAdvances:
    """What the registers say of each usable interval, intervals that cannot be judged left out.

    Args:
        intervals: Of the total register.
        reads: Of the time-of-use registers.
    """
    if not len(reads.at) or not len(intervals.series):
        return TouAdvances(*np.zeros((4, 0), np.int64))
    keys = (reads.series, reads.register, reads.meter)
    pair = np.flatnonzero(np.all([key[1:] == key[:-1] for key in keys], axis=0))
    advance = advances(reads, pair)
    number = _number(intervals, reads.series[pair], reads.at[pair], reads.at[pair + 1])
    sound = (reads.value[pair] >= 0) & (reads.value[pair + 1] >= 0) & (advance >= 0) & (number >= 0)
    pairs = np.bincount(number[sound], minlength=len(intervals.series))
    at_both = [_reads_at(reads, intervals.series, moment) for moment in (intervals.start, intervals.end)]
    judged = intervals.usable & (pairs > 0) & (pairs == at_both[0]) & (pairs == at_both[1])
    sound[sound] = judged[number[sound]]
    step = np.maximum(reads.resolution[pair], reads.resolution[pair + 1])
    order = np.lexsort((reads.register[pair][sound], number[sound]))
    return TouAdvances(*(column[sound][order] for column in (number, reads.register[pair], advance, step)))


def tou_differences(intervals: ReadIntervals, reads: TouReads, permille: int) -> tuple[Int, Int]:
    """Usable read intervals whose TOU registers advance by something else than the total register.

    The tolerance is that of the sum check, and at least one step of every register.

    Args:
        intervals: Of the total register.
        reads: Of the TOU registers.
        permille: Share of the advance that is tolerated.

    Returns:
        Numbers of the intervals, increasing, and the sum of the advances of their TOU registers; (k,) each.
        [micro-unit]
    """
    found = tou_advances(intervals, reads)
    total, step = np.zeros((2, len(intervals.series)), np.int64)
    np.add.at(total, found.number, found.advance)
    np.add.at(step, found.number, found.step)
    judged = np.unique(found.number)
    tolerance = np.maximum(intervals.tolerance(permille), step + intervals.resolution)[judged]
    off = judged[np.abs(total - intervals.advance)[judged] > tolerance]
    return off, total[off]


def _number(intervals: ReadIntervals, series: Int, start: Int, end: Int) -> Int:
    """Number of the interval with exactly these moments, −1 where there is none; (k,)."""
    low = min(int(intervals.start.min()), int(start.min(initial=0)))
    width = max(int(intervals.start.max()), int(start.max(initial=0))) - low + 1
    key = intervals.series * width + intervals.start - low  # intervals are sorted by series and start
    at = np.minimum(np.searchsorted(key, series * width + start - low), len(key) - 1)
    same = (intervals.series[at] == series) & (intervals.start[at] == start) & (intervals.end[at] == end)
    return np.where(same, at, -1)


def _reads_at(reads: TouReads, series: Int, moment: Int) -> Int:
    """How many TOU registers were read at each moment; (m,)."""
    low = min(int(reads.at.min()), int(moment.min()))
    width = max(int(reads.at.max()), int(moment.max())) - low + 1
    keys = np.sort(reads.series * width + reads.at - low)
    wanted = series * width + moment - low
    count: Int = np.searchsorted(keys, wanted, side="right") - np.searchsorted(keys, wanted, side="left")
    return count
