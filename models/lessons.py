"""Lessons for a trained model: meters whose guilt is known, as the pipeline describes them.

Theft injected into real meters makes as many lessons as are wanted, of any meters and without any
inspection; what inspectors found makes few, but true ones. Either way a model is only believed as far as it
orders meters that it was not taught with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.attacks import MIX, TIMINGS
from models.ranking import auc, average_precision, precision_at
from models.series import Bool, Int
from models.theft_bench import Homes, described
from models.theft_columns import COLUMNS
from models.theft_trial import TrialPlan, draw_trial
from models.trained import Model, taught
from models.weekly_features import Float

__all__ = ["SEED", "Lessons", "cross_checked", "fold_models", "injected_lessons"]

DRAWS = 6
"""Draws of each timing."""
FOLDS = 2
SEED = 1_000_000
"""Lessons and evaluations never draw the same thieves."""
HOMES_A_FEEDER = 40
TOP = 20


@dataclass(frozen=True)
class Lessons:
    """n meters, some more than once.

    Attributes:
        rows: ``theft_columns``, shape (n, k).
        guilty: The truth, shape (n,).
        untaught: Score of the state queue without a model, shape (n,).
        fold: Which part of the meters it belongs to: a model is judged by parts it never saw, shape (n,).
        draw: Meters of one draw were compared with each other, shape (n,).
    """

    rows: Float
    guilty: Bool
    untaught: Float
    fold: Int
    draw: Int

    def chosen(self, which: Bool) -> Lessons:
        """Some of them."""
        return Lessons(
            self.rows[which], self.guilty[which], self.untaught[which], self.fold[which], self.draw[which]
        )


def injected_lessons(
    homes: Homes,
    *,
    kinds: tuple[str, ...] = MIX,
    draws: int = DRAWS,
    homes_a_feeder: int = HOMES_A_FEEDER,
    prevalence: float = TrialPlan.prevalence,
    seed: int = SEED,
) -> Lessons:
    """Theft of every timing injected into some of the homes, behind feeder meters.

    Args:
        homes: Real meters, taken to be honest: the few that are not blur the lesson a little.
        kinds: Attacks to teach.
        draws: Draws of each timing.
        homes_a_feeder: Homes behind one feeder meter.
        prevalence: Share of the homes that steal.
        seed: Of the first draw; the next ones count on.
    """
    feeders = max(round(len(homes.names) / homes_a_feeder), 1)
    parts = [_NONE]
    for number in range(draws):
        for timing in TIMINGS:
            plan = TrialPlan(seed + number, timing, prevalence, kinds, feeders)
            trial = draw_trial(homes.load, homes.grid, plan, able=homes.able)
            seen = described(homes, trial, with_feeders=True)
            if seen is not None:
                draw = np.full(len(seen.home), len(parts))
                guilty, fold = trial.guilty[seen.home], homes.folds[seen.home]
                parts.append(Lessons(seen.columns, guilty, seen.state, fold, draw))
    columns = zip(*((p.rows, p.guilty, p.untaught, p.fold, p.draw) for p in parts), strict=True)
    return Lessons(*(np.concatenate(column) for column in columns))


_NONE = Lessons(
    np.zeros((0, len(COLUMNS))),
    np.zeros(0, np.bool_),
    np.zeros(0),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
)


def fold_models(method: str, lessons: Lessons) -> dict[int, Model]:
    """For each fold a model taught with the others alone; a fold that cannot be judged has none."""
    models = {}
    for fold in np.unique(lessons.fold).tolist():
        others = lessons.chosen(lessons.fold != fold)
        if others.guilty.any() and not others.guilty.all():
            models[fold] = taught(method, others.rows, others.guilty)
    return models


def cross_checked(method: str, lessons: Lessons) -> dict[str, float]:
    """How well meters are ordered by models that never saw them, beside the order without a model.

    Returns:
        AUC, average precision and precision at the top, means over the draws.
    """
    scores = np.full(len(lessons.guilty), np.nan)
    for fold, model in fold_models(method, lessons).items():
        mine = lessons.fold == fold
        scores[mine] = model.suspicion(lessons.rows[mine])
    found: dict[str, list[float]] = {}
    for draw in np.unique(lessons.draw).tolist():
        mine = (lessons.draw == draw) & np.isfinite(scores)
        guilty = lessons.guilty[mine]
        for name, score in (("trained", scores[mine]), ("untaught", lessons.untaught[mine])):
            found.setdefault(f"{name}_auc", []).append(auc(score, guilty))
            found.setdefault(f"{name}_ap", []).append(average_precision(score, guilty))
            found.setdefault(f"{name}_precision", []).append(precision_at(score, guilty, TOP))
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}
