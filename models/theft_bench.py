"""One draw of an evaluation, ranked by the pipeline's own detect run and by what it must beat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import DayGrid, day_date
from models.comparison import Place, compare
from models.detect import detect
from models.features import feature_rows, week_features
from models.series import Bool, Int
from models.standing import nan_median
from models.theft_trial import Trial
from models.weekly_features import Float

__all__ = ["Homes", "described", "drop_rule", "forest", "ranked", "supervised"]

IMPORT = "import"
TREES = 200
SEED = 0


@dataclass(frozen=True)
class Homes:
    """Real meters that an evaluation changes.

    Attributes:
        names: Meter ids, ascending, length n.
        load: As measured, 0 where there is nothing, shape (n, slots). [micro-unit]
        have: Whether there is a value, shape (n, slots).
        grid: The days.
    """

    names: list[str]
    load: Int
    have: Bool
    grid: DayGrid

    @cached_property
    def rows(self) -> pa.Table:
        """Their rows of the ``features`` table."""
        return self.measured(self.names, self.load, self.have)

    @cached_property
    def weeks(self) -> Int:
        """Mondays that have rows, ascending."""
        found = self.rows["week"].cast(pa.int32()).to_numpy().astype(np.int64)
        return np.unique(found)

    @cached_property
    def able(self) -> Bool:
        """Homes that the unchanged data leave in the theft population, with some use; shape (n,)."""
        places = {name: Place("customer", None, "active", 0) for name in self.names}
        result = detect([self.rows], self.weeks, places, day_date(self.grid.last_day))
        kept = set(result.change_queue["meter_id"].to_pylist())
        return np.array([name in kept for name in self.names], np.bool_) & (self.load > 0).any(axis=1)

    def measured(self, names: list[str], load: Int, have: Bool) -> pa.Table:
        """Rows of the ``features`` table of some series on these days."""
        features = week_features(load, have, self.grid)
        return feature_rows(features, [(name, IMPORT) for name in names], self.grid.interval_s)


def ranked(homes: Homes, trial: Trial, *, with_feeders: bool) -> tuple[Float, Float]:
    """Scores of the change and the state queue over a draw's meters, NaN where unranked; (n,) each."""
    pieces, places = _pieces(homes, trial, with_feeders=with_feeders)
    result = detect(pieces, homes.weeks, places, day_date(homes.grid.last_day))
    return _scores(homes, result.change_queue), _scores(homes, result.state_queue)


def _pieces(homes: Homes, trial: Trial, *, with_feeders: bool) -> tuple[list[pa.Table], dict[str, Place]]:
    """Features of a draw, and who is who.

    Only the homes that the draw changed are measured again: a row depends on its own meter alone.
    """
    changed = np.flatnonzero((trial.said != homes.load).any(axis=1))
    names = [homes.names[row] for row in changed.tolist()]
    kept = pc.invert(pc.is_in(homes.rows["meter_id"], pa.array(names, pa.string())))
    pieces = [homes.rows.filter(kept), homes.measured(names, trial.said[changed], homes.have[changed])]
    feeders = [f"feeder {number}" for number in range(len(trial.through))]
    places = {
        name: Place("customer", feeders[feeder] if with_feeders else None, "active", 0)
        for name, feeder in zip(homes.names, trial.feeder_of.tolist(), strict=True)
    }
    if with_feeders:
        meters = [f"meter of {feeder}" for feeder in feeders]
        pieces.append(homes.measured(meters, trial.through, np.ones_like(trial.through, np.bool_)))
        places |= {m: Place("feeder", f, "active", 0) for m, f in zip(meters, feeders, strict=True)}
    return pieces, places


def _scores(homes: Homes, queue: pa.Table) -> Float:
    found = dict(zip(queue["meter_id"].to_pylist(), queue["score"].to_pylist(), strict=True))
    return np.array([found.get(name, np.nan) for name in homes.names])


def drop_rule(homes: Homes, trial: Trial) -> Float:
    """The rule to beat: how far the second half of the days fell below the first, against the median home."""
    days = np.add.reduceat(trial.said, homes.grid.offsets[:-1], axis=1) / 1e6
    half = days.shape[1] // 2
    fall = np.log(days[:, :half].mean(axis=1) + 0.1) - np.log(days[:, half:].mean(axis=1) + 0.1)
    result: Float = fall - np.median(fall)
    return result


def described(homes: Homes, trial: Trial) -> Float:
    """Everything the queues know of a home's own days, for the references; NaN for unranked, (n, k)."""
    pieces, places = _pieces(homes, trial, with_feeders=False)
    scored = compare(pieces, homes.weeks, places).scored
    if scored is None:
        return np.full((len(homes.names), 1), np.nan)
    weekly = nan_median(scored.table.features.astype(np.float64), 1)
    columns = np.hstack(
        [scored.found.step, scored.found.size, scored.found.centre, scored.found.unrest, weekly]
    )
    result = np.full((len(homes.names), columns.shape[1]), np.nan)
    place = {name: row for row, name in enumerate(homes.names)}
    result[[place[meter] for meter in scored.table.meters]] = columns
    return result


def forest(columns: Float) -> Float:
    """The textbook: an isolation forest over all columns, either side; NaN for unranked, (n,)."""
    from sklearn.ensemble import IsolationForest

    known = np.isfinite(columns).all(axis=1)
    scores = np.full(len(columns), np.nan)
    if known.sum() > 1:
        model = IsolationForest(n_estimators=TREES, random_state=SEED, n_jobs=1).fit(columns[known])
        scores[known] = -model.score_samples(columns[known])
    return scores


def supervised(columns: Float, lessons: list[tuple[Float, Bool]]) -> Float:
    """What labels would give: a random forest taught on other draws, never on the home it judges; (n,).

    Args:
        columns: ``described`` of the draw to judge, shape (n, k).
        lessons: ``described`` of other draws of the same homes, and who was guilty there.
    """
    from sklearn.ensemble import RandomForestClassifier

    fold = np.arange(len(columns)) % 2
    scores = np.full(len(columns), np.nan)
    for side in (0, 1):
        known = [np.isfinite(rows).all(axis=1) & (fold == side) for rows, _ in lessons]
        taught = np.vstack([rows[which] for (rows, _), which in zip(lessons, known, strict=True)])
        labels = np.concatenate([guilty[which] for (_, guilty), which in zip(lessons, known, strict=True)])
        judged = np.isfinite(columns).all(axis=1) & (fold != side)
        if labels.any() and judged.any():
            model = RandomForestClassifier(TREES, min_samples_leaf=3, random_state=SEED, n_jobs=1)
            scores[judged] = model.fit(taught, labels).predict_proba(columns[judged])[:, 1]
    return scores
