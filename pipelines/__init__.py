"""What runs: pipelines, the lake, the command line. For notebooks: ``pipelines.open_lake(folder)``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.store.lake import Lake

__all__ = ["open_lake"]


def open_lake(folder: str | Path) -> Lake:
    """A lake: tables as Arrow (``current``, ``table``), SQL through ``pipelines.store.views.connect``."""
    from pipelines.store.lake import Lake
    from transforms.storage import place

    return Lake.open(place(folder))
