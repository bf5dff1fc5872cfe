"""Leaks: a night flow that never reaches zero for days (docs/vee.md)."""

from __future__ import annotations

import numpy as np

from models.runs import DayHits
from models.screen import Screen
from models.series import Bool, Int, SeriesFacts
from models.slot_marks import HOUR_S, MICRO
from schemas.channels import CHANNELS
from schemas.rules import LeakRule


def leaks(facts: SeriesFacts, checked: Screen, rule: LeakRule) -> DayHits:
    """Days that end ``rule.days`` consecutive nights in none of whose hours the flow stood still.

    Args:
        facts: The series; only channels of volume are judged, and slots of an hour or less.
        checked: Their screen; a night with a slot that is not good, or lacks one of its hours, ends the row.
        rule: The night, its number, and the flow that an hour must exceed.

    Returns:
        Whole days; ``seen`` is the lowest hour of these nights, ``expected`` the flow allowed. [micro-unit]
    """
    grid = facts.grid
    volume = [CHANNELS[name].quantity == "volume" for name in facts.channels]
    rows = (
        np.flatnonzero(np.array(volume, np.bool_) & ~facts.instantaneous) if volume else np.zeros(0, np.int64)
    )
    if not len(rows) or grid.interval_s > HOUR_S or grid.days < rule.days:
        return DayHits.none()
    lowest, whole = _nights(facts, checked, rows, rule)
    allowed = int(rule.min_rate * MICRO)
    flowing = whole & (lowest > allowed) & facts.expected[rows]
    window = np.lib.stride_tricks.sliding_window_view
    hit = np.zeros_like(flowing)
    hit[:, rule.days - 1 :] = window(flowing, rule.days, axis=1).all(axis=2)
    row, day = np.nonzero(hit)
    seen = window(lowest, rule.days, axis=1).min(axis=2)[row, day - rule.days + 1]
    expected = np.full(len(row), allowed, np.int64)
    return DayHits(rows[row], day, grid.offsets[day], grid.offsets[day + 1], seen, expected)


def _nights(facts: SeriesFacts, checked: Screen, rows: Int, rule: LeakRule) -> tuple[Int, Bool]:
    """Lowest hour of each night, and nights of which every hour is known; (len(rows), days) each.

    Hours are those of the local clock: a repeated one counts as one, a skipped one is missing.
    """
    grid = facts.grid
    hour = grid.wall // HOUR_S
    night = np.flatnonzero((hour >= rule.from_hour) & (hour < rule.to_hour))
    width = rule.to_hour - rule.from_hour
    bucket = grid.day_of_slot[night].astype(np.int64) * width + hour[night] - rule.from_hour
    flow, lost = np.zeros((2, len(rows), grid.days * width), np.int64)
    cell = (np.arange(len(rows))[:, None] * flow.shape[1] + bucket).ravel()
    np.add.at(flow.ravel(), cell, facts.value[rows][:, night].ravel())
    np.add.at(lost.ravel(), cell, ~checked.good[rows][:, night].ravel())
    there = np.bincount(bucket, minlength=grid.days * width) > 0
    shape = (len(rows), grid.days, width)
    return flow.reshape(shape).min(axis=2), ((lost == 0) & there).reshape(shape).all(axis=2)
