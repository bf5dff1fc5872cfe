"""The longest run of true slots in each row, cheap where runs are short."""

from __future__ import annotations

import numpy as np

from models.series import Bool, Int


def longest_runs(mask: Bool, *, shortest: int) -> tuple[Int, Int]:
    """Length and start of the longest run of True in each row.

    Args:
        mask: Shape (n, slots).
        shortest: Shorter runs count as none; a power of two.

    Returns:
        Lengths and first columns, shape (n,) each; 0 and −1 where there is none. The first of equally
        long runs.
    """
    if shortest < 1 or shortest & (shortest - 1):
        raise ValueError(f"shortest must be a power of two, got {shortest}")
    long, length = mask, 1
    while length < shortest:  # true where a run of 2, 4, 8 … begins
        long = long[:, :-length] & long[:, length:]
        length *= 2
    result, start = np.zeros(len(mask), np.int64), np.full(len(mask), -1)
    rows = np.flatnonzero(long.any(axis=1))
    if not len(rows):
        return result, start
    padded = np.zeros((len(rows), mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask[rows]
    edges = np.diff(padded, axis=1)
    at, first = np.nonzero(edges == 1)
    lengths = np.nonzero(edges == -1)[1] - first
    order = np.lexsort((first, -lengths, at))
    best = order[np.flatnonzero(np.diff(at[order], prepend=-1))]
    result[rows], start[rows] = lengths[best], first[best]
    return result, start
