"""NEM12 (AEMO meter data file format) read into blocks; irregular files are refused, or mended with a word.

A file is a 100 header, for each data stream a 200 record, for each of its days a 300 record of all
intervals with its 400 records where the quality varies, and a 900 end. Days are days of the market's
clock, UTC+10 without daylight saving. Quality ``N`` is no reading; ``E``, ``F`` and ``S`` are estimates
of the sender; ``A`` is measured.

A stream's meter is its NMI; a second stream of the same kind (``E2``) would be the same channel again, so
its meter is the NMI with the number behind it: ``NMI-2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.exchange.blocks import Block, Irregularities, gapless
from schemas.channels import channel_of_nem12
from schemas.units import unit_factor

__all__ = ["MARKET_CLOCK", "read_nem12"]

MARKET_CLOCK = timezone(timedelta(hours=10))
DAY_S = 86_400
NANO = -9
LARGEST = 1 << 63
LIKE_DAY, LINEAR, OTHER_ESTIMATE = 8, 9, 12
"""ESPI codes of the head-end's estimates."""
_METHODS = {"14": LIKE_DAY, "15": LIKE_DAY, "20": LIKE_DAY, "17": LINEAR}
"""NEM12 method numbers of a substitution or estimate."""
_QUALITY = re.compile(r"[AEFNSV][0-9]{0,2}", re.IGNORECASE)
_NO_READING = -1
_VARIES = -2
_FIELDS = {"100": 5, "200": 10, "400": 6, "500": 5, "900": 1}
_WANTED = "the records 100, 200, 300 with their 400s, 900"


@dataclass(frozen=True)
class _Stream:
    """A 200 record."""

    meter_id: str
    channel: str
    unit: str
    interval_s: int


@dataclass
class _Day:
    """A 300 record whose 400 records may follow. ``codes`` are ESPI codes, or no reading, or varies."""

    where: str
    stream: _Stream
    start: int
    values: NDArray[np.int64]
    codes: NDArray[np.int64]
    received_at: int | None


def read_nem12(path: Path, irregular: Irregularities) -> Iterator[Block]:
    """Blocks of a NEM12 file, one a day and stream, cut where there is no reading.

    Args:
        path: The file; text in UTF-8.
        irregular: Refuses or mends what is not as the format wants it.

    Raises:
        MeterbeamError: The file is irregular and is not mended; names file and line.
    """
    return _Reader(path, irregular).blocks()


