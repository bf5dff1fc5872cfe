"""Meter faults by rule, before any meter is compared with others: each with its dates and its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from models.fault_clock import clock_faults
from models.fault_days import Days, Fault
from models.fault_levels import level_faults
from models.fault_noise import noise_faults
from models.fault_twins import crossed_series, duplicates
from models.fault_values import value_faults
from models.series import Bool
from models.week_table import WeekTable

__all__ = ["LEAVES_POPULATION", "Fault", "find_faults", "leaving"]

LEAVES_POPULATION = frozenset({"dead_meter", "negative", "duplicate", "multiplier_x10", "unit_error"})
"""Faults that take a meter out of the theft population (SEMANTICS, Theft evidence)."""
METERS_AT_ONCE = 512
"""Meters whose days are looked at together where none is compared with another."""


def find_faults(table: WeekTable) -> list[Fault]:
    """All faults, sorted by meter, fault and day."""
    days = Days(table)
    of_clocks = clock_faults(days)  # first: what it holds is the most, and the others find room in it
    found = [*_value_faults(table), *level_faults(days), *of_clocks, *noise_faults(days)]
    found += [*duplicates(days), *crossed_series(days)]
    return sorted(found, key=lambda f: (f.meter, f.fault, f.since))


def _value_faults(table: WeekTable) -> Iterator[Fault]:
    """What each meter's own days show: some meters at a time, so that little is held beside the table."""
    for low in range(0, len(table.meters), METERS_AT_ONCE):
        rows = np.arange(low, min(low + METERS_AT_ONCE, len(table.meters)))
        for fault in value_faults(Days(table.chosen(rows))):
            yield replace(fault, meter=low + fault.meter)


def leaving(faults: list[Fault], count: int) -> Bool:
    """Meters that are no part of the theft population; (m,)."""
    gone = np.zeros(count, np.bool_)
    gone[[fault.meter for fault in faults if fault.fault in LEAVES_POPULATION]] = True
    return gone
