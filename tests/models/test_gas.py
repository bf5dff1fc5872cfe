"""Gas: a volume becomes energy without drift, whatever the size of the numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.gas import energy_of_volume
from schemas.tariff import Conversion

calorific = st.integers(1, 9_999_999).map(lambda n: f"{n / 10_000:.4f}")
correction = st.integers(1, 999_999).map(lambda n: f"{n / 100_000:.5f}")
volumes = st.lists(st.integers(0, 10**12), min_size=1, max_size=40)


@given(volumes=volumes, calorific=calorific, correction=correction)
def test_running_totals_are_rounded_once(volumes: list[int], calorific: str, correction: str) -> None:
    """Every running total of energy is that of the volume, converted in fractions and rounded half up."""
    factor = Conversion(calorific_value=calorific, correction=correction).factor
    energy = energy_of_volume(np.array([volumes], np.int64), factor)[0].tolist()
    for count in range(1, len(volumes) + 1):
        exact = sum(volumes[:count]) * factor
        assert sum(energy[:count]) == (exact + Fraction(1, 2)).__floor__()


def test_a_slot_by_hand() -> None:
    """1 m³ of 40.2 MJ/m³ at a correction of 0.9631 is 10.754616… kWh."""
    factor = Conversion(calorific_value="40.2", correction="0.9631").factor
    assert energy_of_volume(np.array([[1_000_000]], np.int64), factor).tolist() == [[10_754_617]]
