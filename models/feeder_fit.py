"""Who hides a feeder's loss: its loss laid beside the loads that its meters report and those they do not.

Fits of non-negative least squares for each feeder, all with a column for the technical loss, which moves
with what flows through. The *steady* one, on sums of two hours, asks how much of each meter's reported load,
and of a usual load where it reports nothing, is missing: theft that never changes shows there. The *moving*
one, on days, also asks how the loss follows the days on which a meter fell short of itself or of the
population: theft that comes and goes. A *close* one, held less, and plain correlations are told to trained
models beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.feeder_loads import FeederLoads
from models.lay_loss import Laid, follows, laid_on, left_over
from models.series import Int
from models.week_table import RECENT_WEEKS, WEEK, WeekTable, some_meters
from models.weekly_features import Float

__all__ = ["TOLD", "Balance", "FeederFit", "OverReported", "feeder_fit"]

TOLD = (
    "loss as its load, by day", "loss as its zeros, by day", "loss as its shortfall, by day",
    "loss as its distance to the fleet, by day", "share of the loss, by day", "sharpness, by day",
    "loss follows its load", "loss follows its zeros", "loss follows its shortfall",
    "loss as its load, by hours", "loss as its zeros, by hours", "share of the loss, by hours",
    "sharpness, by hours", "loss as its load, close fit", "sharpness, close fit", "feeder's loss in homes",
)  # fmt: skip
"""What a feeder tells of each of its meters, in the order of ``FeederFit.told``."""

STEADY_RIDGE, MOVING_RIDGE, CLOSE_RIDGE = 0.01, 0.03, 0.001
"""Share of a usual column's energy that is added to each meter's own: keeps look-alikes apart."""
PARTS_A_DAY = 12
FEWEST_DAYS = 14
FORWARD = 0.05
"""Share of a feeder's usual flow below which a part of the day is left out."""
LEAST_LOSS = 1e-3
"""A smaller loss [kWh a day] is none."""
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
        told: ``TOLD``, NaN likewise, (m, 16).
        balances: One a feeder, sorted by its id.
    """

    steady: Float
    moving: Float
    steady_kwh: Float
    moving_kwh: Float
    told: Float
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
    told = np.full((count, len(TOLD)), np.nan)
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
        by_day, of_days = _day_fit(table, loads, feeder, rows, days, mean[0], excess[0][wrong])
        by_part, of_parts = _part_fit(table, loads, feeder, rows, recent, mean[1], excess[1][wrong])
        moving[rows], moving_kwh[rows] = by_day.each.sum(axis=0), by_day.energy
        steady[rows], steady_kwh[rows] = by_part.each.sum(axis=0), by_part.energy * PARTS_A_DAY
        told[rows] = np.column_stack([of_days, of_parts])
        too_much = float((excess[0][wrong][:, days] * by_part.free[1:, None]).sum())
        balances.append(_balance(name, loads, feeder, days, float(by_part.free[0]), too_much))
    return FeederFit(steady, moving, steady_kwh, moving_kwh, told, balances)


def _day_fit(
    table: WeekTable, loads: FeederLoads, feeder: int, rows: Int, days: Int, mean: Float, excess: Float
) -> tuple[Laid, Float]:
    """The moving fit of k meters, and the first nine of ``TOLD``; (k, 9)."""
    columns = _moving(table, rows, days, mean)
    through = loads.through[feeder][days] / 1e6
    loss = through - loads.reported[feeder][days] / 1e6
    laid = laid_on(columns, loss, np.column_stack([through, *(-excess[:, days])]), MOVING_RIDGE)
    hidden = left_over(loss, through)
    share = laid.energy / max(float(loss.mean()), LEAST_LOSS)
    with_loss = (follows(columns[at], hidden) for at in (0, 1, 2))
    return laid, np.column_stack([*laid.each, share, laid.sharpness, *with_loss])


def _part_fit(
    table: WeekTable, loads: FeederLoads, feeder: int, rows: Int, days: Int, mean: Float, excess: Float
) -> tuple[Laid, Float]:
    """The steady fit of k meters, and the last seven of ``TOLD``; (k, 7)."""
    parts, loss, through = _steady(table, loads, feeder, rows, days, mean)
    free = np.column_stack([through, *(-excess[:, days].reshape(len(excess), len(loss)))])
    # A feeder meter may not count what flows back: parts with little flow may hide some of it.
    forward = through > FORWARD * np.median(through)
    parts, loss, free = [column[forward] for column in parts], loss[forward], free[forward]
    laid, close = laid_on(parts, loss, free, STEADY_RIDGE), laid_on(parts, loss, free, CLOSE_RIDGE)
    share = laid.energy / max(float(loss.mean()), LEAST_LOSS / PARTS_A_DAY)
    home = max(float(np.median(parts[0].mean(axis=0))), LEAST_LOSS)
    homes = np.full(len(rows), left_over(loss, free[:, 0]).mean() / home)
    told = (*laid.each, share, laid.sharpness, close.each.sum(axis=0), close.sharpness, homes)
    return laid, np.column_stack(told)


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
    known = np.maximum((table.days("day_have") > 0).sum(axis=0), 1)
    there = np.maximum(table.there[:, -RECENT_WEEKS:].sum(axis=0), 1)
    days, parts = _sum_forward(table.days("day_total")), _sum_forward(table.parts)
    return days / 1e6 / known, parts / 1e3 / there[:, None]


def _sum_forward(values: NDArray[np.integer]) -> Int:
    """Over all meters, negative values left out, some meters at a time: a fleet's values are not copied."""
    total = np.zeros(values.shape[1:], np.int64)
    for rows in some_meters(len(values)):
        total += np.maximum(values[rows], 0).sum(axis=0, dtype=np.int64)
    return total


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


def _balance(
    name: str, loads: FeederLoads, feeder: int, days: Int, technical: float, too_much: float
) -> Balance:
    through = float(loads.through[feeder][days].sum()) / 1e6
    reported = float(loads.reported[feeder][days].sum()) / 1e6 - too_much
    technical = min(technical, MOST_TECHNICAL) * through
    loss = through - reported
    return Balance(name, len(days), through, reported, technical, max(loss - technical, 0.0))
