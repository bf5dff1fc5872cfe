"""What runs: pipelines, the lake, the command line. For notebooks: ``pipelines.open_lake(folder)``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.lake import Lake

__all__ = ["open_lake"]


def open_lake(folder: str | Path) -> Lake:
    """Open a lake: tables as Arrow (``current``, ``table``), SQL through ``pipelines.views.connect``."""
    from pipelines.lake import Lake

    return Lake.open(Path(folder))
