"""Measures of a ranking against scikit-learn's and against hand-made cases."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from models.ranking import auc, average_precision, precision_at, recovered_at


@given(st.integers(0, 10_000), st.integers(4, 60), st.booleans())
def test_auc_and_average_precision_equal_the_known_ones(seed: int, count: int, ties: bool) -> None:
    """AUC with ties; average precision without, where the order is not settled by the score."""
    rng = np.random.default_rng(seed)
    guilty = rng.random(count) < 0.3
    guilty[:2] = True, False
    score = (
        rng.integers(0, 5, count).astype(np.float64) if ties else rng.permutation(count).astype(np.float64)
    )
    assert np.isclose(auc(score, guilty), roc_auc_score(guilty, score))
    if not ties:
        assert np.isclose(average_precision(score, guilty), average_precision_score(guilty, score))


def test_the_top() -> None:
    """Two of the first three are guilty, and hold 5 of the 10 that were stolen."""
    score = np.array([0.9, 0.1, 0.8, 0.7, 0.2])
    guilty = np.array([True, True, False, True, False])
    stolen = np.array([2.0, 5.0, 0.0, 3.0, 0.0])
    assert precision_at(score, guilty, 3) == 2 / 3
    assert recovered_at(score, stolen, 3) == 0.5


def test_what_cannot_be_measured_is_not_a_number() -> None:
    """Without guilty meters or stolen energy there is nothing to find."""
    score, nobody = np.arange(3.0), np.zeros(3, np.bool_)
    assert np.isnan(auc(score, nobody))
    assert np.isnan(average_precision(score, nobody))
    assert np.isnan(recovered_at(score, np.zeros(3), 2))
