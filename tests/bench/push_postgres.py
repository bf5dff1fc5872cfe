"""Slots pushed into PostgreSQL a CPU second: ``python -m tests.bench.push_postgres METERS FOLDER``.

The lake is that of ``tests.bench.lake_queries``, made where there is none: a year of quarter hours of each
meter. The server is a real one (Debian's package). CPU time of both sides is counted, client and server: a
first push into an empty database, a push of all days once more in which every row is refused by its
revision, and what readers ask for then.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from pipelines.postgres.push import push
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.bench.lake_queries import make_lake
from tests.pipelines.postgres_server import new_database, postgres_server

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
LAST = "SELECT max(local_day) FROM meterbeam.days WHERE meter_id = %s"
ASKED = (
    ("the year of one meter, as slots", "SELECT * FROM meterbeam.readings WHERE meter_id = %s"),
    ("the year of one meter, as days", "SELECT * FROM meterbeam.days WHERE meter_id = %s"),
    ("one day of all meters, as days", f"SELECT * FROM meterbeam.days WHERE local_day = ({LAST})"),
)


def main(meters: str, folder: str) -> None:
    """Make the lake where there is none, push it twice, ask the database, print."""
    path = Path(folder)
    lake = Lake.open(path) if (path / "lake.json").exists() else make_lake(path, int(meters))
    with connect(lake) as views:
        slots, meter = views.execute("SELECT sum(len(values))::BIGINT, min(meter_id) FROM days").fetchall()[0]
    with postgres_server() as server:
        dsn = new_database(server, "bench")
        for what in ("first push", "all days once more"):
            spent = cpu_seconds(dsn, partial(push, path, dsn))
            print(f"{what}: {slots:,} slots, {spent:.2f} CPU s, {slots / spent:,.0f} slots a CPU second")
            ask(dsn, "UPDATE meterbeam_data.pushed SET run_no = 0")
        for what, sql in ASKED:
            print(f"{what}: {cpu_seconds(dsn, partial(ask, dsn, sql, meter)) * 1e3:.0f} CPU ms")


def ask(dsn: str, sql: str, *values: Any) -> None:
    """Run one statement and read what it answers."""
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(sql.encode(), values)
        if cursor.description is not None:
            cursor.fetchall()


def cpu_seconds(dsn: str, work: Callable[[], Any]) -> float:
    """CPU time of this process and of the server's processes while it works."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    postmaster = int((Path(row[0]) / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
    server, client = _server_seconds(postmaster), time.process_time()
    work()
    return time.process_time() - client + _server_seconds(postmaster) - server


def _server_seconds(postmaster: int) -> float:
    """CPU time of the server's processes, those that have ended included (Linux: proc(5), ``stat``)."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # a process that ended meanwhile
            continue
        if int(stat.parent.name) == postmaster:
            ticks += sum(int(field) for field in fields[11:15])
        elif int(fields[1]) == postmaster:
            ticks += sum(int(field) for field in fields[11:13])
    return ticks / TICKS_A_SECOND


if __name__ == "__main__":
    main(*sys.argv[1:])
