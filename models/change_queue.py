"""Theft that starts in view: the sharpest lasting changes of a meter's days, and the level drop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.behaviour import DAY_NAMES, LEAST_KW, Behaviour
from models.series import Int
from models.standing import fleet_median, one_sided, rarity, robust
from models.week_table import WEEK, WeekTable, some_meters
from models.weekly_features import Float

__all__ = ["ChangeScores", "change_scores"]

USE = DAY_NAMES.index("use")
DROP_WEIGHT = 0.5
SHARP = 2.0
"""Robust deviations from which a change counts as one."""


@dataclass(frozen=True)
class ChangeScores:
    """Scores of m meters.

    Attributes:
        score: Higher is more suspicious, shape (m,).
        since: Index of the first day after the change, −1 where nothing changed, shape (m,).
        first_week: Index of its week, −1 where nothing changed, shape (m,).
        drop: Fall of the use from that day on against the days before and the population, as a share, (m,).
        lost: Energy missing from that day on against its own level before. [kWh], shape (m,)
        strength: One-sided robust sharpness of each of ``DAY_NAMES``' changes, shape (m, 7).
    """

    score: Float
    since: Int
    first_week: Int
    drop: Float
    lost: Float
    strength: Float


def change_scores(table: WeekTable, found: Behaviour) -> ChangeScores:
    """Score every meter by how its days changed.

    Args:
        table: Customer meters of the theft population, sorted by id.
        found: What their days are like.
    """
    columns = range(len(DAY_NAMES))
    strength = np.column_stack([one_sided(found.step[:, k], 1) for k in columns])
    score = robust(rarity(strength)) + DROP_WEIGHT * robust(found.step[:, USE])
    count = len(table.meters)
    fell = strength[:, USE] >= SHARP
    strongest = np.where(fell, USE, strength.argmax(axis=1)) if count else np.zeros(0, np.int64)
    rows = np.arange(count)
    changed = strength[rows, strongest] >= SHARP
    since = np.where(changed, found.at[rows, strongest], -1)
    drop, lost = _losses(table, since)
    return ChangeScores(score, since, np.where(since >= 0, since // WEEK, -1), drop, lost, strength)


def _losses(table: WeekTable, since: Int) -> tuple[Float, Float]:
    """Share and energy [kWh] that each meter's days fell short from a day on, against its own days before.

    What it would have used is its mean day before, moved with the population's days.
    """
    small = LEAST_KW * 24
    use = np.empty((len(since), WEEK * len(table.weeks)))
    for rows in some_meters(len(use)):
        use[rows] = np.log(_use(table, rows) + small)
    fleet = np.exp(fleet_median(use))
    drop, lost = np.zeros((2, len(since)))
    for rows in some_meters(len(use)):
        drop[rows], lost[rows] = _short(_use(table, rows), since[rows], fleet)
    return drop, lost


def _use(table: WeekTable, rows: slice) -> Float:
    """Energy of each day, filled up to all its slots, NaN where there is none; (n, d). [kWh]."""
    have = table.days("day_have")[rows]
    usual = have.max(axis=1, initial=1)[:, None]
    total = np.maximum(table.days("day_total")[rows], 0) / 1e6
    return np.where(have > 0, total * usual / np.maximum(have, 1), np.nan)


def _short(use: Float, since: Int, fleet: Float) -> tuple[Float, Float]:
    """Share and energy that some meters fell short of what they would have used; (n,) each."""
    small = LEAST_KW * 24
    after = np.arange(use.shape[1])[None, :] >= since[:, None]
    known = np.isfinite(use)
    before = known & ~after
    ratio = np.where(before, use, 0).sum(axis=1) / np.maximum(np.where(before, fleet, 0).sum(axis=1), small)
    expected = np.where(known & after, ratio[:, None] * fleet, 0).sum(axis=1)
    missing = expected - np.where(known & after, use, 0).sum(axis=1)
    counts = (since >= 0) & (missing > 0)
    lost = np.where(counts, missing, 0.0)
    return np.where(counts, missing / np.maximum(expected, small), 0.0), lost
