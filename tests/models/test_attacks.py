"""Injected theft: what each attack does to a load, and when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.attacks import ATTACKS, HELD_OUT, MIX, TIMINGS, stolen_days, tamper
from models.calendar import DayGrid, day_grid
from models.series import Int
from models.theft_trial import TrialPlan, draw_trial

GRID = day_grid("Europe/Zurich", 3600, 20_100, 28)


def load(seed: int, homes: int = 1, grid: DayGrid = GRID) -> Int:
    """Random whole Wh, a few zeros among them."""
    return np.random.default_rng(seed).integers(0, 900, (homes, grid.slots)) * 1000


@given(st.integers(0, 10_000), st.sampled_from(sorted(ATTACKS)))
def test_only_stolen_days_change(seed: int, kind: str) -> None:
    """A day without theft is left as it was, whatever the attack."""
    rng = np.random.default_rng(seed)
    days = rng.random(GRID.days) < 0.5
    true = load(seed)[0]
    said = tamper(true, GRID, days, kind, rng)
    honest = np.repeat(~days, GRID.lengths)
    assert (said[honest] == true[honest]).all()


@given(st.integers(0, 10_000), st.sampled_from(("FDI1", "FDI2", "FDI3", "FDI4", "FDI5")))
def test_these_attacks_never_say_more_than_was_used(seed: int, kind: str) -> None:
    """Shares, caps, cuts and windows hide energy slot by slot."""
    true = load(seed)[0]
    said = tamper(true, GRID, np.ones(GRID.days, np.bool_), kind, np.random.default_rng(seed))
    assert (said <= true).all()
    assert (said >= 0).all()


def test_attacks_are_what_they_are_called() -> None:
    """One day of two levels under each attack that has no randomness but its parameters."""
    true = np.tile(np.repeat([100_000, 300_000], 12), GRID.days)
    everywhere = np.ones(GRID.days, np.bool_)
    said = {kind: tamper(true, GRID, everywhere, kind, np.random.default_rng(1)) for kind in ATTACKS}
    share = said["FDI1"][0] / true[0]
    assert 0.2 <= share <= 0.8
    assert np.allclose(said["FDI1"] / true, share, atol=1e-5)
    assert (said["FDI2"] == np.minimum(true, said["FDI2"].max())).all()
    hidden = (true - said["FDI3"]).max()
    assert (said["FDI3"] == np.maximum(true - hidden, 0)).all()
    zero = (said["FDI4"] == 0).reshape(GRID.days, 24)
    assert (zero == zero[0]).all()
    assert zero[0].sum() >= 4
    assert (said["J5"] == 200_000).all()
    assert (said["J6"].reshape(GRID.days, 24) == true.reshape(GRID.days, 24)[:, ::-1]).all()


@given(st.integers(0, 10_000), st.integers(28, 400))
def test_timings(seed: int, days: int) -> None:
    """Onset stays from between 35 and 65 %, always is every day, half is half of the days."""
    found = {timing: stolen_days(timing, days, np.random.default_rng(seed)) for timing in TIMINGS}
    first = int(found["onset"].argmax())
    assert int(days * 0.35) <= first <= days * 0.65
    assert found["onset"][first:].all()
    assert not found["onset"][:first].any()
    assert found["always"].all()
    assert found["half"].sum() == days // 2


def test_an_unknown_timing_is_refused() -> None:
    """The message names the known ones."""
    with pytest.raises(ValueError, match="onset, always, half"):
        stolen_days("sometimes", 28, np.random.default_rng(0))


def test_draws_are_paired() -> None:
    """The same seed has the same thieves and feeders at every timing, and attacks of the mix alone."""
    homes = load(3, 60)
    drawn = [draw_trial(homes, GRID, TrialPlan(4, timing, 0.1)) for timing in TIMINGS]
    for trial in drawn:
        assert (trial.guilty == drawn[0].guilty).all()
        assert (trial.feeder_of == drawn[0].feeder_of).all()
        assert trial.kind == drawn[0].kind
        assert trial.guilty.sum() == 6
        assert (trial.said[~trial.guilty] == homes[~trial.guilty]).all()
    assert {kind for kind in drawn[0].kind if kind} <= set(MIX)
    assert not set(MIX) & set(HELD_OUT)


def test_feeders_see_the_truth_and_a_little_loss() -> None:
    """What flows through a feeder is the true load of its homes and 1 to 3 % more."""
    homes = load(5, 60)
    trial = draw_trial(homes, GRID, TrialPlan(1, "always"))
    for feeder, through in enumerate(trial.through):
        true = homes[trial.feeder_of == feeder].sum()
        assert 1.009 < through.sum() / true < 1.031


def test_homes_that_are_not_able_stay_honest() -> None:
    """Thieves are drawn from those that can be judged."""
    homes, able = load(6, 60), np.arange(60) >= 30
    trial = draw_trial(homes, GRID, TrialPlan(2, "always", 0.3), able=able)
    assert trial.guilty.sum() == 18
    assert not trial.guilty[:30].any()
