"""One bill an account, bill group and period, from the shares of its service points."""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import day_date
from schemas.lake import BILLS

__all__ = ["bill_id", "merge_account_bills"]

AT_ONCE = 1 << 14
"""Shares of bills that are sorted and merged at once, about: bounds memory."""


def merge_account_bills(parts: pa.Table) -> pa.Table:
    """One bill per (account, bill group, period start) from the shares of its service points.

    Args:
        parts: ``PARTS``, any order.

    Returns:
        Content of the ``bills`` table.
    """
    if not parts.num_rows:
        return BILLS.content.empty_table()
    accounts = pc.unique(parts["account_id"]).sort()
    place = pc.index_in(parts["account_id"], value_set=accounts).to_numpy().astype(np.int64)
    batch = place * -(-parts.num_rows // AT_ONCE) // len(accounts)
    merged = [_merge(parts.filter(pa.array(batch == number))) for number in np.unique(batch)]
    return pa.concat_tables(merged)


def _merge(parts: pa.Table) -> pa.Table:
    """Bills of whole accounts, in the order of their names."""
    order = [(name, "ascending") for name in ("account_id", "group", "period_start", "service_point_id")]
    parts = parts.sort_by(order).combine_chunks()
    keys = list(
        zip(
            parts["account_id"].to_pylist(),
            parts["group"].to_pylist(),
            parts["period_start"].cast(pa.int32()).to_pylist(),
            strict=True,
        )
    )
    heads = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    share = parts["estimated"].to_numpy() / np.maximum(parts["slots"].to_numpy(), 1)
    parts = parts.set_column(
        parts.schema.get_field_index("estimated_share"), "estimated_share", pa.array(share, pa.float64())
    ).append_column("bill_id", pa.array([bill_id(*key) for key in keys], pa.string()))
    if len(heads) == len(keys):
        return parts.select(BILLS.content.names).cast(BILLS.content)
    ends = [*heads[1:], len(keys)]
    alone = [head for head, end in zip(heads, ends, strict=True) if end - head == 1]
    shared = [
        _merged(parts.slice(head, end - head).to_pylist())
        for head, end in zip(heads, ends, strict=True)
        if end - head > 1
    ]
    merged = pa.Table.from_pylist(shared, schema=BILLS.content)
    single = parts.take(pa.array(alone, pa.int64())).select(BILLS.content.names)
    return pa.concat_tables([single.cast(BILLS.content), merged]).sort_by("bill_id")


def bill_id(account: str, group: str, period_start: int) -> str:
    """Stable id of a bill: 16 hex digits of blake2b over its account, bill group and period start."""
    text = f"{account}\x00{group}\x00{day_date(period_start).isoformat()}"
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _merged(shares: list[dict[str, Any]]) -> dict[str, Any]:
    """A bill of several service points; held when one of them is, or where their money does not add up."""
    held = [share for share in shares if share["status"] == "held"]
    money = {s["currency"]: s["service_point_id"] for s in shares if s["currency"] is not None}
    reasons = [f"{share['service_point_id']}: {share['reason']}" for share in held]
    if len(money) > 1:
        said = ", ".join(f"{point} in {currency}" for currency, point in sorted(money.items()))
        reasons.append(f"service points of one bill in several currencies: {said}, expected one currency")
    states = {s["service_point_id"]: json.loads(s["state"]) for s in shares if s["state"] is not None}
    lines = [] if reasons else [line for share in shares for line in share["lines"]]
    slots, estimated = (sum(int(share[name]) for share in shares) for name in ("slots", "estimated"))
    return {
        **shares[0],
        "period_end": max(share["period_end"] for share in shares),
        "status": "held" if reasons else "active",
        "currency": next(iter(money)) if len(money) == 1 else None,
        "total": None if reasons else sum((share["total"] for share in shares), Decimal(0)),
        "estimated_share": estimated / max(slots, 1),
        "reason": "; ".join(reasons),
        "state": json.dumps(states) if states else None,
        "lines": [{**line, "line": i} for i, line in enumerate(lines, 1)],
    }
