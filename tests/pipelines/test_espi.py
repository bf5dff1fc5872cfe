"""Green Button: feeds keep to the schema; feeds of others are read; clocks are told as rules."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.exchange.clock_rules import ClockRules, clock_rules
from pipelines.exchange.espi_write import write_espi
from pipelines.exchange.lake_days import SeriesDays
from schemas.channels import CHANNELS
from tests.pipelines.espi_check import ESPI, check_feed
from tests.pipelines.exchanged import avro_readings, failed
from tests.pipelines.towns import make_town, run, scalar

Capture = pytest.CaptureFixture[str]

NEW_YORK = ClockRules(-18_000, 3600, 0x360E2000, 0xB40E2000)
"""The rules printed in the Green Button samples: second Sunday of March, first of November, 02:00."""


@pytest.mark.parametrize(
    ("zone", "rules"),
    [
        pytest.param("America/New_York", NEW_YORK, id="second and first Sunday"),
        pytest.param("Europe/Zurich", ClockRules(3600, 3600, 0x3E0E2000, 0xAE0E3000), id="last Sundays"),
        pytest.param("Australia/Brisbane", ClockRules(36_000, 0, 0xFFFFFFFF, 0xFFFFFFFF), id="none"),
        pytest.param("Australia/Sydney", ClockRules(36_000, 3600, 0xA40E2000, 0x440E3000), id="southern"),
    ],
)
def test_clock_rules(zone: str, rules: ClockRules) -> None:
    """Offsets and the bits of both rules."""
    assert clock_rules(zone, 2026) == rules


def test_a_feed_keeps_to_the_schema(tmp_path: Path) -> None:
    """Every element in its place and of its type; a usage point a meter, a block a local day."""
    files = make_town(tmp_path / "in", meters=4, days=35)
    lake = tmp_path / "lake"
    run(lake, files, detect=False)
    out = tmp_path / "town.xml"
    assert main(["export", "days", "--lake", str(lake), "--out", str(out), "--format", "espi"]) == 0
    meters = scalar(lake, "SELECT count(DISTINCT meter_id) FROM days")
    series = scalar(lake, "SELECT count(*) FROM (SELECT DISTINCT meter_id, channel, interval_s FROM days)")
    assert check_feed(out) == {
        "UsagePoint": meters,
        "LocalTimeParameters": meters,
        "MeterReading": series,
        "ReadingType": series,
        "IntervalBlock": scalar(lake, "SELECT count(*) FROM days"),
    }


@pytest.mark.parametrize(
    ("channel", "code"), [pytest.param(name, channel.cim, id=name) for name, channel in CHANNELS.items()]
)
def test_a_feed_of_every_channel_keeps_to_the_schema(
    tmp_path: Path, channel: str, code: tuple[int, ...]
) -> None:
    """The reading type's codes are those of the channel, and every one is in the schema."""
    days = SeriesDays(
        'm & "1"/ä', channel, 900, CHANNELS[channel].unit, np.array([FIRST, FIRST + 900]), np.array([7, -8]),
        np.array([7, 3]), np.array([0, 1]), np.ones(2, np.bool_), np.zeros(2, np.int64),
    )  # fmt: skip
    file = tmp_path / "feed.xml"
    with file.open("wb") as out:
        write_espi(out, [days], zone="Europe/Zurich", published=datetime(2026, 3, 2, tzinfo=UTC))
    assert check_feed(file)["IntervalBlock"] == 1
    told = ET.parse(file).getroot().find(f".//{ESPI}ReadingType")
    assert told is not None
    names = ("accumulationBehaviour", "flowDirection", "commodity", "kind", "phase", "uom")
    assert [told.findtext(ESPI + name) for name in names] == [str(code[n]) for n in (0, 1, 2, 3, 4, 6)]
    assert told.findtext(f"{ESPI}powerOfTenMultiplier") == str(code[5] - 6)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("<kind>0</kind>", "<kind>x</kind>", id="type"),
        pytest.param("<kind>0</kind>", "", id="lacking"),
        pytest.param("<phase>0</phase>", "<phase>1</phase>", id="code"),
        pytest.param("<phase>0</phase>", "<phase>0</phase><colour>1</colour>", id="unknown"),
        pytest.param("<uom>72</uom>", "<uom>72</uom><tou>1</tou>", id="order"),
        pytest.param('rel="up" ', "", id="link without relation"),
        pytest.param("T00:00:00Z</published>", "</published>", id="date for a time"),
        pytest.param("<value>7</value>", f"<value>{2**47}</value>", id="number"),
    ],
)
def test_the_check_refuses(tmp_path: Path, right: str, wrong: str) -> None:
    """What breaks the schema, once each."""
    days = SeriesDays(
        "m", "import", 900, "kWh", np.array([FIRST]), np.array([7]),
        np.array([7]), np.array([0]), np.ones(1, np.bool_), np.zeros(1, np.int64),
    )  # fmt: skip
    out = io.BytesIO()
    write_espi(out, [days], zone="Europe/Zurich", published=datetime(2026, 3, 2, tzinfo=UTC))
    file = tmp_path / "feed.xml"
    file.write_bytes(out.getvalue())
    check_feed(file)
    text = out.getvalue().decode()
    assert right in text
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    with pytest.raises((AssertionError, KeyError)):
        check_feed(file)


def entry(own: str, links: dict[str, str], body: str) -> str:
    listed = "".join(f'<link rel="{rel}" href="{href}"/>' for rel, href in links.items())
    return f'<entry><link rel="self" href="{own}"/>{listed}<content>{body}</content></entry>'


