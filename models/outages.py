"""Spans between two device events: outages, test mode; and single events (SEMANTICS, The law)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa

from models.master import MICROS
from models.series import EVENT_RULES, EventMarks, Outages
from schemas.event_types import (
    POWER_DOWN,
    POWER_RESTORED,
    SINGLE_EVENTS,
    TEST_MODE_OFF,
    TEST_MODE_ON,
    event_name,
)

LONGEST_S = 7 * 86_400
"""An event later than this after the one before does not end what that began."""
Moments = Mapping[str, Mapping[str, list[int]]]


def outages_of(table: pa.Table, rows: dict[str, list[int]]) -> tuple[Outages, list[tuple[str, int]]]:
    """Outage windows of the meters that have rows on the grid.

    Args:
        table: RAW_EVENTS.
        rows: Rows of each meter on the grid.

    Returns:
        The outages, one row each for every series of the meter, and the (meter, second) of
        power-downs without a restore.
    """
    pairs, unpaired = _pairs(_moments(table, (POWER_DOWN, POWER_RESTORED)), POWER_DOWN, POWER_RESTORED)
    windows = sorted((row, down, up) for meter, down, up in pairs for row in rows.get(meter, ()))
    if not windows:
        return Outages.none(), unpaired
    table_of = np.array(windows, np.int64)
    return Outages(table_of[:, 0], table_of[:, 1], table_of[:, 2]), unpaired


def event_marks(table: pa.Table, rows: dict[str, list[int]]) -> EventMarks:
    """Slots of which device events say that they are not what they seem.

    Args:
        table: RAW_EVENTS.
        rows: Rows of each meter on the grid.

    Returns:
        Test mode lasts from its beginning to the next end at most 7 days later, without one for the moment
        of its beginning; any other event marks its own moment.
    """
    moments = _moments(table, (TEST_MODE_ON, TEST_MODE_OFF, *SINGLE_EVENTS))
    pairs, unpaired = _pairs(moments, TEST_MODE_ON, TEST_MODE_OFF)
    spans = [("test_mode", *pair) for pair in pairs]
    spans += [("test_mode", meter, on, on + 1) for meter, on in unpaired]
    spans += [
        (name, meter, at, at + 1)
        for meter, kinds in moments.items()
        for name in SINGLE_EVENTS
        for at in kinds.get(name, ())
    ]
    marks = sorted(
        (EVENT_RULES.index(name), row, start, max(end, start + 1))
        for name, meter, start, end in spans
        for row in rows.get(meter, ())
    )
    if not marks:
        return EventMarks.none()
    return EventMarks(*np.ascontiguousarray(np.array(marks, np.int64).T))


def _moments(table: pa.Table, names: Collection[str]) -> Moments:
    """Distinct seconds of the named events of each meter, sorted."""
    if not table.num_rows:
        return {}
    known = {text: event_name(text) for text in table["event_type"].unique().to_pylist()}
    wanted = [text for text, name in known.items() if name in names]
    if not wanted:
        return {}
    chosen = table.filter(pa.compute.is_in(table["event_type"], pa.array(wanted, pa.string())))
    found: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    columns = (chosen[name].to_pylist() for name in ("meter_id", "event_type", "occurred_at"))
    for meter, text, at in zip(*columns, strict=True):
        found[meter][known[text]].add(at // MICROS)
    return {meter: {name: sorted(at) for name, at in kinds.items()} for meter, kinds in sorted(found.items())}


def _pairs(
    moments: Moments, begin: str, end: str
) -> tuple[list[tuple[str, int, int]], list[tuple[str, int]]]:
    """(meter, begin, end) of each beginning and the next end, and the beginnings without one."""
    paired, alone = [], []
    for meter, kinds in moments.items():
        ends = np.array(kinds.get(end, ()), np.int64)
        for start in kinds.get(begin, ()):
            position = int(np.searchsorted(ends, start, side="left"))
            if position < len(ends) and ends[position] - start <= LONGEST_S:
                paired.append((meter, start, int(ends[position])))
            else:
                alone.append((meter, start))
    return paired, alone
