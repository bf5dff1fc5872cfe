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
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import duckdb
import pyarrow as pa
import pyarrow.csv as csv

from pipelines.store.lake import AsOf, Lake
from pipelines.store.parts import whole_file
from pipelines.store.views import connect
from schemas.errors import MeterbeamError
from transforms.storage import ObjectPath

__all__ = ["HELD_SPANS", "OF_CUSTOMER", "CustomerTable", "export_customer"]

FILE = "customers.db"
HELD_SPANS = """
SELECT account_id, meter_id, valid_from AS held_from,
       least(coalesce(valid_to, TIMESTAMPTZ '9999-01-01'),
             coalesce(lead(valid_from) OVER (PARTITION BY service_point_id ORDER BY valid_from),
                      TIMESTAMPTZ '9999-01-01')) AS held_to
FROM service_points WHERE true QUALIFY account_id IS NOT NULL AND meter_id IS NOT NULL"""
"""SELECT of the times for which an account holds a meter."""
_HELD = f"""EXISTS (SELECT 1 FROM ({HELD_SPANS}) h WHERE h.account_id IN (SELECT unnest(?::VARCHAR[]))
    AND h.meter_id = v.meter_id AND {{start}} >= h.held_from AND {{start}} < h.held_to)"""
OF_CUSTOMER = {
    "readings": _HELD.format(start="v.start"),
    "days": _HELD.format(start="v.start"),
    "findings": _HELD.format(start="coalesce(v.start, v.local_day::TIMESTAMPTZ)"),
    "bills": "v.account_id IN (SELECT unnest(?::VARCHAR[]))",
    "bill_lines": "v.bill_id IN "
    "(SELECT bill_id FROM bills WHERE account_id IN (SELECT unnest(?::VARCHAR[])))",
}
"""View → condition on its alias ``v`` with one parameter, the accounts of a customer."""


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
    counts = {}
    with connect(lake) as views, whole_file(out) as file, ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for view in OF_CUSTOMER:
            counts[view] = _write_view(views, view, accounts, archive)
    return {"out": str(out), "rows": counts}


def _write_view(views: duckdb.DuckDBPyConnection, view: str, accounts: list[str], archive: ZipFile) -> int:
    columns = [row[0] for row in views.execute(f"DESCRIBE {view}").fetchall()]
    types = dict(views.execute(f"SELECT column_name, column_type FROM (DESCRIBE {view})").fetchall())
    shown = ", ".join(
        f'array_to_string(v."{name}", \'|\') AS "{name}"' if types[name].endswith("[]") else f'v."{name}"'
        for name in columns
    )
    rows = views.sql(f"SELECT {shown} FROM {view} v WHERE {OF_CUSTOMER[view]}", params=[accounts])
    reader: pa.RecordBatchReader = rows.to_arrow_reader(1 << 16)
    count = 0
    with archive.open(f"{view}.csv", "w") as out, csv.CSVWriter(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            count += batch.num_rows
    return count
