"""Day rows of the lake as dense loads, ready to be priced."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.blocks import series_of
from models.calendar import DayGrid, day_grid
from models.dirty import Days
from models.group_bills import load_channels
from models.loads import Codes, Loads
from models.master import MICROS, MasterData
from models.series import Bool, Int
from schemas.channels import CHANNELS, REACTIVE
from schemas.quality import Quality

__all__ = ["day_loads"]

AT_ONCE = 2048
"""Day rows laid at once: few enough to stay in a core's cache on their way."""


def day_loads(days: pa.Table, zone: str, master: MasterData, span: Days) -> list[Loads]:
    """Dense loads of all meters, one for each length of interval; all over the same days.

    Args:
        days: Current rows of ``days``, in any order.
        zone: Of the lake.
        master: Says by which channel a meter is billed.
        span: The days, first and last; they hold all rows.
    """
    first, count = span[0], span[1] - span[0] + 1
    found = []
    lengths = sorted(pc.unique(days["interval_s"]).to_pylist())
    for interval in lengths:
        mine = days if len(lengths) == 1 else days.filter(pc.equal(days["interval_s"], interval))
        rows = _Rows(mine, day_grid(zone, interval, first, count))
        if rows.channels(master):
            found.append(rows.loads(rows.channels(master)))
    return found


class _Rows:
    """Day rows of one length of interval."""

    def __init__(self, days: pa.Table, grid: DayGrid) -> None:
        self.grid = grid
        self.table = days.combine_chunks()
        self.series, self.names = series_of(self.table)
        self.day = days["local_day"].cast(pa.int32()).to_numpy().astype(np.int64) - grid.first_day

    def channels(self, master: MasterData) -> dict[str, str]:
        """The billed channel of each meter."""
        return load_channels(self.names, master)

    def loads(self, bought: dict[str, str]) -> Loads:
        """Values and qualities of all meters."""
        drawn = self._dense(bought, bought)
        sold = self._dense(bought, dict.fromkeys(bought, "export"))
        quality = np.where(drawn.there_slots(self.grid), drawn.quality, np.int8(Quality.MISSING))
        both = sold.there_slots(self.grid)
        quality[both] = np.minimum(quality, sold.quality)[both]
        alone = [row for row, channel in enumerate(bought.values()) if channel == "export"]
        drawn.value[alone] = 0
        reactive = {channel: self._dense(bought, dict.fromkeys(bought, channel)) for channel in REACTIVE}
        first = np.where(drawn.there.any(axis=1), drawn.there.argmax(axis=1), self.grid.days)
        return Loads(
            grid=self.grid,
            names=list(bought),
            units=[CHANNELS[channel].unit for channel in bought.values()],
            imported=drawn.value,
            exported=sold.value if sold.there.any() else None,
            exports=sold.there,
            first_day=first + self.grid.first_day,
            quality=quality,
            reactive={name: (d.value, d.quality) for name, d in reactive.items() if d.there.any()},
        )

    def _dense(self, bought: dict[str, str], wanted: dict[str, str]) -> _Dense:
        """One channel of each meter on the grid."""
        row_of = {meter: row for row, meter in enumerate(bought)}
        row_of_series = [row_of[m] if wanted.get(m) == channel else -1 for m, channel in self.names]
        row = np.array([*row_of_series, -1], np.int64)[self.series]
        at = np.flatnonzero(row >= 0)
        dense = _Dense.empty(len(bought), self.grid)
        if len(at):
            rows = self.table if len(at) == self.table.num_rows else self.table.take(pa.array(at))
            dense.put(rows, row[at], self.day[at], self.grid)
        return dense


class _Dense:
    """Values, qualities and days of one channel; (n, slots) and (n, days)."""

    def __init__(self, value: Int, quality: Codes, there: Bool) -> None:
        self.value, self.quality, self.there = value, quality, there

    @classmethod
    def empty(cls, count: int, grid: DayGrid) -> _Dense:
        """Nothing measured."""
        shape = count, grid.slots
        return cls(
            np.zeros(shape, np.int64),
            np.full(shape, Quality.MISSING, np.int8),
            np.zeros((count, grid.days), np.bool_),
        )

    def there_slots(self, grid: DayGrid) -> Bool:
        """Days in range, slot by slot."""
        return np.repeat(self.there, grid.lengths, axis=1)

    def put(self, rows: pa.Table, row: Int, day: Int, grid: DayGrid) -> None:
        """Lay day rows on the grid; those of a part of a day begin with its first slot in service."""
        lists = rows["values"].combine_chunks()
        length = pc.list_value_length(lists).to_numpy().astype(np.int64)
        start = rows["start"].cast(pa.int64()).to_numpy() // MICROS
        base = row * grid.slots + (start - grid.origin) // grid.interval_s
        flat = lists.flatten()
        values = (pc.fill_null(flat, 0) if flat.null_count else flat).to_numpy()
        quality = _qualities(rows, length)
        first = np.cumsum(length) - length
        for slots in np.unique(length[length > 0]).tolist():
            mine = np.flatnonzero(length == slots)
            for dense, told in ((self.value, values), (self.quality, quality)):
                target = sliding_window_view(dense.ravel(), slots, writeable=True)
                origin = sliding_window_view(told, slots)
                for low in range(0, len(mine), AT_ONCE):
                    some = mine[low : low + AT_ONCE]
                    target[base[some]] = origin[first[some]]
        self.there[row, day] = True


def _qualities(rows: pa.Table, length: Int) -> NDArray[np.int8]:
    """Quality of each slot of day rows, one after the other."""
    uniform = pc.fill_null(rows["quality"], int(Quality.VALIDATED)).to_numpy().astype(np.int8)
    found = np.repeat(uniform, length)
    mixed = rows["qualities"].is_valid().to_numpy()
    if mixed.any():
        lists = rows["qualities"].combine_chunks()
        found[np.repeat(mixed, length)] = lists.flatten().to_numpy()
    return found
