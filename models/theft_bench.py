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
from models.sharding import shard_of
from models.theft_trial import Trial
from models.trained import Model
from models.weekly_features import Float

__all__ = ["Described", "Homes", "described", "drop_rule"]

IMPORT = "import"
WINDOW = "#"
"""Parts a meter's name from the window of its days, where one meter stands for several."""


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

    @cached_property
    def folds(self) -> Int:
        """Which half each home belongs to; all windows of one meter belong to one; shape (n,)."""
        meters = pa.array([name.split(WINDOW)[0] for name in self.names], pa.string())
        return shard_of(meters, 2).astype(np.int64)

    def measured(self, names: list[str], load: Int, have: Bool) -> pa.Table:
        """Rows of the ``features`` table of some series on these days."""
        features = week_features(load, have, self.grid)
        return feature_rows(features, [(name, IMPORT) for name in names], self.grid.interval_s)


@dataclass(frozen=True)
class Described:
    """The ranked homes of a draw as a detect run sees them, m of them.

    Attributes:
        home: Their places among all homes, ascending, shape (m,).
        change, state: Scores of both queues without a model, shape (m,).
        columns: ``theft_columns``, shape (m, k).
    """

    home: Int
    change: Float
    state: Float
    columns: Float

    def by_model(self, model: Model) -> Float:
        """Scores of the state queue as a model orders it, shape (m,)."""
        return model.scores(self.state, self.change, self.columns)

    def by_home(self, scores: Float, homes: int) -> Float:
        """Scores at their places among all homes, NaN for unranked ones; (m,) → (n,)."""
        result = np.full(homes, np.nan)
        result[self.home] = scores
        return result


def described(homes: Homes, trial: Trial, *, with_feeders: bool) -> Described | None:
    """What a detect run makes of a draw; None where nothing can be compared."""
    pieces, places = _pieces(homes, trial, with_feeders=with_feeders)
    scored = compare(pieces, homes.weeks, places).scored
    if scored is None:
        return None
    place = {name: row for row, name in enumerate(homes.names)}
    home = np.array([place[meter] for meter in scored.table.meters], np.int64)
    return Described(home, scored.change.score, scored.state.score, scored.columns())


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


def drop_rule(homes: Homes, trial: Trial) -> Float:
    """The rule to beat: how far the second half of the days fell below the first, against the median home."""
    days = np.add.reduceat(trial.said, homes.grid.offsets[:-1], axis=1) / 1e6
    half = days.shape[1] // 2
    fall = np.log(days[:, :half].mean(axis=1) + 0.1) - np.log(days[:, half:].mean(axis=1) + 0.1)
    result: Float = fall - np.median(fall)
    return result
