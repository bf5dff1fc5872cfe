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


@app.command("kafka")
def kafka(
    address: Annotated[
        str, typer.Argument(metavar="kafka://HOST:PORT", help="Brokers, several with commas.")
    ],
    lake: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the lake.")],
    prefix: Annotated[str, typer.Option(help="First part of the topics' names.")] = "meterbeam.",
    registry: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Schema registry; else schemas have fixed numbers."),
    ] = None,
    kafka_config: Annotated[
        Path | None,
        typer.Option(help="File of client settings, name=value a line (log-in, TLS; schema.registry.… too)."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="T", help="The lake as it stood then: a moment, a run number or a run id."),
    ] = None,
) -> dict[str, Any]:
    """Send what changed to Kafka topics: days, findings, bills, queues, faults, as Avro in Confluent framing.

    A message is the whole content of its key, with a revision: a consumer keeps the greatest. A push that
    is killed is made again from where the last one ended.

    Example:
        meterbeam push kafka kafka://broker:9092 --lake lake
    """
    from pipelines.batch.kafka_address import kafka_address, kafka_settings
    from pipelines.downstream.kafka import KafkaTarget, push_kafka
    from pipelines.query import parse_as_of

    target = KafkaTarget.of(
        kafka_address(address), kafka_settings(kafka_config), prefix=prefix, registry=registry
    )
    return push_kafka(lake, target, as_of=parse_as_of(as_of))
