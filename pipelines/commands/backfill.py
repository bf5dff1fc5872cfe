"""``meterbeam backfill``: Avro files into a lake."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

DATE = ["%Y-%m-%d"]


def backfill(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN…", help="Avro files, or folders of them.")],
    lake: Annotated[Path, typer.Option(help="Folder of the lake; made if it is not there.")],
    timezone: Annotated[
        str | None, typer.Option(help="IANA time zone of the local days; needed for a new lake.")
    ] = None,
    rules: Annotated[str, typer.Option(help="Rule pack: a shipped name or a YAML file.")] = "default",
    tariffs: Annotated[Path | None, typer.Option(help="Folder of tariff YAML files.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="Field mapping for foreign Avro schemas.")] = None,
    history_from: Annotated[
        datetime | None, typer.Option(formats=DATE, help="New lake: first local day expected of every meter.")
    ] = None,
    shards: Annotated[int, typer.Option(help="New lake: number of shards.")] = 64,
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=DATE, help="First local day to process.")
    ] = None,
    to: Annotated[datetime | None, typer.Option(formats=DATE, help="Last local day to process.")] = None,
    through: Annotated[
        datetime | None,
        typer.Option(formats=DATE, help="Last closed local day; default: by the latest reading."),
    ] = None,
    on_error: Annotated[
        str, typer.Option(help="stop: damaged input ends the run; dead-letter: it is kept aside.")
    ] = "stop",
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

    Example:
        meterbeam backfill town/ --lake lake --timezone Europe/Zurich --tariffs town/tariffs
    """
    from pipelines import backfill as backfills
    from pipelines.plugins import loaded_plugins
    from schemas.errors import UsageError

    if on_error not in ("stop", "dead-letter"):
        raise UsageError("--on-error", on_error, "stop or dead-letter")
    if runner not in ("local", "flink"):
        raise UsageError("--runner", runner, "local or flink")
    if (runner == "flink") != (flink is not None):
        raise UsageError(f"--runner {runner}", f"--flink {flink or 'not given'}", "both or neither")
    options = backfills.BackfillOptions(
        inputs=tuple(inputs),
        lake=lake,
        timezone=timezone,
        shards=shards,
        history_from=None if history_from is None else history_from.date(),
        rules=rules,
        tariffs=tariffs,
        from_day=None if from_ is None else from_.date(),
        to_day=None if to is None else to.date(),
        through=None if through is None else through.date(),
        on_error="stop" if on_error == "stop" else "dead-letter",
        workers=workers,
        mapping=mapping,
        cells=cells,
        detect=detect,
        plugins=tuple(loaded_plugins()),
        flink=flink,
    )
    return backfills.backfill(options)
