"""What inspectors found: kept in the lake, and turned into lessons for a model."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.calendar import epoch_day
from models.comparison import compare
from models.feature_run import monday
from models.lessons import Lessons
from models.sharding import shard_of_id
from models.theft_columns import COLUMNS
from pipelines.batch.detect import FeaturePieces, places_of
from pipelines.batch.lake_master import lake_master
from pipelines.store.lake import Lake
from pipelines.store.revise import revise
from schemas.errors import MeterbeamError, UsageError
from schemas.lake import OUTCOMES

__all__ = ["ENOUGH", "FOUND", "inspected_lessons", "keep_outcome"]

FOUND = ("theft", "clean", "fault")
ENOUGH = 20
"""Inspected thieves, and as many honest meters, from which a model is taught by them."""
FOLDS = 5


def keep_outcome(
    folder: Path, meter: str, found: str, on: date, user: str, note: str | None, code_version: str
) -> dict[str, Any]:
    """Store what an inspection found, as a run of its own; the same again changes nothing.

    Raises:
        UsageError: The outcome is none of ``FOUND``, or nobody says so.
        MeterbeamError: The lake has no results, or never saw the meter.
    """
    if found not in FOUND:
        raise UsageError("--outcome", repr(found), " or ".join(FOUND))
    if not user.strip():
        raise UsageError("--user", repr(user), "who found it")
    lake = Lake.open(folder)
    with lake.begin() as run:
        runs = lake.runs()
        if not runs.num_rows or meter not in lake.table("series", ["meter_id"])["meter_id"].to_pylist():
            raise MeterbeamError(str(folder), f"no meter {meter!r}", "a meter_id of the view days")
        row = {"meter_id": meter, "inspected_on": on, "outcome": found, "note": note, "user": user}
        new = pa.Table.from_pylist([{**row, "withdrawn": False}], schema=_NEW)
        current = lake.current(OUTCOMES.name, meters=[meter])
        same_day = current.filter(pa.compute.equal(current["inspected_on"], pa.scalar(on, pa.date32())))
        changed = revise(new, same_day, OUTCOMES)
        if changed.num_rows:
            last = runs.slice(runs.num_rows - 1).to_pylist()[0]
            facts = {name: last[name] for name in ("rules", "tariffs", "last_closed")}
            counts = json.dumps({"outcomes": 1})
            parts = [run.write(OUTCOMES, "feedback", changed)]
            run.commit(parts, {}, {"inputs": "[]", "counts": counts, "code_version": code_version, **facts})
    return {"meter_id": meter, "outcome": found, "changed": changed.num_rows, **_counts(Lake.open(folder))}


_NEW = pa.schema([*OUTCOMES.content, ("withdrawn", pa.bool_())])


def _counts(lake: Lake) -> dict[str, Any]:
    """How many thieves and honest meters are known, and how many are needed."""
    rows = lake.current(OUTCOMES.name)
    kept = rows.filter(pa.compute.invert(rows["withdrawn"]))["outcome"].to_pylist()
    thieves = sum(outcome == "theft" for outcome in kept)
    return {"thieves": thieves, "honest": len(kept) - thieves, "needed_of_each": ENOUGH}


def inspected_lessons(lake: Lake) -> Lessons:
    """Each inspected meter as it stood among all others in the weeks before its inspection.

    Inspections of meters that could not be compared then teach nothing.
    """
    rows = lake.current(OUTCOMES.name)
    rows = rows.filter(pa.compute.invert(rows["withdrawn"]))
    by_week: dict[int, list[tuple[str, bool]]] = {}
    for row in rows.to_pylist():
        week = monday(epoch_day(row["inspected_on"]))
        by_week.setdefault(week, []).append((row["meter_id"], row["outcome"] == "theft"))
    found: list[tuple[Any, bool, float, int]] = []
    places = places_of(lake_master(lake), lake.config.timezone) if by_week else {}
    for week, inspected in sorted(by_week.items()):
        features = FeaturePieces(lake, before=week)
        scored = compare(features, features.weeks, places, meters=features.meters).scored
        if scored is None:
            continue
        columns, at = scored.columns(), {meter: row for row, meter in enumerate(scored.table.meters)}
        for meter, guilty in inspected:
            if meter in at:
                row = at[meter]
                score = float(scored.state.score[row])
                found.append((columns[row], guilty, score, shard_of_id(meter, FOLDS)))
    return Lessons(
        np.array([columns for columns, *_ in found]).reshape(len(found), len(COLUMNS)),
        np.array([guilty for _, guilty, _, _ in found], np.bool_),
        np.array([score for _, _, score, _ in found], np.float64),
        np.array([fold for *_, fold in found], np.int64),
        np.zeros(len(found), np.int64),
    )
