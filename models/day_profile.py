"""A meter's mean day before and after a change, in parts of two hours."""

from __future__ import annotations

from models.week_table import WEEK, WeekTable
from models.weekly_features import Float

__all__ = ["day_profile"]

FEWEST_BEFORE = 7
"""Days before a change from which a profile is told."""


def day_profile(table: WeekTable, row: int, since: int) -> tuple[Float | None, Float | None]:
    """Mean energy of each two hours before and after a day [kWh], None where too few days are kept; (12,).

    Args:
        table: The meters.
        row: Which one.
        since: Index of the first day after the change.
    """
    recent = table.parts.shape[1]
    parts = table.parts[row].reshape(recent * WEEK, -1) / 1e3
    have = table.days("day_have")[row, -recent * WEEK :] > 0
    split = max(since - (len(table.weeks) - recent) * WEEK, 0)
    before, after = parts[:split][have[:split]], parts[split:][have[split:]]
    if len(before) < FEWEST_BEFORE or not len(after):
        return None, None
    return before.mean(axis=0), after.mean(axis=0)
