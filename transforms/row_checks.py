"""Bad rows inside a good block: found by mask, each with its reason; the other rows go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.exact import LIMIT, MICRO, SLOT_LIMIT
from schemas.arrow import REQUIRED
from schemas.channels import CHANNELS
from schemas.records import Kind
from schemas.units import unit_factor, units_of
from transforms.avro_columns import Rows
from transforms.avro_numbers import Numbers
from transforms.edit_checks import check_edits
from transforms.reading_runs import DAY_S, Runs
from transforms.tariff_checks import check_tariffs

__all__ = ["Faults", "check_rows", "check_runs"]

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]

MAX_SCALER = 20
MICROS = 1_000_000
FIRST_DATE = -62_135_596_800 * MICROS  # 0001-01-01
LAST_TIME = 7_258_118_400 * MICROS  # 2200-01-01
MOST_DIALS = 18
MOST_RAW = 1 << 63
MOST_CAPACITY_KW = 1e9
MULTIPLIERS = Fraction(1, 10**9), Fraction(10**9)
_TIMES = ("start", "read_at", "occurred_at", "valid_from", "from", "to", "edited_at")


@dataclass
class Faults:
    """Reasons by row; a row keeps the first one found.

    Attributes:
        code: Index into ``reasons`` of each row, 0 = good; shape (n,).
        reasons: Texts; the first one stands for none.
    """

    code: NDArray[np.int32]
    reasons: list[str] = field(default_factory=lambda: [""])

    def add(self, bad: Bool, reason: str) -> None:
        """Give rows a reason unless they have one."""
        hit = bad & (self.code == 0)
        if hit.any():
            self.code[hit] = len(self.reasons)
            self.reasons.append(reason)

    @property
    def bad(self) -> Bool:
        """Rows with a reason."""
        result: Bool = self.code != 0
        return result

    def reason(self, row: int) -> str:
        """The reason of one bad row."""
        return self.reasons[int(self.code[row])]


def check_rows(kind: Kind, rows: Rows) -> Faults:
    """Check rows of any kind but single readings.

    Args:
        kind: What the rows are.
        rows: The converted columns.

    Returns:
        Which rows cannot be used, and why.
    """
    columns = rows.columns
    faults = Faults(np.zeros(len(next(iter(columns.values()))), np.int32))
    _add_all(faults, rows.faults)
    for name in REQUIRED[kind]:
        _check_present(columns[name], name, faults.add)
    for name in _TIMES:
        if name in columns:
            _check_time(columns[name], name, faults)
    if "interval_s" in columns:
        _check_interval(columns["interval_s"], faults.add, zero=kind is Kind.SERVICE_POINTS)
    if "dials" in columns:
        _check_between(columns["dials"], "dials", 0, MOST_DIALS, faults)
    if kind is Kind.SERVICE_POINTS:
        _check_service_points(columns, faults)
    if kind is Kind.EDITS:
        check_edits(columns, faults.add)
    if kind is Kind.TARIFFS:
        check_tariffs(columns, faults.add)
    if rows.numbers is None:
        return faults
    limits = _check_units(columns, faults.add, SLOT_LIMIT if kind is Kind.INTERVALS else LIMIT)
    if kind is Kind.INTERVALS:
        _check_whole_seconds(columns["start"], faults)
        _check_lists(columns["quality"], rows.numbers, faults)
    _check_values(rows.numbers, lambda: limits, limits.min(initial=np.inf), faults)
    return faults


def check_runs(runs: Runs, found: Sequence[tuple[Bool, str]], by_run: Sequence[tuple[Bool, str]]) -> Faults:
    """Check single readings; what a run shares is checked once a run.

    Args:
        runs: The readings.
        found: Faults of rows met before, by row.
        by_run: Faults met before, by run.

    Returns:
        Which rows cannot be used, and why.
    """
    count = len(runs.start)
    faults = Faults(np.zeros(count, np.int32))
    lengths = np.diff(runs.heads, append=count)

    def add(bad: Bool, reason: str) -> None:
        faults.add(np.repeat(bad, lengths), reason)

    _add_all(faults, found)
    for bad, reason in by_run:
        add(bad, reason)
    for name in REQUIRED[Kind.INTERVALS]:
        if name != "start":
            _check_present(runs.shared[name], name, add)
    _check_interval(runs.shared["interval_s"], add)
    limits = _check_units(runs.shared, add, SLOT_LIMIT)
    _check_present(runs.start, "start", faults.add)
    _check_time(runs.start, "start", faults)
    _check_whole_seconds(runs.start, faults)
    _check_values(runs.numbers, lambda: np.repeat(limits, lengths), limits.min(initial=np.inf), faults)
    return faults


def _add_all(faults: Faults, found: Sequence[tuple[Bool, str]]) -> None:
    for bad, reason in found:
        faults.add(bad, reason)


def _check_whole_seconds(start: pa.Array, faults: Faults) -> None:
    micros = pc.fill_null(start, 0).to_numpy()
    faults.add(micros // MICROS * MICROS != micros, "start is not a whole second")  # no remainder: it is slow


def _check_present(column: pa.Array, name: str, add: Callable[[Bool, str], None]) -> None:
    if column.null_count:
        add(pc.is_null(column).to_numpy(zero_copy_only=False), f"{name} is null")
    if pa.types.is_string(column.type):
        empty = pc.fill_null(pc.equal(pc.binary_length(column), 0), False)
        if pc.any(empty).as_py():
            add(empty.to_numpy(zero_copy_only=False), f"{name} is empty")


def _check_time(column: pa.Array, name: str, faults: Faults) -> None:
    micros = pc.fill_null(column, 0).to_numpy()
    first, year = (FIRST_DATE, 1) if name == "valid_from" else (0, 1970)
    if len(micros) and (micros.min() < first or micros.max() >= LAST_TIME):
        faults.add((micros < first) | (micros >= LAST_TIME), f"{name} is not between {year} and 2200")


def _check_interval(column: pa.Array, add: Callable[[Bool, str], None], *, zero: bool = False) -> None:
    """A slot divides a day; ``zero`` (no slots: registers only) is for service points."""
    seconds = pc.fill_null(column, DAY_S).to_numpy()
    for length in np.unique(seconds):
        if not (length == 0 and zero) and (length <= 0 or DAY_S % length):
            add(seconds == length, f"interval_s {length} does not divide a day of {DAY_S} s")


def _check_between(column: pa.Array, name: str, low: float, high: float, faults: Faults) -> None:
    """Numbers that are null or within [low, high]; NaN is not."""
    number = pc.fill_null(column, low).to_numpy()
    faults.add(~((number >= low) & (number <= high)), f"{name} is not between {low:g} and {high:g}")


def _check_service_points(columns: dict[str, pa.Array], faults: Faults) -> None:
    for name in ("interval_s", "bill_cycle_day"):
        _check_present(columns[name], name, faults.add)
    _check_between(columns["bill_cycle_day"], "bill_cycle_day", 1, 31, faults)
    _check_between(columns["capacity_kw"], "capacity_kw", 0, MOST_CAPACITY_KW, faults)
    texts, row_of = np.unique(pc.fill_null(columns["multiplier"], "1").to_numpy(False), return_inverse=True)
    low, high = MULTIPLIERS
    wrong = np.array([not low <= Fraction(text) <= high for text in texts.tolist()], np.bool_)
    faults.add(wrong[row_of], f"multiplier is not between {float(low):g} and {float(high):g}")


def _codes(column: pa.Array) -> tuple[Int, list[str]]:
    encoded = pc.fill_null(column, "").dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _combinations(columns: dict[str, pa.Array]) -> tuple[Int, list[tuple[str, str, int]]]:
    """Distinct (channel, unit, scaler) and which one each row has."""
    channel, channels = _codes(columns["channel"])
    unit, units = _codes(columns["unit"])
    scalers = pc.fill_null(columns["scaler"], 0).to_numpy()
    known, scaler = np.unique(scalers, return_inverse=True)
    keys, row_of = np.unique((channel * len(units) + unit) * len(known) + scaler, return_inverse=True)
    pairs = keys // max(len(known), 1)
    found = [
        (channels[pair // len(units)], units[pair % len(units)], int(known[key % len(known)]))
        for key, pair in zip(keys.tolist(), pairs.tolist(), strict=True)
    ]
    return row_of, found


def _check_units(
    columns: dict[str, pa.Array], add: Callable[[Bool, str], None], most: int
) -> NDArray[np.float64]:
    """Check channel, unit and scaler; returns the raw magnitude that is ``most`` micro-units, a row."""
    row_of, found = _combinations(columns)
    for number, (channel, unit, scaler) in enumerate(found):
        if channel and channel not in CHANNELS:
            add(row_of == number, f"unknown channel {channel!r}, expected one of: {', '.join(CHANNELS)}")
        elif channel and unit and unit_factor(unit, channel) is None:
            known = ", ".join(units_of(channel))
            add(row_of == number, f"unknown unit {unit!r} for channel {channel}, expected one of: {known}")
        if abs(scaler) > MAX_SCALER:
            add(row_of == number, f"scaler {scaler} is not between {-MAX_SCALER} and {MAX_SCALER}")
    factors = [_factor(channel, unit, scaler) for channel, unit, scaler in found]
    limits = np.array(
        [min(most // factor, MOST_RAW) if factor else MOST_RAW for factor in factors], np.float64
    )
    return np.array(limits, np.float64)[row_of]


def _check_lists(quality: pa.Array, numbers: Numbers, faults: Faults) -> None:
    lengths = _lengths(numbers)
    faults.add(lengths == 0, "no values")
    if pa.types.is_null(quality.type) or quality.null_count == len(quality):
        return
    codes = pc.fill_null(pc.list_value_length(quality), 0).to_numpy()
    uneven = (codes != 0) & (codes != lengths)
    if uneven.any():
        faults.add(uneven, "quality has another number of elements than values")


def _lengths(numbers: Numbers) -> Int:
    total = np.zeros(len(numbers), np.int64)
    for lists in (numbers.ints, numbers.floats):
        if lists is not None:
            total += pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return total


def _check_values(
    numbers: Numbers, limit_of: Callable[[], NDArray[np.float64]], least: float, faults: Faults
) -> None:
    """Values whose micro-units do not fit, and infinities; NaN and null are no reading and pass.

    Args:
        numbers: The values.
        limit_of: Gives the largest raw magnitude of each row; called only where a value is above ``least``.
        least: The smallest of those limits.
        faults: Where to note them.
    """
    for column in (numbers.ints, numbers.floats):
        if column is not None and _peak(column) > least:
            faults.add(_row_peaks(column) > limit_of(), "a value beyond what micro-units can hold")


def _factor(channel: str, unit: str, scaler: int) -> Fraction | None:
    factor = unit_factor(unit, channel)
    if factor is None or abs(scaler) > MAX_SCALER:
        return None
    return factor * Fraction(10) ** scaler * MICRO


def _peak(column: pa.Array) -> float:
    items = column.flatten() if pa.types.is_list(column.type) else column
    if len(items) == items.null_count:
        return 0.0
    low, high = (value.as_py() for value in pc.min_max(items).values())
    peak = float(max(high, -low))
    return float("inf") if np.isnan(peak) else peak


def _row_peaks(column: pa.Array) -> NDArray[np.float64]:
    """Largest magnitude of each row, 0 where it has none."""
    if not pa.types.is_list(column.type):
        return np.nan_to_num(np.abs(_plain(column)), nan=0.0, posinf=np.inf)
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    items = np.nan_to_num(np.abs(_plain(column.flatten())), nan=0.0, posinf=np.inf)
    peaks = np.zeros(len(counts))
    filled = np.flatnonzero(counts)
    if len(filled):
        first = np.cumsum(counts) - counts
        peaks[filled] = np.maximum.reduceat(items, first[filled])
    return peaks


def _plain(items: pa.Array) -> NDArray[np.float64]:
    plain: NDArray[np.float64] = pc.fill_null(items.cast(pa.float64(), safe=False), 0.0).to_numpy()
    return plain
