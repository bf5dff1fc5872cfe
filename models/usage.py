"""Rules that hold a day or a slot against the average and the highest of the days before (docs/vee.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import DayGrid
from models.days import half_away, trailing_max, trailing_sum
from models.runs import DayHits
from models.screen import PERMILLE, Screen
from models.series import Bool, Int, SeriesFacts
from models.slot_marks import micro_rate
from schemas.rulepack import RulePack


@dataclass(frozen=True)
class SlotHits:
    """Slots a rule hit and what it would have accepted, increasing; shape (k,).

    Attributes:
        flat: Flat slot numbers.
        limit: Highest value that is no hit. [micro-unit]
    """

    flat: Int
    limit: Int


def unusual_usage(facts: SeriesFacts, checked: Screen, pack: RulePack) -> dict[str, DayHits]:
    """Hits of ``high_usage`` and ``low_usage``: days far from the average of the eligible days before."""
    averages, rules, total = pack.averages, pack.rules, checked.total
    days = trailing_sum(checked.eligible.astype(np.int64), averages.days)
    usage = trailing_sum(np.where(checked.eligible, total, 0), averages.days)
    judged = facts.expected & checked.complete & (days >= averages.min_days) & ~facts.instantaneous[:, None]
    hits = {}
    if rules.high_usage is not None:
        hits["high_usage"] = judged & (total * days > rules.high_usage.factor * usage)
    if rules.low_usage is not None:
        hits["low_usage"] = judged & (total * days * rules.low_usage.divisor < usage)
    return {name: _whole_days(hit, total, usage, days, facts.grid) for name, hit in hits.items()}


def _whole_days(hit: Bool, total: Int, usage: Int, days: Int, grid: DayGrid) -> DayHits:
    series, day = np.nonzero(hit)
    return DayHits(
        series,
        day,
        grid.offsets[day],
        grid.offsets[day + 1],
        total[series, day],
        half_away(usage[series, day], days[series, day]),
    )


def unusual_slots(facts: SeriesFacts, checked: Screen, pack: RulePack) -> dict[str, SlotHits]:
    """Hits of ``historical_max`` and ``high_slot``: good slots far above those of the days before.

    The first holds a slot against the highest slot of the eligible days of d − ``averages.days`` … d − 1, the
    second against ``factor`` times their average slot.
    """
    averages, rules, grid = pack.averages, pack.rules, facts.grid
    found: dict[str, SlotHits] = {}
    if rules.historical_max is None and rules.high_slot is None:
        return found
    eligible, interval = checked.eligible, grid.interval_s
    enough = trailing_sum(eligible.astype(np.int64), averages.days) >= averages.min_days
    judged = facts.expected & enough & ~facts.instantaneous[:, None]
    if rules.historical_max is not None:
        highest = trailing_max(np.where(eligible, checked.peak, 0), averages.days)
        allowed = highest + highest * int(rules.historical_max.max_excess * PERMILLE) // PERMILLE
        allowed = np.maximum(allowed, micro_rate(rules.historical_max.min_rate, interval))
        found["historical_max"] = _above(facts, checked, judged, allowed)
    if rules.high_slot is not None:
        usage = trailing_sum(np.where(eligible, checked.total, 0), averages.days)
        slots = np.maximum(trailing_sum(eligible * grid.lengths, averages.days), 1)
        whole, rest = np.divmod(usage, slots)
        allowed = rules.high_slot.factor * whole + rules.high_slot.factor * rest // slots
        allowed = np.maximum(allowed, micro_rate(rules.high_slot.min_rate, interval))
        found["high_slot"] = _above(facts, checked, judged, allowed)
    return found


def _above(facts: SeriesFacts, checked: Screen, judged: Bool, allowed: Int) -> SlotHits:
    """Good slots above what their day (n, days) allows; only days whose highest slot is are looked at."""
    grid = facts.grid
    series, day = np.nonzero(judged & (checked.peak > allowed))
    lengths = grid.lengths[day]
    row = np.repeat(series, lengths)
    column = np.repeat(grid.offsets[day] - (np.cumsum(lengths) - lengths), lengths)
    column += np.arange(int(lengths.sum()))
    limit = np.repeat(allowed[series, day], lengths)
    hit = checked.good[row, column] & (facts.value[row, column] > limit)
    return SlotHits((row * grid.slots + column)[hit], limit[hit])
