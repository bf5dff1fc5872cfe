"""Meter faults by rule, before any meter is compared with others: each with its dates and its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from models.fault_clock import clock_faults
from models.fault_days import Days, Fault
from models.fault_levels import level_faults
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
    found = [*_value_faults(table), *level_faults(days), *clock_faults(days), *_duplicates(table)]
    return sorted(found, key=lambda f: (f.meter, f.fault, f.since))


def _value_faults(table: WeekTable) -> Iterator[Fault]:
    """What each meter's own days show: some meters at a time, so that little is held beside the table."""
    for low in range(0, len(table.meters), METERS_AT_ONCE):
        rows = np.arange(low, min(low + METERS_AT_ONCE, len(table.meters)))
        for fault in value_faults(Days(table.chosen(rows))):
            yield replace(fault, meter=low + fault.meter)


def _duplicates(table: WeekTable) -> list[Fault]:
    """Two meters with the same series, slot by slot, for at least a week."""
    signature = table.signature
    used = table.there & (table.lists["day_max"].max(axis=2) > 0) & (signature != 0)
    row, week = np.nonzero(used)
    key = signature[row, week]
    order = np.lexsort((row, key, week))
    row, week, key = row[order], week[order], key[order]
    same = (week[1:] == week[:-1]) & (key[1:] == key[:-1])
    twins: dict[int, tuple[set[int], set[int]]] = {}
    for i in np.flatnonzero(same).tolist():
        pair = int(row[i]), int(row[i + 1])
        for one, other in (pair, pair[::-1]):
            others, weeks = twins.setdefault(one, (set(), set()))
            others.add(other)
            weeks.add(int(week[i]))
    return [
        Fault(
            row, "duplicate", int(table.weeks[min(weeks)]), int(table.weeks[max(weeks)]) + 6, "error",
            f"{len(weeks)} weeks equal to {', '.join(table.meters[o] for o in sorted(others)[:3])}",
        )
        for row, (others, weeks) in sorted(twins.items())
    ]  # fmt: skip


def leaving(faults: list[Fault], count: int) -> Bool:
    """Meters that are no part of the theft population; (m,)."""
    gone = np.zeros(count, np.bool_)
    gone[[fault.meter for fault in faults if fault.fault in LEAVES_POPULATION]] = True
    return gone
