"""A loss laid on those who may hide it: ridge-held non-negative least squares, and plain correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.weekly_features import Float

__all__ = ["Laid", "follows", "laid_on", "left_over", "nonnegative"]

CHANCES = 3
"""Exchanges of whole blocks without progress before single variables change sides."""


@dataclass(frozen=True)
class Laid:
    """What a fit lays on n meters, each with c columns.

    Attributes:
        each: Coefficient of each column, shape (c, n).
        energy: Mean energy laid on each meter, shape (n,).
        sharpness: Root of how many times the usual unexplained square the loss would gain without the
            meter's columns, summed over these; shape (n,).
        free: Coefficients of the free columns.
    """

    each: Float
    energy: Float
    sharpness: Float
    free: Float


def laid_on(columns: Sequence[Float], loss: Float, free: Float, ridge: float) -> Laid:
    """Least squares under which no meter gives energy back.

    Args:
        columns: What may hide the loss, one column a meter, shape (p, n) each.
        loss: Shape (p,).
        free: Columns that cost nothing, the flow first; shape (p, f).
        ridge: Share of a usual column's energy added to each one's own: keeps look-alikes apart.
    """
    meters = columns[0].shape[1]
    matrix = np.column_stack([*columns, free])
    width = matrix.shape[1] - free.shape[1]
    gram, aim = matrix.T @ matrix, matrix.T @ loss
    held = ridge * float(np.diag(gram)[:meters].mean()) + 1e-9
    gram[np.arange(width), np.arange(width)] += held
    gram[np.arange(len(gram)), np.arange(len(gram))] *= 1 + 1e-9
    gram[np.arange(width, len(gram)), np.arange(width, len(gram))] += 1e-9
    found = nonnegative(gram, aim)
    each = found[:width].reshape(len(columns), meters)
    energy = (each * np.stack([column.mean(axis=0) for column in columns])).sum(axis=0)
    unexplained = max(float(((loss - matrix @ found) ** 2).mean()), 1e-12)
    gain = _gains(gram, found)[:width].reshape(len(columns), meters).sum(axis=0)
    return Laid(each, energy, np.sqrt(gain / unexplained), found[width:])


def nonnegative(gram: Float, aim: Float) -> Float:
    """The x ≥ 0 with the least ½ xᵀGx − aᵀx, by block principal pivoting.

    Whole blocks change sides at once, so that it takes a handful of solutions; where that does not lead
    on, one variable at a time, which always ends.

    Args:
        gram: G, positive definite, shape (n, n).
        aim: a, shape (n,).

    References:
        Portugal, Júdice and Vicente, A comparison of block pivoting and interior-point algorithms for
        linear least squares problems with nonnegative variables, Mathematics of Computation 1994.
    """
    inside = np.zeros(len(aim), np.bool_)
    fewest, chances = len(aim) + 1, CHANCES
    slack = 1e-10 * float(np.abs(aim).max(initial=1e-9))
    while True:
        found = np.zeros(len(aim))
        at = np.flatnonzero(inside)
        found[at] = np.linalg.solve(gram[np.ix_(at, at)], aim[at])
        slope = gram[:, at] @ found[at] - aim
        wrong = np.flatnonzero(np.where(inside, found < 0, slope < -slack))
        if not len(wrong):
            return found
        if len(wrong) < fewest:
            fewest, chances = len(wrong), CHANCES
        elif chances:
            chances -= 1
        else:
            wrong = wrong[-1:]
        inside[wrong] = ~inside[wrong]


def _gains(gram: Float, found: Float) -> Float:
    """How much the square would grow without each coefficient, the others free; 0 for those at 0."""
    gains, at = np.zeros(len(found)), np.flatnonzero(found > 0)
    if len(at):
        spread = np.diag(np.linalg.inv(gram[np.ix_(at, at)]))
        gains[at] = found[at] ** 2 / spread
    return gains


def left_over(loss: Float, through: Float) -> Float:
    """The loss less what of it moves with the flow, as far as that is a loss; (p,)."""
    technical = max(float(through @ loss) / max(float(through @ through), 1e-12), 0.0)
    return loss - technical * through


def follows(columns: Float, loss: Float) -> Float:
    """Correlation of each column with the loss, 0 for one that stands still; (p, n), (p,) → (n,)."""
    away, lost = columns - columns.mean(axis=0), loss - loss.mean()
    product = (away * lost[:, None]).sum(axis=0)
    result: Float = product / np.sqrt((away**2).sum(axis=0) * (lost**2).sum() + 1e-12)
    return result
