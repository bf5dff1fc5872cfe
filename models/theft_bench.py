"""One draw of an evaluation, ranked by the pipeline's own features and detect run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from models.calendar import DayGrid, day_date
from models.comparison import Place
from models.detect import detect
from models.features import feature_rows, week_features
from models.series import Bool, Int
from models.theft_trial import Trial
from models.weekly_features import Float

__all__ = ["Homes", "Ranked", "drop_rule", "ranked"]

IMPORT = "import"


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


@dataclass(frozen=True)
class Ranked:
    """Scores of the n homes, NaN for those no queue ranks."""

    change: Float
    state: Float


def ranked(homes: Homes, trial: Trial, *, with_feeders: bool) -> Ranked:
    """Both queues over what the meters of a draw say.

    Only the homes that the draw changed are measured again: a row depends on its own meter alone.
    """
    changed = np.flatnonzero((trial.said != homes.load).any(axis=1))
    names = [homes.names[row] for row in changed.tolist()]
    kept = pa.compute.invert(pa.compute.is_in(homes.rows["meter_id"], pa.array(names, pa.string())))
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
    result = detect(pieces, homes.weeks, places, day_date(homes.grid.last_day))
    return Ranked(_scores(homes, result.change_queue), _scores(homes, result.state_queue))


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
