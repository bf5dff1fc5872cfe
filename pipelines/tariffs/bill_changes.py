"""Slots of a bill that a correction changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipelines.tariffs.bill_slots import Slot, Slots
from pipelines.tariffs.explain_line import text_of

__all__ = ["slot_changes"]


def slot_changes(former: Slots | None, now: Slots) -> list[dict[str, Any]]:
    """Slots of a service point that differ, before and after."""
    changes = []
    for channel, was, is_ in (
        ("import", former.drawn if former else {}, now.drawn),
        ("export", former.fed if former else {}, now.fed),
    ):
        for second in sorted({*was, *is_}):
            old, new = was.get(second), is_.get(second)
            if old != new:
                start = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%MZ}"
                changes.append(
                    {"channel": channel, "start": start, "before": _slot(old), "after": _slot(new)}
                )
    return changes


def _slot(slot: Slot | None) -> dict[str, Any] | None:
    if slot is None:
        return None
    known = {"meter_id": slot.meter_id, "value": text_of(slot.value)}
    return {**known, "quality": slot.quality, "method": slot.method}
