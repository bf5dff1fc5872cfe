"""``meterbeam backfill``: Avro files, once or as they land, into a lake."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.lake_options import DATE, HistoryFrom, MappingFile, RulesName, Shards, TariffFolder, Timezone


def backfill(
    lake: Annotated[Path, typer.Option(help="Folder of the lake; made if it is not there.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IN…", help="Avro files, folders of them, or kafka://HOST:PORT/TOPIC,… with --follow."
        ),
    ] = None,
    timezone: Timezone = None,
    rules: RulesName = None,
    tariffs: TariffFolder = None,
    mapping: MappingFile = None,
    history_from: HistoryFrom = None,
    shards: Shards = 64,
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=DATE, help="First local day to process.")
    ] = None,
    to: Annotated[datetime | None, typer.Option(formats=DATE, help="Last local day to process.")] = None,
    through: Annotated[
        datetime | None,
        typer.Option(formats=DATE, help="Last closed local day; default: by the latest reading."),
    ] = None,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Process the days that lie dirty; IN is not looked at.")
    ] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="Watch the folders or topics IN, and take in what comes, until stopped."
        ),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="With --follow: end when everything that has come is in.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="With --follow: seconds between two looks.")] = 10.0,
    settle: Annotated[
        float, typer.Option(min=0.0, help="With --follow: seconds a file must not change before it is read.")
    ] = 2.0,
    patience: Annotated[
        float,
        typer.Option(min=0.0, help="With --follow: seconds to wait for the rest of a file."),
    ] = 60.0,
    detect_every: Annotated[
        float, typer.Option(min=0.0, help="With --follow: least hours between two detect runs.")
    ] = 24.0,
    schemas: Annotated[
        Path | None,
        typer.Option(help="Kafka: folder of writers' schemas, NUMBER.avsc if framed, TOPIC.avsc if plain."),
    ] = None,
    kafka_config: Annotated[
        Path | None, typer.Option(help="Kafka: file of client settings, name=value a line (log-in, TLS).")
    ] = None,
    push: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --follow: bring this up to date after each round: kafka://HOST:PORT, postgresql://…, "
            "or postgres (METERBEAM_DSN). Repeatable.",
        ),
    ] = None,
    push_config: Annotated[
        Path | None, typer.Option(help="Settings of the Kafka client of --push, name=value a line.")
    ] = None,
    on_error: Annotated[
        str | None,
        typer.Option(
            help="stop: damaged input ends the run (default); dead-letter: it is kept aside (with --follow)."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Independent processes.")] = 2,
    runner: Annotated[
        str, typer.Option(help="local: processes of this machine; flink: a cluster, see --flink.")
    ] = "local",
    flink: Annotated[
        str | None,
        typer.Option(help="Flink's REST address, host:port; or embedded: one started for this run."),
    ] = None,
    detect: Annotated[bool, typer.Option(help="Rank suspects and name faults at the end.")] = True,
    cells: Annotated[int, typer.Option(min=1 << 12, help="Most slots a worker holds at once.")] = 1 << 21,
) -> dict[str, Any]:
    """Ingest Avro meter events, validate, estimate, bill and publish them as one run.

    With --follow: one run for whatever has landed, again and again. SIGINT and SIGTERM stop it at the end
    of a run; killed at any moment, it goes on where the last run ended.

    Example:
        meterbeam backfill town/ --lake lake --timezone Europe/Zurich --tariffs town/tariffs
        meterbeam backfill landing/ --follow --lake lake --timezone Europe/Zurich
        meterbeam backfill kafka://broker:9092 --follow --lake lake --timezone Europe/Zurich
        meterbeam backfill --dirty --lake lake
    """
    from pipelines import backfill as backfills
    from pipelines.batch.follow import FollowOptions, follow_folders, follow_kafka
    from pipelines.batch.kafka_address import is_kafka, kafka_address, kafka_settings
    from pipelines.console import note
    from pipelines.downstream.targets import target_of
    from pipelines.plugins import loaded_plugins
    from schemas.errors import UsageError
    from schemas.writers import WriterSchemas, load_writers
    from transforms.storage import place

    if on_error not in (None, "stop", "dead-letter"):
        raise UsageError("--on-error", str(on_error), "stop or dead-letter")
    if dirty and follow:
        raise UsageError("--dirty", "--follow beside it", "one of them (a follower processes dirty days too)")
    if once and not follow:
        raise UsageError("--once", "no --follow", "--follow beside it")
    if push and not follow:
        raise UsageError("--push", "no --follow", "--follow beside it (else: meterbeam push)")
    if not inputs and not dirty:
        raise UsageError("IN…", "nothing", "Avro files, folders of them, or --dirty")
    if runner not in ("local", "flink"):
        raise UsageError("--runner", runner, "local or flink")
    if (runner == "flink") != (flink is not None):
        raise UsageError(f"--runner {runner}", f"--flink {flink or 'not given'}", "both or neither")
    if follow and flink is not None:
        raise UsageError("--follow", "--runner flink", "--runner local")
    topics = [name for name in inputs or () if is_kafka(name)]
    if topics and (not follow or len(inputs or ()) > 1):
        raise UsageError("IN…", ", ".join(inputs or ()), "one kafka:// address with --follow, or files")
    if not topics and (schemas or kafka_config):
        raise UsageError("--schemas, --kafka-config", "no kafka:// address", "one as IN")
    options = backfills.BackfillOptions(
        inputs=() if topics else tuple(place(name) for name in inputs or ()),
        lake=lake,
        timezone=timezone,
        shards=shards,
        history_from=None if history_from is None else history_from.date(),
        rules=rules,
        tariffs=tariffs,
        from_day=None if from_ is None else from_.date(),
        to_day=None if to is None else to.date(),
        through=None if through is None else through.date(),
        on_error="dead-letter" if on_error == "dead-letter" or (on_error is None and follow) else "stop",
        workers=workers,
        mapping=mapping,
        cells=cells,
        detect=detect,
        plugins=tuple(loaded_plugins()),
        flink=flink,
    )
    if follow:
        targets = [target_of(text, kafka_settings(push_config)) for text in push or ()]
        how = FollowOptions(every=every, detect_every=detect_every * 3600, once=once, push=targets)
        if not topics:
            return follow_folders(options, how, settle=settle, patience=patience)
        settings = kafka_settings(kafka_config)
        writers = load_writers(schemas) if schemas else WriterSchemas()
        return follow_kafka(kafka_address(topics[0]), options, how, settings=settings, writers=writers)
    if not dirty:
        return backfills.backfill(options)
    if inputs:
        note("--dirty: IN is not looked at")
    return backfills.dirty_backfill(options)
