"""``meterbeam stream``: Kafka into a lake, on Flink."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.lake_options import HistoryFrom, MappingFile, RulesName, Shards, TariffFolder, Timezone

BUNDLE_MS = 1000
"""Large bundles: each costs a pack a shard. An alert waits for the end of its bundle."""
WORKERS_A_SLOT = 2
"""Python workers for each slot. Steps are dealt out to them in turn: with one each, the ledgers of two slots
may share a worker, and its one core, while the other does little."""


def stream(
    kafka: Annotated[str, typer.Option(metavar="HOST:PORT", help="Brokers, several with commas.")],
    lake: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of the lake, or s3://BUCKET/PREFIX; made if it is not there."
        ),
    ],
    timezone: Timezone = None,
    flink: Annotated[
        str, typer.Option(metavar="ADDRESS", help="REST address of a Flink cluster, or embedded.")
    ] = "embedded",
    rules: RulesName = None,
    tariffs: TariffFolder = None,
    mapping: MappingFile = None,
    schemas: Annotated[
        Path | None,
        typer.Option(help="Writers' schemas: 17.avsc by number, readings.avsc by topic."),
    ] = None,
    history_from: HistoryFrom = None,
    shards: Shards = 64,
    hot_days: Annotated[
        int, typer.Option(min=1, help="Local days that late data change in the stream.")
    ] = 35,
    grace: Annotated[float, typer.Option(min=0, help="Hours after its end at which a day closes.")] = 6.0,
    flush_interval: Annotated[
        float, typer.Option(min=1, help="Seconds until late data are computed.")
    ] = 30.0,
    commit_interval: Annotated[float, typer.Option(min=1, help="Seconds between commits.")] = 30.0,
    checkpoint_interval: Annotated[float, typer.Option(min=0.5, help="Seconds between checkpoints.")] = 10.0,
    parallelism: Annotated[int, typer.Option(min=1, help="Parallel subtasks of each step.")] = 1,
    backend: Annotated[str, typer.Option(help="Embedded Flink: state in hashmap or rocksdb.")] = "hashmap",
    savepoint: Annotated[
        str, typer.Option(help="Start from the latest state of this lake's stream, from none, or a path.")
    ] = "latest",
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder on disk of Flink's checkpoints and the stream's notes; default: stream in the lake.",
        ),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Begin with nothing: the topics hold all that the lake holds.")
    ] = False,
    alerts: Annotated[str | None, typer.Option(metavar="TOPIC", help="Send alerts to this topic.")] = None,
    push: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Bring this up to date with each status line: kafka://HOST:PORT, postgresql://…, or "
            "postgres (METERBEAM_DSN). Repeatable.",
        ),
    ] = None,
    kafka_config: Annotated[
        Path | None,
        typer.Option(help="File of client settings, name=value a line (log-in, TLS; schema.registry.… too)."),
    ] = None,
    kafka_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Client setting that is no secret; repeatable."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the Flink job.")] = "meterbeam",
    status_interval: Annotated[float, typer.Option(min=1, help="Seconds between status lines.")] = 30.0,
    wake: Annotated[
        bool, typer.Option(help="Write an empty message into each partition of readings that holds none.")
    ] = True,
    stop_after: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Stop by itself after this time.")
    ] = None,
) -> dict[str, Any]:
    """Keep a lake up to date from Kafka: days as they close, and again where late data came.

    Runs until it is stopped (Ctrl-C or SIGTERM), and leaves a savepoint then; the next start goes on from it.

    Example:
        meterbeam stream --kafka localhost:9092 --lake lake --timezone Europe/Zurich --tariffs tariffs
    """
    from pipelines.cluster.beam_options import Streaming
    from pipelines.downstream.registry import parted
    from pipelines.downstream.targets import target_of
    from pipelines.stream import StreamOptions
    from pipelines.streaming.client_settings import stream_settings
    from pipelines.streaming.stream_run import StreamRun, run_stream
    from schemas.errors import UsageError
    from schemas.mapping import load_mapping
    from schemas.writers import WriterSchemas, load_writers
    from transforms.keep_ledgers import StreamTimes

    if backend not in ("hashmap", "rocksdb"):
        raise UsageError("--backend", backend, "hashmap or rocksdb")
    settings = stream_settings(kafka_config, kafka_option or [])
    options = StreamOptions(
        lake=lake,
        timezone=timezone,
        shards=shards,
        history_from=None if history_from is None else history_from.date(),
        rules=rules,
        tariffs=tariffs,
        hot_days=hot_days,
        times=StreamTimes(int(grace * 3600), flush_interval, commit_s=commit_interval),
        writers=WriterSchemas() if schemas is None else load_writers(schemas),
        mapping=None if mapping is None else load_mapping(mapping),
        source=f"kafka://{kafka}",
    )
    run = StreamRun(
        kafka=kafka,
        flink=flink,
        name=name,
        streaming=Streaming(
            parallelism,
            workers=WORKERS_A_SLOT * parallelism,
            checkpoint_ms=int(checkpoint_interval * 1000),
            bundle_ms=BUNDLE_MS,
        ),
        backend="rocksdb" if backend == "rocksdb" else "hashmap",
        savepoint=savepoint,
        alerts=alerts,
        replay=replay,
        status_s=status_interval,
        wakes=wake,
        stop_after_s=stop_after,
        state=state,
        settings=parted(settings, None)[0],
        push=tuple(target_of(text, settings) for text in push or ()),
    )
    return run_stream(options, run)
