"""Tables that a user hands over as Parquet or CSV, and their times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.errors import MeterbeamError

__all__ = ["read_table", "utc_seconds"]

Int = NDArray[np.int64]
MICRO = 1_000_000


def read_table(path: Path, what: str, *, text: Sequence[str]) -> pa.Table:
    """A Parquet file (by its ending) or a CSV file.

    Args:
        path: The file.
        what: What it should hold, for messages.
        text: Columns of a CSV file that are kept as they are written.

    Raises:
        MeterbeamError: There is no such file, or it cannot be read, or has a column twice.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise MeterbeamError(str(path), found, f"{what} in Parquet or CSV")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pq.read_table(path)
        else:
            kinds = csv.ConvertOptions(
                column_types=dict.fromkeys(text, pa.string()), strings_can_be_null=True
            )
            table = csv.read_csv(path, convert_options=kinds)
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError, OSError) as error:
        found = str(error).splitlines()[0]
        raise MeterbeamError(str(path), found, f"{what} in Parquet (.parquet) or CSV") from error
    names = table.column_names
    for place, name in enumerate(names):
        if name in names[:place]:
            raise MeterbeamError(str(path), f"a second column {name}", "each column once")
    return table


def utc_seconds(column: pa.ChunkedArray, where: str) -> Int:
    """UTC seconds of times: text with or without an offset (then UTC), timestamps or epoch seconds.

    Raises:
        MeterbeamError: A cell is empty, no time, or no whole second.
    """
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise MeterbeamError(f"{where}, row {row}", "an empty cell", "a time in every row")
    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = _parsed(column.cast(pa.string()))
        elif pa.types.is_integer(column.type):
            column = column.cast(pa.int64()).cast(pa.timestamp("s"))
        micros: Int = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, AttributeError) as error:
        found = str(error).splitlines()[0]
        raise MeterbeamError(where, found, "times in UTC such as 2026-03-01T08:00:00Z") from error
    if (micros % MICRO).any():
        row = int(np.flatnonzero(micros % MICRO)[0]) + 1
        raise MeterbeamError(f"{where}, row {row}", "a part of a second", "times on a second")
    return micros // MICRO


def _parsed(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as timestamps; a file may have offsets in all rows or in none."""
    zoned = pc.match_substring_regex(text, r"(Z|[+-]\d\d:?\d\d)$")
    if pc.any(zoned).as_py() and not pc.all(zoned).as_py():
        row = int(np.flatnonzero(~zoned.to_numpy())[0])
        raise pa.ArrowInvalid(f"row {row + 1} without an offset beside rows with one: {text[row].as_py()!r}")
    return text.cast(pa.timestamp("us", "UTC" if pc.any(zoned).as_py() else None))
