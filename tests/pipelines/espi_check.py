"""A strict check of Green Button feeds against the part of their schemas that we write.

Those are NAESB's espi.xsd 4.0 (version 4.0.20231213) and the atom.xsd that it imports. Element names, their
order, whether they are needed, and their types are written down here by hand; the codes are those that the
schema names, though it lets any number of 16 bits pass. What is not listed is not allowed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

ATOM = "{http://www.w3.org/2005/Atom}"
ESPI = "{http://naesb.org/espi}"
Check = Callable[[str], bool]


def _integer(low: int, high: int) -> Check:
    return lambda text: bool(re.fullmatch(r"-?\d+", text)) and low <= int(text) <= high


def _one_of(*codes: int) -> Check:
    return lambda text: text in {str(code) for code in codes}


INT48 = _integer(-(2**47), 2**47 - 1)
UINT32 = _integer(0, 2**32 - 1)
DATE_TIME: Check = lambda text: bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text))  # noqa: E731
ANY_URI: Check = lambda text: bool(re.fullmatch(r"[A-Za-z0-9:/%._~-]+", text))  # noqa: E731
TIME = _integer(-(2**63), 2**63 - 1)
PHASE = _one_of(
    *(0, 16, 17, 32, 33, 40, 41, 64, 65, 66, 72, 96, 97, 128, 129, 132, 136, 193, 224, 225),
    *(256, 272, 512, 528, 768, 769, 784),
)
DST_RULE: Check = lambda text: bool(re.fullmatch(r"[0-9A-F]{8}", text))  # noqa: E731
Element = tuple[str, Check | list["Element"], bool]
"""Name, type or children, whether it must be there."""
INTERVAL: list[Element] = [("duration", UINT32, True), ("start", TIME, True)]
SERVICE: list[Element] = [("kind", _integer(0, 9), True)]
TYPES: dict[str, list[Element]] = {
    "UsagePoint": [("ServiceCategory", SERVICE, True)],
    "LocalTimeParameters": [
        ("dstEndRule", DST_RULE, True),
        ("dstOffset", TIME, True),
        ("dstStartRule", DST_RULE, True),
        ("tzOffset", TIME, True),
    ],
    "MeterReading": [],
    "ReadingType": [
        ("accumulationBehaviour", _one_of(0, 1, 2, 3, 4, 6, 9, 10, 12, 13, 14), False),
        ("commodity", _integer(0, 26), False),
        ("dataQualifier", _one_of(0, 2, 4, 5, 7, 8, 9, 11, 12, 16, 17, 23, 24, 25, 26), False),
        ("flowDirection", _integer(0, 38), False),
        ("intervalLength", UINT32, False),
        ("kind", _integer(0, 155), False),
        ("phase", PHASE, False),
        ("powerOfTenMultiplier", _one_of(-12, -9, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9, 12), False),
        ("timeAttribute", _integer(0, 101), False),
        ("uom", _integer(0, 169), False),
    ],
    "IntervalBlock": [("interval", INTERVAL, False)],
}
QUALITY: list[Element] = [("quality", _one_of(0, *range(7, 20)), True)]
READING: list[Element] = [
    ("ReadingQuality", QUALITY, False),
    ("timePeriod", INTERVAL, False),
    ("value", INT48, False),
]
ENTRY = ["id", "link", "title", "content", "published", "updated"]


def check_feed(path: Path) -> dict[str, int]:
    """Entries of a feed by their content; raises AssertionError where it breaks the schema."""
    feed = ET.parse(path).getroot()
    assert feed.tag == f"{ATOM}feed"
    assert [child.tag.removeprefix(ATOM) for child in feed][:4] == ["id", "link", "title", "updated"]
    counts: dict[str, int] = {}
    own, ups, ids = set(), set(), set()
    for entry in feed.findall(f"{ATOM}entry"):
        names = [child.tag.removeprefix(ATOM) for child in entry]
        assert list(dict.fromkeys(names)) == ENTRY, names
        _check_atom(entry)
        links = {(link.attrib["rel"], link.attrib["href"]) for link in entry.findall(f"{ATOM}link")}
        own |= {href for rel, href in links if rel == "self"}
        ups |= {href for rel, href in links if rel == "related"}
        ids.add(entry.findtext(f"{ATOM}id"))
        content = entry.find(f"{ATOM}content")
        assert content is not None
        assert len(content) == 1
        kind = content[0].tag.removeprefix(ESPI)
        counts[kind] = counts.get(kind, 0) + 1
        _check_content(kind, content[0])
    assert len(ids) == sum(counts.values()), "an id twice"
    assert {href for href in ups if re.search(r"/ReadingType/\d+$", href)} <= own
    return counts


def _check_atom(entry: ET.Element) -> None:
    """Links have an address and a relation, and there are two of them at least; times and ids are such."""
    links = entry.findall(f"{ATOM}link")
    assert len(links) >= 2, "a lonely link"
    assert all(set(link.attrib) == {"rel", "href"} and ANY_URI(link.attrib["href"]) for link in links)
    assert ANY_URI(entry.findtext(f"{ATOM}id") or "")
    assert all(DATE_TIME(entry.findtext(f"{ATOM}{name}") or "") for name in ("published", "updated"))


def _check_content(kind: str, element: ET.Element) -> None:
    children = list(element)
    if kind == "IntervalBlock":
        readings = [child for child in children if child.tag == f"{ESPI}IntervalReading"]
        head = [child for child in children if child.tag != f"{ESPI}IntervalReading"]
        assert children == head + readings, "readings follow the interval"
        for reading in readings:
            _check_children(list(reading), READING)
        children = head
    _check_children(children, TYPES[kind])


def _check_children(children: list[ET.Element], allowed: list[Element]) -> None:
    names = [child.tag.removeprefix(ESPI) for child in children]
    known = [name for name, _, _ in allowed]
    assert names == [name for name in known if name in names], f"{names} is not in the order {known}"
    assert {name for name, _, needed in allowed if needed} <= set(names)
    for child in children:
        type_ = next(type_ for name, type_, _ in allowed if name == child.tag.removeprefix(ESPI))
        if isinstance(type_, list):
            _check_children(list(child), type_)
        else:
            assert type_(child.text or ""), f"{child.tag} {child.text!r}"
