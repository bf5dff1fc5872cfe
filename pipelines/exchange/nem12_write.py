"""Days of a lake as NEM12 (AEMO): see :mod:`pipelines.exchange.nem12_read` for the format.

Market days are days of UTC+10. A market day that holds any slot of a local day that is sent is written
whole. A slot without a value has quality ``N``. Values are in the billing unit with as many decimals as
they have: nothing is rounded, so a value finer than 1 Wh has more than the three decimals AEMO asks for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import IO

import numpy as np
from numpy.typing import NDArray

from models.calendar import day_date
from pipelines.exchange.blocks import runs_of
from pipelines.exchange.lake_days import SeriesDays
from pipelines.exchange.nem12_read import MARKET_CLOCK
from schemas.channels import CHANNELS
from schemas.errors import MeterbeamError
from schemas.quality import SCALED, Method, Quality
from schemas.quality_codes import nem12_of

__all__ = ["nem12_channel", "write_nem12"]

Int = NDArray[np.int64]
DAY_S = 86_400
MICRO = 1_000_000
OFFSET_S = int(MARKET_CLOCK.utcoffset(None).total_seconds())
_METHOD_NUMBERS = {
    Method.LIKE_DAY: "14",
    Method.SIMILAR: "14",
    Method.TWO_WEEK: "14",
    Method.MULTI_WEEK: "14",
    Method.CHECK: "11",
    Method.CLASS_PROFILE: "12",
    Method.PREVIOUS_YEAR: "23",
    Method.PROXY_DAY: "18",
    Method.LINEAR: "17",
    Method.ZERO: "19",
    Method.FLAT: "12",
    Method.REGISTER: "12",
    Method.MANUAL: "16",
    Method.EXTERNAL: "18",
    Method.NONE: "18",
}
"""AEMO substitution types: 11 check, 12 calculated, 14 like day, 16 agreed, 17 linear, 18 alternate,
19 zero, 23 previous year."""
_DOUBT = ",0,Questionable"
"""Reason of a measured value that a rule doubts: code 0 is free text."""


def nem12_channel(channel: str) -> bool:
    """Whether NEM12 has a suffix for a channel."""
    entry = CHANNELS.get(channel)
    return entry is not None and entry.nem12 is not None


def write_nem12(out: IO[bytes], series: Iterable[SeriesDays], created: datetime) -> int:
    """Write a NEM12 file; returns the number of intervals in it.

    Args:
        out: Where the bytes go.
        series: Days, those of a meter together; only channels that NEM12 knows.
        created: Time of the file and of each update; that of the lake's run.

    Raises:
        MeterbeamError: A meter id or interval length that NEM12 cannot carry.
    """
    stamp = f"{created.astimezone(MARKET_CLOCK):%Y%m%d%H%M%S}"
    out.write(f"100,NEM12,{stamp[:12]},METERBEAM,METERBEAM\r\n".encode())
    written = 0
    for of_meter in _by_meter(series):
        suffixes = "".join(dict.fromkeys(_suffix(each) for each in of_meter))
        for each in of_meter:
            _check(each)
            lines = []
            for day, values, codes in _market_days(each):
                lines += _day_lines(day, values, codes, stamp)
                written += len(values)
            if lines:
                head = (
                    f"200,{each.meter_id},{suffixes},1,{_suffix(each)},,,{each.unit},{each.interval_s // 60},"
                )
                out.write("\r\n".join([head, *lines, ""]).encode())
    out.write(b"900\r\n")
    return written


def _by_meter(series: Iterable[SeriesDays]) -> Iterator[list[SeriesDays]]:
    held: list[SeriesDays] = []
    for each in series:
        if held and each.meter_id != held[0].meter_id:
            yield held
            held = []
        held.append(each)
    if held:
        yield held


def _suffix(series: SeriesDays) -> str:
    return f"{CHANNELS[series.channel].nem12}1"


def _check(series: SeriesDays) -> None:
    where = f"meter {series.meter_id!r}"
    if any(mark in series.meter_id for mark in ",\r\n"):
        raise MeterbeamError(where, "a comma or line end in its id", "an id that NEM12 can carry")
    if series.interval_s % 60 or ((series.starts + OFFSET_S) % series.interval_s).any():
        found = f"intervals of {series.interval_s} s that do not begin at midnight of UTC+10"
        raise MeterbeamError(where, found, "slots on the market's clock, in whole minutes")


def _market_days(series: SeriesDays) -> Iterator[tuple[date, Int, list[str]]]:
    """Market days that hold a slot to be sent: values and quality text of all their intervals."""
    market = (series.starts + OFFSET_S) // DAY_S
    sent = np.unique(np.concatenate([market[series.changed], _days_of_spans(series)]))
    count = DAY_S // series.interval_s
    kinds, kind = _quality_kinds(series)
    for day in sent.tolist():
        low, high = np.searchsorted(market, [day, day + 1])
        place = (series.starts[low:high] + OFFSET_S - day * DAY_S) // series.interval_s
        values, codes = np.zeros(count, np.int64), np.full(count, -1)
        values[place] = series.values[low:high]
        codes[place] = kind[low:high]
        texts = [kinds[code] if code >= 0 else "N" for code in codes.tolist()]
        values[np.array([text == "N" for text in texts])] = 0
        yield day_date(day), values, texts


def _days_of_spans(series: SeriesDays) -> Int:
    """Market days that a withdrawn local day touches."""
    days = [
        day
        for low, high in series.withdrawn
        for day in range((low + OFFSET_S) // DAY_S, (high - 1 + OFFSET_S) // DAY_S + 1)
    ]
    return np.array(days, np.int64)


def _quality_kinds(series: SeriesDays) -> tuple[list[str], Int]:
    """Texts of quality, method and reason that occur, and which of them each slot has."""
    pairs, kind = np.unique(series.quality * 256 + series.method, return_inverse=True)
    return [_quality_text(*divmod(pair, 256)) for pair in pairs.tolist()], kind


def _quality_text(quality: int, method: int) -> str:
    flag = nem12_of(Quality(quality))
    if flag in ("E", "F", "S"):
        plain = Method(method - SCALED if method > SCALED else method)
        return f"{flag}{_METHOD_NUMBERS[plain]}"
    return flag + (_DOUBT if quality == Quality.QUESTIONABLE else "")


def _day_lines(day: date, values: Int, codes: list[str], stamp: str) -> list[str]:
    shown = ",".join(_decimal(value) for value in values.tolist())
    changes = np.array([a != b for a, b in itertools.pairwise(codes)], np.bool_)
    runs = runs_of(changes, len(codes))
    whole = codes[0] if len(runs) == 1 else "V"
    reason = whole if "," in whole else f"{whole},,"
    lines = [f"300,{day:%Y%m%d},{shown},{reason},{stamp},"]
    if len(runs) > 1:
        lines += [
            f"400,{low + 1},{high},{codes[low] if ',' in codes[low] else codes[low] + ',,'}"
            for low, high in runs
        ]
    return lines


def _decimal(micro: int) -> str:
    """Micro-units as the shortest exact decimal."""
    whole, part = divmod(abs(micro), MICRO)
    sign = "-" if micro < 0 else ""
    return f"{sign}{whole}" + (f".{part:06d}".rstrip("0") if part else "")
