"""A detect run of its own, beside a stream or after a backfill without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.calendar import epoch_day
from pipelines.backfill import code_version
from pipelines.batch.detect import FeaturePieces, detect_parts
from pipelines.batch.shard_job import masters
from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError
from schemas.records import Kind


def detect_lake(folder: Path) -> dict[str, Any]:
    """Detect over the present features of a lake and publish the queues.

    Raises:
        MeterbeamError: There is no lake, or no results in it yet.
    """
    lake = Lake.open(folder)
    with lake.begin() as run:
        runs = lake.runs()
        closed = runs["last_closed"][-1].as_py() if runs.num_rows else None
        if closed is None:
            raise MeterbeamError(
                str(folder), "no closed local day", "a lake with results (meterbeam backfill)"
            )
        files = lake.table("raw_files", ["kind", "name"]).to_pylist()
        names = tuple((row["name"], False) for row in files if row["kind"] == Kind.SERVICE_POINTS)
        master = masters(str(folder), names).data
        events, registers = (
            [row["name"] for row in files if row["kind"] == kind] for kind in (Kind.EVENTS, Kind.REGISTERS)
        )
        features, as_of = FeaturePieces(lake), epoch_day(closed)
        parts, found = detect_parts(run.run_no, features, master, as_of, events, registers)
        last = runs.slice(runs.num_rows - 1).to_pylist()[0]
        facts = {name: last[name] for name in ("rules", "tariffs", "last_closed")}
        run.commit(
            parts,
            {},
            {"inputs": "[]", "counts": json.dumps(found), "code_version": code_version(), **facts},
        )
    return {"run": run.run_no, "as_of": closed.isoformat(), **found}
