"""Days of raw records that the results of some days rest on, by the register reads that are really there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from models.assemble import Name
from models.calendar import local_days
from models.dirty import Days
from models.master import MasterData
from models.reads import read_registers

__all__ = ["reach_windows"]

WEEK = 6
"""Features are made of whole weeks: these days may follow the last one in scope."""


def reach_windows(
    scope: Mapping[Name, Sequence[Days]],
    registers: pa.Table,
    master: MasterData,
    zone: str,
    *,
    back: int,
    longest: int,
) -> dict[Name, Days]:
    """First and last epoch day that the days in scope of each series may look at.

    That is ``back`` days before and one after the days in scope, the same around every day of a read interval
    that may hold one of them, and the rest of the last week. A day that begins with a read is taken to touch
    both intervals.

    Args:
        scope: Sorted disjoint days of each series.
        registers: RAW_REGISTERS.
        master: Versions in force: they tell which reads can be used.
        zone: Time zone of the lake.
        back: Days that a result looks back.
        longest: Longest usable read interval. [days]
    """
    names = [name for name, days in scope.items() if days]
    reads = read_registers(registers, master, {(*name, -1): row for row, name in enumerate(names)})
    sound = (reads.value >= 0) & ((reads.modulus == 0) | (reads.value < reads.modulus))
    series, day = reads.series[sound], local_days(zone, reads.at[sound])
    bounds = np.searchsorted(series, np.arange(len(names) + 1)).tolist()
    found: dict[Name, Days] = {}
    for row, name in enumerate(names):
        first, last = scope[name][0][0], scope[name][-1][1]
        mine = day[bounds[row] : bounds[row + 1]]
        before = mine[np.searchsorted(mine, first) - 1] if len(mine) and mine[0] < first else first
        at = int(np.searchsorted(mine, last, side="right"))
        after = mine[at] if at < len(mine) else last
        low = int(before) if first - before <= longest + 1 else first
        high = int(after) if after - last <= longest + 1 else last
        found[name] = low - back, max(high + 1, last + WEEK)
    return found
