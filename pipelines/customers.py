"""Who a customer is: the one table that joins a person to accounts, beside the lake and not in it.

The lake knows meters, service points and accounts, never persons. One file on disk, ``customers.db`` in the
lake's folder unless another is named, maps a customer's id to account ids. Erasing a customer deletes those
rows for good; what stays in the lake are intervals of meters and accounts that nothing joins to the person
any more. Every account holds a meter for the time of its service points only, so a later tenant never sees
an earlier one's readings.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import duckdb
import pyarrow as pa
import pyarrow.csv as csv

from pipelines.store.held_points import held_points
from pipelines.store.lake import AsOf, Lake
from pipelines.store.parts import whole_file
from pipelines.store.views import connect
from schemas.errors import MeterbeamError
from transforms.storage import ObjectPath

__all__ = ["CUSTOMER_VIEWS", "CustomerTable", "Holdings", "export_customer"]

FILE = "customers.db"
_HELD = """EXISTS (SELECT 1 FROM (SELECT unnest(?::VARCHAR[]) AS meter_id, unnest(?::TIMESTAMPTZ[]) AS since,
                              unnest(?::TIMESTAMPTZ[]) AS until) h
    WHERE h.meter_id = v.meter_id AND v.start >= h.since AND {inside})"""
_WHOLE_DAY = 'v.start + to_microseconds(len(v."values") * v.interval_s::BIGINT * 1000000) <= h.until'
_OF_METERS = {
    "readings": _HELD.format(inside="v.start < h.until"),
    "days": _HELD.format(inside=_WHOLE_DAY),
    "findings": _HELD.format(inside='v.start < h.until AND v."end" <= h.until'),
}
_OF_ACCOUNTS = {
    "bills": "v.account_id IN (SELECT unnest(?::VARCHAR[]))",
    "bill_lines": "v.bill_id IN "
    "(SELECT bill_id FROM bills WHERE account_id IN (SELECT unnest(?::VARCHAR[])))",
}
CUSTOMER_VIEWS = (*_OF_METERS, *_OF_ACCOUNTS)
"""Views that hold something of a customer's."""


@dataclass(frozen=True)
class Holdings:
    """What is a customer's.

    Attributes:
        accounts: Their accounts.
        spans: Meters, and the times [since, until) for which one of the accounts held each.
    """

    accounts: tuple[str, ...]
    spans: tuple[tuple[str, datetime, datetime], ...]

    @classmethod
    def of(cls, views: duckdb.DuckDBPyConnection, accounts: Sequence[str]) -> Holdings:
        """By the service points as they are known now: a past run may not have known of a move yet.

        Args:
            views: Of the lake at present.
            accounts: The customer's.
        """
        listed = "(SELECT unnest(?::VARCHAR[]))"
        near = f"meter_id IN (SELECT meter_id FROM service_points WHERE account_id IN {listed})"
        found = views.execute(
            f"SELECT meter_id, since, until FROM ({held_points(near)}) WHERE account_id IN {listed} "
            "ORDER BY meter_id, since",
            [list(accounts), list(accounts)],
        ).fetchall()
        spans: list[tuple[str, datetime, datetime]] = []
        for meter, since, until in found:
            if spans and spans[-1][0] == meter and spans[-1][2] == since:
                spans[-1] = meter, spans[-1][1], until
            else:
                spans.append((meter, since, until))
        return cls(tuple(accounts), tuple(spans))

    def condition(self, view: str) -> tuple[str, list[Any]]:
        """SQL condition on the alias ``v`` of a view, and its parameters.

        Readings by their start, days and findings only as a whole: in a day in which a meter changes hands
        one value would tell of both tenants.
        """
        if view in _OF_ACCOUNTS:
            return _OF_ACCOUNTS[view], [list(self.accounts)]
        return _OF_METERS[view], [[span[place] for span in self.spans] for place in range(3)]


