"""``meterbeam push postgres``: what changed in the lake since the last push, in one transaction.

Rows go through COPY into a staging table of the transaction and are merged from there, guarded by their
revision. The last statement notes the run up to which the database is complete. So a push that is killed
leaves the database as it was, one that is repeated changes nothing, and readers see whole runs.
"""

from __future__ import annotations

import os
import time
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.csv as csv
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pipelines import console
from pipelines.postgres.migrate import migrate
from pipelines.postgres.tables import TARGETS, Target
from pipelines.store.lake import AsOf, Lake
from pipelines.store.views import connect
from schemas.errors import MeterbeamError

__all__ = ["dsn_given", "push", "reached"]

ROWS_A_STEP = 8192
LOCK = 0x6D65746572  # any number that nothing else in the database locks
LOCK_TRIES, LOCK_PAUSE_S = 40, 0.25
SCHEMA = "meterbeam_data"


def reached(step: str) -> None:
    """A named moment of a push. Tests stop the process at each one."""


def push(lake_path: Path, dsn: str | None, *, as_of: AsOf | None = None) -> dict[str, Any]:
    """Bring a database to the lake's last run; returns the summary.

    Args:
        lake_path: Folder of the lake.
        dsn: Connection string; None: libpq's environment (``PGHOST``, ``PGDATABASE`` …).
        as_of: Push the lake as it stood then.

    Raises:
        MeterbeamError: The database cannot be reached or written, is of another lake or ahead of this
            moment, or another push is at work. No message shows the connection string.
    """
    lake = Lake.open(lake_path, as_of=as_of)
    if not lake.run_no:
        raise MeterbeamError(str(lake_path), "a lake without a run", "one with a backfill in it")
    try:
        with psycopg.connect(dsn or "") as connection, connect(lake) as views:
            return _Push(lake, connection, views).run()
    except psycopg.Error as error:
        raise MeterbeamError(
            "the database", _without_secrets(error), "a PostgreSQL that can be used"
        ) from error


def _without_secrets(error: psycopg.Error) -> str:
    """The server's own words; a connection string that cannot be parsed is not repeated."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return "a connection string that cannot be read"
    text = error.diag.message_primary or str(error)
    return " ".join(text.split())


class _Push:
    def __init__(
        self, lake: Lake, connection: psycopg.Connection[Any], views: duckdb.DuckDBPyConnection
    ) -> None:
        self._lake = lake
        self._connection = connection
        self._views = views

    def _wait_for_turn(self) -> None:
        """A server notices only after a while that a push was killed, and holds its lock until then."""
        for _ in range(LOCK_TRIES):
            row = self._connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone()
            if row is not None and row[0]:
                return
            time.sleep(LOCK_PAUSE_S)
        raise MeterbeamError("the database", "another push at work", "one push at a time")

    def run(self) -> dict[str, Any]:
        """Everything in one transaction."""
        self._wait_for_turn()
        applied = migrate(self._connection)
        reached("migrated")
        since = self._pushed()
        counts: dict[str, int] = {}
        if since < self._lake.run_no:
            for target in TARGETS:
                counts[target.name] = self._send(target, since)
                reached(target.name)
            self._note()
            reached("noted")
        self._connection.commit()
        reached("committed")
        return {
            "since_run": since,
            "through_run": self._lake.run_no,
            "migrations": applied,
            "rows": {name: count for name, count in counts.items() if count},
        }

    def _pushed(self) -> int:
        """Run up to which the database is complete."""
        row = self._connection.execute(f"SELECT lake_id, run_no FROM {SCHEMA}.pushed").fetchone()
        if row is None:
            return 0
        if row[0] != self._lake_id():
            raise MeterbeamError(
                "the database", "the results of another lake", "an empty one, or this lake's"
            )
        if row[1] > self._lake.run_no:
            found = f"results up to run {row[1]}"
            raise MeterbeamError("the database", found, f"none after run {self._lake.run_no}, to be pushed")
        return int(row[1])

    def _lake_id(self) -> str:
        """The id of the lake's first run."""
        found = self._views.execute("SELECT run_id FROM stored.runs_rows ORDER BY run_no LIMIT 1").fetchall()
        return str(found[0][0])

    def _note(self) -> None:
        found = self._views.execute(
            "SELECT run_id, finished FROM stored.runs_rows WHERE run_no = ?", [self._lake.run_no]
        ).fetchall()
        self._connection.execute(f"DELETE FROM {SCHEMA}.pushed")
        self._connection.execute(
            f"INSERT INTO {SCHEMA}.pushed (lake_id, run_no, run_id, finished) VALUES (%s, %s, %s, %s)",
            (self._lake_id(), self._lake.run_no, *found[0]),
        )

    def _send(self, target: Target, since: int) -> int:
        """Stage and merge the rows of one table; returns how many were sent."""
        table, staging = sql.Identifier(SCHEMA, target.name), sql.Identifier(f"staged_{target.name}")
        self._connection.execute(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {} INCLUDING DEFAULTS) ON COMMIT DROP").format(staging, table)
        )
        count = self._copy(target, target.select.replace("{since}", str(since)), staging)
        if target.by_month:
            self._partitions(target, staging)
        if not target.key:
            self._connection.execute(sql.SQL("DELETE FROM {}").format(table))
        conflict = f"ON CONFLICT ({', '.join(target.key)}) {target.merge}" if target.key else ""
        self._connection.execute(
            sql.SQL("INSERT INTO {} AS c ({}) SELECT {} FROM {} {}").format(
                table, sql.SQL(target.listed), sql.SQL(target.listed), staging, sql.SQL(conflict)
            )
        )
        self._connection.execute(sql.SQL("DROP TABLE {}").format(staging))
        return count

    def _copy(self, target: Target, select: str, staging: sql.Identifier) -> int:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(staging, sql.SQL(target.listed))
        reader = self._views.sql(select).to_arrow_reader(ROWS_A_STEP)
        count = 0
        options = csv.WriteOptions(include_header=False, quoting_style="needed")
        with (
            self._connection.cursor() as cursor,
            cursor.copy(statement) as copy,
            console.progress(f"Push {target.name}", unit="rows") as advance,
        ):
            for batch in reader:
                buffer = BytesIO()
                csv.write_csv(pa.Table.from_batches([batch]), buffer, options)
                copy.write(buffer.getbuffer())
                count += batch.num_rows
                advance(batch.num_rows)
        return count

    def _partitions(self, target: Target, staging: sql.Identifier) -> None:
        """A partition for each month among the staged rows."""
        months = self._connection.execute(
            sql.SQL("SELECT DISTINCT date_trunc('month', local_day)::date FROM {}").format(staging)
        ).fetchall()
        for (month,) in months:
            name = sql.Identifier(SCHEMA, f"{target.name}_{month:%Y_%m}")
            following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
            self._connection.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    name, sql.Identifier(SCHEMA, target.name), sql.Literal(month), sql.Literal(following)
                )
            )


def dsn_given(option: str | None) -> str | None:
    """The connection string: the option, or ``METERBEAM_DSN``, so that no password need be in a command.

    One that is in a command all the same is used, and a line on stderr says who can read it there.
    """
    if not option:
        return os.environ.get("METERBEAM_DSN")
    try:
        seen = "password" in conninfo_to_dict(option)
    except psycopg.ProgrammingError:
        seen = False  # the push says what is wrong with it
    if seen:
        hidden = "METERBEAM_DSN or ~/.pgpass hides it"
        console.note(f"a password in a command is seen by every user of this machine; {hidden}")
    return option
