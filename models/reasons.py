"""Why a meter stands where it stands, and what speaks against theft: in words that a person can check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.behaviour import DAY_NAMES
from models.calendar import day_date
from models.comparison import Comparison, Place, Scored
from models.device_events import DeviceEvents, tampering
from models.faults import Fault
from models.state_queue import WAYS
from models.week_table import WEEK
from models.weekly_features import Float

__all__ = ["against", "change_reasons", "state_reasons"]

NAMED = 3
"""Features that a reason names at most."""
WORTH_NAMING = 1.5
"""Robust deviations from which a feature is worth a word."""
PARTS = (("night 0–6", 0, 3), ("day 6–18", 3, 9), ("evening 18–24", 9, 12))
"""Name, first and one past last of the two-hour parts of a day."""
VACANT = 1.3
"""Use after a change, in base loads before it, up to which a home is called vacant."""


def change_reasons(scored: Scored, events: DeviceEvents) -> list[str]:
    """From when, by how much, what changed most sharply, tampering near it, the day before and after."""
    return [
        _change_reason(scored, row, events.get(meter, ())) for row, meter in enumerate(scored.table.meters)
    ]


def _change_reason(scored: Scored, row: int, events: Sequence[tuple[int, str]]) -> str:
    change = scored.change
    since = int(change.since[row])
    if since < 0:
        return "nothing stands out"
    day = day_date(_epoch_day(scored, since))
    parts = []
    if change.drop[row] > 0:
        parts.append(
            f"use fell by {change.drop[row]:.0%} from {day} on, against its own days before and the fleet"
        )
    else:
        parts.append(f"days differ from {day} on")
    strength = change.strength[row]
    top = [k for k in np.argsort(-strength, kind="stable")[:NAMED].tolist() if strength[k] > WORTH_NAMING]
    if top:
        named = ", ".join(f"{DAY_NAMES[k]} ({strength[k]:.1f})" for k in top)
        parts.append(f"sharpest in {named} robust deviations")
    parts += tampering(events, _epoch_day(scored, since))
    profile = _profiles(scored, row, since)
    return "; ".join([*parts, profile] if profile else parts)


def _epoch_day(scored: Scored, index: int) -> int:
    return int(scored.table.weeks[index // WEEK]) + index % WEEK


def _profiles(scored: Scored, row: int, since: int) -> str:
    """Mean kWh of the parts of the day before and after a day; empty where too few days are kept."""
    table = scored.table
    recent = table.parts.shape[1]
    parts = table.parts[row].reshape(recent * WEEK, -1) / 1e3
    have = table.days("day_have")[row, -recent * WEEK :] > 0
    split = since - (len(table.weeks) - recent) * WEEK
    before, after = (
        parts[: max(split, 0)][have[: max(split, 0)]],
        parts[max(split, 0) :][have[max(split, 0) :]],
    )
    if len(before) < WEEK or not len(after):
        return ""
    told = (
        f"{name} {before[:, low:high].sum(axis=1).mean():.2f} → {after[:, low:high].sum(axis=1).mean():.2f}"
        for name, low, high in PARTS
    )
    return f"kWh a day before → after: {', '.join(told)}"


def state_reasons(scored: Scored) -> list[str]:
    """Which of the three ways it is, what the feeder's loss says, and what is strange about its days."""
    return [_state_reason(scored, row) for row in range(len(scored.table.meters))]


def _state_reason(scored: Scored, row: int) -> str:
    state, fit = scored.state, scored.fit
    way = int(state.way[row])
    distance = state.ways[row, way]
    if distance < WORTH_NAMING:
        parts = ["nothing stands out"]
    else:
        parts = [f"{_WAY_WORDS[WAYS[way]]} ({distance:.1f} robust deviations)"]
    share, kwh = (fit.steady, fit.steady_kwh) if WAYS[way] == "steady" else (fit.moving, fit.moving_kwh)
    if np.isnan(share[row]):
        parts.append("no feeder meter: compared with the population only")
    elif share[row] > 0:
        parts.append(
            f"its feeder's loss moves with this meter: about {kwh[row]:.2f} kWh a day of it falls here"
        )
    else:
        parts.append("its feeder's loss does not follow this meter")
    return "; ".join(parts)


_WAY_WORDS = {
    "began": "a lasting change",
    "comes and goes": "days unlike each other",
    "steady": "unlike the population on all its days",
}


def against(found: Comparison, places: dict[str, Place]) -> list[str]:
    """What speaks against theft, of each meter of the theft population."""
    faults: dict[int, list[Fault]] = {}
    for fault in found.faults:
        faults.setdefault(fault.meter, []).append(fault)
    texts = []
    for at, customer in enumerate(found.kept.tolist()):
        parts = [f"fault {fault.fault}: {fault.evidence}" for fault in faults.get(customer, [])[:2]]
        place = places.get(found.customers[customer])
        if place is not None and place.since > found.first_day:
            parts.append(f"new customer or contract since {day_date(place.since)}")
        if place is not None and place.status != "active":
            parts.append(f"service point is {place.status}")
        if found.scored is not None and _vacant(found.scored, at):
            parts.append("what is left is its former base load: the home may stand empty")
        texts.append("; ".join(parts))
    return texts


def _vacant(scored: Scored, row: int) -> bool:
    """Whether the use after the change is the base load before it, day after day."""
    since = int(scored.change.since[row])
    if since < 0:
        return False
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
