"""``meterbeam push postgres`` on a real server: the lake's rows, incremental, kill-safe, guarded."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipelines.cli import main
from pipelines.postgres import push as pushing
from pipelines.postgres.migrate import migrations
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.pipelines.exchanged import failed
from tests.pipelines.lake_days import commit, new_lake
from tests.pipelines.postgres_server import new_database, postgres_server
from tests.pipelines.towns import make_town, run, write

REPO = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]
VIEWS = (
    "readings",
    "days",
    "findings",
    "determinants",
    "bills",
    "bill_lines",
    "change_queue",
    "state_queue",
    "faults",
    "runs",
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as dsn:
        yield dsn


@pytest.fixture
def dsn(server: str, request: pytest.FixtureRequest) -> str:
    """An empty database."""
    return new_database(server, re.sub(r"\W", "_", request.node.name.lower())[:60])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two runs: the second one corrects a reading and bills again."""
    base = tmp_path_factory.mktemp("town")
    files = make_town(base / "in", meters=5, days=40)
    lake = base / "lake"
    run(lake, files, tariffs=files / "tariffs")
    meter = query_lake(lake, "SELECT min(meter_id) FROM service_points JOIN bills USING (account_id)")[0][0]
    correction = {
        "meter_id": meter,
        "channel": "import",
        "start": datetime(2026, 3, 10, 12, tzinfo=UTC),
        "interval_s": 900,
        "values": [777],
        "unit": "Wh",
        "received_at": datetime(2026, 5, 1, tzinfo=UTC),
    }
    run(lake, write(base / "late.avro", "IntervalBlock", [correction]), tariffs=files / "tariffs")
    return lake


def query_lake(lake: Path, sql: str, as_of: int | None = None) -> list[tuple[Any, ...]]:
    with connect(Lake.open(lake), as_of) as connection:
        return connection.execute(sql).fetchall()


def query(dsn: str, sql: str, role: str | None = None) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        if role is not None:
            connection.execute(f'SET ROLE "{role}"'.encode())
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql.encode()).fetchall()


def push(lake: Path, dsn: str, *options: str) -> None:
    assert main(["push", "postgres", "--lake", str(lake), "--dsn", dsn, *options]) == 0


def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row without the differences of two drivers."""
    return tuple(
        float(cell)
        if isinstance(cell, float)
        else cell.astimezone(UTC)
        if isinstance(cell, datetime)
        else cell
        for cell in row
    )


def assert_same(lake: Path, dsn: str, as_of: int | None = None) -> None:
    """Every view of the database holds the rows of the lake's view, exactly."""
    for view in VIEWS:
        sql = f"SELECT * FROM {view}"
        ours = sorted(map(plain, query_lake(lake, sql, as_of)), key=repr)
        theirs = sorted(map(plain, query(dsn, f"SELECT * FROM meterbeam.{view}")), key=repr)
        assert len(theirs) == len(ours), view
        assert theirs == ours, view


def test_views_hold_what_the_lake_holds(town: Path, dsn: str) -> None:
    """All views, all columns, exact decimals; a withdrawn or superseded row shows as in the lake."""
    push(town, dsn)
    assert_same(town, dsn)
    values = query(dsn, "SELECT value FROM meterbeam.readings LIMIT 5")
    assert all(isinstance(value, Decimal) for (value,) in values if value is not None)


def test_run_by_run_ends_the_same(town: Path, dsn: str, capsys: Capture) -> None:
    """As of run 1, then the present: the second push sends the changed days only."""
    push(town, dsn, "--as-of", "1")
    assert_same(town, dsn, as_of=1)
    capsys.readouterr()
    push(town, dsn, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert (summary["since_run"], summary["through_run"], summary["migrations"]) == (1, 2, [])
    changed = query_lake(town, "SELECT count(*) FROM stored.days_current WHERE run_no = 2")[0][0]
    assert summary["rows"]["days"] == changed < query_lake(town, "SELECT count(*) FROM days")[0][0]
    assert_same(town, dsn)


def test_a_repeated_push_changes_nothing(town: Path, dsn: str) -> None:
    """Neither where the database is up to date, nor where it forgot that it is."""
    push(town, dsn)
    push(town, dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM meterbeam_data.pushed")
    push(town, dsn)
    assert_same(town, dsn)


def test_a_greater_revision_is_never_overwritten(tmp_path: Path, dsn: str) -> None:
    """A row that is newer than the one sent stays."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m", 0): (5, 1), ("n", 0): (6, 1)})
    push(lake.path, dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE meterbeam_data.days SET total = 9, revision = 3 WHERE meter_id = 'm'")
        connection.execute("DELETE FROM meterbeam_data.pushed")
    commit(lake, {("m", 0): (7, 2), ("n", 0): (8, 2)})
    push(lake.path, dsn)
    found = query(dsn, "SELECT meter_id, total, revision FROM meterbeam.days ORDER BY meter_id")
    assert found == [("m", Decimal("0.000009"), 3), ("n", Decimal("0.000008"), 2)]


STEPS = ("migrated", "days", "bills", "noted", "committed")


def test_killed_at_any_moment(tmp_path: Path, dsn: str) -> None:
    """After kill -9 the database is as before, or complete; the next push ends as if nothing had been."""
    lake = new_lake(tmp_path / "lake")
    for number, step in enumerate(STEPS, 1):
        before = query(dsn, "SELECT * FROM meterbeam.days ORDER BY 1, 3") if number > 1 else []
        commit(lake, {("m", 0): (number, number), ("n", number): (number, 1)})
        child = [sys.executable, "-m", "tests.pipelines.push_child", str(lake.path), dsn, step]
        assert subprocess.run(child, check=False, cwd=REPO).returncode == -signal.SIGKILL, step
        if step != "committed" and number > 1:
            assert query(dsn, "SELECT * FROM meterbeam.days ORDER BY 1, 3") == before, step
        push(lake.path, dsn)
        assert_same(lake.path, dsn)


def test_partitions_by_month(tmp_path: Path, dsn: str) -> None:
    """Days of February, March and December are rows of three partitions."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m", -1): (1, 1), ("m", 0): (2, 1), ("m", 290): (3, 1)})
    push(lake.path, dsn)
    counts = query(
        dsn, "SELECT tableoid::regclass::text, count(*) FROM meterbeam_data.days GROUP BY 1 ORDER BY 1"
    )
    assert counts == [(f"meterbeam_data.days_2026_{month}", 1) for month in ("02", "03", "12")]


