"""Non-negative least squares against its optimality conditions, and losses laid on who caused them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.lay_loss import follows, laid_on, left_over, nonnegative


@given(st.integers(0, 10_000), st.integers(1, 30), st.booleans())
def test_no_step_leads_lower(seed: int, size: int, alike: bool) -> None:
    """At the answer nothing is negative, every slope points inwards, and it is 0 where the answer is not."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(3 * size, size)) + 3.0 * alike
    gram = matrix.T @ matrix + 1e-3 * np.eye(size)
    aim = matrix.T @ rng.normal(size=3 * size)
    found = nonnegative(gram, aim)
    slope = gram @ found - aim
    scale = float(np.abs(aim).max())
    assert (found >= 0).all()
    assert slope.min() > -1e-6 * scale
    assert np.abs(slope * found).max() < 1e-6 * scale * max(float(found.max()), 1.0)


@given(st.integers(0, 10_000))
def test_the_loss_is_laid_on_who_hides_it(seed: int) -> None:
    """Of ten loads, the one that hides half of what it says has coefficient, energy and sharpness."""
    rng = np.random.default_rng(seed)
    loads = rng.gamma(1.0, 1.0, (400, 10))
    through = loads.sum(axis=1) * 1.02 + 0.5 * loads[:, 3]
    laid = laid_on([loads], through - loads.sum(axis=1), through[:, None], 1e-4)
    assert {int(column.argmax()) for column in (laid.each[0], laid.energy, laid.sharpness)} == {3}
    assert 0.4 < laid.each[0, 3] < 0.6
    assert follows(loads, left_over(through - loads.sum(axis=1), through)).argmax() == 3


def test_a_column_that_stands_still_follows_nothing() -> None:
    """A constant load has correlation 0, not a division by zero."""
    assert follows(np.ones((5, 2)), np.arange(5.0)).tolist() == [0.0, 0.0]
