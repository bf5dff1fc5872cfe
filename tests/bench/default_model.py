"""Make the model that ships anew: ``python -m tests.bench.default_model``, about five minutes.

Taught with theft injected into simulated towns alone, so that it needs nothing but this checkout, and no
figure of docs/detection.md on real meters is measured on what it has seen. docs/detection.md says how its
settings were chosen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from models.lessons import SEED, Lessons, injected_lessons
from models.theft_columns import in_ranks
from models.trained import Model, taught
from pipelines.backfill import code_version
from pipelines.batch import model_file
from pipelines.console import progress
from tests.bench.default_towns import DAYS, taught_town

CALM, RESTLESS = range(10), range(10)
"""Numbers of the towns that are taught; others are free to judge with."""
DRAWS = 2
"""Draws of each timing and town."""
LEAST_IN_LEAF = 20
OWN = 0.0


def town_lessons(number: int, *, restless: bool) -> Lessons:
    """Theft of every timing in one town, what is told of each meter as ranks among its draw."""
    town = taught_town(number, restless=restless)
    lessons = injected_lessons(
        town.homes,
        draws=DRAWS,
        homes_a_feeder=town.homes_a_feeder,
        prevalence=town.prevalence,
        seed=SEED + 10 * number,
    )
    rows = lessons.rows.copy()
    for draw in np.unique(lessons.draw).tolist():
        mine = lessons.draw == draw
        rows[mine] = in_ranks(rows[mine])
    return replace(lessons, rows=rows)


def model_of(lessons: list[Lessons]) -> Model:
    """The default's settings, taught with some towns."""
    rows = np.concatenate([some.rows for some in lessons])
    guilty = np.concatenate([some.guilty for some in lessons])
    model = taught("injected", rows, guilty, least_in_leaf=LEAST_IN_LEAF)
    return replace(model, own=OWN, ranked=True)


def main() -> None:
    """Train and write it into the package."""
    towns = [(number, False) for number in CALM] + [(number, True) for number in RESTLESS]
    lessons = []
    with progress("Teach", total=len(towns), unit="towns") as advance:
        for number, restless in towns:
            lessons.append(town_lessons(number, restless=restless))
            advance(1)
    model = model_of(lessons)
    population = {
        "source": f"{len(towns)} simulated towns, half of them restless, 15 to 60 minutes",
        "days": DAYS,
        "lessons": sum(len(some.guilty) for some in lessons),
    }
    file = Path(model_file.__file__).with_name(model_file.DEFAULT)
    model_file.save_default(file, model, population, code_version())
    print(f"{file}: {file.stat().st_size:,} bytes, {population}")


if __name__ == "__main__":
    main()
