"""A forest of decision trees as plain arrays: numpy alone scores it, one row and many to the same bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.series import Bool, Int
from models.weekly_features import Float

__all__ = ["Trees", "isolating", "voting"]

LEAF = -1
CELLS_AT_ONCE = 1 << 20
EULER = 0.5772156649015329


@dataclass(frozen=True)
class Trees:
    """Nodes of t trees, one tree after the other.

    Attributes:
        roots: First node of each tree, shape (t,).
        column: What a node asks for, ``LEAF`` where it asks nothing, shape (nodes,).
        threshold: Rows up to it go left, shape (nodes,).
        left, right: The next nodes, shape (nodes,).
        absent_left: Whether rows without the number go left, shape (nodes,).
        value: What a leaf says, shape (nodes,).
    """

    roots: Int
    column: NDArray[np.int32]
    threshold: Float
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    absent_left: Bool
    value: Float

    def mean(self, rows: Float) -> Float:
        """Mean of what the trees say of each row; (m, k) → (m,).

        Args:
            rows: Numbers as the trees were taught with, NaN where there is none. They are compared as
                float32, as scikit-learn does.
        """
        narrow = rows.astype(np.float32)
        result = np.zeros(len(rows))
        at_once = max(CELLS_AT_ONCE // max(len(self.roots), 1), 1)
        for low in range(0, len(rows), at_once):
            result[low : low + at_once] = self._leaves(narrow[low : low + at_once])
        return result

    def _leaves(self, rows: NDArray[np.float32]) -> Float:
        node = np.repeat(self.roots[None, :], len(rows), axis=0)
        row = np.broadcast_to(np.arange(len(rows))[:, None], node.shape)
        while True:
            asks = np.nonzero(self.column[node] != LEAF)
            if not len(asks[0]):
                break
            here = node[asks]
            number = rows[row[asks], self.column[here]]
            left = np.where(np.isnan(number), self.absent_left[here], number <= self.threshold[here])
            node[asks] = np.where(left, self.left[here], self.right[here])
        # Summed tree by tree: one order, whatever the number of rows.
        total = np.zeros(len(rows))
        for tree in range(node.shape[1]):
            total += self.value[node[:, tree]]
        mean: Float = total / max(node.shape[1], 1)
        return mean


def voting(forest: Any) -> Trees:
    """The trees of a scikit-learn forest of two classes: the share of the second one in each leaf."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    return _joined(trees, [tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in trees])


def isolating(forest: Any) -> Trees:
    """The trees of a scikit-learn isolation forest: minus the steps that it takes to part a row from all.

    References:
        Liu, Ting and Zhou, Isolation Forest, ICDM 2008; equation 1 for what a leaf of many still lacks.
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    return _joined(trees, [-_steps(tree) for tree in trees])


def _steps(tree: Any) -> Float:
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child != LEAF:
                depth[child] = depth[node] + 1
    many = np.maximum(tree.n_node_samples.astype(np.float64), 1)
    harmonic = np.log(np.maximum(many - 1, 1)) + EULER
    lacking = np.where(many > 2, 2 * harmonic - 2 * (many - 1) / many, np.where(many > 1, 1.0, 0.0))
    result: Float = depth + lacking
    return result


def _joined(trees: list[Any], values: Iterable[Float]) -> Trees:
    counts = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *counts[:-1]])
    shift = np.repeat(roots, counts).astype(np.int32)

    def of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    left, right = of("children_left"), of("children_right")
    asks = left != LEAF
    return Trees(
        roots,
        np.where(asks, of("feature"), LEAF).astype(np.int32),
        of("threshold"),
        np.where(asks, left + shift, LEAF).astype(np.int32),
        np.where(asks, right + shift, LEAF).astype(np.int32),
        of("missing_go_to_left").astype(np.bool_),
        np.concatenate(list(values)),
    )
