"""What detection knows of each meter-week: dense arrays, meters by weeks, whatever the order of the rows.

Built piece by piece, so that no more than the result is ever held of a large fleet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.series import Bool, Int
from models.weekly_features import NAMES, weekly_features
from schemas.features import LISTS

WEEK = 7
DAILY = {
    "day_total": np.int64,
    "day_max": np.int64,
    "day_min": np.int64,
    "day_zeros": np.int16,
    "day_lone": np.int16,
    "day_hash": np.int64,
    "day_have": np.int16,
    "day_missing": np.int16,
}
"""Daily columns that are kept, as small as they can be: a day has at most 1,500 slots of a minute."""

PARTS = 7 * 12
"""Two hours each of a week."""
RECENT_WEEKS = 8
"""Weeks of which the parts of the days are kept: enough to lay beside a feeder's loss."""
CLOCK_WEEKS = 13
"""Weeks of which the profile by hour is kept: enough to see a clock that was set."""
METERS_AT_ONCE = 128
"""Meters whose days are looked at together: they fit a processor's cache."""

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class WeekTable:
    """Features of m meters in w weeks; 0 where a meter has no row.

    Attributes:
        meters: Sorted ids, shape (m,).
        weeks: Epoch days of the Mondays, ascending, shape (w,).
        there: Whether the meter has the week; (m, w).
        negatives: Slots with a value below zero; (m, w).
        lists: The columns of ``DAILY``, (m, w, 7) each.
        features: ``models.weekly_features`` of each week, NaN where there is none; (m, w, 12).
        halves: Energy by half hour in the last ``CLOCK_WEEKS``; (m, c, 48). [Wh]
        parts: Energy by day and two hours in the last ``RECENT_WEEKS``; (m, r, 84). [Wh]
    """

    meters: list[str]
    weeks: Int
    there: Bool
    negatives: NDArray[np.int32]
    lists: Columns
    features: NDArray[np.float32]
    halves: NDArray[np.float32]
    parts: NDArray[np.int32]

    def chosen(self, rows: Int, daily: Sequence[str] = tuple(DAILY)) -> WeekTable:
        """Some of the meters, with some of the daily columns; all meters are not copied."""
        if len(rows) == len(self.meters):
            return replace(self, lists={name: self.lists[name] for name in daily})
        return WeekTable(
            [self.meters[row] for row in rows.tolist()],
            self.weeks,
            self.there[rows],
            self.negatives[rows],
            {name: self.lists[name][rows] for name in daily},
            self.features[rows],
            self.halves[rows],
            self.parts[rows],
        )

    def narrowed(self, rows: Int, daily: Sequence[str] = tuple(DAILY)) -> WeekTable:
        """As :meth:`chosen`, in the memory of this table, which must not be used afterwards; rows ascend."""
        lists = {name: self.lists[name] for name in daily}
        if len(rows) == len(self.meters):
            return replace(self, lists=lists)
        return WeekTable(
            [self.meters[row] for row in rows.tolist()],
            self.weeks,
            _moved_up(self.there, rows),
            _moved_up(self.negatives, rows),
            {name: _moved_up(column, rows) for name, column in lists.items()},
            _moved_up(self.features, rows),
            _moved_up(self.halves, rows),
            _moved_up(self.parts, rows),
        )

    def days(self, name: str) -> NDArray[np.integer]:
        """A daily column in calendar order; (m, 7 · w)."""
        return self.lists[name].reshape(len(self.meters), WEEK * len(self.weeks))


def week_table(
    pieces: Iterable[pa.Table],
    weeks: Int,
    channel: str = "import",
    *,
    meters: Collection[str] | None = None,
) -> WeekTable:
    """Dense arrays of one channel's rows, made at their final size and filled piece by piece.

    Args:
        pieces: Rows of the ``features`` table; all rows of a meter in one piece.
        weeks: Mondays of all pieces, ascending.
        channel: The channel.
        meters: Whose rows are wanted; those without a row are left out. None for all: then all pieces are
            held at once.
    """
    if meters is None:
        pieces = list(pieces)
        meters = {meter for piece in pieces for meter in pc.unique(piece["meter_id"]).to_pylist()}
    names = sorted(meters)
    place = {meter: row for row, meter in enumerate(names)}
    columns = _nothing(len(names), weeks)
    for piece in pieces:
        wanted = pc.equal(piece["channel"], channel)
        some, found = _dense(piece if pc.all(wanted).as_py() else piece.filter(wanted), weeks)
        rows = np.array([place.get(meter, -1) for meter in some], np.int64)
        chosen = np.flatnonzero(rows >= 0)
        for name, column in found.items():
            columns[name][rows[chosen]] = column[chosen] if len(chosen) < len(rows) else column
        del piece, found  # before the next one is read
    table = WeekTable(
        names,
        weeks,
        columns["there"],
        columns["negatives"],
        {name: columns[name] for name in DAILY},
        columns["features"],
        columns["halves"],
        columns["parts"],
    )
    return table.narrowed(np.flatnonzero(table.there.any(axis=1)))


