"""Register reads: which one holds at a moment, in micro-units, and what it may be compared with."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.blocks import NEVER, codes_of, few_unique, series_of
from models.exact import LIMIT, SLOT_LIMIT, doubles_to_micro, integers_to_micro, micro_factor
from models.master import MICROS, MasterData
from models.series import Bool, Int, Reads, Repeats, TouReads
from models.tou_registers import register_code
from schemas.units import unit_factor

MOST_DIALS = 18
"""More digits than this never wrap."""
DOUBLE_STEPS = 1000
"""A register given as a double counts as read to a thousandth of its unit."""


def read_registers(
    table: pa.Table, master: MasterData, rows: dict[tuple[str, str, int], int], *, by_point: bool = False
) -> Reads:
    """Total-register reads of the series that have a row on the grid.

    Args:
        table: RAW_REGISTERS.
        master: Versions in force; a multiplier is that of the version just before or at the read.
        rows: Row of each (meter, channel, service point) on the grid.
        by_point: Whether a meter has a row for each service point; the point is −1 where not. A read at the
            moment of a change of point then stands in both rows.

    Returns:
        The reads, sorted by (row, second), one a moment: the greatest (received_at, sequence, value,
        quality). Reads at which no service point was in force are left out.
    """
    held = _held(table, master, rows, tou=False, by_point=by_point)
    if held is None:
        return Reads.none()
    # No span: −1 before a read, −2 after it, so that no interval reaches over a time without master data.
    metering = master.metering_changes
    version = np.zeros((len(held.at), 2), np.int64)
    if not master.empty:
        version[:, 0] = np.where(held.before < 0, -1, metering[held.before])
        version[:, 1] = np.where(held.after < 0, -2, metering[held.after])
    return Reads(held.row, held.at, held.value, held.modulus, held.resolution, version)


def tou_reads(
    table: pa.Table, master: MasterData, rows: dict[tuple[str, str, int], int], *, by_point: bool = False
) -> TouReads:
    """Reads of time-of-use registers, as ``read_registers`` gives those of the total register."""
    held = _held(table, master, rows, tou=True, by_point=by_point)
    if held is None:
        return TouReads.none()
    meter = np.zeros(len(held.at), np.int64)
    return TouReads(held.row, held.register, meter, held.at, held.value, held.modulus, held.resolution)


def repeated_reads(table: pa.Table, rows: dict[tuple[str, str], int], interval_s: int) -> Repeats:
    """Moments for which the same read of the total register was received again, a slot or more later.

    Args:
        table: RAW_REGISTERS.
        rows: Row of each (meter, channel) on the grid.
        interval_s: Slot length: by then a new read was due. [s]
    """
    if not table.num_rows:
        return Repeats.none()
    series, names = series_of(table)
    order = np.lexsort((table["read_at"].to_numpy(), series))
    at = table["read_at"].to_numpy()[order]
    same = np.append(False, (np.diff(series[order]) == 0) & (np.diff(at) == 0))
    twice = order[same | np.append(same[1:], False)]
    received: dict[tuple[int, int, object], list[int]] = defaultdict(list)
    for i, read in zip(twice.tolist(), table.take(pa.array(twice)).to_pylist(), strict=True):
        row = rows.get(names[series[i]], -1)
        plain = read["tou_register"] is None and read["read_at"] % MICROS == 0
        if row >= 0 and plain and read["received_at"] is not None:
            value = read["value_float"] if read["value_int"] is None else read["value_int"]
            received[row, read["read_at"] // MICROS, value].append(read["received_at"])
    late = interval_s * MICROS
    moments = {key[:2] for key, times in received.items() if max(times) - min(times) >= late}
    if not moments:
        return Repeats.none()
    return Repeats(*np.ascontiguousarray(np.array(sorted(moments), np.int64).T))


@dataclass(frozen=True)
class _Held:
    """Reads that hold, one a (row, register, moment) and sorted by these; (k,) each.

    ``before`` and ``after`` are spans of the master data, −1 for none.
    """

    row: Int
    register: Int
    at: Int
    value: Int
    modulus: Int
    resolution: Int
    before: Int
    after: Int


def _held(
    table: pa.Table,
    master: MasterData,
    rows: dict[tuple[str, str, int], int],
    *,
    tou: bool,
    by_point: bool,
) -> _Held | None:
    """Reads of the total register, or of the time-of-use registers; None where there are none."""
    chosen = table["tou_register"].is_valid() if tou else table["tou_register"].is_null()
    table = table.filter(chosen) if table.num_rows and not pa.compute.all(chosen).as_py() else table
    if not table.num_rows or (tou and not pa.compute.any(chosen).as_py()):
        return None
    series, names = series_of(table)
    at = table["read_at"].to_numpy().astype(np.int64) // MICROS
    meters = pa.array([name[0] for name in names], pa.string())
    meter_of_row = pa.DictionaryArray.from_arrays(pa.array(series, pa.int32()), meters)
    before, after = master.in_force(meter_of_row, at - 1), master.in_force(meter_of_row, at)
    span = np.where(before >= 0, before, after)
    homeless = np.zeros(len(at), np.bool_) if master.empty else span < 0
    which = np.arange(len(at))
    if by_point:
        which, before, after = _by_point(master, before, after)
        span = np.where(before >= 0, before, after)
        series, at, homeless = series[which], at[which], homeless[which]
    row = _rows(names, series, master.points[span] if by_point else np.full(len(span), -1), rows)
    kept = np.flatnonzero(~homeless & (row >= 0))
    if not len(kept):
        return None
    table = table.take(pa.array(which[kept]))
    value, modulus, resolution, sound = _micro(table, names, series[kept], span[kept], master)
    value = np.where(sound, value, -1)
    row, at, register = row[kept], at[kept], _register_codes(table)
    received = table["received_at"].fill_null(NEVER).to_numpy()
    sequence = table["sequence"].fill_null(-1).to_numpy()
    quality = table["quality"].fill_null(0).to_numpy()
    best, last = _by_moment(row, register, at)
    if not last.all():
        order = np.lexsort((quality, value, sequence, received, at, register, row))
        best = order[last]
    columns = (row, register, at, value, modulus, resolution, before[kept], after[kept])
    return _Held(*(column[best] for column in columns))


def _by_moment(row: Int, register: Int, at: Int) -> tuple[Int, Bool]:
    """Reads sorted by row, register and moment, and which are the last at theirs; (k,) each."""
    order = np.lexsort((at, register, row))
    last = np.ones(len(order), np.bool_)
    last[:-1] = False
    for key in (row, register, at):
        last[:-1] |= np.diff(key[order]) != 0
    return order, last


def _register_codes(table: pa.Table) -> Int:
    """Code of each read's register, 0 of the total register; (k,)."""
    column = table["tou_register"]
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64)
    index, names = codes_of(column)
    return np.array([register_code(name) for name in names], np.int64)[index]


