"""Rows for lakes in tests: short days of a few meters, and what a lake must then hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.store.lake import Lake
from schemas.lake import DAYS, DIRTY_DAYS

FIRST = date(2026, 3, 1)
FACTS = {"inputs": "[]", "counts": "{}", "code_version": "test"}
Key = tuple[str, int]
"""Meter and day number."""
Content = int | None
"""A day's one value in micro-units; None is a withdrawn day."""


def day_rows(content: Mapping[Key, tuple[Content, int]]) -> pa.Table:
    """Rows of ``days`` from (value, revision) of each key."""
    rows = []
    for (meter, number), (value, revision) in sorted(content.items()):
        day = FIRST + timedelta(days=number)
        row: dict[str, Any] = {
            "meter_id": meter,
            "channel": "import",
            "local_day": day,
            "revision": revision,
            "withdrawn": value is None,
        }
        if value is not None:
            row |= {
                "start": datetime(day.year, day.month, day.day, tzinfo=UTC),
                "interval_s": 43_200,
                "unit": "kWh",
                "values": [value, 0],
                "quality": 7,
                "total": value,
                "estimated_slots": 0,
            }
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=pa.schema([f for f in DAYS.schema if f.name != "run_no"]))


def dirty_rows(meters: Iterable[str]) -> pa.Table:
    """Rows of ``dirty_days``, a table that is replaced whole."""
    rows = [
        {"meter_id": meter, "channel": "import", "from_day": FIRST, "to_day": FIRST}
        for meter in sorted(meters)
    ]
    return pa.Table.from_pylist(rows, schema=DIRTY_DAYS.schema)


def commit(lake: Lake, content: Mapping[Key, tuple[Content, int]], dirty: Iterable[str] = ()) -> int:
    """One run that writes some day rows, in one part a shard, and replaces the dirty days."""
    with lake.begin() as run:
        rows = day_rows(content)
        half = rows.num_rows // 2
        parts = [run.write(DAYS, name, part) for name, part in (("a", rows[:half]), ("b", rows[half:]))]
        run.commit(parts, {"dirty_days": dirty_rows(dirty)}, FACTS)
        return run.run_no


def held(lake: Lake) -> dict[Key, tuple[Content, int]]:
    """Current content of a lake as (value, revision) of each key."""
    return {
        (row["meter_id"], (row["local_day"] - FIRST).days): (
            None if row["withdrawn"] else row["values"][0],
            row["revision"],
        )
        for row in lake.current("days").to_pylist()
    }


def dirty(lake: Lake) -> list[str]:
    """Meters in ``dirty_days``."""
    meters: list[str] = lake.table("dirty_days")["meter_id"].to_pylist()
    return meters


def new_lake(folder: Path, shards: int = 4) -> Lake:
    """An empty lake."""
    return Lake.create(folder, timezone="Europe/Zurich", shards=shards)
