"""A customer's load from a Parquet or CSV file, as whole micro-units on a tariff's days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.calendar import DayGrid
from schemas.errors import MeterbeamError

__all__ = ["Load", "read_load", "utc_seconds"]

Int = NDArray[np.int64]
MICRO = 1_000_000
START = "start_utc"
COLUMNS = {"import": ("import_micro_kwh", "import_kwh"), "export": ("export_micro_kwh", "export_kwh")}
"""The two forms in which each direction may stand."""


@dataclass(frozen=True)
class Load:
    """A load by slot.

    Attributes:
        where: The file.
        starts: Slot starts, UTC, ascending, shape (n,). [s]
        interval_s: Slot length. [s]
        imported: Shape (n,). [micro-unit]
        exported: The same, None where the file has no such column.
    """

    where: str
    starts: Int
    interval_s: int
    imported: Int
    exported: Int | None

    def on(self, grid: DayGrid) -> tuple[Int, Int | None]:
        """The slots of some days; (1, slots) each.

        Raises:
            MeterbeamError: A slot of these days is missing.
        """
        place = np.searchsorted(self.starts, grid.starts)
        there = place < len(self.starts)
        there[there] = self.starts[place[there]] == grid.starts[there]
        if not there.all():
            first = int(grid.starts[int(np.flatnonzero(~there)[0])])
            raise MeterbeamError(
                self.where,
                f"no value for {int((~there).sum())} of {grid.slots} slots, the first one at "
                f"{datetime.fromtimestamp(first, UTC):%Y-%m-%dT%H:%M:%SZ}",
                f"every slot of {grid.interval_s // 60} minutes of the bill",
            )
        exported = None if self.exported is None else self.exported[place][None]
        return self.imported[place][None], exported


def read_load(path: Path) -> Load:
    """A load file: ``start_utc`` and ``import_micro_kwh`` or ``import_kwh``, and export likewise.

    Raises:
        MeterbeamError: Names the file, what stands there and what was expected.
    """
    table = _table(path)
    where = str(path)
    if START not in table.column_names or not set(COLUMNS["import"]) & set(table.column_names):
        raise MeterbeamError(
            where,
            f"the columns {', '.join(table.column_names) or 'none'}",
            "start_utc, import_micro_kwh or import_kwh, and export_micro_kwh or export_kwh if there is any",
        )
    if not table.num_rows:
        raise MeterbeamError(where, "no rows", "a row for each slot")
    starts = utc_seconds(table[START], where)
    order = np.argsort(starts, kind="stable")
    starts = starts[order]
    steps = np.diff(starts)
    if (steps == 0).any():
        twice = int(starts[1:][steps == 0][0])
        found = f"two rows at {datetime.fromtimestamp(twice, UTC):%Y-%m-%dT%H:%M:%SZ}"
        raise MeterbeamError(where, found, "one row a slot")
    lengths, counts = np.unique(steps, return_counts=True)
    interval = int(lengths[counts.argmax()]) if len(steps) else 3600
    imported = _micro(table, "import", where)
    assert imported is not None
    exported = _micro(table, "export", where)
    return Load(where, starts, interval, imported[order], None if exported is None else exported[order])


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise MeterbeamError(str(path), "no such file", "a load in Parquet or CSV")
    try:
        if path.suffix.lower() == ".parquet":
            return pq.read_table(path)
        names = [name for pair in COLUMNS.values() for name in pair]
        options = csv.ConvertOptions(column_types={**dict.fromkeys(names, pa.string()), START: pa.string()})
        return csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise MeterbeamError(str(path), str(error), "a load in Parquet (.parquet) or CSV") from error


def utc_seconds(column: pa.ChunkedArray, where: str) -> Int:
    """UTC seconds of the times of a ``start_utc`` column: timestamps, text, or seconds since 1970.

    Raises:
        MeterbeamError: One is empty, no time, or not on a whole second.
    """
    if column.null_count:
        raise MeterbeamError(f"{where}, column {START}", "an empty cell", "a time in every row")
    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            text = column.cast(pa.string())
            zoned = pc.all(pc.match_substring_regex(text, r"(Z|[+-]\d\d:?\d\d)$")).as_py()
            column = text.cast(pa.timestamp("us", "UTC" if zoned else None))
        elif pa.types.is_integer(column.type):
            column = column.cast(pa.int64()).cast(pa.timestamp("s"))
        micros: Int = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        found = str(error).splitlines()[0]
        raise MeterbeamError(
            f"{where}, column {START}", found, "times in UTC such as 2026-03-01T08:00:00Z"
        ) from error
    if (micros % MICRO).any():
        raise MeterbeamError(f"{where}, column {START}", "a part of a second", "slots that begin on a second")
    return micros // MICRO


def _micro(table: pa.Table, direction: str, where: str) -> Int | None:
    """Values in micro-units: whole numbers as they are, decimals exactly, doubles rounded once."""
    whole, units = COLUMNS[direction]
    name = next((name for name in (whole, units) if name in table.column_names), None)
    if name is None:
        return None
    column = table[name]
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise MeterbeamError(f"{where}, column {name}, row {row}", "an empty cell", "a number in every row")
    try:
        if pa.types.is_floating(column.type):
            numbers = column.cast(pa.float64()).to_numpy() * (1 if name == whole else MICRO)
            if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0) > 1 << 62:
                raise MeterbeamError(f"{where}, column {name}", "a number out of range", "finite energy")
            nearest: Int = np.rint(numbers).astype(np.int64)
            return nearest
        if pa.types.is_integer(column.type):
            counts: Int = column.cast(pa.int64()).to_numpy()
            return counts * (1 if name == whole else MICRO)
        exact = column.cast(pa.decimal128(38, 12))
        factor = pa.scalar(1 if name == whole else MICRO, pa.decimal128(7, 0))
        product = pc.round(pc.multiply(exact.cast(pa.decimal128(30, 12)), factor), 0, "half_towards_infinity")
        exactly: Int = product.cast(pa.decimal128(38, 0)).cast(pa.int64()).to_numpy()
        return exactly
    except pa.ArrowInvalid as error:
        found = str(error).splitlines()[0]
        raise MeterbeamError(f"{where}, column {name}", found, "numbers such as 0.125") from error
