"""Edits: a person's decisions on ranges of slots, that the kernels keep (docs/vee.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.blocks import NEVER
from models.calendar import DayGrid
from models.master import MICROS
from models.pack_days import PackDays
from models.series import Bool, Int, SeriesFacts, SeriesResult
from models.vee import validate_and_estimate
from schemas.quality import SCALED, Flag, Method, Quality
from schemas.rulepack import RulePack

Name = tuple[str, str]
KINDS = ("set", "estimate", "accept", "reject", "revoke")
ANY_METHOD = -1
"""An edit asks for an estimate by the pack's own order."""


@dataclass(frozen=True)
class Edit:
    """An edit in force.

    Attributes:
        kind: One of ``KINDS`` but revoke.
        name: (meter, channel).
        start, end: Slots that start at or after ``start`` and before ``end``, UTC. [µs]
        value: For set; in the billing unit of the channel. [micro-unit]
        method: For estimate; a ``Method``, or ``ANY_METHOD``.
    """

    kind: str
    name: Name
    start: int
    end: int
    value: int
    method: int


def edits_in_force(table: pa.Table | None) -> dict[Name, list[Edit]]:
    """Edits that hold and are not revoked, by series, the later decision last.

    Of each edit_id the record with the greatest (received_at, sequence, content) holds; a revoke that holds
    takes its edit away. Decisions are ordered by (edited_at, edit_id).
    """
    if table is None or not table.num_rows:
        return {}
    found: dict[Name, list[Edit]] = {}
    for row in edit_records(table):
        edit = _edit(row)
        found.setdefault(edit.name, []).append(edit)
    return found


def edit_records(table: pa.Table) -> list[dict[str, Any]]:
    """Rows of RAW_EDITS that hold and are not revoked, the later decision last."""
    held: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    for row in table.to_pylist():
        order = _order(row)
        if row["edit_id"] not in held or held[row["edit_id"]][0] < order:
            held[row["edit_id"]] = order, row
    standing = (row for _, row in held.values() if row["kind"] in KINDS[:-1])
    return sorted(standing, key=lambda row: (row["edited_at"], row["edit_id"]))


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    content = repr(
        sorted(
            (k, repr(v)) for k, v in row.items() if k not in ("source", "received_at", "sequence", "fresh")
        )
    )
    received, sequence = row["received_at"], row["sequence"]
    return NEVER if received is None else received, -1 if sequence is None else sequence, content


def _edit(row: dict[str, Any]) -> Edit:
    method = Method[row["method"].upper()] if row["method"] else ANY_METHOD
    value = int((Decimal(row["value"]) * MICROS).to_integral_value()) if row["value"] is not None else 0
    return Edit(row["kind"], (row["meter_id"], row["channel"]), row["from"], row["to"], value, method)


@dataclass(frozen=True)
class SlotEdits:
    """What edits decide on the slots of one group; (n, slots) each.

    Attributes:
        value: Of slots that are set. [micro-unit]
        put: Slots that are set.
        kept: Slots that are accepted as received.
        dropped: Slots whose value is rejected, or estimated anew.
        method: The estimator asked for, 0 = none, ``ANY_METHOD`` = the pack's order.
    """

    value: Int
    put: Bool
    kept: Bool
    dropped: Bool
    method: NDArray[np.int8]


