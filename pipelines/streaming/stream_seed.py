"""What a lake held before a stream began on it: the stream's ledgers start from its raw zone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from models.calendar import epoch_day
from models.ledger import HELD
from models.ledger_seed import points_of
from models.sharding import shard_of
from pipelines.store.lake import CONFIG, Lake
from pipelines.store.parts import whole_file
from schemas.lake import RAW_FILES
from schemas.records import SHARDED_KINDS, Kind
from transforms.raw_codec import read_raw_shards

__all__ = ["LakeSeed", "begins_with", "begun_with"]

SEED = "seed.json"
"""In the folder of the stream's state: the run after which the stream began."""


@dataclass(frozen=True)
class LakeSeed:
    """The records of a lake as of a run.

    Attributes:
        lake: Folder of the lake.
        run_no: The run.
    """

    lake: Path
    run_no: int

    def records(self, shard: int) -> tuple[dict[Kind, pa.Table], int]:
        """Records that a shard's ledger takes, and the last closed epoch day; −1 where none has closed."""
        lake = _lake(self.lake, self.run_no)
        found: dict[Kind, pa.Table] = {}
        for kind in HELD:
            rows = _rows(lake, kind, shard if kind in SHARDED_KINDS else 0)
            if kind is Kind.SERVICE_POINTS:
                rows = points_of(rows, shard, lake.config.shards)
            if rows.num_rows:
                found[kind] = rows
        day = lake.runs()["last_closed"][-1].as_py()
        return found, -1 if day is None else epoch_day(day)

    def points(self, key: int, keys: int) -> pa.Table:
        """Service-point versions whose ids hash to one of some keys."""
        rows = _rows(_lake(self.lake, self.run_no), Kind.SERVICE_POINTS, 0)
        return rows.filter(pa.array(shard_of(rows["service_point_id"], keys) == key))


def begins_with(folder: Path, state: Path, *, replay: bool = False) -> LakeSeed | None:
    """What a stream without state begins with, and note it for its later starts; None for nothing.

    Args:
        folder: Of the lake.
        state: Folder of the stream's state.
        replay: Whether the topics hold all that the lake holds, so that nothing is taken from it.
    """
    (state / SEED).unlink(missing_ok=True)
    if replay or not (folder / CONFIG).exists() or not Lake.open(folder).files(RAW_FILES.name):
        return None
    run_no = int(Lake.open(folder).runs()["run_no"][-1].as_py())
    state.mkdir(parents=True, exist_ok=True)
    with whole_file(state / SEED) as out:
        out.write(json.dumps({"run_no": run_no}).encode())
    return LakeSeed(folder.resolve(), run_no)


def begun_with(folder: Path, state: Path) -> LakeSeed | None:
    """What a stream that goes on from state had begun with: a shard may not have come to it yet."""
    if not (state / SEED).exists():
        return None
    return LakeSeed(folder.resolve(), int(json.loads((state / SEED).read_text("utf-8"))["run_no"]))


@lru_cache(maxsize=1)
def _lake(folder: Path, run_no: int) -> Lake:
    return Lake.open(folder, as_of=run_no)


def _rows(lake: Lake, kind: Kind, shard: int) -> pa.Table:
    files = lake.table(RAW_FILES.name, ["kind", "name"]).to_pylist()
    paths = [lake.path / "raw" / kind.value / row["name"] for row in files if row["kind"] == kind.value]
    return read_raw_shards(paths, kind, [shard])[0]
