"""Options that ``backfill`` and ``stream`` share: what a lake is, and by what its days are computed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DATE", "HistoryFrom", "MappingFile", "RulesName", "Shards", "TariffFolder", "Timezone"]

DATE = ["%Y-%m-%d"]

Timezone = Annotated[
    str | None, typer.Option(help="IANA time zone of the local days; needed for a new lake.")
]
RulesName = Annotated[
    str | None,
    typer.Option(help="Rule pack: a shipped name or a YAML file; default: that of the last run."),
]
TariffFolder = Annotated[
    Path | None, typer.Option(help="Folder of tariff YAML files; default: those of the last run.")
]
MappingFile = Annotated[Path | None, typer.Option(help="Field mapping for foreign Avro schemas.")]
HistoryFrom = Annotated[
    datetime | None, typer.Option(formats=DATE, help="New lake: first local day expected of every meter.")
]
Shards = Annotated[int, typer.Option(min=1, help="New lake: number of shards.")]
