"""``meterbeam push``: the lake's results into another store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


@app.command("postgres")
def postgres(
    lake: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the lake.")],
    dsn: Annotated[
        str | None,
        typer.Option(
            help="Connection string or URL; default: METERBEAM_DSN, else libpq's PGHOST, PGDATABASE …"
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="T", help="The lake as it stood then: a moment, a run number or a run id."),
    ] = None,
) -> dict[str, Any]:
    """Bring a PostgreSQL database to the lake's last run: only what changed, in one transaction.

    The first push makes the schema: views of the output contract in schema meterbeam, roles with row
    security. A push that is killed changes nothing; a repeated one neither.

    Example:
        meterbeam push postgres --lake lake --dsn postgresql://localhost/metering

    Raises:
        MeterbeamError: The extra is not installed, or the database cannot be used.
    """
    from pipelines.query import parse_as_of
    from schemas.errors import MeterbeamError

    moment = parse_as_of(as_of)
    try:
        from pipelines.postgres.push import dsn_given, push
    except ImportError as error:
        raise MeterbeamError("push postgres", str(error), 'pip install "meterbeam[postgres]"') from error
    return push(lake, dsn_given(dsn), as_of=moment)
