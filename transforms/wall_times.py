"""Times that are text, or without a zone, as instants; what tells no instant is marked, never guessed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["local_instants", "repeated_instants", "text_instants", "text_walls"]

Bool = NDArray[np.bool_]
DAY_MICROS = 86_400_000_000
_OFFSET = r"\d[T ]\d.*(Z|[+-]\d\d(:?\d\d)?)$"
_HOURS = r"([+-]\d\d)$"


def text_instants(text: pa.Array, zone: str | None) -> tuple[pa.Array, Bool]:
    """Texts of ISO 8601 as microseconds since 1970 in UTC.

    Args:
        text: Strings, shape (n,); nulls stay nulls.
        zone: Zone of those without an offset; None: they tell no instant.

    Returns:
        int64, shape (n,) [µs], null where a row is bad, and the bad rows, shape (n,).
    """
    stated = text.is_valid().to_numpy(zero_copy_only=False)
    zoned = pc.fill_null(pc.match_substring_regex(text, _OFFSET), False).to_numpy(zero_copy_only=False)
    micros, good = np.zeros(len(text), np.int64), np.zeros(len(text), np.bool_)
    at = np.flatnonzero(zoned)
    full = pc.replace_substring_regex(text.take(pa.array(at)), _HOURS, r"\1:00")
    _put(micros, good, at, _parsed(full, pa.timestamp("us", "UTC")).cast(pa.int64()))
    if zone is not None:
        at = np.flatnonzero(stated & ~zoned)
        found, bad = local_instants(_parsed(text.take(pa.array(at)), pa.timestamp("us")), zone)
        _put(micros, good, at[~bad], found.filter(pa.array(~bad)))
    return pa.array(micros, mask=~good), stated & ~good


def local_instants(wall: pa.Array, zone: str) -> tuple[pa.Array, Bool]:
    """What a clock on the wall shows, as microseconds since 1970 in UTC.

    Args:
        wall: Timestamps without a zone, or their microseconds as int64, shape (n,).
        zone: IANA name of the clock's zone.

    Returns:
        int64, shape (n,) [µs], null where a row is bad, and the bad rows: what the clock shows twice or
        never.
    """
    stamps = wall.cast(pa.timestamp("us"))
    first, last = (
        pc.assume_timezone(stamps, zone, ambiguous=which, nonexistent=which).cast(pa.int64())
        for which in ("earliest", "latest")
    )
    once: Bool = pc.fill_null(pc.equal(first, last), True).to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(once), first, pa.scalar(None, pa.int64())), ~once


def text_walls(text: pa.Array) -> pa.Array:
    """What texts of ISO 8601 without an offset show, as microseconds; null for any other; shape (n,)."""
    zoned = pc.fill_null(pc.match_substring_regex(text, _OFFSET), True)
    return _parsed(pc.if_else(zoned, pa.scalar(None, text.type), text), pa.timestamp("us")).cast(pa.int64())


def repeated_instants(
    wall: pa.Array, zone: str, series: NDArray[np.int64], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times of the hours that a clock shows twice, told apart by their order.

    Where the times of a series within one such night go back exactly once, those before are of the first
    pass and those after of the second. Otherwise (one pass only, or no order) nothing is told.

    Args:
        wall: What the clock shows, int64, null where nothing, shape (n,). [µs]
        zone: IANA name of the clock's zone.
        series: Number of the series of each row, shape (n,).
        order: What puts the rows of a series in order, shape (n,).

    Returns:
        Rows that were told, and their instants [µs, UTC]; (k,) each.
    """
    stamps = wall.cast(pa.timestamp("us"))
    first, last = (
        pc.assume_timezone(stamps, zone, ambiguous=which, nonexistent=which)
        for which in ("earliest", "latest")
    )
    shown = pc.equal(pc.local_timestamp(first), stamps)
    twice = pc.fill_null(pc.and_(shown, pc.not_equal(first, last)), False)
    rows = np.flatnonzero(twice.to_numpy(zero_copy_only=False))
    at = wall.take(pa.array(rows)).to_numpy(zero_copy_only=False)
    night = series[rows] * (1 << 20) + at // DAY_MICROS
    by = np.lexsort((order[rows], night))
    rows, at, night = rows[by], at[by], night[by]
    new = np.append(True, night[1:] != night[:-1])[: len(rows)]
    back = np.append(False, at[1:] <= at[:-1])[: len(rows)] & ~new
    group = np.cumsum(new) - 1
    passes = np.cumsum(back)
    passes = passes - passes[np.flatnonzero(new)][group]
    told = np.bincount(group, back)[group] == 1
    picked = pc.if_else(pa.array(passes == 1), last.take(pa.array(rows)), first.take(pa.array(rows)))
    return rows[told], picked.cast(pa.int64()).to_numpy(zero_copy_only=False)[told]


def _put(micros: NDArray[np.int64], good: Bool, at: NDArray[np.int64], found: pa.Array) -> None:
    valid = found.is_valid().to_numpy(zero_copy_only=False)
    micros[at[valid]] = found.drop_null().to_numpy()
    good[at[valid]] = True


def _parsed(text: pa.Array, kind: pa.DataType) -> pa.Array:
    """Timestamps; null where a text is none. What becomes of a text does not depend on those beside it."""
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return pa.nulls(1, kind)
        half = len(text) // 2
        return pa.concat_arrays([_parsed(text.slice(0, half), kind), _parsed(text.slice(half), kind)])