def _nothing(meters: int, weeks: Int) -> Columns:
    """The columns of meters without a row."""
    shape = meters, len(weeks)
    numbers = {"there": np.bool_, "negatives": np.int32}
    return {
        **{name: np.zeros(shape, kind) for name, kind in numbers.items()},
        **{name: np.zeros((*shape, WEEK), kind) for name, kind in DAILY.items()},
        "features": np.full((*shape, len(NAMES)), np.nan, np.float32),
        "halves": np.zeros((meters, min(CLOCK_WEEKS, len(weeks)), 48), np.float32),
        "parts": np.zeros((meters, min(RECENT_WEEKS, len(weeks)), PARTS), np.int32),
    }


def some_meters(count: int) -> Iterator[slice]:
    """All of so many meters, some at a time: what stands between input and result stays small."""
    return (slice(low, min(low + METERS_AT_ONCE, count)) for low in range(0, count, METERS_AT_ONCE))


def _moved_up(column: NDArray[Any], rows: Int) -> NDArray[Any]:
    """The chosen rows, ascending, at the head of the same memory."""
    for some in some_meters(len(rows)):
        column[some] = column[rows[some]]  # no row is written to before it was read
    return column[: len(rows)]


def _dense(rows: pa.Table, weeks: Int) -> tuple[list[str], Columns]:
    """Meters of one piece, and their columns."""
    if not rows.num_rows:
        return [], _nothing(0, weeks)
    ids = _array(rows["meter_id"]).dictionary_encode()
    meters = ids.dictionary.to_pylist()
    row = ids.indices.to_numpy()
    column = np.searchsorted(weeks, rows["week"].cast(pa.int32()).to_numpy().astype(np.int64))
    shape = (len(meters), len(weeks))
    there = np.zeros(shape, np.bool_)
    there[row, column] = True
    # As workers write them: every week of every meter, in order.
    whole = len(row) == there.size and bool((row * len(weeks) + column == np.arange(len(row))).all())
    found: Columns = {}
    for field in rows.schema:
        if pa.types.is_list(field.type):
            flat = list_column(rows, field.name)
        elif pa.types.is_integer(field.type):
            flat = rows[field.name].to_numpy()
        else:
            continue
        if whole:
            found[field.name] = flat.reshape(*shape, *flat.shape[1:])
            continue
        found[field.name] = np.zeros((*shape, *flat.shape[1:]), flat.dtype)
        found[field.name][row, column] = flat
    found["have"] = found["slots"] - found["missing"]
    found["day_have"] = found["day_slots"] - found["day_missing"]
    return meters, {
        "there": there,
        "negatives": found["negatives"],
        **{name: found[name].astype(kind, copy=False) for name, kind in DAILY.items()},
        "features": weekly_features(there, found).astype(np.float32),
        "halves": _halves(found["hours"][:, -CLOCK_WEEKS:], found["late"][:, -CLOCK_WEEKS:]),
        "parts": found["parts"][:, -RECENT_WEEKS:].copy(),  # a view would hold all weeks in memory
    }


def _halves(hours: Int, late: Int) -> NDArray[np.float32]:
    """Energy by half hour, hours cut in two where no more is known; (m, c, 24) to (m, c, 48). [Wh]."""
    late = np.where(late.any(axis=2, keepdims=True), late, hours // 2)
    halves = np.stack([hours - late, late], axis=3) / 1000
    return halves.reshape(*hours.shape[:2], -1).astype(np.float32)


def list_column(rows: pa.Table, name: str) -> NDArray[Any]:
    """A list column of one length, zeros where a lake is older than the column; (rows, length)."""
    lists = _array(rows[name])
    length, _ = LISTS[name]
    flat: NDArray[Any] = lists.flatten().to_numpy().reshape(-1, length)
    if not lists.null_count:
        return flat
    numbers = np.zeros((rows.num_rows, length), flat.dtype)
    numbers[lists.is_valid().to_numpy(zero_copy_only=False)] = flat
    return numbers


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