@dataclass(frozen=True)
class CustomerTable:
    """The mapping of one lake.

    Attributes:
        file: The SQLite file; made by the first customer, readable by its owner only.
    """

    file: Path

    @classmethod
    def of(cls, lake: Path, file: Path | None = None) -> CustomerTable:
        """The mapping that was named, or the one in the lake's folder.

        Raises:
            MeterbeamError: It would lie on object storage, where what is erased need not be gone.
        """
        found = lake / FILE if file is None else file
        if isinstance(found, ObjectPath):
            expected = "a file on disk, where what is erased is overwritten: a bucket may keep old versions"
            raise MeterbeamError(
                "--customers", str(found) if file else "nothing, for a lake in a bucket", expected
            )
        return cls(found)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self.file.touch(0o600)
            with closing(sqlite3.connect(self.file)) as connection, connection:
                # What is deleted is overwritten, and no journal keeps it.
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS customers (customer_id TEXT NOT NULL, "
                    "account_id TEXT NOT NULL, PRIMARY KEY (customer_id, account_id)) WITHOUT ROWID"
                )
                yield connection
        except sqlite3.Error as error:
            raise MeterbeamError(str(self.file), str(error), "a table of customers (SQLite)") from error

    def add(self, customer: str, accounts: Sequence[str]) -> None:
        """Join a customer to accounts; once more changes nothing.

        Raises:
            MeterbeamError: An account is another customer's.
        """
        with self._opened() as connection:
            for account in accounts:
                other = connection.execute(
                    "SELECT 1 FROM customers WHERE account_id = ? AND customer_id <> ?", (account, customer)
                ).fetchone()
                if other is not None:
                    raise MeterbeamError(f"account {account}", "another customer's", "an account without one")
                connection.execute("INSERT OR IGNORE INTO customers VALUES (?, ?)", (customer, account))

    def accounts(self, customer: str) -> list[str]:
        """Accounts of a customer; none where there is no such customer (any more)."""
        if not self.file.exists():
            return []
        with self._opened() as connection:
            found = connection.execute(
                "SELECT account_id FROM customers WHERE customer_id = ? ORDER BY account_id", (customer,)
            ).fetchall()
        return [account for (account,) in found]

    def erase(self, customer: str) -> int:
        """Delete a customer's rows for good; returns how many there were."""
        if not self.file.exists():
            return 0
        with self._opened() as connection:
            count = connection.execute("DELETE FROM customers WHERE customer_id = ?", (customer,)).rowcount
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("VACUUM")
        return count


def export_customer(
    folder: Path, table: CustomerTable, customer: str, out: Path, *, as_of: AsOf | None = None
) -> dict[str, Any]:
    """Everything the lake holds of a customer, as a ZIP of CSV files; returns the rows of each.

    Args:
        folder: Of the lake.
        table: Whose accounts are whose.
        customer: Their id.
        out: The ZIP file, on disk or in a bucket.
        as_of: The lake as it stood then.

    Raises:
        MeterbeamError: There is no lake, or no such customer.
    """
    lake = Lake.open(folder, as_of=as_of)
    accounts = table.accounts(customer)
    if not accounts:
        raise MeterbeamError("--customer", "no accounts of such a customer", "one added by `customer add`")
    with connect(Lake.open(folder)) as present:
        theirs = Holdings.of(present, accounts)
    counts = {}
    with connect(lake) as views, whole_file(out) as file, ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for view in CUSTOMER_VIEWS:
            counts[view] = _write_view(views, view, theirs, archive)
    return {"out": str(out), "rows": counts}


def _write_view(views: duckdb.DuckDBPyConnection, view: str, theirs: Holdings, archive: ZipFile) -> int:
    columns = [row[0] for row in views.execute(f"DESCRIBE {view}").fetchall()]
    types = dict(views.execute(f"SELECT column_name, column_type FROM (DESCRIBE {view})").fetchall())
    shown = ", ".join(
        f'array_to_string(v."{name}", \'|\') AS "{name}"' if types[name].endswith("[]") else f'v."{name}"'
        for name in columns
    )
    where, given = theirs.condition(view)
    rows = views.sql(f"SELECT {shown} FROM {view} v WHERE {where} ORDER BY ALL", params=given)
    reader: pa.RecordBatchReader = rows.to_arrow_reader(1 << 16)
    count = 0
    with archive.open(f"{view}.csv", "w") as out, csv.CSVWriter(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            count += batch.num_rows
    return count
