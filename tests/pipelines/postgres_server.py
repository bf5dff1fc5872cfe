"""A real PostgreSQL server for tests, started by ``infra/postgres/serve`` in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.requirements_gate import gate

SERVE = Path(__file__).resolve().parents[2] / "infra" / "postgres" / "serve"
HOW = "apt-get install postgresql"
PATIENCE_S = 60


@contextmanager
def postgres_server() -> Iterator[str]:
    """A running server; yields the connection string of its first database."""
    gate("postgres", bool(list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), HOW)
    # A socket's path is short, and the server's user must reach it: neither holds below pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="meterbeam-pg-", dir="/tmp"))
    environment = {**os.environ, "PG_FSYNC": "off"}
    server = subprocess.Popen(
        [str(SERVE), str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        yield _reachable(server, f"host={folder} user=meterbeam dbname=postgres")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE_S)
        shutil.rmtree(folder)


def _reachable(server: subprocess.Popen[bytes], dsn: str) -> str:
    """The connection string, as soon as the server answers."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"PostgreSQL did not start: {error}") from error
            time.sleep(0.1)
        else:
            return dsn


def new_database(server: str, name: str) -> str:
    """An empty database; its connection string."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return server.replace("dbname=postgres", f"dbname={name}")
