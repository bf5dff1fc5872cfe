"""How soon readings came: within a day of the end of their local day, or later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.calendar import local_days, local_midnight
from models.series import Bool, Int

__all__ = ["Arrived", "arrivals"]

MICROS = 1_000_000


@dataclass(frozen=True)
class Arrived:
    """Readings by series and local month, sorted so; one row each, shape (k,).

    Attributes:
        series: Number of the series.
        month: Epoch day of the month's first day.
        dated: Readings whose receipt is known.
        timely: Of these, the ones received within a day of the end of their local day.
    """

    series: Int
    month: Int
    dated: Int
    timely: Int


def arrivals(series: Int, start: Int, received: Int, known: Bool, zone: str) -> Arrived:
    """Count some readings.

    Args:
        series: Number of the series of each, shape (n,).
        start: Its start, shape (n,). [s, UTC]
        received: Its receipt, whatever stands where it is not known, shape (n,). [µs, UTC]
        known: Whether its receipt is known, shape (n,).
        zone: IANA name of the zone of the local days.
    """
    if not len(series):
        return Arrived(*np.zeros((4, 0), np.int64))
    days = local_days(zone, start)
    first = int(days.min())
    ends = np.array([local_midnight(zone, day + 2) for day in range(first, int(days.max()) + 1)], np.int64)
    timely = known & (received <= ends[days - first] * MICROS)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    low = int(months.min())
    width = int(months.max()) - low + 1
    group, of = np.unique(series * width + months - low, return_inverse=True)
    month = (group % width + low).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    counts = (np.bincount(of[which], minlength=len(group)) for which in (known, timely))
    return Arrived(group // width, month, *counts)
