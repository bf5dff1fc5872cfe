"""Windows of demand: which slots make one, and the highest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt
from typing import Literal

import numpy as np

from models.bill_window import UnpriceableError
from models.calendar import DayGrid, local_days, standard_offset
from models.series import Bool, Int
from models.tou import Periods
from schemas.tariff import Tariff

__all__ = ["Windows", "demand_windows", "windows_within"]

HOUR_S = 3600
FITS = 1 << 31
"""Energies below it [micro] have squares whose sum 64 bits hold."""
Method = Literal["block", "sliding"]


@dataclass(frozen=True)
class Windows:
    """Windows of one width.

    Attributes:
        first: Column of the first slot of each window, ascending, shape (w,).
        width: Slots of a window.
        seconds: Its length.
    """

    first: Int
    width: int
    seconds: int

    @cached_property
    def slots(self) -> list[Int | slice]:
        """Columns of the first slot of each window, of the second, and so on."""
        return [_columns(self.first + k) for k in range(self.width)]

    def energy(self, load: Int) -> Int:
        """Energy of each window [micro-kWh]; (n, slots) to (n, w)."""
        parts = [load[:, at] if isinstance(at, slice) else load.take(at, axis=1) for at in self.slots]
        return sum(parts[1:], start=parts[0])

    def demand(self, load: Int) -> Int:
        """Mean power of each window [micro-kW]; (n, slots) to (n, w)."""
        power: Int = self.energy(load) * HOUR_S // self.seconds
        return power

    def apparent(self, load: Int, reactive: Int) -> Int:
        """Squares of the apparent energy of each window [micro-kVAh²], exact; (n, w) from (n, slots) each.

        Python integers where 64 bits are too few for any of them.
        """
        active, across = self.energy(load), self.energy(reactive)
        if max(int(np.abs(part).max(initial=0)) for part in (active, across)) >= FITS:
            active, across = active.astype(object), across.astype(object)
        squares: Int = active * active + across * across
        return squares

    def highest_apparent(self, load: Int, reactive: Int) -> Int:
        """Highest mean apparent power [micro-kVA], its energy rounded down; (n,), 0 without a window."""
        if not len(self.first):
            return np.zeros(len(load), np.int64)
        rows = zip(load[:, None], reactive[:, None], strict=True)  # one by one: a large meter slows no other
        squares = [int(self.apparent(*row).max()) for row in rows]
        peak: Int = np.array([isqrt(square) for square in squares], np.int64) * HOUR_S // self.seconds
        return peak

    def highest(self, load: Int) -> Int:
        """Highest mean power [micro-kW]; (n,), 0 without a window."""
        if not len(self.first):
            return np.zeros(len(load), np.int64)
        peak: Int = self.energy(load).max(axis=1) * HOUR_S // self.seconds
        return peak


def _columns(columns: Int) -> Int | slice:
    """Columns as a slice where they are evenly spaced: indexing with it copies nothing."""
    if len(columns) < 2:
        return columns
    step = int(columns[1] - columns[0])
    if int(columns[-1] - columns[0]) == step * (len(columns) - 1) and (np.diff(columns) == step).all():
        return slice(int(columns[0]), int(columns[-1]) + 1, step)
    return columns


def demand_windows(
    tariff: Tariff,
    grid: DayGrid,
    periods: Periods,
    *,
    window_min: int,
    method: Method,
    of: Sequence[str] | None,
) -> Windows:
    """Windows whose last slot lies in some periods; all lie within the grid.

    A block begins on the tariff's standard clock, a sliding window at every slot. A slot longer than the
    window stands for it.

    Args:
        tariff: Gives the clock.
        grid: The slots.
        periods: Of the slots.
        window_min: Width. [minutes]
        method: Blocks or sliding windows.
        of: Periods that count, None for all.

    Raises:
        UnpriceableError: Slots do not make up windows.
    """
    first, width, seconds = _starts(tariff, grid, window_min, method)
    if of is not None:
        codes = [periods.names.index(name) for name in of]
        first = first[np.isin(periods.of_slot[first + width - 1], codes)]
    return Windows(first, width, seconds)


def windows_within(tariff: Tariff, grid: DayGrid, hours: Bool, *, window_min: int, method: Method) -> Windows:
    """Windows all of whose slots are among some; see :func:`demand_windows`."""
    first, width, seconds = _starts(tariff, grid, window_min, method)
    inside = np.concatenate([[0], np.cumsum(hours)])
    return Windows(first[inside[first + width] - inside[first] == width], width, seconds)


@lru_cache(maxsize=512)
def _starts(tariff: Tariff, grid: DayGrid, window_min: int, method: Method) -> tuple[Int, int, int]:
    wanted = window_min * 60
    if wanted % grid.interval_s and grid.interval_s % wanted:
        raise UnpriceableError(
            f"slots of {grid.interval_s / 60:g} minutes",
            f"slots that make up windows of {window_min} minutes",
        )
    seconds = max(wanted, grid.interval_s)
    width = seconds // grid.interval_s
    first = np.arange(grid.slots - width + 1, dtype=np.int64)
    if method == "block":
        days = local_days(tariff.timezone, grid.starts)
        offsets = np.array(
            [standard_offset(tariff.timezone, d) for d in range(days[0], days[-1] + 1)], np.int64
        )
        clock = grid.starts + offsets[days - days[0]]
        first = first[clock[: len(first)] % seconds == 0]
    return first, width, seconds
