"""Day rows of a lake, series by series, for the formats that are written a series at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.calendar import epoch_day, local_midnight

__all__ = ["SeriesDays", "series_days"]

Int = NDArray[np.int64]
MICROS = 1_000_000
ROWS_A_STEP = 4096
COLUMNS = (
    'meter_id, channel, local_day, start, interval_s, unit, "values", quality, qualities, methods, '
    "withdrawn, run_no"
)


@dataclass(frozen=True)
class SeriesDays:
    """The slots of one series of one interval length, ascending.

    Attributes:
        meter_id: The device.
        channel: A name of the catalogue.
        interval_s: Slot length. [s]
        unit: Billing unit.
        starts: Slot starts, UTC, shape (n,). [s]
        values: Shape (n,). [micro-units]
        quality: Codes of ``schemas.quality.Quality``, shape (n,).
        method: Codes of ``schemas.quality.Method``, shape (n,).
        changed: Slots of local days that changed since the last delivery, shape (n,).
        day: Local day (epoch day) of each slot, shape (n,).
        withdrawn: UTC spans [s] of local days that had a result and have none any more.
    """

    meter_id: str
    channel: str
    interval_s: int
    unit: str
    starts: Int
    values: Int
    quality: Int
    method: Int
    changed: NDArray[np.bool_]
    day: Int
    withdrawn: tuple[tuple[int, int], ...] = ()


def series_days(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    *,
    since: int,
    zone: str,
    wanted: Callable[[str], bool] = lambda channel: True,
) -> Iterator[SeriesDays]:
    """Series of day rows, sorted by meter, channel and day; memory is bounded by a series.

    Args:
        connection: With the lake's views.
        source: SQL of rows of the table ``days``, current ones.
        since: Rows of later runs count as changed.
        zone: Of the lake's local days.
        wanted: Which channels.
    """
    select = f"SELECT {COLUMNS} FROM ({source}) ORDER BY meter_id, channel, local_day"
    reader = connection.sql(select).to_arrow_reader(ROWS_A_STEP)
    held: list[pa.Table] = []
    for batch in reader:
        for part in _by_series(pa.Table.from_batches([batch])):
            if held and _name(held[0]) != _name(part):
                yield from _series(pa.concat_tables(held), since, zone, wanted)
                held = []
            held.append(part)
    if held:
        yield from _series(pa.concat_tables(held), since, zone, wanted)


def _name(rows: pa.Table) -> tuple[str, str]:
    return rows["meter_id"][0].as_py(), rows["channel"][0].as_py()


def _by_series(rows: pa.Table) -> Iterator[pa.Table]:
    names = list(zip(rows["meter_id"].to_pylist(), rows["channel"].to_pylist(), strict=True))
    edges = [0, *(i for i in range(1, len(names)) if names[i] != names[i - 1]), len(names)]
    for low, high in itertools.pairwise(edges):
        if high > low:
            yield rows.slice(low, high - low)


def _series(rows: pa.Table, since: int, zone: str, wanted: Callable[[str], bool]) -> Iterator[SeriesDays]:
    meter, channel = _name(rows)
    if not channel or not wanted(channel):
        return
    gone = rows.filter(rows["withdrawn"])
    spans = tuple(
        (local_midnight(zone, epoch_day(day)), local_midnight(zone, epoch_day(day) + 1))
        for day, run in zip(gone["local_day"].to_pylist(), gone["run_no"].to_pylist(), strict=True)
        if run > since
    )
    held = rows.filter(pc.invert(rows["withdrawn"]))
    lengths = held["interval_s"].to_numpy()
    for interval in sorted(set(lengths.tolist())):
        yield _slots(held.filter(pa.array(lengths == interval)), meter, channel, interval, since, spans)


def _slots(
    rows: pa.Table, meter: str, channel: str, interval: int, since: int, spans: tuple[tuple[int, int], ...]
) -> SeriesDays:
    rows = rows.combine_chunks()
    values = pa.concat_arrays(rows["values"].chunks)
    length = pc.list_value_length(values).to_numpy().astype(np.int64)
    first = rows["start"].cast(pa.int64()).to_numpy() // MICROS
    ramp = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    quality = np.repeat(pc.fill_null(rows["quality"], 0).to_numpy().astype(np.int64), length)
    _fill(quality, rows["qualities"], length)
    method = np.zeros(len(quality), np.int64)
    _fill(method, rows["methods"], length)
    return SeriesDays(
        meter,
        channel,
        interval,
        rows["unit"][0].as_py(),
        np.repeat(first, length) + ramp * interval,
        pc.fill_null(values.flatten(), 0).to_numpy(),
        quality,
        method,
        np.repeat(rows["run_no"].to_numpy() > since, length),
        np.repeat(rows["local_day"].cast(pa.int32()).to_numpy().astype(np.int64), length),
        spans,
    )


def _fill(target: Int, column: pa.ChunkedArray, length: Int) -> None:
    """Overwrite the slots of rows that list a code each."""
    lists = pa.concat_arrays(column.chunks)
    stated = np.repeat(lists.is_valid().to_numpy(zero_copy_only=False), length)
    target[stated] = lists.flatten().to_numpy().astype(np.int64)
