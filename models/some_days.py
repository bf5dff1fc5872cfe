"""Days of a grid by type and month, as parts of a rule pack name them."""

from __future__ import annotations

import numpy as np

from models.calendar import DayGrid
from models.like_days import HOLIDAY, SATURDAY, SUNDAY, day_types
from models.series import Bool
from schemas.estimators import SomeDays

__all__ = ["some_days"]

TYPES = {"weekday": 0, "saturday": SATURDAY, "sunday": SUNDAY, "holiday": HOLIDAY}


def some_days(part: SomeDays, grid: DayGrid, holidays: frozenset[int]) -> Bool:
    """Whether each day is one of those; (days,)."""
    types = [TYPES[name] for name in part.days]
    months = np.array([grid.date(day).month for day in range(grid.days)], np.int64)
    here: Bool = np.isin(day_types(grid, holidays), types) & np.isin(months, part.months)
    return here
