"""Rules that device events, repeated reads, sibling channels and the service's status hold against slots.

Each looks at one local day's own raw slots and at facts around them, so it is part of the screen. Slots are
flat slot numbers, series · slots + column, increasing.
"""

from __future__ import annotations

import numpy as np

from models.days import per_day, to_slots
from models.series import EVENT_RULES, Bool, Int, SeriesFacts
from schemas.channels import CHANNELS
from schemas.rules import Exact, RateRule, Rules, UsageRule

MICRO = 1_000_000
HOUR_S = 3600

__all__ = ["SLOT_RULES", "micro_rate", "missing_beside_others", "slot_marks"]

SLOT_RULES = (
    *EVENT_RULES,
    "stale_snapshot",
    "reactive_without_active",
    "disconnected_usage",
    "inactive_usage",
)
"""Rules of this file that judge slots with a measured value."""


def slot_marks(facts: SeriesFacts, rules: Rules) -> dict[str, Int]:
    """Slots that each of ``SLOT_RULES`` hits; rules that hit nothing are left out.

    Only values that were measured are hit: no estimates of the head-end, no edits, and nothing of
    instantaneous channels.
    """
    found = {name: _of_events(facts, number) for number, name in enumerate(EVENT_RULES)}
    found["stale_snapshot"] = stale_snapshots(facts)
    if rules.reactive_without_active is not None:
        found["reactive_without_active"] = reactive_without_active(facts, rules.reactive_without_active)
    if facts.disconnected is not None:
        inactive = np.zeros_like(facts.disconnected) if facts.inactive is None else facts.inactive
        if rules.disconnected_usage is not None:
            cut_off = facts.disconnected & ~inactive
            found["disconnected_usage"] = usage_on(facts, cut_off, rules.disconnected_usage)
        if rules.inactive_usage is not None:
            found["inactive_usage"] = usage_on(facts, inactive, rules.inactive_usage)
    judged = {name: _measured(facts, flat) for name, flat in found.items() if len(flat)}
    return {name: flat for name, flat in judged.items() if len(flat) and getattr(rules, name) is not None}


def _measured(facts: SeriesFacts, flat: Int) -> Int:
    kept = facts.have.ravel()[flat] & ~facts.instantaneous[flat // facts.grid.slots]
    if facts.external is not None:
        kept &= ~facts.external.ravel()[flat]
    return flat[kept]


def _of_events(facts: SeriesFacts, rule: int) -> Int:
    """Slots that an event of a rule touches."""
    mine = np.flatnonzero(facts.events.rule == rule)
    if not len(mine):
        return np.zeros(0, np.int64)
    grid, events = facts.grid, facts.events
    first = np.clip((events.start[mine] - grid.origin) // grid.interval_s, 0, grid.slots)
    last = np.clip(-(-(events.end[mine] - grid.origin) // grid.interval_s), 0, grid.slots)
    lengths = np.maximum(last - first, 0)
    ramp = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.unique(np.repeat(events.series[mine] * grid.slots + first, lengths) + ramp)


def stale_snapshots(facts: SeriesFacts) -> Int:
    """Both slots that a repeated read spoils.

    Where interval values are differences of register snapshots, a snapshot that repeats the clock t of the
    one before leaves the slot from t at zero and doubles the next one. Both must lie in one local day.
    """
    grid = facts.grid
    offset = facts.repeats.at - grid.origin
    column = offset // grid.interval_s
    here = (offset >= 0) & (offset % grid.interval_s == 0) & (column + 1 < grid.slots)
    series, column = facts.repeats.series[here], column[here]
    one_day = grid.day_of_slot[column] == grid.day_of_slot[column + 1]
    still = facts.have[series, column] & (facts.value[series, column] == 0)
    hit = one_day & still & (facts.value[series, column + 1] > 0)
    first = (series * grid.slots + column)[hit]
    return np.unique(np.concatenate([first, first + 1]))


def reactive_without_active(facts: SeriesFacts, rule: RateRule) -> Int:
    """Slots with reactive energy in which every active energy channel of the meter reads zero."""
    if facts.meter is None:
        return np.zeros(0, np.int64)
    quantities = [CHANNELS[name].quantity for name in facts.channels]
    least, hits = micro_rate(rule.min_rate, facts.grid.interval_s), [np.zeros(0, np.int64)]
    for row in [i for i, quantity in enumerate(quantities) if quantity == "reactive energy"]:
        mates = np.flatnonzero(facts.meter == facts.meter[row])
        active = [mate for mate in mates.tolist() if quantities[mate] == "active energy"]
        if active:
            idle = (facts.have[active] & (facts.value[active] == 0)).all(axis=0)
            hits.append(row * facts.grid.slots + np.flatnonzero(idle & (facts.value[row] > least)))
    return np.concatenate(hits)


def usage_on(facts: SeriesFacts, days: Bool, rule: UsageRule) -> Int:
    """Slots with usage of those days among ``days`` (n, days) whose usage exceeds the rule's least."""
    rows = np.flatnonzero(days.any(axis=1))
    if not len(rows):
        return rows
    positive = np.maximum(facts.value[rows], 0)
    used = days[rows] & (per_day(np.add.reduce, positive, facts.grid) > int(rule.min_usage * MICRO))
    row, column = np.nonzero(to_slots(used, facts.grid) & (positive > 0))
    return rows[row] * facts.grid.slots + column


def missing_beside_others(facts: SeriesFacts, missing: Int) -> Int:
    """Those of the missing slots in which another channel of the meter has a value."""
    if facts.meter is None or not len(missing):
        return np.zeros(0, np.int64)
    series, column = np.divmod(missing, facts.grid.slots)
    beside = np.zeros(len(missing), np.bool_)
    first = np.searchsorted(facts.meter, facts.meter[series])
    count = np.searchsorted(facts.meter, facts.meter[series], side="right") - first
    for place in range(int(count.max())):
        there = np.flatnonzero(place < count)
        mate = first[there] + place
        beside[there] |= (mate != series[there]) & facts.have[mate, column[there]]
    return missing[beside]


def micro_rate(rate: Exact, interval_s: int) -> int:
    """Micro-units a slot of a rate in units an hour, rounded down."""
    return int(rate * MICRO * interval_s / HOUR_S)
