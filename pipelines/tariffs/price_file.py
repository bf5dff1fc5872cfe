"""Price series from CSV or Parquet, as exact decimals."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from models.bill_prices import PriceSeries, series_of
from models.calendar import utc_text
from pipelines.tariffs.table_file import read_table, utc_seconds
from schemas.errors import MeterbeamError

__all__ = ["read_prices"]

HOUR_S = 3600


def read_prices(path: Path) -> dict[str | None, PriceSeries]:
    """Series by id; the id is None in a file without ``series_id``.

    ``start_utc`` and ``price`` are needed, ``series_id`` and ``interval_s`` may be there. Without
    ``interval_s`` a price holds for the step that is most frequent in its series (an hour for a single
    price), and not into the next one.

    Raises:
        MeterbeamError: Names the file, the row, what stands there and what was expected.
    """
    expected = "start_utc and price, and series_id and interval_s if there are any"
    table = read_table(path, "prices", text=("series_id", "start_utc", "start", "price", "interval_s"))
    where = str(path)
    if "start_utc" not in table.column_names:
        # As the lake's view of prices names it.
        table = table.rename_columns(
            ["start_utc" if name == "start" else name for name in table.column_names]
        )
    if not {"start_utc", "price"} <= set(table.column_names):
        raise MeterbeamError(where, f"the columns {', '.join(table.column_names) or 'none'}", expected)
    starts = utc_seconds(table["start_utc"], f"{where}, column start_utc").tolist()
    count = table.num_rows
    names = _texts(table, "series_id") if "series_id" in table.column_names else [None] * count
    lengths = _texts(table, "interval_s") if "interval_s" in table.column_names else [None] * count
    found: dict[str | None, dict[int, tuple[Decimal, int | None]]] = {}
    for row, (name, at, length, price) in enumerate(
        zip(names, starts, lengths, _texts(table, "price"), strict=True), 1
    ):
        if price is None:
            continue
        entry = _price(price, f"{where}, row {row}, column price"), _length(length, f"{where}, row {row}")
        before = found.setdefault(name, {}).setdefault(at, entry)
        if before != entry:
            said = f"two prices at {utc_text(at)} for {name or 'the series'}: {before[0]} and {entry[0]}"
            raise MeterbeamError(f"{where}, row {row}", said, "one price at a time")
    return {name: _series(by) for name, by in found.items()}


def _series(by: dict[int, tuple[Decimal, int | None]]) -> PriceSeries:
    starts = sorted(by)
    steps = Counter(later - earlier for earlier, later in pairwise(starts))
    usual = min(steps, key=lambda step: (-steps[step], step)) if steps else HOUR_S
    return series_of([(at, by[at][1] or usual, by[at][0], None) for at in starts])


def _texts(table: pa.Table, name: str) -> list[str | None]:
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return [None if value is None else str(value) for value in column.to_pylist()]


def _price(text: str, where: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation as error:
        raise MeterbeamError(where, repr(text), "a price such as 0.125") from error
    if not price.is_finite() or abs(price) >= 10**9 or price != round(price, 12):
        raise MeterbeamError(where, repr(text), "a price such as 0.125, with at most 12 decimals")
    return price


def _length(text: str | None, where: str) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not int(text):
        raise MeterbeamError(f"{where}, column interval_s", repr(text), "seconds such as 3600")
    return int(text)
