"""The slots behind a bill: each service point's readings over the bill's days, and which lines they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np

from models.calendar import DayGrid, day_date
from models.demand_windows import demand_windows
from models.series import Bool, Int
from models.slot_quantities import netting_of
from models.tou import classify
from schemas.tariff import Demand, Export, Tariff
from schemas.tariff_charges import named_event

__all__ = ["Slot", "Slots", "line_days", "read_slots"]

MICRO = 1_000_000
BILLED = ("import", "volume", "heat", "cold")


@dataclass(frozen=True)
class Slot:
    """One slot of one meter and channel as it stands in the lake."""

    meter_id: str
    value: Decimal | None
    quality: str
    method: str


@dataclass(frozen=True)
class Slots:
    """Slots of a service point.

    Attributes:
        grid: The bill's days.
        drawn, fed: By start of the slot, UTC seconds.
    """

    grid: DayGrid
    drawn: Mapping[int, Slot]
    fed: Mapping[int, Slot]

    def micro(self, slots: Mapping[int, Slot]) -> Int:
        """Energy of each slot of the grid [micro-unit], zero where there is none; (1, slots)."""
        found = [slots.get(second) for second in self.grid.starts.tolist()]
        values = [0 if slot is None or slot.value is None else int(slot.value * MICRO) for slot in found]
        return np.array([values], np.int64)


def read_slots(
    connection: duckdb.DuckDBPyConnection, point: str, zone: str, first: int, days: int
) -> Slots | None:
    """Readings of the meters that were at a service point; None where there are none.

    Args:
        connection: With the views of a lake.
        point: Service point.
        zone: Of the local days.
        first: Epoch day.
        days: How many.
    """
    whole = DayGrid(zone, 3600, first, days)
    low, high = int(whole.starts[0]), int(whole.starts[-1]) + 3600
    rows = connection.execute(
        """
        WITH spans AS (
            SELECT meter_id, valid_from, least(valid_to, lead(valid_from) OVER (ORDER BY valid_from)) AS until
            FROM service_points WHERE service_point_id = ?)
        SELECT channel, epoch(start)::BIGINT, interval_s, r.meter_id, value, quality, method
        FROM readings r JOIN spans s ON r.meter_id = s.meter_id AND start >= valid_from
             AND (until IS NULL OR start < until)
        WHERE start >= ? AND start < ? AND (channel = 'export' OR list_contains(?, channel))
        """,
        [point, datetime.fromtimestamp(low, UTC), datetime.fromtimestamp(high, UTC), list(BILLED)],
    ).fetchall()
    if not rows:
        return None
    drawn: dict[int, Slot] = {}
    fed: dict[int, Slot] = {}
    for channel, second, _, *slot in rows:
        (fed if channel == "export" else drawn)[second] = Slot(*slot)
    return Slots(DayGrid(zone, rows[0][2], first, days), drawn, fed)


def line_days(line: Mapping[str, Any], tariff: Tariff, slots: Slots, days: range) -> list[dict[str, Any]]:
    """What a line takes from slots, day by day.

    Empty where a line comes from other lines, from days alone, or from the hours of an event.

    Args:
        line: Has charge, period and unit.
        tariff: The version it was priced by.
        slots: Of its service point.
        days: Epoch days on which the version was in force.
    """
    charge = next((c for c in tariff.charges if c.id == line["charge"]), None)
    if charge is None or named_event(charge) or line["unit"] not in (tariff.unit, "kW"):
        return []
    inside = np.isin(slots.grid.day_of_slot + slots.grid.first_day, list(days))
    if isinstance(charge, Demand):
        chosen = _highest(charge, line["period"], tariff, slots, inside)
    elif line["period"] is not None:
        periods = classify(tariff, slots.grid)
        chosen = inside & (periods.of_slot == periods.names.index(line["period"]))
    else:
        chosen = inside
    sold = isinstance(charge, Export) or getattr(charge, "direction", "import") == "export"
    return _by_day(slots, slots.fed if sold else slots.drawn, chosen)


def _highest(charge: Demand, period: str | None, tariff: Tariff, slots: Slots, inside: Bool) -> Bool:
    """Slots of the window that made the demand."""
    of: Sequence[str] | None = charge.periods if period is None else (period,)
    periods = classify(tariff, slots.grid, demand=bool(tariff.calendar.demand_periods))
    windows = demand_windows(
        tariff, slots.grid, periods, window_min=charge.window_min, method=charge.method, of=of
    )
    load = slots.micro(slots.drawn)
    if netting_of(tariff) in ("interval", "hour"):
        load = np.maximum(load - slots.micro(slots.fed), 0)
    chosen = np.zeros(slots.grid.slots, np.bool_)
    power = np.where(inside[windows.first], windows.demand(load)[0], -1)
    if len(power):
        begin = int(windows.first[int(power.argmax())])
        chosen[begin : begin + windows.width] = True
    return chosen


def _by_day(slots: Slots, of: Mapping[int, Slot], chosen: Bool) -> list[dict[str, Any]]:
    found = []
    for day in np.unique(slots.grid.day_of_slot[chosen]).tolist():
        at = np.flatnonzero(chosen & (slots.grid.day_of_slot == day))
        here = [slot for second in slots.grid.starts[at].tolist() if (slot := of.get(second)) is not None]
        if not here:
            continue
        found.append(
            {
                "local_day": f"{day_date(slots.grid.first_day + day)}",
                "first_slot": f"{datetime.fromtimestamp(int(slots.grid.starts[at[0]]), UTC):%Y-%m-%dT%H:%MZ}",
                "slots": len(here),
                "quantity": str(sum((slot.value or Decimal(0) for slot in here), Decimal(0))),
                "meters": sorted({slot.meter_id for slot in here}),
                "qualities": dict(sorted(Counter(slot.quality for slot in here).items())),
                "methods": dict(sorted(Counter(slot.method for slot in here).items())),
            }
        )
    return found
