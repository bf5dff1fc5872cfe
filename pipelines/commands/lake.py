"""``meterbeam lake``: the upkeep of a lake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

_Lake = Annotated[Path, typer.Option("--lake", metavar="DIR", help="Folder of the lake.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command("maintain")
def maintain(
    lake: _Lake,
    small_mb: Annotated[int, typer.Option("--small-mb", min=1, help="Pack files below this.")] = 8,
    target_mb: Annotated[int, typer.Option("--target-mb", min=1, help="Size of packed files.")] = 32,
    keep_days: Annotated[
        float, typer.Option("--keep-days", min=0, help="Days that a file out of use stays on disk.")
    ] = 7,
    dry_run: _DryRun = False,
) -> dict[str, Any]:
    """Pack small files into larger ones and delete those that nothing needs any more; no row changes.

    Every past run stays readable. A reader that has been at work for longer than --keep-days may lose files.

    Example:
        meterbeam lake maintain --lake lake --dry-run
    """
    from pipelines.store.maintain import MaintainOptions
    from pipelines.store.maintain import maintain as run

    return run(MaintainOptions(lake, small_mb << 20, target_mb << 20, keep_days, dry_run))


@app.command("retain")
def retain(
    lake: _Lake,
    rules: Annotated[
        Path,
        typer.Option("--keep", metavar="FILE", help="YAML: keep: {table: days, table: {commodity: days}}."),
    ],
    today: Annotated[
        datetime | None, typer.Option("--today", formats=["%Y-%m-%d"], help="Day counted back from.")
    ] = None,
    dry_run: _DryRun = False,
) -> dict[str, Any]:
    """Remove rows older than a rule file allows, by table and commodity, from every past run too.

    Tables: days, determinants, features, bills, change_queue, state_queue, faults, dead_letters, and raw
    for interval readings as received: days that need removed ones stay as they are from then on. The
    removed files leave the disk with the next `lake maintain`.

    Example:
        meterbeam lake retain --lake lake --keep retention.yaml --dry-run
    """
    from pipelines.store.retain import load_rules
    from pipelines.store.retain import retain as run

    day = (datetime.now(UTC) if today is None else today).date()
    return run(lake, load_rules(rules), day, dry_run=dry_run)
