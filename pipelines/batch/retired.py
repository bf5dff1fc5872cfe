"""Days whose raw readings have left the lake: they stay as they are (``meterbeam lake retain``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.assemble import Name
from models.calendar import epoch_day
from models.shard_run import CONTEXT_BACK
from models.shard_scope import Scope, split
from pipelines.store.lake import Lake
from schemas.lake import RAW_KEPT
from schemas.rulepack import RulePack

__all__ = ["Retired", "retired"]

NEVER = 1 << 24
WEEK = 7
MONDAY = 3
"""Epoch day 0 was a Thursday."""


@dataclass(frozen=True)
class Retired:
    """What is known of readings that are gone.

    Attributes:
        first: Second and interval length of the first reading of each series.
        kept_from: First epoch day of each meter whose readings are all there still.
    """

    first: Mapping[Name, tuple[int, int]]
    kept_from: Mapping[str, int]

    def first_readings(self, found: dict[Name, tuple[int, int]]) -> dict[Name, tuple[int, int]]:
        """First readings of all time, from those that are still there."""
        both = ((name, min(each, found.get(name, each))) for name, each in self.first.items())
        return {**found, **dict(both)}

    def open_days(self, scope: Scope, pack: RulePack) -> Scope:
        """The days of a scope whose every reachable reading is there; whole weeks, as features need them."""
        reach = CONTEXT_BACK + pack.registers.max_read_gap_days + 1
        limits = {
            name: (_monday(self.kept_from[name[0]] + reach) if name[0] in self.kept_from else -NEVER, NEVER)
            for name in scope
        }
        return split(scope, limits)[0] if self.kept_from else scope


def retired(lake: Lake) -> Retired:
    """Readings that have left a lake."""
    first: dict[Name, tuple[int, int]] = {}
    kept_from: dict[str, int] = {}
    for row in lake.table(RAW_KEPT.name).to_pylist():
        meter, name = row["meter_id"], (row["meter_id"], row["channel"])
        reading = row["first_reading"], row["interval_s"]
        first[name] = min(reading, first.get(name, reading))
        kept_from[meter] = max(epoch_day(row["kept_from"]), kept_from.get(meter, -NEVER))
    return Retired(first, kept_from)


def _monday(day: int) -> int:
    """The first Monday on or after a day."""
    return day + -(day + MONDAY) % WEEK
