"""The ``features`` table: a row a (meter, channel, ISO week), all that detection ever reads of the slots."""

from __future__ import annotations

import pyarrow as pa

from schemas.lake import LakeTable, register

__all__ = ["BLOCKS_A_DAY", "FEATURES", "LISTS", "QUANTILES", "SCALARS"]

BLOCKS_A_DAY = 12
"""Blocks of two wall-clock hours."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

SCALARS: dict[str, pa.DataType] = {
    "slots": pa.int32(),
    "missing": pa.int32(),
    "zeros": pa.int32(),
    "negatives": pa.int32(),
    "negative_sum": pa.int64(),
    "pairs": pa.int32(),
    "squares": pa.int64(),
    "lagged": pa.int64(),
    "variation": pa.int64(),
    "near_peak": pa.int32(),
    "zero_run": pa.int32(),
    "zero_run_start": pa.int32(),
    "flat_run": pa.int32(),
    "flat_run_start": pa.int32(),
    "flat_value": pa.int64(),
    "first": pa.int64(),
    "last": pa.int64(),
    "head": pa.int32(),
    "tail": pa.int32(),
    "dips": pa.int32(),
    "dip_depth": pa.int64(),
    "peak_slot": pa.int32(),
    "peak_gap": pa.int32(),
}
"""Values are as measured, never estimated. Slots are numbered from the first slot of the week's Monday.

slots: in range. missing: of these, without a value. zeros, negatives: with that value; negative_sum
their sum [micro]. pairs: neighbouring slots that both have a value; over these variation = Σ |v − v′|
[thousandths], lagged = Σ v·v′, and squares = Σ v² over all values [thousandths²] (v in whole thousandths,
rounded down, at most 30 million either way). near_peak: slots within 2 % of the week's highest.
zero_run, flat_run: longest run of at least 8 zeros, of at least 9 equal values that are not zero
(flat_value [micro]), and where it starts; 0 and −1 where there is none. first, last: value of the week's
first and last slot, head, tail: how many slots from there hold it (0: none, or the day is out of range).
dips: zeros between two values that are not, dip_depth: Σ of the lesser neighbour [thousandths].
peak_slot: the highest value, peak_gap: slots without a value or zero just before it."""

_INTS = pa.list_(pa.int64())
_SMALL = pa.list_(pa.int32())
LISTS: dict[str, tuple[int, pa.DataType]] = {
    "day_total": (7, _INTS),
    "day_max": (7, _INTS),
    "day_min": (7, _INTS),
    "day_slots": (7, _SMALL),
    "day_missing": (7, _SMALL),
    "day_zeros": (7, _SMALL),
    "day_hash": (7, _INTS),
    "hours": (24, _INTS),
    "hour_slots": (24, _SMALL),
    "blocks": (7 * BLOCKS_A_DAY, pa.list_(pa.int32())),
    "quantiles": (len(QUANTILES), _INTS),
}
"""Length and type of each list column. Days Monday to Sunday, 0 for days out of range [micro]; day_hash
is equal for equal days and 0 for a day of zeros. hours: sums by wall-clock hour, hour_slots the values
they hold. blocks: sums by day and two hours [thousandths]. quantiles: of the sums of whole hours."""

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
    )
)
