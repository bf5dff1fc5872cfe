"""The table of an evaluation: every method on the same draws, mean and spread over the seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.attacks import MIX, TIMINGS
from models.ranking import auc, average_precision, precision_at, recovered_at
from models.series import Bool
from models.theft_bench import Homes, described, drop_rule, forest, ranked, supervised
from models.theft_trial import Trial, TrialPlan, draw_trial
from models.weekly_features import Float

__all__ = ["METHODS", "METRICS", "TheftPlan", "Tried", "evaluate_theft", "summary_rows"]

METHODS = (
    "change queue",
    "state queue",
    "state queue + feeder",
    "drop rule",
    "isolation forest",
    "supervised",
)
METRICS = ("auc", "ap", "precision", "recovered")
LESSONS = 3
"""Other draws that the supervised reference learns from."""
LESSON_SEED = 1_000_000


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
        references: Whether the forest and the supervised reference, which take most of the time, are tried.
    """

    seeds: int = 10
    timings: tuple[str, ...] = TIMINGS
    prevalences: tuple[float, ...] = (0.08, 0.02)
    kinds: tuple[str, ...] = MIX
    feeders: int = 10
    top: int = 20
    references: bool = True


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
    The supervised reference always learns from ``MIX``, so that other ``kinds`` are new to it.
    """
    able = homes.able
    for prevalence in plan.prevalences:
        for timing in plan.timings:
            for seed in range(plan.seeds):
                trial = draw_trial(
                    homes.load,
                    homes.grid,
                    TrialPlan(seed, timing, prevalence, plan.kinds, plan.feeders),
                    able=able,
                )
                scores = _queues(homes, trial)
                if plan.references:
                    scores |= _references(homes, trial, able, timing, seed)
                yield [
                    _tried(timing, prevalence, seed, method, score, trial, able, plan)
                    for method, score in scores.items()
                ]


def _queues(homes: Homes, trial: Trial) -> dict[str, Float]:
    """The pipeline's own queues, and the rule to beat."""
    change, state = ranked(homes, trial, with_feeders=False)
    _, with_feeder = ranked(homes, trial, with_feeders=True)
    return dict(zip(METHODS, (change, state, with_feeder, drop_rule(homes, trial)), strict=False))


def _references(homes: Homes, trial: Trial, able: Bool, timing: str, seed: int) -> dict[str, Float]:
    columns = described(homes, trial)
    lessons = []
    for lesson in range(LESSONS):
        other = TrialPlan(LESSON_SEED + LESSONS * seed + lesson, timing)
        taught = draw_trial(homes.load, homes.grid, other, able=able)
        lessons.append((described(homes, taught), taught.guilty))
    return {"isolation forest": forest(columns), "supervised": supervised(columns, lessons)}


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
