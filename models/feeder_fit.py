"""Who hides a feeder's loss: its loss laid beside the loads that its meters report and those they do not.

Two fits of non-negative least squares for each feeder, both with a column for the technical loss, which
moves with what flows through. The *steady* one, on sums of two hours, asks how much of each meter's reported
load, and of a usual load where it reports nothing, is missing: theft that never changes shows there. The
*moving* one, on days, also asks how the loss follows the days on which a meter fell short of itself or of
the population: theft that comes and goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.feeder_loads import FeederLoads
from models.series import Int
from models.week_table import RECENT_WEEKS, WEEK, WeekTable
from models.weekly_features import Float

__all__ = ["Balance", "FeederFit", "OverReported", "feeder_fit"]

STEADY_RIDGE, MOVING_RIDGE = 0.01, 0.03
"""Share of a usual column's energy that is added to each meter's own: keeps look-alikes apart."""
PARTS_A_DAY = 12
FEWEST_DAYS = 14
FORWARD = 0.05
"""Share of a feeder's usual flow below which a part of the day is left out."""
MOST_TECHNICAL = 0.15
"""A larger loss than this that moves with the load is not called technical."""


@dataclass(frozen=True)
class Balance:
    """Energy of one feeder over the days on which it can be balanced, in kWh.

    Attributes:
        days: Number of those days.
        through: What its own meter measured.
        reported: What its customers' meters reported, less what those of a wrong scale report too much.
        technical: Loss that moves with the load and belongs to no meter.
        hidden: Loss beyond the technical one: use that some meter did not report.
    """

    feeder: str
    days: int
    through: float
    reported: float
    technical: float
    hidden: float


@dataclass(frozen=True)
class FeederFit:
    """What the feeders say of m meters.

    Attributes:
        steady, moving: Energy missing, per energy in the fit's columns, NaN without a feeder meter, (m,).
        steady_kwh, moving_kwh: Energy a day that each fit lays on the meter, NaN likewise, (m,).
        balances: One a feeder, sorted by its id.
    """

    steady: Float
    moving: Float
    steady_kwh: Float
    moving_kwh: Float
    balances: list[Balance]


@dataclass(frozen=True)
class OverReported:
    """Meters that report too much, such as by a wrong multiplier: what they report may be more than flows.

    Attributes:
        table: Those meters, k of them.
        since: Epoch day from which each does so, shape (k,).
    """

    table: WeekTable
    since: Int


def feeder_fit(table: WeekTable, loads: FeederLoads, over: OverReported) -> FeederFit:
    """Fit every feeder.

    Args:
        table: Customer meters of the theft population, sorted by id.
        loads: What flows through the feeders of all meters.
        over: Meters outside the population that spoil a feeder's balance.
    """
    count = len(table.meters)
    steady, moving, steady_kwh, moving_kwh = np.full((4, count), np.nan)
    feeder_of, feeder_of_over = _feeders(table, loads), _feeders(over.table, loads)
    excess = _excess(over)
    mean = _mean_days(table)
    balances = []
    first = (len(table.weeks) - table.parts.shape[1]) * WEEK
    for feeder, name in enumerate(loads.names):
        rows, days = np.flatnonzero(feeder_of == feeder), loads.whole(feeder)
        recent = days[days >= first] - first
        if len(days) < FEWEST_DAYS or len(recent) < WEEK or not len(rows):
            continue
        wrong = np.flatnonzero(feeder_of_over == feeder)
        of_days = _moving(table, rows, days, mean[0])
        loss = (loads.through[feeder] - loads.reported[feeder])[days] / 1e6
        through = loads.through[feeder][days] / 1e6
        free = np.column_stack([through, *(-excess[0][wrong][:, days])])
        moving[rows], moving_kwh[rows], _ = _laid_on(of_days, loss, free, MOVING_RIDGE)
        parts, loss, through = _steady(table, loads, feeder, rows, recent, mean[1])
        free = np.column_stack([through, *(-excess[1][wrong][:, recent].reshape(len(wrong), len(loss)))])
        # A feeder meter may not count what flows back: parts with little flow may hide some of it.
        forward = through > FORWARD * np.median(through)
        parts = [column[forward] for column in parts]
        steady[rows], steady_kwh[rows], found = _laid_on(parts, loss[forward], free[forward], STEADY_RIDGE)
        steady_kwh[rows] *= PARTS_A_DAY
        too_much = float((excess[0][wrong][:, days] * found[1:, None]).sum())
        balances.append(_balance(name, loads, feeder, days, float(found[0]), too_much))
    return FeederFit(steady, moving, steady_kwh, moving_kwh, balances)


def _feeders(table: WeekTable, loads: FeederLoads) -> Int:
    """Number of each meter's feeder, −1 without one; (m,)."""
    return np.array([loads.meters[m].feeder if m in loads.meters else -1 for m in table.meters], np.int64)


