"""Raw interval blocks as arrays: who, when, how long, and the values in micro-units."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.exact import SLOT_LIMIT, doubles_to_micro, integers_to_micro, micro_factor
from models.master import MasterData
from models.series import Bool, Int
from schemas.channels import CHANNELS
from schemas.units import unit_factor

NEVER = np.iinfo(np.int64).min
"""received_at of a record that carries none: before everything (SEMANTICS, Which record holds)."""
HEAD_END_ESTIMATES = (8, 9, 12)
"""ESPI QualityOfReading codes of values the head-end estimated."""


@dataclass(frozen=True)
class Blocks:
    """Consecutive slots of one series each, shape (b,); values flat, shape (v,).

    Attributes:
        series: Number of the (meter, channel).
        start: UTC second of the first slot. [s]
        length: Slots.
        interval_s: Slot length. [s]
        span: Position in ``MasterData.all_spans`` of the version in force at the start, −1 for none.
        received, sequence: Order of the record; ``NEVER`` and −1 where absent. The least of ``each``.
        unit: Code of (unit, scaler), part of the record's identity.
        fresh: Whether the record came with this run.
        first: Offset of the block's first value.
        micro: Values in micro-units, multiplier applied, 0 where there is no reading.
        there: Whether there is a reading.
        bits: The number as received (a double by its bits): identity of the reading.
        code: ESPI QualityOfReading of each value, None where all are measured.
        each: When each value was received, ``NEVER`` where its block says so; None where all blocks do.
        beyond: Blocks of one slot whose value, multiplier applied, is beyond what a slot can hold.
    """

    series: Int
    start: Int
    length: Int
    interval_s: Int
    span: Int
    received: Int
    sequence: Int
    unit: Int
    fresh: Bool
    beyond: Bool
    first: Int
    micro: Int
    there: Bool
    bits: Int
    code: NDArray[np.int32] | None
    each: Int | None = None

    @property
    def values(self) -> int:
        """Number of values, absent readings included."""
        return int(self.length.sum())


FLAT = ("micro", "there", "bits", "code", "each")
PER_BLOCK = tuple(field.name for field in fields(Blocks) if field.name not in FLAT)


def select(blocks: Blocks, chosen: Bool | Int) -> Blocks:
    """Some of the blocks; the flat values are shared, not copied. All of them are not copied at all."""
    if _all(chosen, len(blocks.start)):
        return blocks
    parts = {name: getattr(blocks, name)[chosen] for name in PER_BLOCK}
    return Blocks(**parts, **_flat(blocks))


def _flat(blocks: Blocks) -> dict[str, Any]:
    """What blocks share: the flat values and what is known of each."""
    return {name: getattr(blocks, name) for name in FLAT}


def _all(chosen: Bool | Int, count: int) -> bool:
    """Whether a choice takes everything in its order."""
    if len(chosen) != count:
        return False
    return bool(chosen.all() if chosen.dtype == np.bool_ else (chosen == np.arange(count)).all())


def single_slots(blocks: Blocks) -> Blocks:
    """The same readings as blocks of one slot each; the flat values are shared."""
    if (blocks.length == 1).all():
        return blocks
    of = np.repeat(np.arange(len(blocks.length)), blocks.length)
    offset = np.arange(len(of)) - np.repeat(np.cumsum(blocks.length) - blocks.length, blocks.length)
    parts = {name: getattr(blocks, name)[of] for name in PER_BLOCK}
    parts["start"] = parts["start"] + offset * parts["interval_s"]
    parts["first"] = parts["first"] + offset
    parts["length"] = np.ones(len(of), np.int64)
    if blocks.each is not None:
        own = blocks.each[parts["first"]]
        parts["received"] = np.where(own == NEVER, parts["received"], own)
    return Blocks(**parts, **_flat(blocks))


def join(left: Blocks, right: Blocks) -> Blocks:
    """Blocks that share their flat values, one list after the other."""
    parts = {name: np.concatenate([getattr(left, name), getattr(right, name)]) for name in PER_BLOCK}
    return Blocks(**parts, **_flat(left))


def codes_of(column: pa.ChunkedArray) -> tuple[Int, list[str]]:
    """Dictionary codes of a text column and the texts they stand for."""
    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks) if combined.num_chunks else pa.array([], combined.type)
    if not isinstance(combined, pa.DictionaryArray):
        combined = combined.dictionary_encode()
    return combined.indices.to_numpy(zero_copy_only=False).astype(np.int64), combined.dictionary.to_pylist()


def series_of(table: pa.Table) -> tuple[Int, list[tuple[str, str]]]:
    """Number of each row's (meter, channel), numbered in sorted order, and their names."""
    meter, meters = codes_of(table["meter_id"])
    channel, channels = codes_of(table["channel"])
    key = meter * len(channels) + channel
    present = np.zeros(max(len(meters) * len(channels), 1), np.bool_)
    present[key] = True
    used = np.flatnonzero(present)
    names = [(meters[k // len(channels)], channels[k % len(channels)]) for k in used.tolist()]
    distinct = sorted(set(names))  # a dictionary may hold a text twice
    rank = {name: number for number, name in enumerate(distinct)}
    number_of = np.zeros(len(present), np.int64)
    number_of[used] = [rank[name] for name in names]
    return number_of[key], distinct


def read_blocks(table: pa.Table, master: MasterData) -> tuple[Blocks, list[tuple[str, str]]]:
    """Blocks of a RAW_INTERVALS table (with a ``fresh`` column), converted to micro-units.

    The multiplier is that of the version in force at the block's start; a block over which the
    version changes is taken apart into slots first, so that each slot has its own. Values of reference
    channels come multiplied.

    Returns:
        The blocks and the (meter, channel) behind each series number.
    """
    series, names = series_of(table)
    start, interval = _numbers(table["start"]), _numbers(table["interval_s"])
    length, first, micro_source = _lists(table)
    meter_codes = table["meter_id"].combine_chunks()
    if isinstance(meter_codes, pa.ChunkedArray):
        meter_codes = pa.concat_arrays(meter_codes.unify_dictionaries().chunks)
    span = _spans(master, meter_codes, start, interval)
    crossing = np.zeros(len(start), np.bool_)
    if not master.empty:
        last: Int = start + (np.maximum(length, 1) - 1).astype(np.int64) * interval
        crossing = _spans(master, meter_codes, last, interval) != span
    unit, units = _units(table, names, series)
    raw = Blocks(
        series=series,
        start=start,
        length=length,
        interval_s=interval,
        span=span,
        received=_numbers(table["received_at"], NEVER),
        sequence=_numbers(table["sequence"], -1),
        unit=unit,
        fresh=table["fresh"].to_numpy().astype(np.bool_),
        beyond=np.zeros(len(start), np.bool_),
        first=first,
        micro=np.zeros(0, np.int64),
        there=np.zeros(0, np.bool_),
        bits=micro_source.bits,
        code=_qualities(table, length),
        each=_each(table, length),
    )
    if crossing.any():
        slots = single_slots(select(raw, crossing))
        ids = pa.array([names[number][0] for number in slots.series.tolist()], pa.string())
        slots = Blocks(**{**slots.__dict__, "span": _spans(master, ids, slots.start, slots.interval_s)})
        raw = join(select(raw, ~crossing), slots)
    micro, there = _to_micro(raw, units, master, micro_source)
    return _beyond_apart(Blocks(**{**raw.__dict__, "micro": micro, "there": there})), names


def _spans(master: MasterData, meters: pa.Array | pa.DictionaryArray, start: Int, interval: Int) -> Int:
    """Version in force at each slot's start; or within it, where the meter came in another one's place."""
    span = master.in_force(meters, start)
    if master.linked and (span < 0).any():
        within = master.in_force(meters, start + np.maximum(interval, 1) - 1)
        span = np.where((span < 0) & master.exchanges[within], within, span)
    return span


def _beyond_apart(blocks: Blocks) -> Blocks:
    """Take blocks that hold a value beyond ``SLOT_LIMIT`` apart into slots, and mark those."""
    micro = blocks.micro
    if max(int(micro.max(initial=0)), -int(micro.min(initial=0))) <= SLOT_LIMIT:
        return blocks
    before = np.concatenate([[0], np.cumsum(np.abs(micro) > SLOT_LIMIT)])
    held = before[blocks.first + blocks.length] > before[blocks.first]
    slots = single_slots(select(blocks, held))
    beyond = np.abs(micro[slots.first]) > SLOT_LIMIT
    return join(select(blocks, ~held), Blocks(**{**slots.__dict__, "beyond": beyond}))


@dataclass(frozen=True)
class _Values:
    integers: Int
    doubles: NDArray[np.float64]
    split: int  # values before it are integers, the rest doubles
    present: Bool | None
    bits: Int


def _numbers(column: pa.ChunkedArray, missing: int = 0) -> Int:
    if column.null_count:
        column = pc.fill_null(column, missing)
    result: Int = column.to_numpy().astype(np.int64, copy=False)
    return result


def _lists(table: pa.Table) -> tuple[Int, Int, _Values]:
    """Length and offset of each row's values in (all integers, then all doubles)."""
    rows = table.num_rows
    length, first = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    flats: list[pa.Array] = []
    base = 0
    for name, type_ in (("values_int", pa.int64()), ("values_float", pa.float64())):
        row = 0
        flat: list[pa.Array] = []
        for chunk in table[name].chunks:
            if chunk.null_count < len(chunk):
                offsets = chunk.offsets.to_numpy().astype(np.int64)
                sizes = np.diff(offsets)
                if chunk.null_count:
                    sizes = np.where(chunk.is_valid().to_numpy(zero_copy_only=False), sizes, 0)
                held = sizes > 0
                here = slice(row, row + len(chunk))
                length[here] += sizes
                first[here] = np.where(held, base + offsets[:-1] - offsets[0], first[here])
                values = chunk.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
                flat.append(values.cast(type_))
                base += len(values)
            row += len(chunk)
        flats.append(pa.concat_arrays(flat) if flat else pa.array([], type_))
    return length, first, _join_values(*flats)


def _join_values(integers: pa.Array, doubles: pa.Array) -> _Values:
    present = None
    if integers.null_count or doubles.null_count:
        present = np.concatenate(
            [part.is_valid().to_numpy(zero_copy_only=False) for part in (integers, doubles)]
        )
    whole = pc.fill_null(integers, 0).to_numpy() if integers.null_count else integers.to_numpy()
    parts = pc.fill_null(doubles, float("nan")).to_numpy() if doubles.null_count else doubles.to_numpy()
    bits = np.concatenate([whole, parts.view(np.int64)]) if len(parts) else whole
    return _Values(whole, parts, len(whole), present, bits)


_Unit = tuple[Fraction, str, int, bool]
"""Factor to the billing unit, the unit's name, scaler, and whether the multiplier applies."""


def _units(table: pa.Table, names: list[tuple[str, str]], series: Int) -> tuple[Int, list[_Unit]]:
    """Code of each row's unit, in an order that does not depend on the input."""
    unit, texts = codes_of(table["unit"])
    scaler = _numbers(table["scaler"])
    channel_names = sorted({channel for _, channel in names})
    channel_of_series = np.array([channel_names.index(channel) for _, channel in names], np.int64)
    key = (channel_of_series[series] * len(texts) + unit) * 256 + (scaler + 128)
    used, code = few_unique(key)
    kinds = []
    for k in used.tolist():
        rest, scale = divmod(k, 256)
        name, text = divmod(rest, len(texts))
        factor = unit_factor(texts[text], channel_names[name])
        if factor is None:
            raise ValueError(f"unit {texts[text]!r} on channel {channel_names[name]!r} passed the row checks")
        kinds.append((factor, texts[text], scale - 128, not CHANNELS[channel_names[name]].reference))
    rank = sorted(range(len(kinds)), key=lambda i: kinds[i][1:3])
    place = np.zeros(len(kinds), np.int64)
    place[rank] = np.arange(len(kinds))
    return place[code], [kinds[i] for i in rank]


def leading_gaps(table: pa.Table) -> Int | None:
    """Values before the first reading of each row of RAW_INTERVALS.

    Returns:
        −1 for a row without any reading; None where every row starts with one.
    """
    if _starts_with_readings(table):
        return None
    length, first, values = _lists(table)
    there = np.ones(len(values.bits), np.bool_) if values.present is None else values.present.copy()
    there[values.split :] &= ~np.isnan(values.doubles)
    before = np.append(0, np.cumsum(there))
    gap: Int = np.append(np.flatnonzero(there), len(there))[before[first]] - first
    return np.where(gap < length, gap, -1)


def _starts_with_readings(table: pa.Table) -> bool:
    """Whether the first value of every row is a reading, looking at no other one."""
    started = 0
    for name in ("values_int", "values_float"):
        for chunk in table[name].chunks:
            held = pc.fill_null(pc.greater(pc.list_value_length(chunk), 0), False).to_numpy(False)
            firsts = chunk.values.take(pa.array(chunk.offsets.to_numpy()[:-1][held]))
            if firsts.null_count or (name == "values_float" and pc.any(pc.is_nan(firsts)).as_py()):
                return False
            started += len(firsts)
    return started == int(table.num_rows)


def few_unique(key: Int) -> tuple[Int, Int]:
    """np.unique with inverse for small non-negative keys, without a sort of all rows."""
    present = np.zeros(int(key.max(initial=0)) + 1, np.bool_)
    present[key] = True
    used = np.flatnonzero(present)
    number = np.zeros(len(present), np.int64)
    number[used] = np.arange(len(used))
    return used, number[key]


def _qualities(table: pa.Table, length: Int) -> NDArray[np.int32] | None:
    """Quality code of each value in the order of the flat values; None where every list is absent."""
    column = table["quality"]
    if column.null_count == len(column):
        return None
    integers = table["values_int"].is_valid().to_numpy()
    order = np.concatenate([np.flatnonzero(integers), np.flatnonzero(~integers)])
    lists = _one_list(column).take(pa.array(order))
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    total = length[order]
    codes = np.zeros(int(total.sum()), np.int32)
    stated = np.repeat(sizes == total, total)
    codes[stated] = (
        lists.flatten()
        .to_numpy(zero_copy_only=False)
        .astype(np.int32)[np.repeat(sizes == total, np.where(sizes > 0, sizes, 0))]
    )
    return codes


def _each(table: pa.Table, length: Int) -> Int | None:
    """When each value was received, in the order of the flat values; None where no row tells."""
    column = table["received_each"]
    if column.null_count == len(column):
        return None
    lists, integers = _one_list(column), table["values_int"].is_valid().to_numpy()
    if not integers.all():
        order = np.concatenate([np.flatnonzero(integers), np.flatnonzero(~integers)])
        lists, length = lists.take(pa.array(order)), length[order]
    told = np.repeat(lists.is_valid().to_numpy(zero_copy_only=False), length)
    if told.all():
        return lists.flatten().to_numpy()  # type: ignore[no-any-return]
    each = np.full(len(told), NEVER, np.int64)
    each[told] = lists.flatten().to_numpy()
    return each


def _one_list(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)


def _to_micro(raw: Blocks, units: list[_Unit], master: MasterData, source: _Values) -> tuple[Int, Bool]:
    """Flat micro-units and where there is a reading, each block by its own factor."""
    meterings, of_span = master.meterings
    key = raw.unit * len(meterings) + of_span[raw.span]
    factors = {}
    for k in np.flatnonzero(np.bincount(key)).tolist() if len(key) else []:
        factor, _, scaler, multiplied = units[k // len(meterings)]
        multiplier = meterings[k % len(meterings)][0] if multiplied else Fraction(1)
        factors[k] = micro_factor(factor, scaler, multiplier)
    if len(set(factors.values())) == 1:
        micro, there = _convert(source, None, next(iter(factors.values())))
    else:
        micro, there = np.zeros(len(source.bits), np.int64), np.ones(len(source.bits), np.bool_)
        for k, factor in factors.items():
            rows = key == k
            length, first = raw.length[rows], raw.first[rows]
            at = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(int(length.sum()))
            micro[at], there[at] = _convert(source, at, factor)
    if source.present is not None:
        there &= source.present
        micro[~there] = 0
    return micro, there


def _convert(source: _Values, at: Int | None, factor: Fraction) -> tuple[Int, Bool]:
    """Convert all values, or those at some positions; NaN is no reading, what does not fit is one."""
    if at is None:
        whole, _ = integers_to_micro(source.integers, factor)
        if not len(source.doubles):
            return whole, np.ones(len(whole), np.bool_)
        parts, _ = doubles_to_micro(source.doubles, factor)
        there = np.ones(len(whole) + len(parts), np.bool_)
        there[len(whole) :] = ~np.isnan(source.doubles)
        return np.concatenate([whole, parts]), there
    micro, there = np.zeros(len(at), np.int64), np.ones(len(at), np.bool_)
    integer = at < source.split
    micro[integer], _ = integers_to_micro(source.integers[at[integer]], factor)
    doubles = source.doubles[at[~integer] - source.split]
    micro[~integer], _ = doubles_to_micro(doubles, factor)
    there[~integer] = ~np.isnan(doubles)
    return micro, there