class _Reader:
    def __init__(self, path: Path, irregular: Irregularities) -> None:
        self._path = path
        self._irregular = irregular
        self._line = 0
        self._received: int | None = None
        self._stream: _Stream | None = None
        self._day: _Day | None = None
        self._seen_stream = False

    def blocks(self) -> Iterator[Block]:
        """All blocks, in the order of the file."""
        began = ended = False
        with self._path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            for self._line, line in enumerate(lines, 1):
                fields = [cell.strip() for cell in line.rstrip("\r\n").split(",")]
                if not any(fields):
                    self._meet("an empty line", _WANTED, "left out")
                    continue
                kind = fields[0]
                if kind != "100" and not began:
                    self._meet(f"a first record {kind!r}", "a 100 header with NEM12", "read without one")
                if ended:
                    self._meet(f"a record {kind!r} after the end", "nothing after the 900", "read on")
                began, ended = True, kind == "900"
                yield from self._record(kind, self._trimmed(kind, fields))
        yield from self._finished_day()
        if not ended:
            self._meet("the end of the file", "a 900 record", "taken as complete")

    def _meet(self, found: str, expected: str, mended: str) -> None:
        self._irregular.meet(self._where(), found, expected, mended)

    def _where(self) -> str:
        return f"{self._path}, line {self._line}"

    def _trimmed(self, kind: str, fields: list[str]) -> list[str]:
        """Fields without those that pad every record of some senders to one length."""
        most = _FIELDS.get(kind)
        if most is not None and len(fields) > most:
            self._meet(
                f"{len(fields)} fields", f"at most {most} in a {kind} record", "those after it dropped"
            )
            return fields[:most]
        return fields

    def _record(self, kind: str, fields: list[str]) -> Iterator[Block]:
        if kind == "400":
            self._quality_range(fields)
            return
        yield from self._finished_day()
        if kind == "100":
            self._header(fields)
        elif kind == "200":
            self._stream = self._stream_of(fields)
            self._seen_stream = True
        elif kind == "300":
            self._day = self._day_of(fields)
        elif kind not in ("500", "900"):
            self._meet(f"a record {kind!r}", _WANTED, "left out")

    def _header(self, fields: list[str]) -> None:
        if len(fields) < 2 or fields[1].upper() != "NEM12":
            self._meet(f"the header {','.join(fields)!r}", "100,NEM12,…", "read as NEM12")
        self._received = self._moment(fields[2]) if len(fields) > 2 else None

    def _moment(self, text: str) -> int | None:
        """Microseconds of a date and time of the market's clock, with or without seconds."""
        if not text:
            return None
        form = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(text))
        try:
            if form is None:
                raise ValueError(text)
            moment = datetime.strptime(text, form).replace(tzinfo=MARKET_CLOCK)
        except ValueError:
            self._meet(f"the time {text!r}", "YYYYMMDDhhmm or YYYYMMDDhhmmss", "taken as not stated")
            return None
        return int(moment.timestamp()) * 1_000_000

    def _stream_of(self, fields: list[str]) -> _Stream | None:
        """The stream of a 200 record; None where its readings must be left out."""
        fields = fields + [""] * (10 - len(fields))
        nmi, suffix, unit, length = fields[1], fields[4], fields[7], fields[8]
        channel = channel_of_nem12(suffix)
        if not nmi or channel is None:
            found = "no NMI" if not nmi else f"the suffix {suffix!r}"
            self._meet(found, "an NMI, and a suffix such as E1, B1, Q1 or K1", "its days left out")
            return None
        if not unit:
            self._meet("no unit", f"one such as {channel.unit}", f"taken as {channel.unit}")
            unit = channel.unit
        if unit_factor(unit, channel.name) is None:
            self._meet(f"the unit {unit!r}", f"a unit of {channel.quantity}", "its days left out")
            return None
        if not length.isdecimal() or not int(length) or 1440 % int(length):
            self._meet(f"an interval of {length!r} minutes", "5, 15 or 30", "taken from the number of values")
            length = "0"
        number = suffix[1:]
        meter = nmi if number in ("", "1") else f"{nmi}-{number}"
        return _Stream(meter, channel.name, unit, int(length) * 60)

    def _day_of(self, fields: list[str]) -> _Day | None:
        stream = self._stream
        if stream is None:
            if not self._seen_stream:
                self._meet("a 300 record", "its 200 record before it", "left out")
            return None
        date = fields[1] if len(fields) > 1 else ""
        try:
            day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            self._meet(f"the date {date!r}", "YYYYMMDD", "the day left out")
            return None
        cells, tail = self._split(fields[2:], DAY_S // (stream.interval_s or DAY_S))
        interval = self._interval(stream, len(cells))
        if interval is None:
            return None
        tail = tail + [""] * 5
        values, numbers = self._numbers(cells)
        code = self._code(tail[0], "300")
        codes = np.where(numbers, code, _NO_READING)
        updated = self._moment(tail[3])
        start = int(day.timestamp()) - int(MARKET_CLOCK.utcoffset(None).total_seconds())
        stream = _Stream(stream.meter_id, stream.channel, stream.unit, interval)
        received = self._received if updated is None else updated
        return _Day(self._where(), stream, start, values, codes, received)

    def _split(self, cells: list[str], count: int) -> tuple[list[str], list[str]]:
        """Values, and what comes after them: the quality stands behind as many values as the day has slots.

        Where it does not, it is the first cell that reads like one.
        """
        if count < len(cells) and cells[count][:1].isalpha():
            return cells[:count], cells[count:]
        place = next((n for n, cell in enumerate(cells) if _QUALITY.fullmatch(cell)), len(cells))
        return cells[:place], cells[place:]

    def _interval(self, stream: _Stream, count: int) -> int | None:
        """The interval length of a day of so many values; None where it cannot be known."""
        if stream.interval_s and count * stream.interval_s == DAY_S:
            return stream.interval_s
        wanted = f"{DAY_S // stream.interval_s} values" if stream.interval_s else "a value an interval"
        if count and DAY_S % count == 0 and count in (24, 48, 96, 144, 288, 1440):
            self._meet(f"{count} values", wanted, f"read as intervals of {1440 // count} minutes")
            return DAY_S // count
        self._meet(f"{count} values", wanted, "the day left out")
        return None

    def _numbers(self, cells: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Values as 10⁻⁹ units, and which of them are there."""
        values, there = np.zeros(len(cells), np.int64), np.ones(len(cells), np.bool_)
        for place, cell in enumerate(cells):
            try:
                number = Decimal(cell).scaleb(-NANO)
                if not -LARGEST <= number < LARGEST - 1:
                    raise InvalidOperation
                whole = int(number.to_integral_value())
            except ArithmeticError:
                self._meet(f"the value {cell!r} of interval {place + 1}", "a number", "taken as no reading")
                there[place] = False
                continue
            if whole != number:
                self._meet(f"the value {cell!r}", "at most 9 decimals", "rounded to them")
            values[place] = whole
        return values, there

    def _code(self, quality: str, record: str) -> int:
        letter, method = quality[:1].upper(), quality[1:3]
        if letter == "A":
            return 0
        if letter == "N":
            return _NO_READING
        if letter == "V" and record == "300":
            return _VARIES
        if letter in ("E", "F", "S"):
            return _METHODS.get(method, OTHER_ESTIMATE)
        self._meet(f"the quality {quality!r}", "A, E, F, N, S, or V with 400 records", "taken as measured")
        return 0

    def _quality_range(self, fields: list[str]) -> None:
        day = self._day
        if day is None:
            if self._stream is not None or not self._seen_stream:
                self._meet("a 400 record", "its 300 record before it", "left out")
            return
        bounds = fields[1:3]
        if len(fields) < 4 or not all(bound.isdecimal() for bound in bounds):
            self._meet(f"the range {' to '.join(bounds)!r}", "two interval numbers and a quality", "left out")
            return
        low, high = (int(bound) for bound in bounds)
        count = len(day.codes)
        if not 1 <= low <= high <= count:
            self._meet(f"intervals {low} to {high}", f"within 1 to {count}", "what lies within is used")
            low, high = max(low, 1), min(high, count)
        code = self._code(fields[3], "400")
        part = slice(low - 1, max(high, low - 1))
        day.codes[part] = np.where(day.codes[part] == _NO_READING, _NO_READING, code)

    def _finished_day(self) -> Iterator[Block]:
        """The day whose records are all read."""
        day, self._day = self._day, None
        if day is None:
            return
        left = int((day.codes == _VARIES).sum())
        if left:
            expected = "400 records for every interval of quality V"
            self._irregular.meet(day.where, f"{left} intervals without one", expected, "taken as measured")
        there = day.codes != _NO_READING
        codes = np.where(day.codes == _VARIES, 0, day.codes)
        stream = day.stream
        block = Block(
            stream.meter_id,
            stream.channel,
            day.start,
            stream.interval_s,
            stream.unit,
            NANO,
            day.values,
            codes,
            day.received_at,
        )
        yield from gapless(block, there)
