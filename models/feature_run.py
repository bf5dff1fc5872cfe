"""Features of the weeks a shard run touches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from models.calendar import day_grid
from models.days import per_day
from models.features import MONDAY_OF_EPOCH, ROW, WEEK, WEEK_OF, feature_rows, week_features
from models.shard_run import Computed


def monday(day: int) -> int:
    """Epoch day of the Monday of a day's ISO week."""
    return day - (day + MONDAY_OF_EPOCH) % WEEK


def touched_weeks(computed: Computed, last_closed: int) -> pa.Table | None:
    """Rows of the ``features`` table for every week with a day that was asked for; None where there is none.

    Whether that day is expected plays no part: it may have left the range, and the week is another now.
    Measured values of expected, closed days that are wholly in service; head-end estimates are no
    measurements.
    """
    facts, grid = computed.group.facts, computed.group.facts.grid
    first = monday(grid.first_day)
    wanted = np.full((facts.count, (grid.last_day - first) // WEEK + 1), computed.asked is None)
    for series, ranges in enumerate(computed.asked or ()):
        for low, high in ranges:
            wanted[series, max((low - first) // WEEK, 0) : max((high - first) // WEEK + 1, 0)] = True
    weeks = np.flatnonzero(wanted.any(axis=0))
    if not len(weeks):
        return None
    from_day = max(first + WEEK * int(weeks[0]), grid.first_day) - grid.first_day
    to_day = min(first + WEEK * int(weeks[-1] + 1), grid.last_day + 1, last_closed + 1) - grid.first_day
    if to_day <= from_day:
        return None
    cut = day_grid(grid.zone, grid.interval_s, grid.first_day + from_day, to_day - from_day)
    days, slots = slice(from_day, to_day), slice(grid.offsets[from_day], grid.offsets[to_day])
    have = facts.have[:, slots]
    if facts.external is not None:
        have = have & ~facts.external[:, slots]
    expected = facts.expected[:, days] & ~facts.instantaneous[:, None]
    if facts.unserved is not None:
        expected &= ~per_day(np.logical_or.reduce, facts.unserved[:, slots], cut)
    features = week_features(facts.value[:, slots], have, cut, expected=expected)
    chosen = wanted[features[ROW], (features[WEEK_OF] - first) // WEEK]
    if not chosen.any():
        return None
    kept = {name: column[chosen] for name, column in features.items()}
    return feature_rows(kept, computed.group.names, grid.interval_s)
