"""The schema of the database, brought to this version's by numbered migrations, each applied once."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from schemas.errors import MeterbeamError
from schemas.quality import Flag, Method, Quality

if TYPE_CHECKING:
    import psycopg

__all__ = ["migrate", "migrations"]

OLDEST = 150_000
"""PostgreSQL 15: views that run with the reader's rights, unique nulls."""
_NAME = re.compile(r"(\d{3})_(\w+)\.sql")
_KNOWN = """
CREATE TABLE IF NOT EXISTS meterbeam_data.migrations (
    version integer PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now()
)
"""


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and SQL of every migration, in order."""
    found = []
    for file in resources.files("pipelines.postgres").joinpath("migrations").iterdir():
        name = _NAME.fullmatch(file.name)
        if name:
            found.append((int(name[1]), name[2], file.read_text(encoding="utf-8")))
    return sorted(found)


def migrate(connection: psycopg.Connection[Any]) -> list[str]:
    """Apply the migrations that are missing, within the caller's transaction; returns their names.

    Raises:
        MeterbeamError: The server is too old, or the database was made by a later version.
    """
    if connection.info.server_version < OLDEST:
        found = f"PostgreSQL {connection.info.server_version // 10_000}"
        raise MeterbeamError("the database", found, "PostgreSQL 15 or newer")
    connection.execute("CREATE SCHEMA IF NOT EXISTS meterbeam_data")
    connection.execute(_KNOWN)
    row = connection.execute("SELECT coalesce(max(version), 0) FROM meterbeam_data.migrations").fetchone()
    assert row is not None
    known = migrations()
    if row[0] > known[-1][0]:
        raise MeterbeamError(
            "the database", f"schema version {row[0]}", f"at most {known[-1][0]}, this version's own"
        )
    applied = []
    for version, name, sql in known:
        if version > row[0]:
            connection.execute(sql.encode())
            connection.execute(
                "INSERT INTO meterbeam_data.migrations (version, name) VALUES (%s, %s)", (version, name)
            )
            applied.append(name)
    _name_codes(connection)
    return applied


def _name_codes(connection: psycopg.Connection[Any]) -> None:
    """Names of the codes as this version knows them."""
    rows = [("quality", int(quality), quality.name) for quality in Quality]
    rows += [("method", int(method), method.name.lower()) for method in Method]
    rows += [("flag", int(flag), flag.name.lower()) for flag in Flag if flag.name]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO meterbeam_data.codes (kind, code, name) VALUES (%s, %s, %s) "
            "ON CONFLICT (kind, code) DO UPDATE SET name = excluded.name",
            rows,
        )
