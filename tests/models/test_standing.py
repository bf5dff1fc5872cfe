"""How a meter stands among the others: against plain numpy, and laws of ranks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.standing import evidence, nan_median, nan_quantile, one_sided, rarity, robust


@given(st.integers(0, 10_000), st.sampled_from((0.1, 0.5, 0.9)), st.integers(0, 1))
def test_quantiles_are_numpys_without_nan(seed: int, share: float, axis: int) -> None:
    """What is not known plays no part; 0 where nothing is known."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((5, 7)) < 0.3, np.nan, rng.normal(size=(5, 7)))
    lines = values if axis == 1 else values.T
    for found, line in zip(nan_quantile(values, share, axis), lines, strict=True):
        known = line[np.isfinite(line)]
        assert np.isclose(found, np.quantile(known, share) if len(known) else 0.0)


def test_median_of_nothing_is_zero() -> None:
    """A meter without a day stands at the population's own level."""
    assert nan_median(np.full((2, 3), np.nan), 1).tolist() == [0.0, 0.0]


@given(st.integers(0, 10_000), st.integers(2, 50))
def test_evidence_keeps_the_order_and_forgets_the_scale(seed: int, count: int) -> None:
    """A higher value never has less evidence, and any rising map of the values changes nothing."""
    values = np.round(np.random.default_rng(seed).normal(size=count), 1)
    found = evidence(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert np.array_equal(found, evidence(np.exp(values)))
    assert found.min() > 0


def test_evidence_of_the_unknown_is_neutral() -> None:
    """NaN stands at 1, the mean over a large population, and does not move the others."""
    values = np.array([1.0, np.nan, 3.0, 2.0])
    found = evidence(values)
    assert found[1] == 1.0
    assert np.array_equal(found[[0, 2, 3]], evidence(values[[0, 2, 3]]))
    assert abs(evidence(np.arange(1000.0)).mean() - 1) < 0.01


def test_sides() -> None:
    """One-sided distances are never below zero, and rarity adds up what each column says."""
    values = np.array([0.0, 1.0, 2.0, 3.0, 10.0])
    assert one_sided(values, 1)[0] == 0
    assert one_sided(values, -1)[4] == 0
    assert (one_sided(values, 0) > 0).sum() == 4
    assert robust(values)[2] == 0
    both = np.column_stack([values, values])
    assert np.allclose(rarity(both), 2 * evidence(values))
