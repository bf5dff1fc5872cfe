"""Register reads: which one holds at a moment, in micro-units, and what it may be compared with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from models.blocks import NEVER, codes_of, few_unique, series_of
from models.exact import LIMIT, SLOT_LIMIT, doubles_to_micro, integers_to_micro, micro_factor
from models.master import MICROS, MasterData
from models.series import Bool, Int, Reads
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
    if not table.num_rows:
        return Reads.none()
    series, names = series_of(table)
    at = table["read_at"].to_numpy().astype(np.int64) // MICROS
    meters = pa.array([name[0] for name in names], pa.string())
    meter_of_row = pa.DictionaryArray.from_arrays(pa.array(series, pa.int32()), meters)
    before, after = master.in_force(meter_of_row, at - 1), master.in_force(meter_of_row, at)
    span = np.where(before >= 0, before, after)
    homeless = np.zeros(len(at), np.bool_) if master.empty else span < 0
    total = np.array(table["tou_register"].is_null().to_numpy(), np.bool_) & ~homeless
    which = np.arange(len(at))
    if by_point:
        which, before, after = _by_point(master, before, after)
        span = np.where(before >= 0, before, after)
        series, at, total = series[which], at[which], total[which]
    row = _rows(names, series, master.points[span] if by_point else np.full(len(span), -1), rows)
    kept = np.flatnonzero(total & (row >= 0))
    if not len(kept):
        return Reads.none()
    table, row, at = table.take(pa.array(which[kept])), row[kept], at[kept]
    value, modulus, resolution, sound = _micro(table, names, series[kept], span[kept], master)
    received = table["received_at"].fill_null(NEVER).to_numpy()
    sequence = table["sequence"].fill_null(-1).to_numpy()
    quality = table["quality"].fill_null(0).to_numpy()
    value = np.where(sound, value, -1)
    order = np.lexsort((quality, value, sequence, received, at, row))
    last = np.ones(len(order), np.bool_)
    last[:-1] = (np.diff(row[order]) != 0) | (np.diff(at[order]) != 0)
    chosen = order[last]
    # No span: −1 before a read, −2 after it, so that no interval reaches over a time without master data.
    metering = master.metering_changes
    version = np.zeros((len(kept), 2), np.int64)
    if not master.empty:
        version[:, 0] = np.where(before[kept] < 0, -1, metering[before[kept]])
        version[:, 1] = np.where(after[kept] < 0, -2, metering[after[kept]])
    return Reads(
        series=row[chosen],
        at=at[chosen],
        value=value[chosen],
        modulus=modulus[chosen],
        resolution=resolution[chosen],
        version=version[chosen],
    )


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