def slot_edits(edits: Mapping[Name, list[Edit]], names: Iterable[Name], grid: DayGrid) -> SlotEdits | None:
    """Edits on the slots of a grid, the later decision over the earlier; None where none applies."""
    rows = [(row, edit) for row, name in enumerate(names) for edit in edits.get(name, ())]
    if not rows:
        return None
    shape = 1 + max(row for row, _ in rows), grid.slots
    never = np.zeros(shape, np.bool_)
    value, method = np.zeros(shape, np.int64), np.zeros(shape, np.int8)
    made = SlotEdits(value=value, put=never, kept=never.copy(), dropped=never.copy(), method=method)
    for row, edit in rows:
        first, last = (
            int(np.clip(-(-(moment - grid.origin * MICROS) // (grid.interval_s * MICROS)), 0, grid.slots))
            for moment in (edit.start, edit.end)
        )
        here = row, slice(first, last)
        made.put[here], made.kept[here] = edit.kind == "set", edit.kind == "accept"
        made.dropped[here] = edit.kind in ("reject", "estimate")
        made.method[here] = edit.method if edit.kind == "estimate" else 0
        made.value[here] = edit.value if edit.kind == "set" else 0
    return made if (made.put | made.kept | made.dropped).any() else None


def validate_with_edits(
    facts: SeriesFacts, edits: SlotEdits | None, rules: RulePack | PackDays
) -> SeriesResult:
    """The result of n series with a person's decisions in force.

    A set or accepted value is what holds: no rule judges it, no register moves it, sums count it, and it is
    no reference. A rejected value is absent, as if it had never come, and is estimated like any other.

    Args:
        facts: As received; shape (n, slots). Not changed.
        edits: Of the first rows; the others have none.
        rules: The pack in force, or those of each series and day.
    """
    if edits is None:
        return validate_and_estimate(facts, rules)
    edits = _in_range(edits, facts)
    changed = with_edits(facts, edits)
    result = validate_and_estimate(changed, rules)
    assert changed.edited is not None
    _mark(facts, edits, result, changed.edited)
    return result


def with_edits(facts: SeriesFacts, edits: SlotEdits | None) -> SeriesFacts:
    """The facts as edits leave them for the rules and estimators; the same where there are none."""
    if edits is None:
        return facts
    edits = _in_range(edits, facts)
    rows = slice(0, len(edits.put))
    kept = edits.kept & facts.have[rows]
    decided = edits.put | kept
    value, have = facts.value.copy(), facts.have.copy()
    value[rows] = np.where(edits.put, edits.value, np.where(edits.dropped, 0, value[rows]))
    have[rows] = (have[rows] | edits.put) & ~edits.dropped
    edited, external = np.zeros_like(have), np.zeros_like(have)
    edited[rows] = decided
    if facts.external is not None:
        external |= facts.external
        external[rows] &= ~edits.dropped
    external |= edited
    forced = np.zeros(have.shape, np.int8)
    forced[rows] = edits.method
    return replace(facts, value=value, have=have, external=external, edited=edited, forced=forced)


def _in_range(edits: SlotEdits, facts: SeriesFacts) -> SlotEdits:
    """Edits from a series' first day on: before it there is nothing to decide, and nothing may follow.

    Days that have not closed count, as what was received of them does: the day before looks at them.
    """
    rows = slice(0, len(edits.put))
    begun = facts.expected[rows] | np.logical_or.reduceat(facts.have[rows], facts.grid.offsets[:-1], axis=1)
    inside = np.repeat(np.logical_or.accumulate(begun, axis=1), facts.grid.lengths, axis=1)
    if facts.unserved is not None:
        inside &= ~facts.unserved[rows]
    decided = {name: getattr(edits, name) & inside for name in ("put", "kept", "dropped")}
    return replace(edits, **decided, method=np.where(inside, edits.method, 0))


def _mark(facts: SeriesFacts, edits: SlotEdits, result: SeriesResult, edited: Bool) -> None:
    """Say what was decided and what had a value before; in place."""
    rows = slice(0, len(edits.put))
    theirs = np.zeros_like(edited) if facts.external is None else facts.external
    result.quality[edited] = Quality.EDITED
    result.method[edited] = Method.NONE
    result.method[rows][edits.put] = Method.MANUAL
    result.flags[edited & ~theirs] &= ~Flag.EXTERNAL.value
    had = edits.dropped & facts.have[rows]
    made = had & (result.method[rows] % SCALED != Method.NONE) & (result.method[rows] != Method.ZERO)
    result.quality[rows][made] = Quality.SUBSTITUTED
    lost = had & (result.quality[rows] == Quality.MISSING)
    result.quality[rows][lost] = Quality.FAILED
    result.value[rows][lost] = facts.value[rows][lost]
