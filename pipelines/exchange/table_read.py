"""CSV and Parquet tables, a row a reading, read into blocks.

Columns: ``meter_id``, ``channel``, ``start``, ``interval_s``, ``value``, ``unit``, ``quality`` (a class of
Meterbeam such as ESTIMATED, or an ESPI code), ``received_at``. All but ``start`` and ``value`` may be given
for the whole file instead. Values are taken exactly: text and decimals to 9 places, doubles rounded once to
micro-units. An empty value, or one of quality MISSING, is no reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.exchange.blocks import Block, runs_of
from schemas.channels import CHANNELS
from schemas.errors import MeterbeamError
from schemas.quality import Quality
from schemas.quality_codes import ESPI_KNOWN, espi_of
from schemas.units import unit_factor, units_of
from transforms.wall_times import repeated_instants

__all__ = ["COLUMNS", "TableForm", "read_table"]

Int = NDArray[np.int64]
COLUMNS = ("meter_id", "channel", "start", "interval_s", "value", "unit", "quality", "received_at")
ROWS_A_STEP = 1 << 20
CSV_BYTES = 64 << 20
DAY_S = 86_400
NANO, MICRO = -9, -6
_QUALITIES = {quality.name: espi_of(quality) for quality in Quality} | {"": 0}
_UNKNOWN = np.iinfo(np.int64).min
_TIMES = "times such as 2026-03-01T08:00:00Z"


@dataclass(frozen=True)
class TableForm:
    """How a table is to be read.

    Attributes:
        names: The file's name of a column where it is not the usual one: ``{"start": "local_time"}``.
        meter: Meter of the whole file, where it has no such column.
        channel: Channel, likewise.
        unit: Unit, likewise; None: the channel's billing unit.
        interval_s: Slot length [s], likewise; None: the commonest step of each series.
        timezone: Zone of times without an offset; None: such times are refused.
        in_order: The readings of a meter and channel follow each other in the file: so the two passes of an
            hour that the clock repeats are told apart. The file is then read as a whole.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    meter: str | None = None
    channel: str = "import"
    unit: str | None = None
    interval_s: int | None = None
    timezone: str | None = None
    in_order: bool = False


def read_table(path: Path, form: TableForm) -> Iterator[Block]:
    """Blocks of a CSV (``.csv``, also compressed) or Parquet file, piece by piece.

    Raises:
        MeterbeamError: Columns are missing or hold what cannot be read; names file, column and content.
    """
    pieces: Iterable[pa.Table] = _pieces(path, form)
    if form.in_order:
        whole = list(pieces)
        pieces = [pa.concat_tables(whole).combine_chunks()] if whole else []
    for rows in pieces:
        try:
            yield from _blocks(rows, str(path), form)
        except pa.ArrowException as error:
            found = str(error).splitlines()[0]
            raise MeterbeamError(str(path), found, "a row a reading, texts, numbers and times") from error


def _pieces(path: Path, form: TableForm) -> Iterator[pa.Table]:
    """The columns that count, under their usual names; CSV cells as text."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            with pq.ParquetFile(path) as file:
                wanted = _wanted(file.schema_arrow.names, str(path), form)
                for batch in file.iter_batches(ROWS_A_STEP, columns=list(wanted.values())):
                    yield _renamed(pa.Table.from_batches([batch]), wanted)
            return
        parse = csv.ConvertOptions(column_types=dict.fromkeys(form.names.values(), pa.string()))
        parse.column_types = {**parse.column_types, **dict.fromkeys(COLUMNS, pa.string())}
        parse.strings_can_be_null, parse.quoted_strings_can_be_null = True, True
        reading = csv.ReadOptions(block_size=CSV_BYTES)
        with pa.input_stream(str(path), compression="detect") as stream:
            reader = csv.open_csv(stream, read_options=reading, convert_options=parse)
            wanted = _wanted(reader.schema.names, str(path), form)
            for batch in reader:
                yield _renamed(pa.Table.from_batches([batch]), wanted)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not Arrow's word for bytes that it cannot unpack
        found = str(error).splitlines()[0]
        raise MeterbeamError(str(path), found, "a CSV file with a header, or Parquet (.parquet)") from error


def _wanted(names: list[str], where: str, form: TableForm) -> dict[str, str]:
    """The file's name of each column that it has."""
    found = {column: form.names.get(column, column) for column in COLUMNS}
    for column, name in form.names.items():
        if name not in names:
            raise MeterbeamError(where, f"the columns {', '.join(names)}", f"{name}, named as {column}")
    present = {column: name for column, name in found.items() if name in names}
    needed = ["start", "value"] + ([] if form.meter is not None else ["meter_id"])
    missing = [column for column in needed if column not in present]
    if missing:
        hint = "; --column NAME=THEIRS names another, --meter gives the one meter"
        raise MeterbeamError(where, f"the columns {', '.join(names)}", f"{', '.join(missing)} as well{hint}")
    return present


