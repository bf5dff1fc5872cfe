"""Mean temperature of local days at a station, from the weather records of a lake."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import local_days
from models.reference_days import ABSOLUTE_ZERO
from models.series import Int
from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError
from schemas.lake import RAW_FILES
from schemas.records import Kind
from transforms.raw_codec import read_raw_shards

__all__ = ["UNKNOWN", "day_temperatures"]

MICROS = 1_000_000
UNKNOWN = ABSOLUTE_ZERO - 1
LEAST_S = 18 * 3600
"""A day's mean is known where so much of it is covered. [s]"""


def day_temperatures(lake: Lake, station: str, first: int, last: int) -> Int:
    """Mean of each local day, by the records that hold: of one interval the one received last.

    Args:
        lake: The lake, at a run.
        station: As in the records.
        first: First epoch day.
        last: Last one.

    Returns:
        Thousandths of a degree Celsius, half to even, ``UNKNOWN`` where less than 18 hours are covered;
        shape (last − first + 1,).

    Raises:
        MeterbeamError: The lake has no temperatures of the station.
    """
    rows = _records(lake)
    mine = rows.filter(pc.equal(rows["station"], station))
    if not mine.num_rows:
        known = ", ".join(sorted(filter(None, pc.unique(rows["station"]).to_pylist())))
        expected = f"one of {known}" if known else "a lake with Weather records"
        raise MeterbeamError(str(lake.path), f"no temperatures of station {station!r}", expected)
    by = ("start", "received_at", "sequence", "temperature_c")
    mine = mine.take(pc.sort_indices(mine, [(name, "ascending", "at_start") for name in by]))
    start = mine["start"].cast(pa.int64()).to_numpy()
    holds = np.append(start[1:] != start[:-1], True)
    kelvin = mine["temperature_c"].to_numpy()[holds]
    length = mine["interval_s"].to_numpy()[holds].astype(np.int64)
    day = local_days(lake.config.timezone, start[holds] // MICROS) - first
    inside = (day >= 0) & (day <= last - first) & np.isfinite(kelvin)
    milli = np.rint(kelvin[inside] * 1000).astype(np.int64)
    covered = np.bincount(day[inside], length[inside], last - first + 1)
    summed = np.bincount(day[inside], milli * length[inside], last - first + 1)
    mean = np.rint(summed / np.maximum(covered, 1)).astype(np.int64)
    found: Int = np.where(covered >= LEAST_S, mean, UNKNOWN)
    return found


def _records(lake: Lake) -> pa.Table:
    """All weather records."""
    files = lake.table(RAW_FILES.name, ["kind", "name"]).to_pylist()
    folder = lake.path / "raw" / Kind.WEATHER
    paths = [folder / file["name"] for file in files if file["kind"] == Kind.WEATHER]
    return read_raw_shards(paths, Kind.WEATHER, (0,))[0]