def test_roles_and_row_security(town: Path, dsn: str, server: str) -> None:
    """A reader sees the meters of its scope and no bills; billing its accounts' bills; the operator all."""
    push(town, dsn)
    region, meters = query_lake(
        town,
        "SELECT feeder_id, list(DISTINCT meter_id ORDER BY meter_id) FROM service_points "
        "WHERE feeder_id IS NOT NULL AND commodity = 'electricity' GROUP BY 1 ORDER BY 1 LIMIT 1",
    )[0]
    with psycopg.connect(dsn) as connection:
        for role, base in (("north", "reader"), ("unscoped", "reader"), ("bills_north", "billing")):
            connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
            connection.execute(f"CREATE ROLE {role} IN ROLE meterbeam_{base}".encode())
        for role in ("north", "bills_north"):
            connection.execute(
                "INSERT INTO meterbeam_data.scopes VALUES (%s, 'electricity', %s)", (role, region)
            )
    seen = "SELECT DISTINCT meter_id FROM meterbeam.readings ORDER BY 1"
    held = {row[0] for row in query_lake(town, "SELECT DISTINCT meter_id FROM readings")}
    assert {row[0] for row in query(dsn, seen, "north")} == set(meters) & held
    assert query(dsn, seen, "unscoped") == []
    assert {row[0] for row in query(dsn, seen, "meterbeam_operator")} == held
    accounts = query_lake(
        town, f"SELECT DISTINCT account_id FROM service_points WHERE feeder_id = '{region}'"
    )
    billed = query(dsn, "SELECT DISTINCT account_id FROM meterbeam.bills", "bills_north")
    assert billed
    assert set(billed) <= set(accounts)
    for role, view in (("north", "bills"), ("north", "change_queue"), ("bills_north", "readings")):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            query(dsn, f"SELECT * FROM meterbeam.{view}", role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(dsn, "DELETE FROM meterbeam_data.days RETURNING 1", "meterbeam_operator")


def test_errors(tmp_path: Path, dsn: str, capsys: Capture) -> None:
    """One clear message, exit 1, and never the password."""
    lake = new_lake(tmp_path / "lake")
    there = ["push", "postgres", "--lake", str(lake.path), "--dsn"]
    assert "without a run" in failed([*there, dsn], capsys)[1]
    commit(lake, {("m", 0): (1, 1)})
    for wrong in ("postgresql://u:s3cret@127.0.0.1:1/db", "host=/nowhere password=s3cret", "s3cret:::"):
        code, error = failed([*there, wrong], capsys)
        assert (code, "s3cret" in error, "the database" in error) == (1, False, True), error
        assert ("METERBEAM_DSN or ~/.pgpass hides it" in error) == ("s3cret:" not in wrong), error
    push(lake.path, dsn)
    commit(lake, {("m", 0): (2, 2)})
    push(lake.path, dsn)
    capsys.readouterr()
    assert "up to run 2" in failed([*there, dsn, "--as-of", "1"], capsys)[1]
    other = new_lake(tmp_path / "other")
    commit(other, {("m", 0): (1, 1)})
    assert "another lake" in failed(["push", "postgres", "--lake", str(other.path), "--dsn", dsn], capsys)[1]


def test_one_push_at_a_time(tmp_path: Path, dsn: str, capsys: Capture) -> None:
    """The second one says why it does nothing."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m", 0): (1, 1)})
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (pushing.LOCK,))
        code, error = failed(["push", "postgres", "--lake", str(lake.path), "--dsn", dsn], capsys)
    assert (code, "another push" in error) == (1, True)


def test_a_database_of_a_later_version(tmp_path: Path, dsn: str, capsys: Capture) -> None:
    """It is left alone."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m", 0): (1, 1)})
    push(lake.path, dsn)
    later = migrations()[-1][0] + 1
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO meterbeam_data.migrations VALUES (%s, 'later')", (later,))
    code, error = failed(["push", "postgres", "--lake", str(lake.path), "--dsn", dsn], capsys)
    assert (code, f"schema version {later}" in error) == (1, True)
