"""The table of an evaluation: every method on the same draws, mean and spread over the seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.attacks import MIX, TIMINGS
from models.lessons import fold_models, injected_lessons
from models.ranking import auc, average_precision, precision_at, recovered_at
from models.series import Bool
from models.theft_bench import Described, Homes, described, drop_rule
from models.theft_trial import Trial, TrialPlan, draw_trial
from models.trained import Model, untaught
from models.weekly_features import Float

__all__ = ["METHODS", "METRICS", "TheftPlan", "Tried", "evaluate_theft", "summary_rows"]

FEEDER = " + feeder"
UNTAUGHT, GIVEN, TRAINED = "state queue, untaught", "state queue", "state queue, trained here"
METHODS = (
    "change queue",
    GIVEN,
    GIVEN + FEEDER,
    UNTAUGHT,
    UNTAUGHT + FEEDER,
    TRAINED,
    TRAINED + FEEDER,
    "drop rule",
    "isolation forest",
)
METRICS = ("auc", "ap", "precision", "recovered")


@dataclass(frozen=True)
class TheftPlan:
    """What is evaluated.

    Attributes:
        seeds: Number of draws of each row.
        timings: Some of ``models.attacks.TIMINGS``.
        prevalences: Shares of homes that steal.
        kinds: Attacks of the thieves.
        feeders: Feeders the homes are spread over.
        top: Meters that are inspected: for precision and energy recovered.
        references: Whether an isolation forest and models taught here are tried; these take most of the time.
        model: Orders the state queue as a detect run would; None for the untaught order.
        taught: Attacks that models taught here learn from: others among ``kinds`` are new to them.
    """

    seeds: int = 10
    timings: tuple[str, ...] = TIMINGS
    prevalences: tuple[float, ...] = (0.08, 0.02)
    kinds: tuple[str, ...] = MIX
    feeders: int = 10
    top: int = 20
    references: bool = True
    model: Model | None = None
    taught: tuple[str, ...] = MIX


@dataclass(frozen=True)
class Tried:
    """One method on one draw.

    Attributes:
        values: ``METRICS``, in order.
        by_kind: AUC of each kind of thief against the honest; NaN where the draw has none.
    """

    timing: str
    prevalence: float
    seed: int
    method: str
    values: tuple[float, ...]
    by_kind: dict[str, float]


def evaluate_theft(homes: Homes, plan: TheftPlan) -> Iterator[list[Tried]]:
    """Every method on every draw; one list a draw, so that progress can be shown.

    Homes, feeders and thieves of a draw depend on seed and prevalence alone: methods and timings are paired.
    Models taught here judge only homes that they never saw.
    """
    able = homes.able
    folds = fold_models("injected", injected_lessons(homes, kinds=plan.taught)) if plan.references else {}
    for prevalence in plan.prevalences:
        for timing in plan.timings:
            for seed in range(plan.seeds):
                drawn = TrialPlan(seed, timing, prevalence, plan.kinds, plan.feeders)
                trial = draw_trial(homes.load, homes.grid, drawn, able=able)
                scores = _scores(homes, trial, plan, folds)
                yield [
                    _tried(timing, prevalence, seed, method, scores[method], trial, able, plan)
                    for method in METHODS
                    if method in scores
                ]


def _scores(homes: Homes, trial: Trial, plan: TheftPlan, folds: dict[int, Model]) -> dict[str, Float]:
    """Every method's scores of all homes, NaN for unranked ones; (n,) each."""
    count = len(homes.names)
    scores = {"drop rule": drop_rule(homes, trial)}
    for suffix in ("", FEEDER):
        seen = described(homes, trial, with_feeders=bool(suffix))
        if seen is None:
            continue
        scores[UNTAUGHT + suffix] = seen.by_home(seen.state, count)
        if plan.model is not None:
            scores[GIVEN + suffix] = seen.by_home(seen.by_model(plan.model), count)
        if folds:
            scores[TRAINED + suffix] = seen.by_home(_by_folds(homes, seen, folds), count)
        if not suffix:
            scores["change queue"] = seen.by_home(seen.change, count)
            if plan.references:
                scores["isolation forest"] = seen.by_home(
                    untaught(seen.columns).suspicion(seen.columns), count
                )
    return scores


def _by_folds(homes: Homes, seen: Described, folds: dict[int, Model]) -> Float:
    """Each home by the model that was taught with the others; as it stood where there is none."""
    scores, mine = seen.state.copy(), homes.folds[seen.home]
    for fold, model in folds.items():
        scores[mine == fold] = seen.by_model(model)[mine == fold]
    return scores


def _tried(
    timing: str,
    prevalence: float,
    seed: int,
    method: str,
    score: Float,
    trial: Trial,
    able: Bool,
    plan: TheftPlan,
) -> Tried:
    """A thief that is not ranked counts as ranked last; an honest home that is not ranked is left out."""
    kept = trial.guilty | (able & np.isfinite(score))
    known = np.where(np.isfinite(score), score, -np.inf)[kept]
    guilty, stolen = trial.guilty[kept], np.maximum(trial.stolen, 0)[kept]
    kind = np.array(trial.kind)[kept]
    values = (
        auc(known, guilty),
        average_precision(known, guilty),
        precision_at(known, guilty, plan.top),
        recovered_at(known, stolen, plan.top),
    )
    by_kind = {}
    for name in plan.kinds:
        some = ~guilty | (kind == name)
        by_kind[name] = auc(known[some], guilty[some])
    return Tried(timing, prevalence, seed, method, values, by_kind)


def summary_rows(tried: list[Tried]) -> list[dict[str, object]]:
    """Mean and standard deviation over the seeds of each prevalence, timing and method, as tried."""
    groups: dict[tuple[float, str, str], list[Tried]] = {}
    for one in tried:
        groups.setdefault((one.prevalence, one.timing, one.method), []).append(one)
    rows = []
    for (prevalence, timing, method), some in groups.items():
        values = np.array([one.values for one in some])
        row: dict[str, object] = {"prevalence": prevalence, "timing": timing, "method": method}
        for at, metric in enumerate(METRICS):
            row[metric] = round(float(values[:, at].mean()), 4)
            row[f"{metric}_sd"] = round(float(values[:, at].std()), 4)
        kinds = {name: np.array([one.by_kind[name] for one in some]) for name in some[0].by_kind}
        row["auc_by_attack"] = {
            name: None if np.isnan(found).all() else round(float(np.nanmean(found)), 3)
            for name, found in kinds.items()
        }
        rows.append(row)
    return rows
