"""The slots behind a bill: a service point's readings over the bill's days, and their part in a line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import gcd
from typing import Any

import duckdb
import numpy as np

from models.bill_cycles import BillingPeriod, Contract, Term
from models.calendar import DayGrid, day_date, local_day
from models.composed_loads import share_of
from models.interval_parts import IntervalPart, interval_parts
from models.line_slots import LineSlots
from models.master import FOREVER
from models.series import Bool, Int
from schemas.channels import BILLED, REACTIVE, load_channel
from schemas.quality import Quality

__all__ = ["Slot", "Slots", "by_day", "read_slots"]

MICRO_DP = 6


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
        grid: The bill's days, in slots of the greatest length that every length measured is a multiple of.
        parts: Lengths of interval in time order.
        drawn, fed: By start of the slot, UTC seconds.
        kvarh: The same of each channel of reactive energy.
    """

    grid: DayGrid
    parts: Sequence[IntervalPart]
    drawn: Mapping[int, Slot]
    fed: Mapping[int, Slot]
    kvarh: Mapping[str, Mapping[int, Slot]]

    def total(self, slots: Mapping[int, Slot]) -> Int:
        """Energy of all slots [micro-unit], −1 where none has a value; (1,)."""
        known = [slot.value for slot in slots.values() if slot.value is not None]
        return np.array([int(sum(known, Decimal(0)).scaleb(MICRO_DP)) if known else -1], np.int64)

    def grids(self, first: int, last: int) -> list[tuple[IntervalPart, DayGrid]]:
        """Each part that touches some epoch days, and those of the days that it touches, in its own slots."""
        zone, found = self.grid.zone, []
        for part in self.parts:
            low, high = max(first, local_day(zone, part.start)), min(last, local_day(zone, part.end - 1))
            if low <= high:
                found.append((part, DayGrid(zone, part.interval_s, low, high - low + 1)))
        return found

    def real(self, grid: DayGrid) -> Bool:
        """Slots of a grid with which one begins that is measured; (slots,)."""
        real = np.zeros(grid.slots, np.bool_)
        for part, own in self.grids(grid.first_day, grid.last_day):
            starts = own.starts[(part.start <= own.starts) & (own.starts < part.end)]
            real |= np.isin(grid.starts, starts)
        return real

    def micro(self, slots: Mapping[int, Slot], grid: DayGrid, part: IntervalPart | None = None) -> Int:
        """Energy of each slot of some of the days [micro-unit], zero where there is none; (1, slots).

        The energy of a slot that is longer than those of the grid is that of the first of them. Of a part,
        only its own slots count.
        """
        low, high = (0, FOREVER) if part is None else (part.start, part.end)
        found = [slots.get(second) if low <= second < high else None for second in grid.starts.tolist()]
        values = [
            0 if slot is None or slot.value is None else int(slot.value.scaleb(MICRO_DP)) for slot in found
        ]
        return np.array([values], np.int64)


def read_slots(
    connection: duckdb.DuckDBPyConnection, contract: Contract, zone: str, first: int, days: int
) -> Slots | None:
    """Readings behind a contract's load; None where there are none.

    A slot that several meters make up has their sum, and the worst quality among them.

    Args:
        connection: With the views of a lake.
        contract: Names the meters.
        zone: Of the local days.
        first: Epoch day.
        days: How many.
    """
    whole = DayGrid(zone, 3600, first, days)
    low, high = int(whole.starts[0]), int(whole.starts[-1]) + 3600
    terms = contract.terms or (Term(contract.service_point_id, contract.load, low, high, 0),)
    rows = connection.execute(
        """
        SELECT meter_id, channel, interval_s, epoch(start)::BIGINT, value, quality, method FROM readings
        WHERE list_contains(?, meter_id) AND start >= ? AND start < ? AND list_contains(?, channel)
        """,
        [
            sorted({term.meter_id for term in terms}),
            datetime.fromtimestamp(low, UTC),
            datetime.fromtimestamp(high, UTC),
            [*BILLED, "export", *REACTIVE],
        ],
    ).fetchall()
    if not rows:
        return None
    lengths = (
        {row[2] for row in rows} if contract.terms else {Counter(row[2] for row in rows).most_common(1)[0][0]}
    )
    parts = interval_parts(BillingPeriod(contract, first, first + days - 1), zone, lengths)
    of_series: dict[tuple[str, str], dict[int, Slot]] = defaultdict(dict)
    for meter, channel, length, second, *slot in rows:
        if any(part.interval_s == length and part.start <= second < part.end for part in parts):
            of_series[meter, channel][second] = Slot(meter, *slot)
    drawn: dict[int, Slot] = {}
    fed: dict[int, Slot] = {}
    kvarh: dict[str, dict[int, Slot]] = {channel: {} for channel in REACTIVE}
    for term in terms:
        bought = load_channel(contract.commodity, [c for meter, c in of_series if meter == term.meter_id])
        if bought is not None and term.share is None:
            _count(drawn, of_series[term.meter_id, bought], term)
        _count(fed, of_series.get((term.meter_id, "export"), {}), term)
        for channel in REACTIVE if term.share is None else ():
            _count(kvarh[channel], of_series.get((term.meter_id, channel), {}), term)
    finest = gcd(*(part.interval_s for part in parts))
    return Slots(DayGrid(zone, finest, first, days), parts, drawn, fed, kvarh)


