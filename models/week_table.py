"""The ``features`` table as dense arrays: meters by weeks, sorted, whatever the order of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.series import Bool, Int

Float = NDArray[np.float64]
WEEK = 7


@dataclass(frozen=True)
class WeekTable:
    """Features of m meters in w consecutive weeks; 0 where a meter has no row.

    Attributes:
        meters: Sorted ids, shape (m,).
        weeks: Epoch days of the Mondays, ascending, shape (w,).
        there: Whether the meter has the week; (m, w).
        numbers: Scalar columns, (m, w) each.
        lists: List columns, (m, w, 7) or (m, w, 24) each.
    """

    meters: list[str]
    weeks: Int
    there: Bool
    numbers: dict[str, Int]
    lists: dict[str, Int]

    def chosen(self, rows: Int) -> WeekTable:
        """Some of the meters."""
        if len(rows) == len(self.meters):
            return self
        return WeekTable(
            [self.meters[row] for row in rows.tolist()],
            self.weeks,
            self.there[rows],
            {name: part[rows] for name, part in self.numbers.items()},
            {name: part[rows] for name, part in self.lists.items()},
        )

    def days(self, name: str) -> Int:
        """A daily list column in calendar order; (m, 7 · w)."""
        return self.lists[name].reshape(len(self.meters), -1)


def week_table(features: pa.Table, channel: str = "import") -> WeekTable:
    """Dense arrays of one channel's rows."""
    rows = features.filter(pa.compute.equal(features["channel"], channel))
    ids = rows["meter_id"].to_pylist()
    meters = sorted(set(ids))
    position = {meter: i for i, meter in enumerate(meters)}
    row = np.array([position[meter] for meter in ids], np.int64)
    week = rows["week"].cast(pa.int32()).to_numpy().astype(np.int64)
    weeks = np.unique(week)
    column = np.searchsorted(weeks, week)
    shape = (len(meters), len(weeks))
    there = np.zeros(shape, np.bool_)
    there[row, column] = True
    numbers: dict[str, Int] = {}
    lists: dict[str, Int] = {}
    for field in rows.schema:
        if field.name in ("meter_id", "channel", "week"):
            continue
        if pa.types.is_list(field.type):
            flat = rows[field.name].combine_chunks().flatten().to_numpy()
            width = len(flat) // rows.num_rows if rows.num_rows else WEEK
            lists[field.name] = np.zeros((*shape, width), np.int64)
            lists[field.name][row, column] = flat.reshape(rows.num_rows, width)
        elif pa.types.is_integer(field.type):
            numbers[field.name] = np.zeros(shape, np.int64)
            numbers[field.name][row, column] = rows[field.name].to_numpy()
    numbers["have"] = numbers["slots"] - numbers["missing"]
    lists["day_have"] = lists["day_slots"] - lists["day_missing"]
    return WeekTable(meters, weeks, there, numbers, lists)
