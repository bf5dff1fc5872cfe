"""The raw records of one slot, the one that holds first, and why it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from models.blocks import NEVER, Blocks, read_blocks, select, single_slots
from models.calendar import utc_text
from models.master import MICROS, MasterData
from models.place import outrank

__all__ = ["received"]


def received(table: pa.Table, master: MasterData, start: int, interval_s: int) -> list[dict[str, Any]]:
    """What was received of a slot, the record that holds first.

    Args:
        table: Rows of RAW_INTERVALS of one meter and channel, with ``fresh``.
        master: Gives the multiplier.
        start: Second of the slot, UTC. [s]
        interval_s: Its length. [s]

    Returns:
        A mapping a record: ``value`` [micro-unit, multiplier applied; None where it holds no reading],
        ``quality`` (ESPI code), ``received_at``, ``sequence``, ``source``, ``unit``, ``scaler``, ``holds``
        and ``why``.
    """
    first = table["start"].to_numpy()
    inside = (first <= start) & ((start - first) % interval_s == 0)
    inside &= table["interval_s"].to_numpy() == interval_s
    near = table.filter(pa.array(inside))
    parts = [(near.slice(i, 1), _slot(near.slice(i, 1), master, start)) for i in range(near.num_rows)]
    parts = [(row, slot) for row, slot in parts if len(slot.start)]
    found = [_record(row, slot) for row, slot in parts]
    if not found:
        return []
    rows = pa.concat_tables([row for row, _ in parts])
    every = _slot(rows, master, start)
    winner = select(every, outrank(every, np.zeros(len(every.start), np.int64))[0])
    best = _order(winner)
    found.sort(key=lambda record: (record["order"] == best, record["order"]), reverse=True)
    why = _why([record["order"] for record in found])
    for record in found:
        record["holds"] = record["order"] == best
        record["why"] = why if record["holds"] else None
        del record["order"]
    return found


def _slot(table: pa.Table, master: MasterData, start: int) -> Blocks:
    """The one slot of each block."""
    slots = single_slots(read_blocks(table, master)[0])
    return select(slots, slots.start == start)


def _order(slot: Blocks) -> tuple[int, ...]:
    """What ranks a reading, most significant first."""
    at = slot.first[0]
    code = 0 if slot.code is None else int(slot.code[at])
    columns = slot.there[at], slot.received[0], slot.sequence[0], slot.micro[at], code, slot.bits[at]
    return tuple(int(each) for each in columns)


RANKED = ("it has a reading", "received last", "the greater sequence", "the greater value",
          "the greater quality code", "the greater record")  # fmt: skip


def _why(orders: list[tuple[int, ...]]) -> str:
    """By what the first record outranks the next different one."""
    rest = [order for order in orders if order != orders[0]]
    if not rest:
        return "the only record" if len(orders) == 1 else "all records are the same"
    return next(told for told, own, other in zip(RANKED, orders[0], rest[0], strict=True) if own != other)


def _record(row: pa.Table, slot: Blocks) -> dict[str, Any]:
    order = _order(slot)
    there, moment, sequence, micro, code, _ = order
    named = row.select(["source", "unit", "scaler"]).to_pylist()[0]
    return {
        "value": micro if there else None,
        "quality": code,
        "received_at": None if moment == NEVER else utc_text(moment // MICROS),
        "sequence": None if sequence < 0 else sequence,
        **named,
        "order": order,
    }
