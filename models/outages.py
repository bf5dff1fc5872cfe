"""Outages from device events: a power-down and the next restore (SEMANTICS, The law)."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa

from models.master import MICROS
from models.series import Outages
from schemas.event_types import POWER_DOWN, POWER_RESTORED, event_name

LONGEST_S = 7 * 86_400
"""A restore later than this after the power-down does not end it."""


def outages_of(table: pa.Table, rows: dict[str, list[int]]) -> tuple[Outages, list[tuple[str, int]]]:
    """Outage windows of the meters that have rows on the grid.

    Args:
        table: RAW_EVENTS.
        rows: Rows of each meter on the grid.

    Returns:
        The outages, one row each for every series of the meter, and the (meter, second) of
        power-downs without a restore.
    """
    names = (
        {text: event_name(text) for text in table["event_type"].unique().to_pylist()}
        if table.num_rows
        else {}
    )
    wanted = [text for text, name in names.items() if name in (POWER_DOWN, POWER_RESTORED)]
    if not wanted:
        return Outages.none(), []
    power = table.filter(pa.compute.is_in(table["event_type"], pa.array(wanted, pa.string())))
    moments: dict[str, dict[str, set[int]]] = defaultdict(lambda: {POWER_DOWN: set(), POWER_RESTORED: set()})
    columns = (power[name].to_pylist() for name in ("meter_id", "event_type", "occurred_at"))
    for meter, text, at in zip(*columns, strict=True):
        moments[meter][names[text]].add(at // MICROS)
    windows, unpaired = [], []
    for meter, kinds in sorted(moments.items()):
        restores = np.array(sorted(kinds[POWER_RESTORED]), np.int64)
        for down in sorted(kinds[POWER_DOWN]):
            position = int(np.searchsorted(restores, down, side="left"))
            if position < len(restores) and restores[position] - down <= LONGEST_S:
                windows += [(row, down, int(restores[position])) for row in rows.get(meter, ())]
            else:
                unpaired.append((meter, down))
    if not windows:
        return Outages.none(), unpaired
    table_of = np.array(sorted(windows), np.int64)
    return Outages(table_of[:, 0], table_of[:, 1], table_of[:, 2]), unpaired
