"""An explained slot as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models.finding_text import quantity

__all__ = ["slot_text"]

RULE_OF = {
    "check": "the value of the check channel",
    "linear": "before + (after − before) · {number} / ({of} + 1), the quotient rounded half away",
    "like_day": "the mean of the references, rounded half away",
    "two_week": "the mean of the references, rounded half away",
    "multi_week": "the mean of the references, rounded half away",
    "class_profile": "(the sum of the references / their slots, rounded half away) × 24 × the weight of its "
    "hour / the sum of the weights, of the pack's first shape for the day; rounded half away",
    "previous_year": "the value of the channel of previous years",
    "proxy_day": "the value of the channel of days of like temperature",
    "flat": "the sum of the references / their slots, rounded half away",
    "similar": "the mean of the counted references as moved, rounded half away; not below 0 on a channel "
    "of one direction",
}
"""How each estimator makes a value of its references."""


def slot_text(slot: Mapping[str, Any]) -> str:
    """What ``explain_slot`` found, a fact a line."""
    return "\n".join(_lines(slot)) + "\n"


def _lines(slot: Mapping[str, Any]) -> Iterator[str]:
    def of(micro: int | None) -> str:
        return "none" if micro is None else quantity(micro, slot["unit"])

    result = slot["result"]
    where = f"{slot['meter_id']} {slot['channel']} {slot['start']}"
    yield f"{where}, {slot['interval_s']} s, local day {slot['local_day']}"
    yield f"{of(result['value'])}, {result['quality']}, {result['method']}; rules {slot['pack']}"
    if result["flags"]:
        yield f"flags {', '.join(result['flags'])}"
    stored = slot["stored"]
    same = stored is not None and all(stored[name] == result[name] for name in ("quality", "method"))
    if not same or (stored["value"] or 0) != (result["value"] or 0):
        yield "the lake does not say so yet: its day is still to be computed (backfill --dirty)"
    yield from ("", f"received: {of(result['measured'])}")
    for record in slot["received"]:
        order = f"received {record['received_at'] or 'at no stated time'}, sequence {record['sequence']}"
        mark = f" holds: {record['why']}" if record["holds"] else " superseded"
        yield f"  {of(record['value'])}, quality {record['quality']}, {order}, {record['source']};{mark}"
    for rule in slot["rules"]:
        yield f"rule {rule['rule']} ({rule['severity']}): seen {rule['seen']}, expected {rule['expected']}"
    edit = slot["edit"]
    if edit is not None:
        decided = f"{edit['kind']} {edit['value'] or edit['method'] or ''}".rstrip()
        yield f"edit {edit['edit_id']}: {decided}, by {edit['user']} at {edit['edited_at']}: {edit['reason']}"
    if slot["estimate"] is not None:
        yield from ("", *_estimate(slot["estimate"], of))
    if slot["interval"] is not None:
        yield from ("", *_interval(slot["interval"], of))


def _estimate(estimate: Mapping[str, Any], of: Callable[[int | None], str]) -> Iterator[str]:
    method = estimate["method"]
    yield f"estimate by {method}: {of(estimate['unscaled'])}"
    if method == "register":
        yield f"  mean of {estimate['good_slots']} good slots that sum to {of(estimate['good_total'])}"
        return
    yield f"  slot {estimate['number']} of a gap of {estimate['of']}: {RULE_OF[method].format(**estimate)}"
    for each in estimate["references"]:
        slots = f" in {each['slots']} slots" if each["slots"] > 1 else ""
        told = f"  {each['start']} {of(each['value'])}{slots}"
        if method == "similar":
            told += f", moved to {of(each['moved'])}; distance {of(each['distance'])}, neighbours differ by "
            told += f"{of(each['before'])} and {of(each['after'])}{'' if each['counted'] else '; left out'}"
        yield told


def _interval(interval: Mapping[str, Any], of: Callable[[int | None], str]) -> Iterator[str]:
    yield f"register {of(interval['register_from'])} at {interval['from']}"
    yield f"register {of(interval['register_to'])} at {interval['to']}: advance {of(interval['advance'])}"
    yield f"  actual {of(interval['actual'])}, of it shared slots {of(interval['shared'])}"
    count = len(interval["estimates"])
    moved = "moved to these registers" if interval["tou_registers"] else "unscaled"
    if not count:
        return
    for part in interval["tou_registers"]:
        left = f"left for estimates {of(part['target'])}"
        yield f"  register {part['tou_register']}: advance {of(part['advance'])}, {left}"
    total = of(interval["unscaled_total"])
    yield f"  left for {count} estimates {of(interval['target'])}; {moved} they sum to {total}"
    scaling = interval["scaling"]
    if scaling is None:
        yield "  nothing is scaled here" if interval["target"] < 0 else "  this slot is none of them"
    else:
        factor = scaling["factor"] or f"{interval['target']}/{count} micro-units each, spread evenly"
        yield f"  scale factor {factor}, rounded down to micro-units"
        spare, rank = scaling["units_left"], scaling["rank"]
        yield f"  {spare} left over, one each by remainder: this slot is number {rank}"
