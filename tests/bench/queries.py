"""How fast a lake answers: ``python -m tests.bench.queries LAKE``.

The two questions that pull partitioning apart, each in a fresh set of views and again in the same one: a
year of one meter, and one day of the whole fleet; as slots, so that every value is decoded.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pipelines.store.lake import Lake
from pipelines.store.views import connect

METER = "SELECT count(*), sum(value) FROM readings WHERE meter_id = '{meter}'"
DAY = (
    "SELECT count(*), sum(value) FROM readings "
    "WHERE start >= TIMESTAMPTZ '{day} 00:00Z' AND start < TIMESTAMPTZ '{day} 00:00Z' + INTERVAL 1 DAY"
)
DAY_BY_KEY = "SELECT count(*), sum(len(\"values\")) FROM days WHERE local_day = DATE '{day}'"


def main(lake: str) -> None:
    """Print a line a question."""
    opened = Lake.open(Path(lake))
    with connect(opened) as views:
        meter, day, rows = views.execute(
            "SELECT max(meter_id), mode(local_day), count(*) FROM stored.days_rows WHERE channel = 'import'"
        ).fetchall()[0]
    files = len(opened.files("days"))
    sys.stdout.write(f"{rows:,} day rows in {files} files, as of run {opened.run_no}\n")
    for name, sql in (("one meter", METER), ("one day", DAY), ("one local day, as days", DAY_BY_KEY)):
        with connect(opened) as views:
            took = []
            for _ in range(3):
                began = time.perf_counter()
                slots = views.execute(sql.format(meter=meter, day=day)).fetchall()[0]
                took.append(time.perf_counter() - began)
        sys.stdout.write(
            f"{name}: {took[0] * 1000:.0f} ms, again {min(took[1:]) * 1000:.0f} ms, {slots[0]:,} rows\n"
        )


if __name__ == "__main__":
    main(sys.argv[1])
