"""Small towns and lakes for the tests of the backfill."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa

from models.calendar import DayGrid, epoch_day
from models.town import TownPlan
from pipelines.backfill import BackfillOptions, backfill
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from pipelines.town.simulate import SimulateOptions, simulate
from schemas.records import avro_schema

ZONE = "Europe/Zurich"
COMPARED = (
    "readings",
    "days",
    "events",
    "service_points",
    "registers",
    "determinants",
    "findings",
    "bills",
    "bill_lines",
    "change_queue",
    "state_queue",
    "faults",
    "gaps",
)
"""Views that SEMANTICS (Equality) compares."""
HISTORY = ("revision", "reason", "source")
"""Columns that may differ between two lakes of the same events."""


def make_town(out: Path, *, meters: int = 8, days: int = 40, seed: int = 3, form: str = "blocks") -> Path:
    """A simulated town around the clock change of March 2026."""
    grid = DayGrid(ZONE, 900, epoch_day(date(2026, 3, 2)), days)
    town = TownPlan(meters, seed, theft=0.3, faults=0.3, defects=0.08, homes_a_feeder=4)
    simulate(SimulateOptions(out, town, grid, form=form, codec="snappy", files=2))
    return out


def run(lake: Path, *inputs: Path, **options: Any) -> dict[str, Any]:
    """One backfill, in this process, with few shards."""
    settings: dict[str, Any] = {"timezone": ZONE, "shards": 3, "workers": 0, **options}
    return backfill(BackfillOptions(inputs=inputs, lake=lake, **settings))


def tables(lake: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Current rows of every compared view, sorted, without history."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with connect(Lake.open(lake)) as connection:
        for view in COMPARED:
            names = [column[0] for column in connection.execute(f"SELECT * FROM {view} LIMIT 0").description]
            kept = ", ".join(f'"{name}"' for name in names if name not in HISTORY)
            where = "WHERE status IN ('active', 'held')" if view == "bills" else ""
            if view == "bill_lines":
                where = "SEMI JOIN (FROM bills WHERE status = 'active') USING (bill_id, revision)"
            rows = connection.execute(f"SELECT {kept} FROM {view} {where}").fetchall()
            found[view] = sorted(rows, key=repr)
        found["raw"] = sorted(connection.execute("SELECT * EXCLUDE (source) FROM raw").fetchall(), key=repr)
    return found


def assert_equal(left: Path, right: Path) -> None:
    """Two lakes hold the same current rows, bit for bit."""
    ours, theirs = tables(left), tables(right)
    for view in ours:
        assert len(ours[view]) == len(theirs[view]), f"{view}: {len(ours[view])} and {len(theirs[view])} rows"
        assert ours[view] == theirs[view], view


def records(path: Path) -> list[dict[str, Any]]:
    """All records of a container file."""
    with path.open("rb") as file:
        return list(fastavro.reader(file))  # type: ignore[arg-type]


def write(path: Path, record: str, rows: Sequence[dict[str, Any]], codec: str = "null") -> Path:
    """Records as a container file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fastavro.writer(file, avro_schema(record), rows, codec=codec, sync_interval=300)
    return path


def scalar(lake: Path, sql: str) -> Any:
    """The one value of a query."""
    with connect(Lake.open(lake)) as connection:
        found = connection.execute(sql).fetchone()
    assert found is not None
    return found[0]


def rows(lake: Path, sql: str) -> pa.Table:
    """A query's result."""
    with connect(Lake.open(lake)) as connection:
        return connection.sql(sql).to_arrow_table()
