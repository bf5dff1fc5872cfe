"""Raw numbers to micro-units: exact, or said not to fit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.exact import LIMIT, doubles_to_micro, integers_to_micro, micro_factor

FACTORS = st.builds(
    lambda up, down, power: Fraction(up, down) * Fraction(10) ** power,
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(-12, 12),
)


def half_away(value: Fraction) -> int:
    """Nearest integer, ties away from zero."""
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return -whole if value < 0 else whole


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), max_size=8), FACTORS)
def test_integers_are_an_exact_product_or_do_not_fit(values: list[int], factor: Fraction) -> None:
    """Each value by itself, whatever stands beside it; one that does not fit becomes the limit."""
    micro, fits = integers_to_micro(np.array(values, np.int64), factor)
    wanted = [half_away(value * factor) for value in values]
    assert fits.tolist() == [abs(value) <= LIMIT for value in wanted]
    assert micro.tolist() == [max(min(value, LIMIT), -LIMIT) for value in wanted]


@pytest.mark.parametrize(
    ("unit", "scaler", "multiplier", "wanted"),
    [
        pytest.param(Fraction(1), 0, "1", 1_000_000, id="kWh"),
        pytest.param(Fraction(1, 1000), 0, "1", 1000, id="Wh"),
        pytest.param(Fraction(1, 1000), -2, "1", 10, id="hundredths of Wh"),
        pytest.param(Fraction(1, 1000), 3, "1", 1_000_000, id="Wh times 1000"),
        pytest.param(Fraction(1), 0, "80.5", 80_500_000, id="transformer ratio"),
        pytest.param(Fraction(1), -9, "1", Fraction(1, 1000), id="finer than a micro-unit"),
    ],
)
def test_micro_units_of_one_count(unit: Fraction, scaler: int, multiplier: str, wanted: Fraction) -> None:
    """Unit, scaler and multiplier are one exact rational."""
    assert micro_factor(unit, scaler, Fraction(multiplier)) == wanted


def test_ties_go_away_from_zero() -> None:
    """Halves of a micro-unit."""
    micro, _ = integers_to_micro(np.array([-3, -1, 1, 3, 5]), Fraction(1, 2))
    assert micro.tolist() == [-2, -1, 1, 2, 3]


def test_doubles_are_one_product_rounded_once() -> None:
    """0.1 kWh is 100,000; NaN is no reading; what does not fit becomes the limit."""
    values = np.array([0.1, -0.0000005, 2.5e-7, np.nan, np.inf, -1e300, 1e12])
    micro, fits = doubles_to_micro(values, Fraction(1_000_000))
    assert micro.tolist() == [100_000, 0, 0, 0, LIMIT, -LIMIT, LIMIT]
    assert fits.tolist() == [True, True, True, False, False, False, True]
