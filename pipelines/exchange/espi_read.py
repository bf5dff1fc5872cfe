"""Green Button (NAESB ESPI) feeds read into blocks.

The meter is the last part of its usage point's own link, the channel follows from the reading type.
Qualities are ESPI codes as they stand. Links join the parts: a block names its meter reading, that its
usage point and its reading type.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from pipelines.exchange.blocks import Block, Irregularities, runs_of
from schemas.channels import CHANNELS
from schemas.errors import MeterbeamError
from schemas.quality_codes import ESPI_KNOWN
from transforms.row_checks import LAST_TIME, MAX_SCALER

__all__ = ["read_espi"]

ATOM = "{http://www.w3.org/2005/Atom}"
ESPI = "{http://naesb.org/espi}"
DAY_S = 86_400
INT48 = 2**47
"""Greatest number that the schema's Int48 holds, either way."""
LAST_S = LAST_TIME // 1_000_000
"""Of a slot's start; a later one is no time of a meter. [s]"""
_UNITS = {72: "Wh", 73: "varh", 42: "m3", 119: "ft3", 128: "gal", 134: "L", 31: "J", 29: "V", 5: "A"}
"""Unit of a UnitSymbol code."""


@dataclass(frozen=True)
class _Type:
    """A reading type: channel, unit, power of ten, slot length [s] (0: each reading says), quality."""

    channel: str
    unit: str
    scaler: int
    interval_s: int
    quality: int


@dataclass
class _Feed:
    """Parts of a feed by their own link."""

    types: dict[str, _Type | None] = field(default_factory=dict)
    readings: dict[str, tuple[str, list[str]]] = field(default_factory=dict)


def read_espi(path: Path, irregular: Irregularities) -> Iterator[Block]:
    """Blocks of a Green Button feed.

    Args:
        path: The file.
        irregular: Refuses or mends what cannot be used.

    Raises:
        MeterbeamError: The file is no such feed, or something in it is irregular and not mended.
    """
    feed = _Feed()
    for entry in _entries(path):
        _learn(feed, entry, path, irregular)
    if not feed.readings:
        raise MeterbeamError(
            str(path), "no MeterReading", "a Green Button feed (Atom entries with ESPI content)"
        )
    for entry in _entries(path):
        for block in entry.iter(f"{ESPI}IntervalBlock"):
            series = _series(feed, entry, path, irregular)
            if series is not None:
                yield from _blocks(*series, block, f"{path}, {_own(entry)}", irregular)


def _entries(path: Path) -> Iterator[ET.Element]:
    """Entries of the feed, one in memory at a time. Expat fetches nothing and limits entity expansion."""
    try:
        depth: list[ET.Element] = []
        for event, element in ET.iterparse(path, events=("start", "end")):  # noqa: S314
            if event == "start":
                depth.append(element)
                continue
            depth.pop()
            if element.tag == f"{ATOM}entry":
                yield element
                if depth:
                    depth[-1].remove(element)
    except ET.ParseError as error:
        line, column = error.position
        raise MeterbeamError(
            f"{path}, line {line}, column {column}", str(error), "well-formed XML"
        ) from error


def _links(entry: ET.Element, rel: str) -> list[str]:
    return [
        link.get("href", "").rstrip("/") for link in entry.findall(f"{ATOM}link") if link.get("rel") == rel
    ]


def _own(entry: ET.Element) -> str:
    return next(iter(_links(entry, "self")), "an entry without a link to itself")


def _learn(feed: _Feed, entry: ET.Element, path: Path, irregular: Irregularities) -> None:
    type_ = entry.find(f"{ATOM}content/{ESPI}ReadingType")
    if type_ is not None:
        feed.types[_own(entry)] = _type_of(type_, f"{path}, {_own(entry)}", irregular)
    if entry.find(f"{ATOM}content/{ESPI}MeterReading") is not None:
        up = next(iter(_links(entry, "up")), "")
        feed.readings[_own(entry)] = up.removesuffix("/MeterReading"), _links(entry, "related")


def _number(element: ET.Element, name: str, where: str, default: int, most: int = INT48) -> int:
    """A whole number, ``default`` where the element is absent.

    Raises:
        MeterbeamError: Something else stands there, or a greater one than ``most`` either way.
    """
    text = element.findtext(f"{ESPI}{name}")
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError as error:
        raise MeterbeamError(f"{where}, {name}", repr(text), "a whole number") from error
    if abs(number) > most:
        raise MeterbeamError(f"{where}, {name}", text, f"a whole number within ±{most}")
    return number


