"""Received ``PriceSignal`` records as the price series that bills are priced by."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from models.bill_prices import PriceSeries, series_of
from models.blocks import NEVER
from models.calendar import local_days

__all__ = ["price_series", "priced_days"]

MICROS = 1_000_000
STEP = Decimal("1E-12")
"""Prices hold to this many decimals, as the view ``prices`` shows them."""
WIDE = Context(prec=400, rounding=ROUND_HALF_UP)
"""Wide enough for the greatest number a double can write."""


def price_series(rows: pa.Table) -> dict[str, PriceSeries]:
    """Series by id, of each start the price that holds (SEMANTICS, Which record holds).

    Args:
        rows: ``RAW_PRICES``, any order. A price holds for its ``interval_s``, and not into the next one.
    """
    held: dict[str, dict[int, tuple[Any, ...]]] = {}
    for row in rows.to_pylist():
        mine = held.setdefault(row["series_id"], {})
        entry = _order(row)
        mine[row["start"]] = max(mine.get(row["start"], entry), entry)
    found = {}
    for name, by in held.items():
        content = [dict(by[start][-1]) for start in sorted(by)]
        found[name] = series_of(
            [
                (-(-row["start"] // MICROS), row["interval_s"], _exact(row["price"]), row["currency"])
                for row in content
            ]
        )
    return found


def priced_days(rows: pa.Table, zone: str) -> list[tuple[str, int, int]]:
    """(series, first, last epoch day) on which prices of ``RAW_PRICES`` are in force."""
    found = []
    for name in sorted(set(rows["series_id"].to_pylist())):
        mine = rows.filter(pa.compute.equal(rows["series_id"], name))
        starts = mine["start"].to_numpy() // MICROS
        ends = starts + mine["interval_s"].to_numpy()
        first, last = local_days(zone, np.array([starts.min(), ends.max()], np.int64)).tolist()
        found.append((name, first, last))
    return found


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    """(received_at or −∞, sequence or −1, price, canonical content, content): the greatest holds."""
    received, sequence = row["received_at"], row["sequence"]
    content = [(key, row[key]) for key in ("currency", "interval_s", "price", "series_id", "start")]
    return (
        NEVER if received is None else received,
        -1 if sequence is None else sequence,
        _exact(row["price"]),
        tuple(repr(value) for _, value in content),
        tuple(content),
    )


def _exact(text: str) -> Decimal:
    return Decimal(text).quantize(STEP, context=WIDE).normalize(WIDE)
