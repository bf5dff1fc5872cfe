"""Rows against scopes: which rows of a table lie on days that were computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from models.assemble import Name
from models.blocks import codes_of, series_of
from models.dirty import Days, merge
from models.feature_run import monday
from models.series import Bool, Int
from models.shard_run import WHOLE_METER
from models.shard_scope import Scope

__all__ = ["in_scope", "weeks_of", "whole_rows"]

_WIDTH = 1 << 32
_MIDDLE = 1 << 31


def in_scope(rows: pa.Table, day: str, scope: Mapping[Name, Sequence[Days]]) -> Bool:
    """Rows whose meter, channel and day are in scope; shape (n,).

    Args:
        rows: With ``meter_id``, a date column ``day``, and ``channel`` or none: then any channel counts.
        day: Name of the date column.
        scope: Days of each series.
    """
    by_channel = "channel" in rows.schema.names
    ranges: dict[tuple[str, ...], list[Days]] = {}
    for name, days in scope.items():
        ranges.setdefault(name if by_channel else name[:1], []).extend(days)
    number = {name: i for i, name in enumerate(sorted(ranges))}
    joined = [(number[name], *span) for name, days in sorted(ranges.items()) for span in merge(days)]
    if not joined or not rows.num_rows:
        return np.zeros(rows.num_rows, np.bool_)
    of, first, last = np.array(joined, np.int64).T
    starts, ends = of * _WIDTH + first + _MIDDLE, of * _WIDTH + last + _MIDDLE
    series, names = series_of(rows) if by_channel else _meters_of(rows)
    mine = np.array([number.get(name, -1) for name in names], np.int64)[series]
    keys = mine * _WIDTH + rows[day].cast(pa.int32()).to_numpy() + _MIDDLE
    at = np.searchsorted(starts, keys, side="right") - 1
    inside: Bool = (mine >= 0) & (at >= 0) & (keys <= ends[np.maximum(at, 0)])
    return inside


def _meters_of(rows: pa.Table) -> tuple[Int, list[tuple[str]]]:
    meter, meters = codes_of(rows["meter_id"])
    return meter, [(name,) for name in meters]


def whole_rows(rows: pa.Table, since: int) -> Bool:
    """Day rows of findings about a meter as a whole, on a day from ``since`` on; shape (n,)."""
    code, channels = codes_of(rows["channel"])
    whole = np.array([channel == WHOLE_METER for channel in channels], np.bool_)[code]
    found: Bool = whole & (rows["local_day"].cast(pa.int32()).to_numpy() >= since)
    return found


def weeks_of(scope: Mapping[Name, Sequence[Days]]) -> Scope:
    """The Mondays of the weeks that hold the days in scope."""
    return {name: merge((monday(first), last) for first, last in days) for name, days in scope.items()}