def _count(found: dict[int, Slot], slots: Mapping[int, Slot], term: Term) -> None:
    """Add a term's slots to a load."""
    for second, slot in slots.items():
        if not term.start <= second < term.end:
            continue
        value = None if slot.value is None else _signed(slot.value, term)
        before = found.get(second)
        if before is None:
            found[second] = Slot(slot.meter_id, value, slot.quality, slot.method)
            continue
        known = [each for each in (before.value, value) if each is not None]
        worst = min(before, slot, key=lambda each: Quality[each.quality])
        total = sum(known, Decimal(0)) if known else None
        found[second] = Slot(f"{before.meter_id} {slot.meter_id}", total, worst.quality, worst.method)


def _signed(value: Decimal, term: Term) -> Decimal:
    if term.share is None:
        return term.sign * value
    return Decimal(share_of(int(value.scaleb(MICRO_DP)), *term.share)).scaleb(-MICRO_DP)


def by_day(line: LineSlots, grid: DayGrid, of: Mapping[int, Slot], *, each: bool) -> list[dict[str, Any]]:
    """What a line takes from slots, a local day at a time.

    Args:
        line: Which slots, and how much of each.
        grid: Of those slots.
        of: The readings, by start.
        each: Whether to list every slot as well.
    """
    found = []
    for day in np.unique(grid.day_of_slot[line.chosen]).tolist():
        at = np.flatnonzero(line.chosen & (grid.day_of_slot == day)).tolist()
        starts = grid.starts[at].tolist()
        here = [slot for second in starts if (slot := of.get(second)) is not None]
        row: dict[str, Any] = {
            "local_day": f"{day_date(grid.first_day + day)}",
            "first_slot": _moment(starts[0]),
            "slots": len(here),
            "quantity": _text(int(line.energy[at].sum())),
            "meters": sorted({slot.meter_id for slot in here}),
            "qualities": dict(sorted(Counter(slot.quality for slot in here).items())),
            "methods": dict(sorted(Counter(slot.method for slot in here).items())),
        }
        if line.rates is not None:
            row["amount"] = format(sum((_worth(line, i) for i in at), Decimal(0)).normalize(), "f")
        if each:
            row["each"] = [_one(line, i, second, of) for i, second in zip(at, starts, strict=True)]
        found.append(row)
    return found


def _one(line: LineSlots, i: int, second: int, of: Mapping[int, Slot]) -> dict[str, Any]:
    """One slot as an entry of a line's day."""
    slot = of.get(second)
    known: dict[str, str | None] = {"meter_id": None, "quality": None, "method": None}
    if slot is not None:
        known = {"meter_id": slot.meter_id, "quality": slot.quality, "method": slot.method}
    rate = {} if line.rates is None else {"rate": format(line.rates[i].normalize(), "f")}
    return {"start": _moment(second), "quantity": _text(int(line.energy[i])), **rate, **known}


def _worth(line: LineSlots, i: int) -> Decimal:
    assert line.rates is not None
    return Decimal(int(line.energy[i])).scaleb(-MICRO_DP) * line.rates[i]


def _moment(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%MZ}"


def _text(micro: int) -> str:
    return str(Decimal(micro).scaleb(-MICRO_DP))
