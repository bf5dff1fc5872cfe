"""Time-of-use registers against the total register of the same meter (docs/vee.md, Registers)."""

from __future__ import annotations

import numpy as np

from models.registers import ReadIntervals, advances
from models.series import Int, TouReads


def tou_differences(intervals: ReadIntervals, reads: TouReads, permille: int) -> tuple[Int, Int]:
    """Usable read intervals whose TOU registers advance by something else than the total register.

    An interval is judged when the same registers, one or more, were read at exactly its two moments, and each
    of them advanced. The tolerance is that of the sum check, and at least one step of every register.

    Args:
        intervals: Of the total register.
        reads: Of the TOU registers.
        permille: Share of the advance that is tolerated.

    Returns:
        Numbers of the intervals, increasing, and the sum of the advances of their TOU registers; (k,) each.
        [micro-unit]
    """
    nothing = np.zeros(0, np.int64)
    if not len(reads.at) or not len(intervals.series):
        return nothing, nothing
    pair = np.flatnonzero(
        (reads.series[1:] == reads.series[:-1]) & (reads.register[1:] == reads.register[:-1])
    )
    advance = advances(reads, pair)
    number = _number(intervals, reads.series[pair], reads.at[pair], reads.at[pair + 1])
    sound = (reads.value[pair] >= 0) & (reads.value[pair + 1] >= 0) & (advance >= 0) & (number >= 0)
    count = len(intervals.series)
    total, step, pairs = (np.zeros(count, np.int64) for _ in range(3))
    np.add.at(total, number[sound], advance[sound])
    np.add.at(step, number[sound], np.maximum(reads.resolution[pair], reads.resolution[pair + 1])[sound])
    np.add.at(pairs, number[sound], 1)
    at_both = [_reads_at(reads, intervals.series, moment) for moment in (intervals.start, intervals.end)]
    judged = intervals.usable & (pairs > 0) & (pairs == at_both[0]) & (pairs == at_both[1])
    tolerance = np.maximum(intervals.tolerance(permille), step + intervals.resolution)
    off = np.flatnonzero(judged & (np.abs(total - intervals.advance) > tolerance))
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