def _excess(over: OverReported) -> tuple[Float, Float]:
    """What such meters report from their day on, by day (k, d) and by part (k, r · 7, 12), in kWh."""
    table = over.table
    day = (table.weeks[:, None] + np.arange(WEEK)).ravel()
    wrong = day[None, :] >= over.since[:, None]
    by_day = np.maximum(table.days("day_total"), 0) / 1e6 * wrong
    recent = table.parts.shape[1] * WEEK
    parts = np.maximum(table.parts, 0).reshape(len(table.meters), recent, PARTS_A_DAY) / 1e3
    return by_day, parts * wrong[:, len(day) - recent :, None]


def _mean_days(table: WeekTable) -> tuple[Float, Float]:
    """Mean use of the population's meters by day [kWh] and by part [kWh]; (d,), (r, 84)."""
    days = np.maximum(table.days("day_total"), 0)
    known = np.maximum((table.days("day_have") > 0).sum(axis=0), 1)
    there = np.maximum(table.there[:, -RECENT_WEEKS:].sum(axis=0), 1)
    parts = np.maximum(table.parts, 0).sum(axis=0, dtype=np.int64)
    return days.sum(axis=0, dtype=np.int64) / 1e6 / known, parts / 1e3 / there[:, None]


def _moving(table: WeekTable, rows: Int, days: Int, mean: Float) -> list[Float]:
    """Load, usual load of the zero slots, shortfall against itself and the population; (k, n) each."""
    load = np.maximum(table.days("day_total")[rows][:, days], 0) / 1e6
    have = np.maximum(table.days("day_have")[rows][:, days], 1)
    zero = table.days("day_zeros")[rows][:, days] / have * mean[days]
    short = np.maximum(np.median(load, axis=1)[:, None] - load, 0)
    below = np.maximum(mean[days] - load, 0)
    return [load.T, zero.T, short.T, below.T]


def _steady(
    table: WeekTable, loads: FeederLoads, feeder: int, rows: Int, days: Int, mean: Float
) -> tuple[list[Float], Float, Float]:
    """Load and the usual load where it is zero, (p, n) each; loss and flow of the two hours, (p,)."""
    shape = table.parts.shape[1] * WEEK, PARTS_A_DAY
    load = np.maximum(table.parts[rows].reshape(len(rows), *shape)[:, days], 0).reshape(len(rows), -1) / 1e3
    zero = np.where(load <= 0, mean.reshape(shape)[days].ravel(), 0.0)
    through = loads.through_parts[feeder].reshape(shape)[days].ravel() / 1e3
    reported = loads.reported_parts[feeder].reshape(shape)[days].ravel() / 1e3
    return [load.T, zero.T], through - reported, through


def _laid_on(columns: list[Float], loss: Float, free: Float, ridge: float) -> tuple[Float, Float, Float]:
    """Coefficient and mean energy laid on each of n meters, and the coefficients of the free columns.

    Args:
        columns: What may hide the loss, one column a meter, shape (p, n) each.
        loss: Shape (p,).
        free: Columns that cost nothing, the flow first; shape (p, f).
        ridge: Share of a usual column's energy added to each one's own.
    """
    from scipy.optimize import nnls  # slow to import: only who scores pays

    meters = columns[0].shape[1]
    matrix = np.column_stack([*columns, free])
    width = matrix.shape[1] - free.shape[1]
    gram, aim = matrix.T @ matrix, matrix.T @ loss
    held = ridge * float(np.diag(gram)[:meters].mean()) + 1e-9
    gram[np.arange(width), np.arange(width)] += held
    gram[np.arange(len(gram)), np.arange(len(gram))] *= 1 + 1e-9
    gram[np.arange(width, len(gram)), np.arange(width, len(gram))] += 1e-9
    # The same problem in as few rows as columns: ‖Rx − R⁻ᵀAᵀy‖ with RᵀR = AᵀA + ridge.
    root = np.linalg.cholesky(gram).T
    found = nnls(root, np.linalg.solve(root.T, aim), maxiter=100 * len(root))[0]
    each = found[:width].reshape(len(columns), meters)
    energy = (each * np.stack([column.mean(axis=0) for column in columns])).sum(axis=0)
    return each.sum(axis=0), energy, found[width:]


def _balance(
    name: str, loads: FeederLoads, feeder: int, days: Int, technical: float, too_much: float
) -> Balance:
    through = float(loads.through[feeder][days].sum()) / 1e6
    reported = float(loads.reported[feeder][days].sum()) / 1e6 - too_much
    technical = min(technical, MOST_TECHNICAL) * through
    loss = through - reported
    return Balance(name, len(days), through, reported, technical, max(loss - technical, 0.0))