def _renamed(rows: pa.Table, wanted: dict[str, str]) -> pa.Table:
    return pa.table({column: rows[name].combine_chunks() for column, name in wanted.items()})


def _blocks(rows: pa.Table, where: str, form: TableForm) -> Iterator[Block]:
    values, scaler, there = _values(rows["value"], where)
    quality, worth = _qualities(rows, where)
    kept = there & worth
    rows, values, quality = rows.filter(pa.array(kept)), values[kept], quality[kept]
    if not rows.num_rows:
        return
    meters = _texts(rows, "meter_id", form.meter, where)
    channels = _texts(rows, "channel", form.channel, where)
    series = _codes(meters) * rows.num_rows + _codes(channels) if form.in_order else None
    starts = _seconds(rows["start"], f"{where}, column start", form.timezone, series)
    units = _texts(rows, "unit", form.unit or "", where)
    received = _received(rows, f"{where}, column received_at", form.timezone)
    codes = [_codes(column) for column in (meters, channels, units)]
    order = np.lexsort((starts, *codes[::-1]))
    starts, values, quality = starts[order], values[order], quality[order]
    came = received[order]
    other = np.zeros(len(order) - 1, np.bool_)
    for code in codes:
        other |= np.diff(code[order]) != 0
    lengths = _lengths(rows, order, starts, other, where, form)
    breaks = other | (np.diff(starts) != lengths[:-1]) | (np.diff(lengths) != 0) | (np.diff(came) != 0)
    for low, high in runs_of(breaks, len(starts)):
        at = int(order[low])
        channel, length = channels[at].as_py(), int(lengths[low])
        unit = _unit(channel, units[at].as_py(), where)
        stamp = None if came[low] == _UNKNOWN else int(came[low])
        part = slice(low, high)
        yield Block(
            meters[at].as_py(),
            channel,
            int(starts[low]),
            length,
            unit,
            scaler,
            values[part],
            quality[part],
            stamp,
        )


def _texts(rows: pa.Table, name: str, constant: str | None, where: str) -> pa.Array:
    """A text column, or the one text of the whole file."""
    if name not in rows.column_names:
        return pa.repeat(pa.scalar(constant, pa.string()), rows.num_rows)
    column = rows[name].combine_chunks().cast(pa.string())
    if column.null_count:
        raise MeterbeamError(f"{where}, column {name}", "an empty cell", "a text in every row with a value")
    return column


def _codes(column: pa.Array) -> Int:
    codes: Int = pc.dictionary_encode(column).indices.to_numpy().astype(np.int64)
    return codes


def _unit(channel: str, unit: str, where: str) -> str:
    entry = CHANNELS.get(channel)
    if entry is None:
        raise MeterbeamError.unknown(f"{where}, channel", channel, list(CHANNELS))
    if not unit:
        return entry.unit
    if unit_factor(unit, channel) is None:
        raise MeterbeamError.unknown(f"{where}, unit of {channel}", unit, units_of(channel))
    return unit


