"""Bills that a finding holds: a rule of severity ``hold-billing`` hit a day of their period (docs/vee.md)."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import day_date, local_midnight
from models.master import MasterData

__all__ = ["HOLDS", "hold_bills", "holds_of"]

HOLDS = pa.schema([("meter_id", pa.string()), ("local_day", pa.int32()), ("rule", pa.string())])


def holds_of(days: pa.Table) -> pa.Table:
    """Days and rules that hold bills, sorted and each once.

    Args:
        days: Rows of the ``days`` table, at least its key and ``findings``.

    Returns:
        ``HOLDS``; ``local_day`` is an epoch day.
    """
    found = days["findings"].combine_chunks()
    found = pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
    items = found.flatten()
    if not len(items):
        return HOLDS.empty_table()
    holding = pc.equal(items.field("severity"), "hold-billing")
    rows = pc.list_parent_indices(found).filter(holding)
    table = pa.table(
        {
            "meter_id": days["meter_id"].cast(pa.string()).take(rows),
            "local_day": days["local_day"].cast(pa.int32()).take(rows),
            "rule": items.field("rule").filter(holding),
        },
        schema=HOLDS,
    )
    distinct = table.group_by(HOLDS.names, use_threads=False).aggregate([])
    return distinct.select(HOLDS.names).sort_by([(name, "ascending") for name in HOLDS.names])


def hold_bills(parts: pa.Table, holds: pa.Table, master: MasterData, zone: str) -> pa.Table:
    """Shares of bills, held where a hold lies on a day of their period.

    Args:
        parts: ``models.bill_run.PARTS``.
        holds: ``HOLDS``.
        master: Tells which service point a meter stood at.
        zone: Time zone of the lake.

    Returns:
        The same rows; held ones without total and lines, with a reason that names rule and day.
    """
    if not holds.num_rows or not parts.num_rows:
        return parts
    of_point: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for meter, day, rule in zip(*(holds[name].to_pylist() for name in HOLDS.names), strict=True):
        start, end = local_midnight(zone, day), local_midnight(zone, day + 1)
        here = {
            s.version.service_point_id for s in master.spans.get(meter, ()) if s.start < end and start < s.end
        }
        for point in here:
            of_point[point].append((day, rule))
    firsts, lasts = (parts[name].cast(pa.int32()).to_pylist() for name in ("period_start", "period_end"))
    points = parts["service_point_id"].to_pylist()
    reasons = [
        next((_reason(*hold) for hold in sorted(of_point.get(point, ())) if first <= hold[0] <= last), None)
        for point, first, last in zip(points, firsts, lasts, strict=True)
    ]
    if not any(reasons):
        return parts
    named = pa.array(reasons, pa.string())
    held = named.is_valid()
    changed = {
        "status": pc.if_else(held, "held", parts["status"]),
        "reason": pc.if_else(held, named, parts["reason"]),
        "total": pc.if_else(held, None, parts["total"]),
        "lines": _emptied(parts["lines"], reasons),
    }
    for name, column in changed.items():
        at = parts.schema.get_field_index(name)
        parts = parts.set_column(at, parts.schema.field(at), column.cast(parts.schema.field(at).type))
    return parts


def _reason(day: int, rule: str) -> str:
    return f"held by the rule {rule} on {day_date(day)}"


def _emptied(lines: pa.ChunkedArray, reasons: list[str | None]) -> pa.Array:
    """Lists of lines, those of held bills empty."""
    kept = [None if reason else i for i, reason in enumerate(reasons)]
    taken = lines.combine_chunks().take(pa.array(kept, pa.int64()))
    return pc.coalesce(taken, pa.array([[]], lines.type)[0])
