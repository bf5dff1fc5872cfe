"""Retention of the raw zone: blocks of readings older than a rule allows leave it.

What stays open is a pure function of what was kept: a day needs the readings of the days that it can reach,
so days less than a reach after the first kept one are frozen (``pipelines/batch/retired.py``). Of each series
the time of its first reading is remembered and its newest block kept, so that its range stays what it was.
Files are rewritten whole, under new names; the old ones leave the disk with ``lake maintain``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.assemble import first_readings
from models.blocks import few_unique, series_of
from models.calendar import epoch_day
from models.sharding import shard_of
from pipelines.store.files import dataset
from pipelines.store.lake import Lake
from schemas.lake import RAW_FILES, RAW_KEPT
from schemas.records import Kind
from transforms.raw_codec import read_raw_shards, write_raw_file
from transforms.raw_stats import raw_stats
from transforms.table_pack import pack_records

__all__ = ["RawCut", "cut_raw"]

DAY_S = 86_400
KIND = Kind.INTERVALS
Cuts = Callable[[list[str]], list[date]]
"""First day that is kept, of each meter; ``date.min`` where nothing goes."""
Series = tuple[str, str, int]
"""Meter, channel, interval length [s]."""


@dataclass
class RawCut:
    """What leaves the raw zone.

    Attributes:
        readings: How many readings go.
        files: Of each file that changes its row of ``raw_files`` afterwards; None: it goes as a whole.
        first: Second of the first reading of each series that loses any.
        kept_from: First day kept of each of them.
    """

    readings: int = 0
    files: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    first: dict[Series, int] = field(default_factory=dict)
    kept_from: dict[Series, date] = field(default_factory=dict)

    def listed(self, lake: Lake) -> Iterator[tuple[str, pa.Table]]:
        """Each stored file of ``raw_files`` that changes, and its rows afterwards."""
        for path in lake.files(RAW_FILES.name):
            rows = dataset([path], RAW_FILES.schema).to_table(use_threads=False).to_pylist()
            if any(row["name"] in self.files for row in rows):
                kept = [self.files.get(row["name"], row) for row in rows]
                stay = [row for row in kept if row is not None]
                yield Path(path).name, pa.Table.from_pylist(stay, schema=RAW_FILES.schema)

    def remembered(self, lake: Lake) -> pa.Table:
        """New content of ``raw_kept``."""
        held = {
            (row["meter_id"], row["channel"], row["interval_s"]): row
            for row in lake.table(RAW_KEPT.name).to_pylist()
        }
        for series, second in self.first.items():
            row = held.get(series)
            first = second if row is None else min(second, row["first_reading"])
            kept = self.kept_from[series]
            kept = kept if row is None else max(kept, row["kept_from"])
            names = dict(zip(("meter_id", "channel", "interval_s"), series, strict=True))
            held[series] = {**names, "first_reading": first, "kept_from": kept}
        return pa.Table.from_pylist([held[series] for series in sorted(held)], schema=RAW_KEPT.schema)


def cut_raw(lake: Lake, cuts: Cuts, *, write: bool) -> RawCut:
    """Find the blocks that go and, with ``write``, write the files without them (nothing is visible yet).

    A block goes when its last day ended before the first kept one in every time zone. The newest block of a
    series stays, and something of the file that says which days have closed.

    Args:
        lake: The lake.
        cuts: First kept day of meters.
        write: Whether to write; otherwise only count.
    """
    rows = [row for row in lake.table(RAW_FILES.name).to_pylist() if row["kind"] == KIND.value]
    newest = _newest_blocks(lake, rows)
    latest = max((row["latest_end"] or 0 for row in rows), default=0)
    cut = RawCut()
    for row in rows:
        _cut_file(lake, row, cuts, newest, cut, write=write, needed=row["latest_end"] == latest)
    return cut


def _cut_file(
    lake: Lake,
    row: dict[str, Any],
    cuts: Cuts,
    newest: dict[Series, int],
    cut: RawCut,
    *,
    write: bool,
    needed: bool,
) -> None:
    """Cut one file; one that is ``needed`` never goes as a whole."""
    folder = lake.path / "raw" / KIND.value
    table = _blocks(lake, row["name"])
    series, of_row = _series(table)
    first_kept = cuts([meter for meter, _, _ in series])
    limit = np.array([(epoch_day(day) - 1) * DAY_S for day in first_kept], np.int64)[of_row]
    last = np.array([newest[name] for name in series], np.int64)[of_row]
    start, length = table["start"].to_numpy(), _lengths(table)
    stays = (start + length * table["interval_s"].to_numpy() > limit) | (start == last)
    if stays.all() or (needed and not stays.any()):
        return
    seconds = first_readings(table)
    for at in np.unique(of_row[~stays]).tolist():
        each, since = series[at], first_kept[at]
        if each[:2] in seconds:
            second, _ = seconds[each[:2]]
            cut.first[each] = min(second, cut.first.get(each, second))
            cut.kept_from[each] = max(since, cut.kept_from.get(each, since))
    kept = table.filter(pa.array(stays))
    stats = raw_stats(KIND, kept)
    cut.readings += row["readings"] - stats.readings
    cut.files[row["name"]] = None
    if kept.num_rows:
        name = f"{sha256(pack_records({KIND: kept})).hexdigest()[:32]}-kept.arrow"
        figures = {"rows": stats.rows, "readings": stats.readings, "min_start": stats.min_start}
        cut.files[row["name"]] = {**row, "name": name, **figures, "max_end": stats.max_end}
        if write:
            write_raw_file(folder / name, KIND, kept, shard_of(kept["meter_id"], lake.config.shards))
    if write:
        (folder / row["name"]).touch()  # from now on it is out of use


def _blocks(lake: Lake, name: str) -> pa.Table:
    path = lake.path / "raw" / KIND.value / name
    return read_raw_shards([path], KIND, range(lake.config.shards))[0]


def _newest_blocks(lake: Lake, rows: list[dict[str, Any]]) -> dict[Series, int]:
    """Start of the newest block of each series."""
    found: dict[Series, int] = {}
    for row in rows:
        table = _blocks(lake, row["name"])
        series, of_row = _series(table)
        last = np.full(len(series), np.iinfo(np.int64).min)
        np.maximum.at(last, of_row, table["start"].to_numpy())
        for each, start in zip(series, last.tolist(), strict=True):
            found[each] = max(start, found.get(each, start))
    return found


def _series(table: pa.Table) -> tuple[list[Series], NDArray[np.int64]]:
    """Distinct series, and which of them each row is."""
    number, names = series_of(table)
    intervals, interval = np.unique(table["interval_s"].to_numpy(), return_inverse=True)
    count = max(len(intervals), 1)
    used, of_row = few_unique(number * count + interval)
    return [(*names[key // count], int(intervals[key % count])) for key in used.tolist()], of_row


def _lengths(table: pa.Table) -> NDArray[np.int64]:
    """Slots of each block."""
    sizes = [
        pc.fill_null(pc.list_value_length(table[name]), 0).to_numpy()
        for name in ("values_int", "values_float")
    ]
    longest: NDArray[np.int64] = np.maximum(*sizes).astype(np.int64)
    return longest
