"""Train a model of suspicion on a lake's own meters, or on those of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.comparison import FEWEST_TAUGHT, compare
from models.lessons import Lessons, cross_checked, injected_lessons
from models.theft_bench import Homes
from models.trained import Model, taught, untaught
from pipelines.backfill import code_version
from pipelines.batch.detect import FeaturePieces, places_of
from pipelines.batch.lake_master import lake_master
from pipelines.batch.model_file import OF_LAKE, save_model
from pipelines.batch.outcomes import ENOUGH, inspected_lessons
from pipelines.evaluation.homes import homes_of_lake
from pipelines.store.lake import AsOf, Lake
from schemas.errors import MeterbeamError

__all__ = ["train_homes", "train_lake"]

MOST_METERS = 400
"""Meters of a lake that theft is injected into: more teach little more."""
WEEKS = 10


def train_lake(
    folder: Path, method: str, out: Path | None = None, as_of: AsOf | None = None
) -> dict[str, Any]:
    """Train on a lake and save the model, by default where its detect runs take it.

    Args:
        folder: The lake.
        method: One of ``models.trained.METHODS``.
        out: Where to save it instead.
        as_of: Learn from the lake as it stood then; what inspectors found until then.

    Raises:
        MeterbeamError: There is no lake, or too little in it to learn from.
    """
    lake = Lake.open(folder, as_of=as_of)
    where = out or lake.path / OF_LAKE
    if method == "injected":
        return train_homes(homes_of_lake(lake, meters=MOST_METERS, weeks=WEEKS), str(folder), where)
    if method == "isolation":
        return _isolation(lake, where)
    lessons = inspected_lessons(lake)
    counts = int(lessons.guilty.sum()), int((~lessons.guilty).sum())
    if min(counts) < ENOUGH:
        found = f"{counts[0]} inspected thieves and {counts[1]} honest meters"
        raise MeterbeamError(str(folder), found, f"at least {ENOUGH} of each (meterbeam detect feedback)")
    return _taught(method, lessons, {"source": str(folder.name), "meters": sum(counts)}, where)


def train_homes(homes: Homes, source: str, out: Path) -> dict[str, Any]:
    """Train with theft injected into some meters' readings.

    Raises:
        MeterbeamError: Too few of them can be compared.
    """
    able = int(homes.able.sum())
    if able < FEWEST_TAUGHT:
        found = f"{able} meters that can be compared"
        raise MeterbeamError(source, found, f"at least {FEWEST_TAUGHT}")
    lessons = injected_lessons(homes)
    population = {
        "source": Path(source).name,
        "meters": able,
        "days": homes.grid.days,
        "lessons": len(lessons.guilty),
    }
    return _taught("injected", lessons, population, out)


def _taught(method: str, lessons: Lessons, population: dict[str, Any], out: Path) -> dict[str, Any]:
    measured = cross_checked(method, lessons)
    return _saved(taught(method, lessons.rows, lessons.guilty), population, measured, out)


def _isolation(lake: Lake, out: Path) -> dict[str, Any]:
    features = FeaturePieces(lake)
    places = places_of(lake_master(lake), lake.config.timezone)
    scored = compare(features, features.weeks, places, meters=features.meters).scored
    if scored is None:
        raise MeterbeamError(str(lake.path), "too few meters or weeks", "five meters over three weeks")
    rows = scored.columns()
    population = {"source": lake.path.name, "meters": len(rows), "weeks": len(features.weeks)}
    return _saved(untaught(rows), population, {}, out)


def _saved(model: Model, population: dict[str, Any], measured: dict[str, float], out: Path) -> dict[str, Any]:
    name = save_model(out, model, population, measured, code_version())
    return {"model": name, "file": str(out), **population, **measured}
