"""Rows against scopes: which rows of a table lie on days that were computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from models.assemble import Name
from models.dirty import Days, merge
from models.feature_run import monday
from models.series import Bool
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
    columns = [rows["meter_id"], rows["channel"]] if by_channel else [rows["meter_id"]]
    names = zip(*(column.cast(pa.string()).to_pylist() for column in columns), strict=True)
    mine = np.fromiter((number.get(name, -1) for name in names), np.int64, rows.num_rows)
    keys = mine * _WIDTH + rows[day].cast(pa.int32()).to_numpy() + _MIDDLE
    at = np.searchsorted(starts, keys, side="right") - 1
    inside: Bool = (mine >= 0) & (at >= 0) & (keys <= ends[np.maximum(at, 0)])
    return inside


def whole_rows(rows: pa.Table, since: int) -> Bool:
    """Day rows of findings about a meter as a whole, on a day from ``since`` on; shape (n,)."""
    channels = rows["channel"].cast(pa.string()).to_numpy(zero_copy_only=False)
    found: Bool = (channels == WHOLE_METER) & (rows["local_day"].cast(pa.int32()).to_numpy() >= since)
    return found


def weeks_of(scope: Mapping[Name, Sequence[Days]]) -> Scope:
    """The Mondays of the weeks that hold the days in scope."""
    return {name: merge((monday(first), last) for first, last in days) for name, days in scope.items()}
