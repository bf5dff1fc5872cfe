"""What speaks against theft: the other things that make a meter's use fall or look strange."""

from __future__ import annotations

import numpy as np

from models.calendar import day_date
from models.comparison import Comparison, Place, Scored
from models.day_profile import day_profile
from models.device_events import DeviceEvents, outages
from models.faults import Fault
from models.week_table import WEEK
from models.weekly_features import Float

__all__ = ["against"]

VACANT = 1.3
"""Use after a change, in base loads before it, up to which a home is called vacant."""
NEAR_WEEKS = 3
"""Weeks between a change and the first export, up to which a new roof may explain it."""
SUNNY = slice(5, 8)
"""The two-hour parts of a day from 10 to 16 o'clock."""
DIMMED, KEPT = 0.6, 0.85
"""A roof without an export channel: midday fell below the one, night and evening stayed above the other."""


def against(found: Comparison, places: dict[str, Place], events: DeviceEvents) -> list[str]:
    """What speaks against theft, of each meter of the theft population."""
    faults: dict[int, list[Fault]] = {}
    for fault in found.faults:
        faults.setdefault(fault.meter, []).append(fault)
    texts = []
    for at, customer in enumerate(found.kept.tolist()):
        parts = [f"fault {fault.fault}: {fault.evidence}" for fault in faults.get(customer, [])[:2]]
        meter = found.customers[customer]
        place = places.get(meter)
        if place is not None and place.since > found.first_day:
            parts.append(f"new customer or contract since {day_date(place.since)}")
        if place is not None and place.status != "active":
            parts.append(f"service point is {place.status}")
        if found.scored is not None and found.scored.change.since[at] >= 0:
            parts += _explained(found.scored, at, meter, events)
        texts.append("; ".join(parts))
    return texts


def _explained(scored: Scored, row: int, meter: str, events: DeviceEvents) -> list[str]:
    """What else would make a meter change as it did."""
    parts = []
    since = int(scored.change.since[row])
    day = int(scored.table.weeks[since // WEEK]) + since % WEEK
    export = scored.exports.week.get(meter)
    first = int(scored.table.weeks[0])
    if export is not None and export > first and abs(export - day) <= NEAR_WEEKS * WEEK:
        parts.append(f"feeds in since the week of {day_date(export)}: new solar")
    elif _midday_dip(scored, row, since):
        parts.append("only the hours from 10 to 16 fell: solar behind the meter would look so")
    if _vacant(scored, row, since):
        parts.append("what is left is its former base load: the home may stand empty")
    down = outages(events.get(meter, ()), day)
    if down:
        parts.append(f"{down} power-down events within two weeks of the change")
    return parts


def _midday_dip(scored: Scored, row: int, since: int) -> bool:
    before, after = day_profile(scored.table, row, since)
    if before is None or after is None:
        return False
    rest = np.ones(len(before), np.bool_)
    rest[2:9] = False  # from 4 to 18 o'clock a roof may show
    shares = after / np.maximum(before, 1e-9)
    sunny = float(after[SUNNY].sum() / max(before[SUNNY].sum(), 1e-9))
    return sunny < DIMMED and float(np.median(shares[rest])) > KEPT


def _vacant(scored: Scored, row: int, since: int) -> bool:
    """Whether the use after the change is the base load before it, day after day."""
    table = scored.table
    have = table.days("day_have")[row]
    known = have > 0
    before, after = known.copy(), known.copy()
    before[since:], after[:since] = False, False
    mean: Float = table.days("day_total")[row] / np.maximum(have, 1)
    low: Float = table.days("day_min")[row].astype(np.float64)
    if not before.any() or not after.any():
        return False
    base = float(np.median(low[before]))
    return base > 0 and 0.5 * base < float(np.median(mean[after])) < VACANT * base
