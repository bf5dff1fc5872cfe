"""Times that are text, or without a zone, as instants; what tells no instant is marked, never guessed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["local_instants", "text_instants"]

Bool = NDArray[np.bool_]
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
