"""Faults against master data: use behind a closed service point, export that nobody registered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import day_date
from models.fault_days import MICRO, Days, Fault
from models.week_table import WEEK, list_column

__all__ = ["Exports", "Place", "export_faults", "use_without_contract"]

CLOSED = frozenset({"closed", "inactive", "terminated", "disconnected", "removed"})
"""Status of a service point behind which nothing should be used."""
FEWEST_DAYS = 7
FEWEST_EXPORT_DAYS, LEAST_EXPORT = 3, MICRO
"""Days, and micro-units in all, from which export is more than a meter's creep."""


@dataclass(frozen=True)
class Place:
    """What master data say of a meter at the moment of the run.

    Attributes:
        since: Epoch day from which its service point, account and role hold.
        channels: All that any version lists; empty where none does.
        generates: Whether its account has a service point for generation.
    """

    role: str
    feeder_id: str | None
    status: str
    since: int
    channels: frozenset[str] = frozenset()
    generates: bool = False

    @property
    def exports(self) -> bool:
        """Whether export is expected, or cannot be told."""
        return self.generates or not self.channels or "export" in self.channels


def use_without_contract(days: Days, places: dict[str, Place]) -> list[Fault]:
    """Use after the service point was closed."""
    found = []
    epoch = (days.table.weeks[:, None] + np.arange(WEEK)).ravel()
    for row, meter in enumerate(days.table.meters):
        place = places.get(meter)
        if place is None or place.status not in CLOSED:
            continue
        after = (epoch >= place.since) & (days.total[row] > 0)
        if after.sum() >= FEWEST_DAYS:
            kwh = days.total[row][after].sum() / MICRO
            told = f"{kwh:.1f} kWh on {int(after.sum())} days while the service point is {place.status}"
            last = int(epoch[after][-1])
            until = None if last >= days.day(days.last_seen(row)) else last
            found.append(Fault(row, "use_without_contract", int(epoch[after][0]), until, "error", told))
    return found


@dataclass
class Exports:
    """Export of the meters that should have none, gathered from pieces of the ``features`` table.

    Attributes:
        places: Service point of each meter.
        found: Days with export, first and last epoch day, and energy [micro-kWh] of each meter.
    """

    places: dict[str, Place]
    found: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def watched(self, pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The pieces, each looked through on its way."""
        for piece in pieces:
            if self.places:
                self._add(piece.filter(pc.equal(piece["channel"], "export")))
            yield piece

    def _add(self, rows: pa.Table) -> None:
        ids = rows["meter_id"].to_pylist()
        total = list_column(rows, "day_total") if ids else np.zeros((0, WEEK), np.int64)
        weeks = rows["week"].cast(pa.int32()).to_pylist()
        for at in np.flatnonzero((total > 0).any(axis=1)).tolist():
            place = self.places.get(ids[at])
            if place is None or place.exports:
                continue
            days = np.flatnonzero(total[at] > 0)
            number, first, last, energy = self.found.get(ids[at], (0, 1 << 30, 0, 0))
            self.found[ids[at]] = (
                number + len(days),
                min(first, weeks[at] + int(days[0])),
                max(last, weeks[at] + int(days[-1])),
                energy + int(total[at][days].sum()),
            )


def export_faults(exports: Exports, customers: list[str]) -> list[Fault]:
    """Export without generation: neither a channel for it nor a service point that generates."""
    found = []
    for row, meter in enumerate(customers):
        number, first, last, energy = exports.found.get(meter, (0, 0, 0, 0))
        if number >= FEWEST_EXPORT_DAYS and energy >= LEAST_EXPORT:
            told = f"{energy / MICRO:.1f} kWh on {number} days, the last on {day_date(last)}"
            evidence = f"{told}: no export channel and no generation in master data"
            found.append(Fault(row, "export_without_generation", first, None, "warning", evidence))
    return found