def _values(column: pa.ChunkedArray, where: str) -> tuple[Int, int, NDArray[np.bool_]]:
    """Whole numbers, the power of ten they count, and which of them are there."""
    place = f"{where}, column value"
    try:
        if pa.types.is_floating(column.type):
            number = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
            there = ~np.isnan(number)
            scaled = np.where(there, number, 0) * 1e6
            if not (np.abs(scaled) < float(1 << 62)).all():
                raise MeterbeamError(place, "a number out of range", "numbers within 4.6 × 10¹²")
            return np.rint(scaled).astype(np.int64), MICRO, there
        there = column.is_valid().to_numpy()
        if pa.types.is_integer(column.type):
            return pc.fill_null(column.cast(pa.int64()), 0).to_numpy(), 0, there
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            text = pc.utf8_trim_whitespace(column.cast(pa.string()))
            gone = pc.is_in(pc.utf8_lower(text), pa.array(["", "nan", "null"]))
            there = there & ~pc.fill_null(gone, True).to_numpy()
            column = pc.if_else(pa.array(there), text, "0")
        exact = column.cast(pa.decimal128(38, -NANO))
        factor = pa.scalar(10**-NANO, pa.decimal128(10, 0))
        whole = pc.multiply(pc.fill_null(exact, 0).cast(pa.decimal128(27, -NANO)), factor)
        return whole.cast(pa.decimal128(38, 0), safe=False).cast(pa.int64()).to_numpy(), NANO, there
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        found = str(error).splitlines()[0]
        raise MeterbeamError(place, found, "numbers such as 0.125, of at most 9 decimals") from error


def _qualities(rows: pa.Table, where: str) -> tuple[Int, NDArray[np.bool_]]:
    """ESPI codes, and which rows are readings at all."""
    count = rows.num_rows
    if "quality" not in rows.column_names:
        return np.zeros(count, np.int64), np.ones(count, np.bool_)
    encoded = rows["quality"].combine_chunks().cast(pa.string()).fill_null("").dictionary_encode()
    codes = [_quality(text, where) for text in encoded.dictionary.to_pylist()]
    table = np.array([-1 if code is None else code for code in codes], np.int64)
    found = table[encoded.indices.to_numpy()] if count else np.zeros(0, np.int64)
    return np.maximum(found, 0), found >= 0


def _quality(text: str, where: str) -> int | None:
    name = text.strip().upper()
    if name in _QUALITIES:
        return _QUALITIES[name]
    if name.isdecimal() and int(name) in ESPI_KNOWN:
        return int(name)
    known = [*(quality.name for quality in Quality), "an ESPI code"]
    raise MeterbeamError.unknown(f"{where}, column quality", text, known)


def _seconds(column: pa.ChunkedArray, where: str, zone: str | None, series: Int | None) -> Int:
    """UTC seconds of text or timestamps; none may be empty. With a series of each row, in their order."""
    if column.null_count:
        raise MeterbeamError(where, "an empty cell", "a time in every row with a value")
    micros: Int = _instants(column, where, zone, series).cast(pa.int64()).to_numpy()
    if (micros % 1_000_000).any():
        raise MeterbeamError(where, "a part of a second", "slots that begin on a second")
    return micros // 1_000_000


def _received(rows: pa.Table, where: str, zone: str | None) -> Int:
    """UTC microseconds at which each row was delivered; unknown where the file does not say."""
    if "received_at" not in rows.column_names or rows["received_at"].null_count == rows.num_rows:
        return np.full(rows.num_rows, _UNKNOWN)
    column = rows["received_at"]
    stated = column.is_valid().to_numpy()
    found = np.full(rows.num_rows, _UNKNOWN)
    found[stated] = _instants(column.drop_null(), where, zone).cast(pa.int64()).to_numpy()
    return found


