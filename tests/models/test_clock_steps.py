"""What the weeks of a meter say of its clock, beside plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from models.clock_groups import find_groups
from models.clock_profiles import fleet, known_weeks, own_noise, unit_profiles, white
from models.clock_steps import STEADY, USUAL, Move, Weeks, best_move, drifts, steps
from models.weekly_features import Float


def fleet_of(meters: int, weeks: int, seed: int) -> Float:
    """Unit profiles of homes with a morning and an evening of their own."""
    rng = np.random.default_rng(seed)
    half = np.arange(48)
    rise, fall = rng.normal(14, 2, (meters, 1, 1)), rng.normal(38, 3, (meters, 1, 1))
    shape = 100 + 400 * np.exp(-(((half - rise) / 2) ** 2)) + 900 * np.exp(-(((half - fall) / 4) ** 2))
    return unit_profiles((shape * rng.lognormal(0, 0.3, (meters, weeks, 48))).astype(np.float32))


def read(unit: Float) -> Weeks:
    usual = fleet(unit)
    x, known = white(unit, usual.noise), known_weeks(unit)
    return Weeks(x, known, own_noise(x, known), usual)


def plainly(weeks: Weeks, meter: int, move: Move) -> float:
    """A score by the definition: every week moved back by itself, sums of squares slot by slot."""
    common = [0.0] * 48
    for week in range(weeks.x.shape[1]):
        late = 0
        if week >= move.week:
            late = round(move.slope * (week - move.week + 0.5)) + move.halves
        for half in range(48):
            common[half] += float(weeks.x[meter, week, (half + late) % 48])
    square = sum(value * value for value in common)
    shapes = weeks.fleet.shapes
    told = sum(sum(common[i] * float(shapes[i, k]) for i in range(48)) ** 2 for k in range(shapes.shape[1]))
    usual = USUAL * weeks.fleet.trust * told / square
    score = square / int(weeks.known[meter].sum()) / float(weeks.noise[meter]) + usual
    return score - (STEADY if move.slope else 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_move_equals_a_look_at_each(seed: int) -> None:
    """Of steps and drifts alike, with a week that is not known among them."""
    unit = fleet_of(12, 9, seed)
    unit[4, 3] = 0
    weeks = read(unit)
    moves = steps(9, 4) + drifts(9)
    best = best_move(weeks, moves)
    for meter in range(len(unit)):
        scores = [plainly(weeks, meter, move) for move in moves]
        assert best.score[meter] == pytest.approx(max(scores), rel=1e-9)
        assert scores[best.move[meter]] == pytest.approx(max(scores), rel=1e-9)


@pytest.mark.parametrize("move", [Move(3, 4), Move(5, -2), Move(2, 0, 1.5), Move(4, 0, -3.0)])
def test_what_a_clock_did_is_undone_by_moving_back(move: Move) -> None:
    """Weeks of one habit, some of them late as the move has it, are that habit again."""
    habit = np.random.default_rng(1).normal(size=48)
    x = np.stack([habit] * 9)
    for week, late in enumerate(move.late(9).tolist(), move.week):
        x[week] = np.roll(habit, late)
    np.testing.assert_allclose(move.moved_back(x[None])[0], (9 - move.week) * habit)


def test_a_usual_meter_has_the_noise_one() -> None:
    """Whatever the spectrum of the fleet's weeks: the median meter's own noise is about 1."""
    smooth = np.fft.rfft(np.random.default_rng(2).normal(size=(400, 10, 48)), axis=2) / (1 + np.arange(25))
    smooth[..., 0] = 0
    unit = np.fft.irfft(smooth, 48, axis=2)
    assert 0.9 < float(np.median(read(unit).noise)) < 1.2


def test_a_group_is_found_with_its_side_of_each_meter() -> None:
    """Three in four move their day by an hour in the fourth week: these, and that week."""
    unit = fleet_of(80, 8, 5)
    unit[:60, 4:] = np.roll(unit[:60, 4:], 2, axis=2)
    back, groups = find_groups(unit.copy())
    assert [(group.move.week, group.move.halves) for group in groups] == [(4, 2)]
    assert groups[0].mine[:60].mean() > 0.95
    assert groups[0].mine[60:].mean() < 0.05
    np.testing.assert_array_equal(back[0, :4], np.roll(unit[0, :4], 2, axis=1))
    np.testing.assert_array_equal(back[:, 4:], unit[:, 4:])