def _by_point(master: MasterData, before: Int, after: Int) -> tuple[Int, Int, Int]:
    """Reads once for each service point: which read, and the versions before and after it there."""
    moved = (before >= 0) & (after >= 0) & (master.points[before] != master.points[after])
    twice = np.flatnonzero(moved)
    which = np.concatenate([np.arange(len(before)), twice])
    none = np.full(len(twice), -1, np.int64)
    return which, np.concatenate([before, none]), np.concatenate([np.where(moved, -1, after), after[twice]])


def _rows(
    names: list[tuple[str, str]], series: Int, point: Int, rows: dict[tuple[str, str, int], int]
) -> Int:
    """Row of each read, −1 for none; (k,)."""
    low = int(point.min(initial=0))
    width = int(point.max(initial=0)) - low + 1
    used, code = np.unique(series * width + point - low, return_inverse=True)
    found = [rows.get((*names[k // width], k % width + low), -1) for k in used.tolist()]
    return np.array(found, np.int64)[code]


def _micro(
    table: pa.Table, names: list[tuple[str, str]], series: Int, span: Int, master: MasterData
) -> tuple[Int, Int, Int, Bool]:
    """Value, modulus, resolution in micro-units and whether the read is usable by its own content."""
    unit, texts = codes_of(table["unit"])
    channels = sorted({channel for _, channel in names})
    channel = np.array([channels.index(channel) for _, channel in names], np.int64)[series]
    scaler = table["scaler"].fill_null(0).to_numpy().astype(np.int64)
    dials = np.clip(table["dials"].fill_null(0).to_numpy().astype(np.int64), 0, MOST_DIALS)
    distinct, of_span = master.meterings
    metering = of_span[span]
    key = channel
    for part, width in (
        (unit, len(texts)),
        (scaler + 128, 256),
        (metering, len(distinct)),
        (dials, MOST_DIALS + 1),
    ):
        key = key * width + part
    used, code = few_unique(key)

    counts = table["value_int"].fill_null(0).to_numpy()
    integer = table["value_int"].is_valid().to_numpy()
    doubles = table["value_float"].fill_null(float("nan")).to_numpy()
    value, modulus, resolution = (np.zeros(len(unit), np.int64) for _ in range(3))
    sound = np.zeros(len(unit), np.bool_)
    for number, k in enumerate(used.tolist()):
        rest, own = divmod(k, MOST_DIALS + 1)
        rest, m = divmod(rest, len(distinct))
        rest, scale = divmod(rest, 256)
        name, text = divmod(rest, len(texts))
        factor = unit_factor(texts[text], channels[name])
        if factor is None:
            raise ValueError(f"unit {texts[text]!r} on channel {channels[name]!r} passed the row checks")
        count = micro_factor(factor, scale - 128, distinct[m][0])
        whole = np.flatnonzero((code == number) & integer)
        real = np.flatnonzero((code == number) & ~integer)
        value[whole], sound[whole] = integers_to_micro(counts[whole], count)
        value[real], sound[real] = doubles_to_micro(doubles[real], count)
        resolution[whole] = min(max(round(count), 1), SLOT_LIMIT)
        resolution[real] = min(max(round(count / DOUBLE_STEPS), 1), SLOT_LIMIT)
        wraps_after = own or distinct[m][1]
        wraps_at = round(count * 10**wraps_after) if 0 < wraps_after <= MOST_DIALS else 0
        modulus[whole] = modulus[real] = wraps_at if wraps_at <= LIMIT else 0
    return value, modulus, resolution, sound
