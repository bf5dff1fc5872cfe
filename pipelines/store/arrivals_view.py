"""When readings came, by series and local month: what the view ``data_quality`` reads of the raw zone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from models.blocks import series_of
from models.timeliness import arrivals
from pipelines.store.lake import Lake
from pipelines.store.raw_view import RawReadings, Scan

__all__ = ["ARRIVALS", "Arrivals"]

MICROS = 1_000_000
ARRIVALS = pa.schema(
    [
        ("meter_id", pa.string()),
        ("channel", pa.string()),
        ("month", pa.date32()),
        ("dated", pa.int64()),
        ("timely", pa.int64()),
    ]
)


class Arrivals(ds.Dataset):
    """Counts of a lake's readings as a dataset that DuckDB can scan, worked out shard by shard."""

    def __init__(self, lake: Lake) -> None:  # a Dataset's own refuses to be called
        self._readings, self._zone = RawReadings(lake), lake.config.timezone

    @property
    def schema(self) -> pa.Schema:
        """The schema of the counts."""
        return ARRIVALS

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> Scan:  # noqa: A002
        """A scan of some columns of the rows that pass a filter; see ``RawReadings.scanner``."""
        names = ARRIVALS.names if columns is None else list(columns)
        schema = pa.schema([ARRIVALS.field(name) for name in names])

        def batches() -> Iterator[pa.RecordBatch]:
            for readings in self._readings.shards():
                counts = _counts(readings, self._zone)
                yield from (counts if filter is None else counts.filter(filter)).select(names).to_batches()

        return Scan(batches, schema)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a view of a lake cannot be sent to another process")


def _counts(readings: pa.Table, zone: str) -> pa.Table:
    series, names = series_of(readings)
    start = readings["start"].cast(pa.int64()).to_numpy() // MICROS
    received = readings["received_at"].cast(pa.int64())
    known = received.is_valid().to_numpy()
    found = arrivals(series, start, pc.fill_null(received, 0).to_numpy(), known, zone)
    of = pa.array(found.series)
    meters, channels = (pa.array([name[part] for name in names], pa.string()) for part in (0, 1))
    columns = [
        meters.take(of), channels.take(of), pa.array(found.month.astype(np.int32)).cast(pa.date32()),
        found.dated, found.timely,
    ]  # fmt: skip
    return pa.table(columns, schema=ARRIVALS)
