"""The default model on towns that it was not taught with: ``python -m tests.bench.default_judged``."""

from __future__ import annotations

import numpy as np

from models.attacks import TIMINGS
from models.ranking import auc, precision_at
from pipelines.batch.model_file import default_model
from tests.bench.default_model import CALM, RESTLESS, town_lessons

TOP = 20
JUDGED = range(max(*CALM, *RESTLESS) + 1, max(*CALM, *RESTLESS) + 5)
"""Numbers of towns that follow the taught ones."""


def judged(*, restless: bool) -> dict[tuple[str, str], tuple[float, float]]:
    """AUC and precision at the top, means over the draws, by order and timing."""
    model = default_model()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in JUDGED:
        lessons = town_lessons(number, restless=restless)
        for at, draw in enumerate(np.unique(lessons.draw).tolist()):
            mine = lessons.draw == draw
            guilty = lessons.guilty[mine]
            orders = {"nothing": lessons.untaught[mine], "default": model.suspicion(lessons.rows[mine])}
            for name, score in orders.items():
                values = (auc(score, guilty), precision_at(score, guilty, TOP))
                found.setdefault((name, TIMINGS[at % len(TIMINGS)]), []).append(values)
    means = {key: np.mean(values, axis=0).tolist() for key, values in found.items()}
    return {key: (mean[0], mean[1]) for key, mean in means.items()}


def main() -> None:
    """Print a line a kind of town, order and timing."""
    for restless in (False, True):
        for (name, timing), (area, precision) in judged(restless=restless).items():
            print(f"{'restless' if restless else 'calm'} {name} {timing}: {area:.3f}, {precision:.2f}")


if __name__ == "__main__":
    main()
