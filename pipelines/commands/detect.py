"""``meterbeam detect``: rank suspects and name faults over a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def detect(lake: Annotated[Path, typer.Option(help="Folder of the lake.")]) -> dict[str, Any]:
    """Rank suspects and name meter faults over the features of a lake; publishes new queues.

    Example:
        meterbeam detect --lake town
    """
    from pipelines.batch.detect_run import detect_lake

    return detect_lake(lake)
