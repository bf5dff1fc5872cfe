"""What flows through each metered feeder, and what the meters behind it report: exact sums, day by day.

Gathered while the pieces of the ``features`` table pass by, so that nothing of a fleet is held but a row a
feeder. Integers: the sums are the same for any order of the pieces and any sharding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.series import Int
from models.week_table import PARTS, RECENT_WEEKS, WEEK, list_column

__all__ = ["FeederLoads", "Metered"]


@dataclass(frozen=True)
class Metered:
    """A meter's part in a feeder's sum.

    Attributes:
        feeder: Number of the feeder.
        through: Whether it measures what flows through the feeder; else it is one of its customers.
    """

    feeder: int
    through: bool


@dataclass
class FeederLoads:
    """Sums of f feeders over w weeks.

    Attributes:
        names: Feeder ids that have a meter, sorted, length f.
        meters: The meters that count, by id.
        weeks: Mondays, ascending, shape (w,).
        through, reported: Energy by day, shape (f, 7 · w). [micro-kWh]. Export counts against import; days
            of a customer with gaps are filled up with its own mean.
        through_parts, reported_parts: Energy by day and two hours in the last ``RECENT_WEEKS``, as measured,
            shape (f, r, 84). [Wh]
        missing: Slots without a value by day, shape (f, 7 · w).
        present: Meters that have the day, shape (f, 7 · w).
    """

    names: list[str]
    meters: dict[str, Metered]
    weeks: Int

    def __post_init__(self) -> None:
        shape = len(self.names), len(self.weeks)
        recent = min(RECENT_WEEKS, shape[1])
        by_day = np.zeros((4, shape[0], shape[1] * WEEK), np.int64)
        self.through, self.reported, self.missing, self.present = by_day
        self.through_parts, self.reported_parts = np.zeros((2, shape[0], recent, PARTS), np.int64)

    def watched(self, pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The pieces, each added on its way."""
        for piece in pieces:
            if self.names:
                self._add(piece)
            yield piece

    def _add(self, piece: pa.Table) -> None:
        ids = pc.unique(piece["meter_id"]).to_pylist()
        known = sorted(meter for meter in ids if meter in self.meters)
        for channel, sign in (("import", 1), ("export", -1)):
            wanted = pc.and_(
                pc.equal(piece["channel"], channel),
                pc.is_in(piece["meter_id"], pa.array(known, pa.string())),
            )
            rows = piece.filter(wanted)
            if rows.num_rows:
                self._add_channel(rows, known, sign)

    def _add_channel(self, rows: pa.Table, known: list[str], sign: int) -> None:
        meter = pc.index_in(rows["meter_id"], pa.array(known, pa.string())).to_numpy().astype(np.int64)
        week = np.searchsorted(self.weeks, rows["week"].cast(pa.int32()).to_numpy().astype(np.int64))
        feeder = np.array([self.meters[name].feeder for name in known], np.int64)[meter]
        through = np.array([self.meters[name].through for name in known], np.bool_)[meter]
        total, slots, missing = (
            list_column(rows, name) for name in ("day_total", "day_slots", "day_missing")
        )
        filled = total + _gaps(meter, len(known), total, slots.astype(np.int64), missing)
        days = week[:, None] * WEEK + np.arange(WEEK)
        part_week = week - (len(self.weeks) - self.through_parts.shape[1])
        parts = list_column(rows, "parts").astype(np.int64)
        for mine, by_day, by_part in (
            (through, self.through, self.through_parts),
            (~through, self.reported, self.reported_parts),
        ):
            np.add.at(by_day, (feeder[mine, None], days[mine]), sign * filled[mine])
            recent = mine & (part_week >= 0)
            np.add.at(by_part, (feeder[recent], part_week[recent]), sign * parts[recent])
        np.add.at(self.missing, (feeder[:, None], days), missing)
        np.add.at(self.present, (feeder[:, None], days), (slots > 0).astype(np.int64))

    def whole(self, feeder: int) -> Int:
        """Days on which a feeder can be balanced: the half of its days, or more, that lack least; (k,)."""
        slots = self.missing[feeder].max(initial=1)
        lacking = self.missing[feeder] + (self.present[feeder].max(initial=0) - self.present[feeder]) * slots
        there = np.flatnonzero(self.through[feeder] > 0)
        if not len(there):
            return there
        whole: Int = there[lacking[there] <= np.median(lacking[there])]
        return whole


def _gaps(meter: Int, count: int, total: Int, slots: Int, missing: Int) -> Int:
    """Use of the slots without a value, at the meter's own mean; whole micro-units, shape of ``total``."""
    have = slots - missing
    energy, number = np.zeros((2, count), np.int64)
    np.add.at(energy, meter, total.sum(axis=1))
    np.add.at(number, meter, have.sum(axis=1))
    mean = energy // np.maximum(number, 1)
    filled: Int = mean[meter][:, None] * missing
    return filled