POINT = "/espi/1_1/resource/RetailCustomer/9/UsagePoint/07%2FA"
TYPE = "/espi/1_1/resource/ReadingType/1"
READING = f"{POINT}/MeterReading/1"
FIRST = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())


def reading_type(**fields: int) -> str:
    shown = {"accumulationBehaviour": 4, "commodity": 1, "flowDirection": 1, "uom": 72} | fields
    return "<ReadingType>" + "".join(f"<{n}>{v}</{n}>" for n, v in shown.items()) + "</ReadingType>"


def feed(type_: str, block: str) -> str:
    parts = [
        entry(f"{READING}/IntervalBlock/1", {"up": f"{READING}/IntervalBlock"}, block),
        entry(POINT, {}, "<UsagePoint/>"),
        entry(READING, {"up": f"{POINT}/MeterReading", "related": TYPE}, "<MeterReading/>"),
        entry(TYPE, {}, type_),
    ]
    body = "".join(parts).replace("<content><", "<content><espi:").replace("</", "</espi:")
    for name in ("entry", "content"):
        body = body.replace(f"</espi:{name}>", f"</{name}>")
    for name in ("interval", "duration", "start", "value", "timePeriod", "quality", "ReadingQuality"):
        body = body.replace(f"<{name}>", f"<espi:{name}>")
    for name in ("IntervalReading", "accumulationBehaviour", "commodity", "flowDirection", "uom"):
        body = body.replace(f"<{name}>", f"<espi:{name}>")
    for name in ("intervalLength", "powerOfTenMultiplier"):
        body = body.replace(f"<{name}>", f"<espi:{name}>")
    space = 'xmlns="http://www.w3.org/2005/Atom" xmlns:espi="http://naesb.org/espi"'
    return f"<feed {space}>{body}</feed>"


def readings(*rows: tuple[int, int], quality: int | None = None) -> str:
    told = "" if quality is None else f"<ReadingQuality><quality>{quality}</quality></ReadingQuality>"
    return f"<IntervalBlock><interval><duration>3600</duration><start>{FIRST}</start></interval>" + "".join(
        f"<IntervalReading>{told}<timePeriod><duration>900</duration><start>{start}</start></timePeriod>"
        f"<value>{value}</value></IntervalReading>"
        for start, value in rows
    ) + "</IntervalBlock>"  # fmt: skip


def convert(tmp_path: Path, text: str, *options: str) -> int:
    file = tmp_path / "in.xml"
    file.write_text(text, encoding="utf-8")
    return main(["convert", "espi", str(file), "--out", str(tmp_path / "out"), *options])


def test_a_feed_of_another_sender(tmp_path: Path) -> None:
    """Prefixed names, blocks before their type, unsorted readings with a gap, a multiplier, a quality."""
    rows = [(FIRST + 2700, 5), (FIRST, 7), (FIRST + 900, 8)]
    assert convert(tmp_path, feed(reading_type(powerOfTenMultiplier=3), readings(*rows, quality=8))) == 0
    expected = {("07/A", "import", start, 900, Fraction(value)): 8 for start, value in rows}
    assert avro_readings(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("fields", "channel", "unit"),
    [
        pytest.param({"flowDirection": 19}, "export", Fraction(1, 1000), id="export"),
        pytest.param({"uom": 73}, "reactive_import", Fraction(1, 1000), id="reactive"),
        pytest.param({"uom": 42, "commodity": 7}, "volume", Fraction(1), id="gas"),
        pytest.param({"uom": 128, "commodity": 9}, "cold_water", Fraction(3_785_411_784, 10**12), id="water"),
        pytest.param(
            {"uom": 29, "accumulationBehaviour": 6, "flowDirection": 0}, "voltage", Fraction(1), id="V"
        ),
    ],
)
def test_channels(tmp_path: Path, fields: dict[str, int], channel: str, unit: Fraction) -> None:
    """The reading type decides channel and unit."""
    assert convert(tmp_path, feed(reading_type(**fields), readings((FIRST, 3)))) == 0
    assert avro_readings(tmp_path / "out") == {("07/A", channel, FIRST, 900, 3 * unit): 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("<feed>", "no element found", id="cut off"),
        pytest.param("hello", "syntax error", id="no XML"),
        pytest.param("<feed/>", "no MeterReading", id="no feed"),
        pytest.param(feed(reading_type(uom=38), readings((FIRST, 1))), "uom 38", id="power"),
        pytest.param(feed(reading_type(accumulationBehaviour=3), readings((FIRST, 1))), "3", id="register"),
        pytest.param(feed(reading_type(), readings((FIRST, 1), quality=99)), "quality 99", id="quality"),
        pytest.param(feed(reading_type(), readings((FIRST, 1)).replace("900", "901")), "901 s", id="length"),
        pytest.param(feed(reading_type(), readings((FIRST, 1)).replace(">1<", ">x<")), "'x'", id="no number"),
    ],
)
def test_errors(tmp_path: Path, capsys: Capture, text: str, message: str) -> None:
    """One clear message with the file and the entry; nothing is left behind."""
    file = tmp_path / "in.xml"
    file.write_text(text, encoding="utf-8")
    code, error = failed(["convert", "espi", str(file), "--out", str(tmp_path / "out")], capsys)
    assert (code, message in error, "in.xml" in error) == (1, True, True), error
    assert not list((tmp_path / "out").glob("*"))
