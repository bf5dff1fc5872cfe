"""A customer's load from a Parquet or CSV file, as whole micro-units on a tariff's days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.calendar import DayGrid, utc_text
from pipelines.tariffs.table_file import read_table, utc_seconds
from schemas.errors import MeterbeamError

__all__ = ["Load", "read_load"]

Int = NDArray[np.int64]
MICRO = 1_000_000
MOST = 1 << 53
"""Largest slot in micro-units; leaves room for the sum of a bill."""
START = "start_utc"
UNITS = {"kWh": "kwh", "MJ": "mj", "m3": "m3"}
REACTIVE = ("reactive_import", "reactive_export")


@dataclass(frozen=True)
class Load:
    """A load by slot.

    Attributes:
        where: The file.
        unit: Of the energy or volume: kWh, MJ or m3.
        starts: Slot starts, UTC, ascending, shape (n,). [s]
        interval_s: Slot length. [s]
        imported: Shape (n,). [micro-unit]
        exported: The same, None where the file has no such column.
        reactive: Reactive energy by channel, shape (n,). [micro-kvarh]
    """

    where: str
    unit: str
    starts: Int
    interval_s: int
    imported: Int
    exported: Int | None
    reactive: Mapping[str, Int] = field(default_factory=dict)

    def columns_on(self, grid: DayGrid) -> Int:
        """Row of each slot of some days; (slots,).

        Raises:
            MeterbeamError: A slot of these days is missing.
        """
        place: Int = np.searchsorted(self.starts, grid.starts)
        there = place < len(self.starts)
        there[there] = self.starts[place[there]] == grid.starts[there]
        if not there.all():
            first = int(grid.starts[int(np.flatnonzero(~there)[0])])
            raise MeterbeamError(
                self.where,
                f"no value for {(~there).sum()} of {grid.slots} slots, the first one at {utc_text(first)}",
                f"every slot of {grid.interval_s // 60} minutes of the bill",
            )
        first_row, end = np.searchsorted(self.starts, grid.day_starts[[0, -1]])
        if end - first_row != grid.slots:
            rows = self.starts[first_row:end]
            stray = int(rows[~np.isin(rows, grid.starts)][0])
            raise MeterbeamError(
                self.where,
                f"{end - first_row - grid.slots} rows between the slots, the first one at {utc_text(stray)}",
                f"a row each {grid.interval_s // 60} minutes and no other",
            )
        return place


def read_load(path: Path) -> Load:
    """A load file: ``start_utc`` and ``import_micro_kwh`` or ``import_kwh``, and export likewise.

    Gas has ``import_m3`` or ``import_micro_m3``; reactive energy ``reactive_import_kvarh`` and the like.

    Raises:
        MeterbeamError: Names the file, the column, what stands there and what was expected.
    """
    energies = [f"{d}_{unit}" for d in ("import", "export") for unit in UNITS.values()]
    names = [START, *energies, *(f"{channel}_kvarh" for channel in REACTIVE)]
    micro = [name.replace("import_", "import_micro_").replace("export_", "export_micro_") for name in names]
    table, where = read_table(path, "a load", text=[*names, *micro]), str(path)
    unit = next((u for u, name in UNITS.items() if _named(table, "import", name, where)), None)
    if START not in table.column_names or unit is None:
        raise MeterbeamError(
            where,
            f"the columns {', '.join(table.column_names) or 'none'}",
            "start_utc, import_micro_kwh or import_kwh, and export_micro_kwh or export_kwh if there is any",
        )
    if not table.num_rows:
        raise MeterbeamError(where, "no rows", "a row for each slot")
    starts = utc_seconds(table[START], f"{where}, column {START}")
    order = np.argsort(starts, kind="stable")
    starts = starts[order]
    steps = np.diff(starts)
    if (steps == 0).any():
        twice = utc_text(int(starts[1:][steps == 0][0]))
        raise MeterbeamError(where, f"two rows at {twice}", "one row a slot")
    lengths, counts = np.unique(steps, return_counts=True)
    kinds = {"import": UNITS[unit], "export": UNITS[unit], **dict.fromkeys(REACTIVE, "kvarh")}
    values = {
        channel: _micro(table[name], where, name)[order]
        for channel, suffix in kinds.items()
        if (name := _named(table, channel, suffix, where))
    }
    return Load(
        where=where,
        unit=unit,
        starts=starts,
        interval_s=int(lengths[counts.argmax()]) if len(steps) else 3600,
        imported=values["import"],
        exported=values.get("export"),
        reactive={channel: values[channel] for channel in REACTIVE if channel in values},
    )


def _named(table: pa.Table, channel: str, unit: str, where: str) -> str | None:
    """The column of a channel: in micro-units or in units."""
    names = [name for name in (f"{channel}_micro_{unit}", f"{channel}_{unit}") if name in table.column_names]
    if len(names) > 1:
        raise MeterbeamError(where, f"the columns {' and '.join(names)}", "one of them")
    return names[0] if names else None


def _micro(column: pa.ChunkedArray, where: str, name: str) -> Int:
    """Values in micro-units: whole numbers as they are, decimals exactly, doubles rounded once."""
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise MeterbeamError(f"{where}, column {name}, row {row}", "an empty cell", "a number in every row")
    factor = 1 if "_micro_" in name else MICRO
    expected = f"energy from 0 to {MOST // factor:,}"
    try:
        values = _scaled(column, factor)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
        place, found = _culprit(column, str(error).splitlines()[0])
        raise MeterbeamError(f"{where}, column {name}{place}", found, f"{expected}, such as 0.125") from error
    bad = (values < 0) | (values > MOST)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise MeterbeamError(f"{where}, column {name}, row {row + 1}", str(column[row].as_py()), expected)
    return values


def _culprit(column: pa.ChunkedArray, message: str) -> tuple[str, str]:
    """Row and content of the first cell that is no number of a size that fits; else the message."""
    for row, cell in enumerate(column.to_pylist(), 1):
        try:
            fits = abs(Decimal(str(cell))) <= MOST
        except InvalidOperation:
            fits = False
        if not fits:
            return f", row {row}", repr(cell)
    return "", message


def _scaled(column: pa.ChunkedArray, factor: int) -> Int:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64()).to_numpy() * factor
        # What is no number or out of range is below zero here, and refused with its row by the caller.
        fits = np.isfinite(numbers) & (np.abs(numbers) <= MOST)
        nearest: Int = np.where(fits, np.rint(np.where(fits, numbers, 0)), -1).astype(np.int64)
        return nearest
    if pa.types.is_integer(column.type):
        counts: Int = column.cast(pa.int64()).to_numpy()
        return np.where((counts < 0) | (counts > MOST // factor), -1, counts * factor)
    exact = column.cast(pa.decimal128(38, 12))
    scale = pa.scalar(factor, pa.decimal128(7, 0))
    product = pc.round(pc.multiply(exact.cast(pa.decimal128(30, 12)), scale), 0, "half_towards_infinity")
    exactly: Int = product.cast(pa.decimal128(38, 0)).cast(pa.int64()).to_numpy()
    return exactly
