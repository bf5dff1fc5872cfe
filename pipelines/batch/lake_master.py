"""Master data of a lake as its last run left them."""

from __future__ import annotations

from models.master import MasterData
from pipelines.batch.shard_job import masters
from pipelines.store.lake import Lake
from schemas.records import Kind

__all__ = ["lake_master", "raw_names"]


def lake_master(lake: Lake) -> MasterData:
    """All service-point versions that were ever received."""
    return masters(str(lake.path), tuple((name, False) for name in raw_names(lake, Kind.SERVICE_POINTS))).data


def raw_names(lake: Lake, kind: Kind) -> list[str]:
    """Raw files of a kind."""
    files = lake.table("raw_files", ["kind", "name"]).to_pylist()
    return [row["name"] for row in files if row["kind"] == kind]