def _instants(
    column: pa.ChunkedArray, where: str, zone: str | None, series: Int | None = None
) -> pa.ChunkedArray:
    """Timestamps in UTC of text or timestamps, none of them null."""
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = _moments(column.cast(pa.string()), where)
        if not pa.types.is_timestamp(column.type):
            raise MeterbeamError(where, f"values of type {column.type}", _TIMES)
        if column.type.tz is None:
            if zone is None:
                raise MeterbeamError(where, "times without an offset", "--timezone, the zone they are in")
            column = _placed(column, zone, where) if series is None else _told(column, zone, where, series)
        return column.cast(pa.timestamp("us", "UTC"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise MeterbeamError(where, str(error).splitlines()[0], _TIMES) from error


def _told(column: pa.ChunkedArray, zone: str, where: str, series: Int) -> pa.Array:
    """Local times as moments; those of a repeated hour by the order of each series' rows."""
    wall = column.cast(pa.timestamp("us")).cast(pa.int64()).combine_chunks()
    told, instants = repeated_instants(wall, zone, series, np.arange(len(wall)))
    moments = np.zeros(len(wall), np.int64)
    moments[told] = instants
    rest = np.setdiff1d(np.arange(len(wall)), told, assume_unique=True)
    placed = _placed(column.take(pa.array(rest)), zone, where).cast(pa.timestamp("us", "UTC"))
    moments[rest] = placed.cast(pa.int64()).to_numpy()
    return pa.array(moments).cast(pa.timestamp("us", "UTC"))


def _placed(column: pa.ChunkedArray, zone: str, where: str) -> pa.ChunkedArray:
    """Local times as moments; those that the clock repeats or skips cannot be told."""
    try:
        return pc.assume_timezone(column, zone)
    except pa.ArrowInvalid as error:
        for word, found in (("ambiguous", "repeats"), ("nonexistent", "skips")):
            settings = {"ambiguous": "earliest", "nonexistent": "earliest", word: "raise"}
            try:
                pc.assume_timezone(column, zone, **settings)
            except pa.ArrowInvalid:
                raise MeterbeamError(
                    where,
                    f"a local time of the hour that the clock of {zone} {found}",
                    "times with an offset, such as 2026-10-25T02:00:00+01:00"
                    + (
                        ""
                        if word == "nonexistent"
                        else "; or --in-order and both passes, one after the other"
                    ),
                ) from error
        raise


def _moments(text: pa.ChunkedArray, where: str) -> Any:
    """Timestamps of texts, all with an offset or all without one; ``+00`` counts as an offset."""
    zoned = pc.match_substring_regex(text, r"(Z|[+-]\d\d(:?\d\d)?)$")
    dated = pc.match_substring_regex(text, r"\d[T ]\d")
    zoned = pc.and_(zoned, dated)
    if pc.any(zoned).as_py() != pc.all(zoned).as_py():
        raise MeterbeamError(where, "times with and without an offset", "all of one form")
    offset = bool(pc.all(zoned).as_py())
    full = pc.replace_substring_regex(text, r"([+-]\d\d)$", r"\1:00") if offset else text
    return full.cast(pa.timestamp("us", "UTC" if offset else None))


def _stated_lengths(column: pa.ChunkedArray, where: str) -> Int:
    if column.null_count:
        raise MeterbeamError(where, "an empty cell", "seconds in every row with a value")
    try:
        seconds: Int = column.cast(pa.int64()).to_numpy()
    except pa.ArrowException as error:
        raise MeterbeamError(where, str(error).splitlines()[0], "whole seconds such as 900") from error
    return seconds


def _lengths(
    rows: pa.Table, order: Int, starts: Int, series: NDArray[np.bool_], where: str, form: TableForm
) -> Int:
    """Slot length of each row: its own, the file's, or the commonest step of its series; in seconds."""
    count = len(order)
    if "interval_s" in rows.column_names:
        given = _stated_lengths(rows["interval_s"], f"{where}, column interval_s")[order]
    elif form.interval_s is not None:
        given = np.full(count, form.interval_s)
    else:
        given = np.zeros(count, np.int64)
        for low, high in runs_of(series, count):
            steps = np.diff(starts[low:high])
            length, often = np.unique(steps[steps > 0], return_counts=True)
            given[low:high] = length[often.argmax()] if len(length) else 0
    wrong = (given <= 0) | (DAY_S % np.maximum(given, 1) != 0)
    if wrong.any():
        found = f"an interval of {int(given[np.flatnonzero(wrong)[0]])} s"
        raise MeterbeamError(where, found, "a length that divides a day (--interval MINUTES gives it)")
    return given
