"""Make the model that ships anew: ``python -m tests.bench.default_model``.

Taught with theft injected into ten homes in New South Wales, cut into windows of seven weeks: meters that
no figure of docs/detection.md is measured on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.lessons import injected_lessons
from models.trained import taught
from pipelines.backfill import code_version
from pipelines.batch import model_file
from pipelines.evaluation.homes import homes_of_file
from tests.real_data import shared

DAYS, HOMES_A_FEEDER, DRAWS = 49, 27, 8
OWN = 0.25
"""Weight of the change score: it needs no teaching, and these are few homes."""


def main() -> None:
    """Train and write it into the package."""
    homes = homes_of_file(shared("nsw_halfhour") / "consumption.parquet", "Australia/Sydney", DAYS)
    lessons = injected_lessons(homes, draws=DRAWS, homes_a_feeder=HOMES_A_FEEDER)
    model = replace(taught("injected", lessons.rows, lessons.guilty), own=OWN)
    population = {
        "source": "10 homes in New South Wales, half-hours",
        "meters": int(homes.able.sum()),
        "days": homes.grid.days,
        "lessons": len(lessons.guilty),
    }
    file = Path(model_file.__file__).with_name(model_file.DEFAULT)
    model_file.save_default(file, model, population, code_version())
    print(f"{file}: {file.stat().st_size:,} bytes, {population}")


if __name__ == "__main__":
    main()
