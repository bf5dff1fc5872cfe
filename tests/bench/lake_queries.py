"""A lake of a given size, and how fast it answers: ``python -m tests.bench.lake_queries METERS FOLDER``.

Day rows of a year of quarter hours are written as the workers of a backfill write them: a part a range of
shards of about two million readings, by month, then meter. 285 meters are 10 million readings, 1,430 are 50.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.sharding import shard_of_id
from pipelines.store.lake import Lake
from pipelines.store.maintain import in_order
from schemas.lake import DAYS
from tests.bench import queries

DAYS_A_YEAR, SLOTS, SHARDS, READINGS_A_PART = 365, 96, 64, 2 << 20
FIRST = date(2025, 1, 1)
FACTS = {"inputs": "[]", "counts": "{}", "code_version": "bench"}


def make_lake(folder: Path, meters: int) -> Lake:
    """A lake of one run."""
    lake = Lake.create(folder, timezone="UTC", shards=SHARDS)
    names = sorted((f"M{number:06d}" for number in range(meters)), key=lambda m: (shard_of_id(m, SHARDS), m))
    step = max(READINGS_A_PART // (DAYS_A_YEAR * SLOTS), 1)
    with lake.begin() as run:
        parts = []
        for first in range(0, meters, step):
            rows = in_order(day_rows(names[first : first + step], seed=first), DAYS)
            parts.append(run.write(DAYS, f"{first:06d}", rows.drop_columns(["run_no"])))
        run.commit(parts, {}, FACTS)
    return lake


def day_rows(meters: list[str], seed: int) -> pa.Table:
    """A year of each meter: loads in steps of 10 Wh that rise and fall over the day."""
    count = len(meters) * DAYS_A_YEAR
    draws = np.random.default_rng(seed)
    shape = 20 + 15 * np.sin(np.linspace(0, 2 * np.pi, SLOTS, endpoint=False))
    values = draws.poisson(shape * draws.uniform(0.2, 2.0, (count, 1))).astype(np.int64) * 10_000
    days = [FIRST + timedelta(days=number) for number in range(DAYS_A_YEAR)]
    starts = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    offsets = pa.array(np.arange(0, count * SLOTS + 1, SLOTS, dtype=np.int32))
    columns = {
        "meter_id": [meter for meter in meters for _ in days],
        "channel": ["import"] * count,
        "local_day": days * len(meters),
        "start": starts * len(meters),
        "interval_s": [900] * count,
        "unit": ["kWh"] * count,
        "values": pa.ListArray.from_arrays(offsets, pa.array(values.ravel())),
        "quality": [7] * count,
        "total": pa.array(values.sum(1)),
        "estimated_slots": [0] * count,
        "revision": [1] * count,
        "withdrawn": [False] * count,
    }
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in DAYS.schema
    ]
    return pa.table(arrays, schema=DAYS.schema)


def main(meters: str, folder: str) -> None:
    """Make the lake where there is none, and ask it."""
    if not (Path(folder) / "lake.json").exists():
        make_lake(Path(folder), int(meters))
    queries.main(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
