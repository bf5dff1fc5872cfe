"""Detect runs: queues and faults over the features of a lake, published like any other run."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from models.calendar import day_date
from models.detect import DetectResult, Place, detect
from models.master import MasterData
from pipelines.lake import Lake, latest
from pipelines.parts import PartFile, write_part
from schemas.features import FEATURES
from schemas.lake import CHANGE_QUEUE, DETECT_RUNS, FAULTS, STATE_QUEUE

READ = (
    "meter_id",
    "channel",
    "week",
    "slots",
    "missing",
    "negatives",
    "near_peak",
    "squares",
    "lagged",
    "variation",
    "day_slots",
    "day_missing",
    "day_total",
    "day_max",
    "day_min",
    "day_zeros",
    "day_hash",
    "hours",
)
"""Columns of ``features`` that detection reads."""


def places_of(master: MasterData) -> dict[str, Place]:
    """Latest service-point version of each meter."""
    return {
        meter: Place(
            role=spans[-1].version.role,
            feeder_id=spans[-1].version.feeder_id,
            status=spans[-1].version.status.lower(),
            since=spans[-1].start // 86_400,
        )
        for meter, spans in master.spans.items()
    }


def detect_parts(
    lake: Path, run_no: int, features: pa.Table, master: MasterData, as_of: int
) -> tuple[list[PartFile], dict[str, Any]]:
    """Run detection and write its parts.

    Args:
        lake: Folder of the lake.
        run_no: The run that will publish them.
        features: Current rows of the ``features`` table.
        master: Service points.
        as_of: Last closed epoch day.

    Returns:
        Parts and the summary.
    """
    moment: date = day_date(max(as_of, 0))
    result: DetectResult = detect(features, places_of(master), moment)
    meters = len(set(features["meter_id"].to_pylist()))
    tables = (
        (CHANGE_QUEUE, result.change_queue),
        (STATE_QUEUE, result.state_queue),
        (FAULTS, result.faults),
        (DETECT_RUNS, pa.table({"as_of": [moment], "meters": [meters]}, schema=DETECT_RUNS.content)),
    )
    parts = [write_part(lake, table, run_no, "detect", rows) for table, rows in tables if rows.num_rows]
    summary = {
        "ranked_meters": result.change_queue.num_rows,
        "faults": result.faults.num_rows,
        "first_suspects": result.change_queue["meter_id"].to_pylist()[:5],
    }
    return parts, summary


def current_features(lake: Lake, written: list[PartFile]) -> pa.Table:
    """Features of the lake with those a run has just written; only the columns detection reads."""
    columns = [*READ, "revision", "withdrawn"]
    rows = [lake.current(FEATURES.name, columns=columns)]
    paths = [
        str(lake.path / "tables" / FEATURES.name / part.path)
        for part in written
        if part.table == FEATURES.name
    ]
    if paths:
        rows.append(ds.dataset(paths, schema=FEATURES.schema).to_table(columns=columns, use_threads=False))
    joined = pa.concat_tables(rows)
    if joined.num_rows and rows[0].num_rows:
        joined = latest(joined, FEATURES)
    gone = joined["withdrawn"]
    return joined.filter(pa.compute.invert(gone)) if pa.compute.any(gone).as_py() else joined
