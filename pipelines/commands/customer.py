"""``meterbeam customer``: the one table that joins a person to accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

_Lake = Annotated[Path, typer.Option("--lake", metavar="DIR", help="Folder of the lake.")]
_Customers = Annotated[
    Path | None,
    typer.Option(
        "--customers", metavar="FILE", help="The table, on disk; default: customers.db in the lake's folder."
    ),
]
_Customer = Annotated[str, typer.Option("--customer", metavar="ID", help="The customer.")]


@app.command("add")
def add(
    lake: _Lake,
    customer: _Customer,
    account: Annotated[
        list[str], typer.Option("--account", metavar="ID", help="An account of theirs; may be repeated.")
    ],
    customers: _Customers = None,
) -> dict[str, Any]:
    """Join a customer to accounts; a token made for the customer then sees their meters and bills.

    Example:
        meterbeam customer add --lake lake --customer C-4711 --account A-0001
    """
    from pipelines.customers import CustomerTable
    from pipelines.store.lake import Lake

    Lake.open(lake)
    table = CustomerTable.of(lake, customers)
    table.add(customer, account)
    return {"accounts": len(table.accounts(customer))}


@app.command("export")
def export(
    lake: _Lake,
    customer: _Customer,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="ZIP file to write.")],
    customers: _Customers = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="A moment, a run number or a run id.")
    ] = None,
) -> dict[str, Any]:
    """Write everything the lake holds of a customer: readings, days, findings, bills and their lines.

    Example:
        meterbeam customer export --lake lake --customer C-4711 --out C-4711.zip
    """
    from pipelines.customers import CustomerTable, export_customer
    from pipelines.query import parse_as_of

    table = CustomerTable.of(lake, customers)
    return export_customer(lake, table, customer, out, as_of=parse_as_of(as_of))


@app.command("erase")
def erase(lake: _Lake, customer: _Customer, customers: _Customers = None) -> dict[str, Any]:
    """Delete what joins a customer to accounts: the intervals stay, of nobody; their tokens see nothing.

    Example:
        meterbeam customer erase --lake lake --customer C-4711
    """
    from pipelines.customers import CustomerTable
    from pipelines.store.lake import Lake

    Lake.open(lake)
    return {"erased_accounts": CustomerTable.of(lake, customers).erase(customer)}
