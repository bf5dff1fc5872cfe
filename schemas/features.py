"""The ``features`` table: a row a (meter, channel, ISO week), all that detection ever reads of the slots."""

from __future__ import annotations

import pyarrow as pa

from schemas.lake import LakeTable, register

__all__ = ["FEATURES", "LISTS", "SCALARS"]

SCALARS: dict[str, pa.DataType] = {
    "slots": pa.int32(),
    "missing": pa.int32(),
    "negatives": pa.int32(),
    "near_peak": pa.int32(),
    "squares": pa.int64(),
    "lagged": pa.int64(),
    "variation": pa.int64(),
}
"""Values are as measured, never estimated.

slots: in range. missing: of these, without a value. negatives: with a value below zero. near_peak:
slots within 2 % of the week's highest. squares: Σ v², with v in whole thousandths, rounded down, at
most 30 million either way. Over neighbouring slots of a local day that both have a value:
variation = Σ |v − v′| [thousandths], lagged = Σ v·v′ [thousandths²]."""

_INTS = pa.list_(pa.int64())
_SMALL = pa.list_(pa.int32())
LISTS: dict[str, tuple[int, pa.DataType]] = {
    "day_total": (7, _INTS),
    "day_max": (7, _INTS),
    "day_min": (7, _INTS),
    "day_slots": (7, _SMALL),
    "day_missing": (7, _SMALL),
    "day_zeros": (7, _SMALL),
    "day_lone": (7, _SMALL),
    "day_hash": (7, _INTS),
    "hours": (24, _INTS),
    "late": (24, _INTS),
    "parts": (84, _SMALL),
}
"""Length and type of each list column. Days Monday to Sunday, 0 for days out of range [micro]; day_hash
is equal for equal days and 0 for a day of zeros; day_lone: zeros between two slots of the day above zero.
hours: sums by wall-clock hour, late: of these the slots that begin in its second half [micro]. parts: sums
by day and two hours of the wall clock, in whole thousandths, rounded down, cut to what 32 bits hold."""

FEATURES = register(
    LakeTable(
        "features",
        "versioned",
        pa.schema(
            [
                ("meter_id", pa.string()),
                ("channel", pa.string()),
                ("week", pa.date32()),
                ("interval_s", pa.int32()),
                *SCALARS.items(),
                *((name, type_) for name, (_, type_) in LISTS.items()),
            ]
        ),
        ("meter_id", "channel", "week"),
        (
            "squares",
            "lagged",
            "variation",
            "day_hash.list.element",
            "day_total.list.element",
            "parts.list.element",
        ),
    )
)