def _type_of(element: ET.Element, where: str, irregular: Irregularities) -> _Type | None:
    uom, flow = _number(element, "uom", where, 0), _number(element, "flowDirection", where, 1)
    commodity = _number(element, "commodity", where, 1)
    accumulation = _number(element, "accumulationBehaviour", where, 4)
    phase = _number(element, "phase", where, 0)
    unit = _UNITS.get(uom)
    channel = _channel_of(uom, flow, commodity, phase)
    if unit is None or channel is None or accumulation not in (4, 6, 12):
        found = (
            f"accumulationBehaviour {accumulation}, commodity {commodity}, flowDirection {flow}, uom {uom}"
        )
        irregular.meet(where, found, "energy, volume, voltage or current of an interval", "left out")
        return None
    scaler = _number(element, "powerOfTenMultiplier", where, 0, MAX_SCALER)
    interval = _number(element, "intervalLength", where, 0)
    return _Type(channel, unit, scaler, interval, _number(element, "defaultQuality", where, 0))


def _channel_of(uom: int, flow: int, commodity: int, phase: int) -> str | None:
    """The channel of the catalogue that measures this; of a phase where it has one."""
    volume, primary = 42, {0: 1, 2: 1}
    wanted = volume if _UNITS.get(uom) in ("m3", "ft3", "gal", "L") else 72 if uom == 31 else uom
    commodity = primary.get(commodity, commodity)
    fitting = [
        (channel.cim[4] != phase, channel.name)
        for channel in CHANNELS.values()
        if channel.cim[6] == wanted
        and not channel.reference
        and channel.cim[2] == commodity
        and (channel.instantaneous or channel.cim[1] == (flow or 1))
        and (channel.cim[4] in (0, phase))
    ]
    return min(fitting)[1] if fitting else None


def _series(
    feed: _Feed, entry: ET.Element, path: Path, irregular: Irregularities
) -> tuple[str, _Type] | None:
    """Meter and reading type of a block's entry; None where it is left out."""
    up = next(iter(_links(entry, "up")), "").removesuffix("/IntervalBlock")
    where = f"{path}, {_own(entry)}"
    if up not in feed.readings and len(feed.readings) == 1:
        up = next(iter(feed.readings))
    if up not in feed.readings:
        irregular.meet(
            where, f"a block of {up or 'nothing'}", "one of a MeterReading of the feed", "left out"
        )
        return None
    point, related = feed.readings[up]
    types = [feed.types[link] for link in related if link in feed.types]
    if not types and len(feed.types) == 1:
        types = list(feed.types.values())
    if not types:
        irregular.meet(where, "a meter reading without its type", "a link to a ReadingType", "left out")
        return None
    return None if types[0] is None else (unquote(point.rpartition("/")[2]), types[0])


def _blocks(
    meter: str, type_: _Type, element: ET.Element, where: str, irregular: Irregularities
) -> Iterator[Block]:
    """Readings of one ESPI block as gapless blocks of one length."""
    rows: list[tuple[int, int, int, int]] = []
    begun = element.find(f"{ESPI}interval")
    following = _number(begun, "start", where, 0, LAST_S) if begun is not None else 0
    for reading in element.findall(f"{ESPI}IntervalReading"):
        period = reading.find(f"{ESPI}timePeriod")
        start = following if period is None else _number(period, "start", where, following, LAST_S)
        length = 0 if period is None else _number(period, "duration", where, 0)
        length = length or type_.interval_s
        following = start + length
        if reading.find(f"{ESPI}value") is None:
            continue
        if length <= 0 or DAY_S % length:
            irregular.meet(where, f"a reading of {length} s", "a length that divides a day", "left out")
            continue
        rows.append(
            (length, start, _number(reading, "value", where, 0), _quality(reading, type_, where, irregular))
        )
    rows.sort()
    table = np.array(rows, np.int64).reshape(-1, 4)
    lengths, starts, values, codes = table.T
    breaks = (np.diff(starts) != lengths[:-1]) | (np.diff(lengths) != 0)
    for low, high in runs_of(breaks, len(starts)):
        part, first, length = slice(low, high), int(starts[low]), int(lengths[low])
        yield Block(meter, type_.channel, first, length, type_.unit, type_.scaler, values[part], codes[part])


def _quality(reading: ET.Element, type_: _Type, where: str, irregular: Irregularities) -> int:
    stated = reading.find(f"{ESPI}ReadingQuality")
    code = type_.quality if stated is None else _number(stated, "quality", where, 0)
    if code not in ESPI_KNOWN:
        irregular.meet(where, f"quality {code}", "an ESPI QualityOfReading", "taken as measured")
        return 0
    return code
