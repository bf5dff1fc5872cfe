"""Forests as plain arrays against scikit-learn's own predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest

from models.trees import Trees, isolating, voting
from models.weekly_features import Float


def rows_of(seed: int, count: int = 300) -> Float:
    return np.random.default_rng(seed).normal(size=(count, 5))


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_votes_equal_those_of_scikit_learn(seed: int) -> None:
    """The same share of the second class, absent numbers included."""
    rng = np.random.default_rng(seed)
    rows = rows_of(seed)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    guilty = np.nan_to_num(rows[:, 0]) + rng.normal(size=len(rows)) > 0.5
    forest = ExtraTreesClassifier(20, min_samples_leaf=3, random_state=0).fit(rows, guilty)
    new = rows_of(seed + 1)
    new[rng.random(new.shape) < 0.1] = np.nan
    assert np.allclose(voting(forest).mean(new), forest.predict_proba(new)[:, 1], rtol=0, atol=1e-12)


def test_isolation_orders_as_scikit_learn_does() -> None:
    """The same order as its own scores, which are a rising function of the mean depth."""
    rows = rows_of(1)
    forest = IsolationForest(n_estimators=30, random_state=0).fit(rows)
    ours, theirs = isolating(forest).mean(rows), -forest.score_samples(rows)
    assert (np.diff(theirs[np.argsort(ours, kind="stable")]) >= -1e-12).all()


@given(st.integers(1, 300))
def test_a_row_scores_the_same_whatever_stands_beside_it(count: int) -> None:
    """One row, a few and all of them give the same bits."""
    rows = rows_of(2)
    assert FOREST.mean(rows[:count]).tolist() == FOREST.mean(rows)[:count].tolist()
    assert FOREST.mean(rows[count - 1 : count]).tolist() == FOREST.mean(rows)[count - 1 : count].tolist()


def _forest() -> Trees:
    rows = rows_of(3)
    return voting(ExtraTreesClassifier(10, random_state=0).fit(rows, rows[:, 1] > 0))


FOREST = _forest()


@pytest.mark.parametrize("count", [0, 1])
def test_no_rows_are_no_trouble(count: int) -> None:
    """Empty in, empty out."""
    assert FOREST.mean(rows_of(4)[:count]).shape == (count,)
