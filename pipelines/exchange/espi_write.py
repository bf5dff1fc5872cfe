"""Days of a lake as Green Button (NAESB ESPI 1.1 / REQ.21): one Atom feed, a usage point a meter.

Values are whole numbers at a power of ten at which micro-units are whole, so nothing is rounded. A slot
without a value has no reading; a slot's quality is its ESPI code. An interval block is a local day.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO
from urllib.parse import quote
from xml.sax.saxutils import escape

import numpy as np

from pipelines.exchange.blocks import runs_of
from pipelines.exchange.clock_rules import clock_rules
from pipelines.exchange.lake_days import SeriesDays
from schemas.channels import CHANNELS
from schemas.quality import Quality
from schemas.quality_codes import espi_of

__all__ = ["SERVICE_KINDS", "write_espi"]

ATOM = "http://www.w3.org/2005/Atom"
ESPI = "http://naesb.org/espi"
SERVICE_KINDS = {"electricity": 0, "gas": 1, "volume": 1, "water": 2, "heat": 5, "cooling": 5}
"""ESPI ServiceKind of a commodity; ``volume`` may be gas or water, its reading type says gas."""
_CODES = {quality: espi_of(quality) for quality in Quality}


def write_espi(out: IO[bytes], series: Iterable[SeriesDays], *, zone: str, published: datetime) -> int:
    """Write a Green Button feed; returns the number of interval readings in it.

    Args:
        out: Where the bytes go.
        series: Days, those of a meter together.
        zone: IANA time zone of the lake.
        published: Time of every entry; that of the lake's run.
    """
    writer = _Writer(out, published)
    writer.begin()
    meter = None
    count = number = 0
    for each in series:
        if each.meter_id != meter:
            meter, number = each.meter_id, 0
            writer.usage_point(each, zone)
        number += 1
        count += writer.meter_reading(each, number)
    out.write(b"</feed>\n")
    return count


class _Writer:
    def __init__(self, out: IO[bytes], published: datetime) -> None:
        self._out = out
        self._published = published.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._year = published.year

    def begin(self) -> None:
        """The head of the feed."""
        self._write(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{ATOM}">\n'
            f"<id>{_urn('feed ' + self._published)}</id>\n"
            '<link rel="self" href="Batch/Bulk/1"/>\n<title>Green Button Usage Feed</title>\n'
            f"<updated>{self._published}</updated>\n"
        )

    def usage_point(self, series: SeriesDays, zone: str) -> None:
        """A meter, and the clock its days follow."""
        kind = SERVICE_KINDS[CHANNELS[series.channel].commodity]
        point = f"UsagePoint/{quote(series.meter_id, safe='')}"
        links = [("up", "UsagePoint"), ("related", f"{point}/MeterReading")]
        links.append(("related", "LocalTimeParameters/1"))
        body = f"<ServiceCategory><kind>{kind}</kind></ServiceCategory>"
        self._entry(point, links, series.meter_id, "UsagePoint", body)
        rules = clock_rules(zone, self._year)
        body = (
            f"<dstEndRule>{rules.end:08X}</dstEndRule><dstOffset>{rules.saving_s}</dstOffset>"
            f"<dstStartRule>{rules.start:08X}</dstStartRule><tzOffset>{rules.offset_s}</tzOffset>"
        )
        clock = f"{point}/LocalTimeParameters/1"
        self._entry(clock, [("up", "LocalTimeParameters")], zone, "LocalTimeParameters", body)

    def meter_reading(self, series: SeriesDays, number: int) -> int:
        """A series: its reading, its type, and a block a local day; returns the readings written."""
        point = f"UsagePoint/{quote(series.meter_id, safe='')}"
        reading, type_ = f"{point}/MeterReading/{number}", f"{point}/ReadingType/{number}"
        links = [("up", f"{point}/MeterReading"), ("related", type_), ("related", f"{reading}/IntervalBlock")]
        self._entry(reading, links, series.channel, "MeterReading", "")
        self._entry(type_, [("up", f"{point}/ReadingType")], series.channel, "ReadingType", _type(series))
        count = 0
        for low, high in runs_of(np.diff(series.day) != 0, len(series.day)):
            if series.changed[low]:
                block = f"{reading}/IntervalBlock/{series.starts[low]}"
                body, readings = _block(series, low, high)
                self._entry(block, [("up", f"{reading}/IntervalBlock")], "", "IntervalBlock", body)
                count += readings
        return count

    def _entry(self, href: str, links: list[tuple[str, str]], title: str, kind: str, body: str) -> None:
        listed = "".join(f'<link rel="{rel}" href="{escape(to)}"/>' for rel, to in [("self", href), *links])
        self._write(
            f"<entry><id>{_urn(href)}</id>{listed}<title>{escape(title)}</title>"
            f'<content><{kind} xmlns="{ESPI}">{body}</{kind}></content>'
            f"<published>{self._published}</published><updated>{self._published}</updated></entry>\n"
        )

    def _write(self, text: str) -> None:
        self._out.write(text.encode())


def _urn(name: str) -> str:
    """An id that is the same whenever the same thing is written."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'meterbeam {name}')}"


def _type(series: SeriesDays) -> str:
    accumulation, flow, commodity, kind, phases, multiplier, uom = CHANNELS[series.channel].cim
    parts = [
        ("accumulationBehaviour", accumulation),
        ("commodity", commodity),
        ("dataQualifier", 12),
        ("flowDirection", flow),
        ("intervalLength", series.interval_s),
        ("kind", kind),
        ("phase", phases),
        ("powerOfTenMultiplier", multiplier - 6),
        ("timeAttribute", 0),
        ("uom", uom),
    ]
    return "".join(f"<{name}>{value}</{name}>" for name, value in parts)


def _block(series: SeriesDays, low: int, high: int) -> tuple[str, int]:
    """The slots of one local day that hold a value."""
    starts, values = series.starts[low:high].tolist(), series.values[low:high].tolist()
    length = series.interval_s
    span = f"<duration>{(high - low) * length}</duration><start>{starts[0]}</start>"
    parts = [f"<interval>{span}</interval>"]
    for start, value, quality in zip(starts, values, series.quality[low:high].tolist(), strict=True):
        code = _CODES[Quality(quality)]
        if code is None:
            continue
        parts.append(
            f"<IntervalReading><ReadingQuality><quality>{code}</quality></ReadingQuality>"
            f"<timePeriod><duration>{length}</duration><start>{start}</start></timePeriod>"
            f"<value>{value}</value></IntervalReading>"
        )
    return "".join(parts), len(parts) - 1
