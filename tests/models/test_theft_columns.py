"""What a model is told as ranks, and the towns that the default is taught with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ranking import auc
from models.theft_columns import COLUMNS, OWN, in_ranks
from models.trained import Model, taught
from tests.bench.default_towns import taught_town


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_ranks_are_shares_of_lower_meters(seed: int, count: int) -> None:
    """Each own number against plain counting, equals counting half; what the feeder tells is left alone."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 4, (count, len(COLUMNS))).astype(np.float64)
    rows[rng.random(count) < 0.3, len(OWN) :] = np.nan
    found = in_ranks(rows)
    for column in (0, len(OWN) - 1):
        mine = rows[:, column]
        lower = [((mine < one).sum() + (mine == one).sum() / 2 + 0.5) / (count + 1) for one in mine]
        assert np.allclose(found[:, column], lower, rtol=0, atol=1e-12)
    assert np.array_equal(found[:, len(OWN) :], rows[:, len(OWN) :], equal_nan=True)


def _ranked() -> Model:
    rows = np.random.default_rng(1).normal(size=(80, len(COLUMNS)))
    return replace(taught("injected", in_ranks(rows), rows[:, 0] > 0.5), ranked=True)


RANKED = _ranked()


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_a_ranked_model_knows_no_scale_and_no_order(seed: int) -> None:
    """Stretching own numbers of a whole population, or shuffling its meters, moves no score."""
    rng = np.random.default_rng(seed)
    new = rng.normal(size=(50, len(COLUMNS)))
    state, change = rng.normal(size=(2, 50))
    scores = RANKED.scores(state, change, new)
    stretched = new.copy()
    stretched[:, : len(OWN)] = np.exp(new[:, : len(OWN)] * 2) - 5
    assert np.array_equal(RANKED.scores(state, change, stretched), scores)
    order = rng.permutation(50)
    assert np.array_equal(RANKED.scores(state[order], change[order], new[order]), scores[order])
    assert auc(scores, new[:, 0] > 0.5) > 0.5


def test_towns_follow_from_their_number() -> None:
    """The same town again, another beside it; a restless one is the calm one, lived in otherwise."""
    town, again, other = (taught_town(number, restless=True) for number in (2, 2, 5))
    calm = taught_town(2, restless=False)
    assert np.array_equal(town.homes.load, again.homes.load)
    assert (town.prevalence, town.homes_a_feeder) == (calm.prevalence, calm.homes_a_feeder)
    assert town.homes.names == calm.homes.names
    assert not np.array_equal(town.homes.load, calm.homes.load)
    assert (town.prevalence, len(town.homes.names)) != (other.prevalence, len(other.homes.names))
    assert (town.homes.load >= 0).all()
    assert (calm.homes.load > 0).any(axis=1).all()
