"""Units: exact factors and case rules."""

from __future__ import annotations

from fractions import Fraction

import pytest

from schemas.channels import CHANNELS
from schemas.units import unit_factor, units_of


@pytest.mark.parametrize(
    ("unit", "channel", "factor"),
    [
        pytest.param("kWh", "import", Fraction(1), id="kWh"),
        pytest.param("Wh", "import", Fraction(1, 1000), id="Wh"),
        pytest.param("MWh", "export", Fraction(1000), id="MWh"),
        pytest.param("MJ", "heat", Fraction(10, 36), id="MJ"),
        pytest.param("GJ", "cold", Fraction(10_000, 36), id="GJ"),
        pytest.param("J", "import", Fraction(1, 3_600_000), id="J"),
        pytest.param("varh", "reactive_import", Fraction(1, 1000), id="varh"),
        pytest.param("L", "volume", Fraction(1, 1000), id="litre"),
        pytest.param("gal", "cold_water", Fraction("0.003785411784"), id="gallon"),
        pytest.param("ft3", "volume", Fraction("0.028316846592"), id="cubic-foot"),
        pytest.param("CCF", "volume", Fraction("2.8316846592"), id="hundred-cubic-feet"),
        pytest.param("kV", "voltage_l1", Fraction(1000), id="kilovolt"),
        pytest.param("mA", "current", Fraction(1, 1000), id="milliampere"),
    ],
)
def test_factors_are_exact(unit: str, channel: str, factor: Fraction) -> None:
    """A factor is the rational number of its definition."""
    assert unit_factor(unit, channel) == factor


@pytest.mark.parametrize(
    ("unit", "channel", "same_as"),
    [
        pytest.param("KWH", "import", "kWh", id="upper"),
        pytest.param("kwh", "import", "kWh", id="lower"),
        pytest.param("wh", "import", "Wh", id="lower-wh"),
        pytest.param(" Wh ", "import", "Wh", id="blanks"),
        pytest.param("MWH", "import", "MWh", id="upper-mega"),
        pytest.param("GAL", "volume", "gal", id="gallon"),
        pytest.param("M3", "volume", "m3", id="cubic-metre"),
        pytest.param("l", "volume", "L", id="litre"),
    ],
)
def test_case_does_not_matter_where_it_is_clear(unit: str, channel: str, same_as: str) -> None:
    """Other spellings of one unit have its factor."""
    assert unit_factor(unit, channel) == unit_factor(same_as, channel) is not None


@pytest.mark.parametrize(
    ("unit", "channel"),
    [
        pytest.param("mwh", "import", id="milli-or-mega"),
        pytest.param("mj", "heat", id="milli-or-mega-joule"),
        pytest.param("mL", "volume", id="millilitre"),
        pytest.param("MV", "voltage", id="megavolt-for-millivolt"),
        pytest.param("MA", "current", id="mega-for-milliampere"),
        pytest.param("kWh", "volume", id="other-quantity"),
        pytest.param("kWh", "reactive_import", id="active-for-reactive"),
        pytest.param("kWh", "no_such_channel", id="unknown-channel"),
        pytest.param("", "import", id="empty"),
    ],
)
def test_what_is_not_clear_is_unknown(unit: str, channel: str) -> None:
    """No guess between milli and mega, nor between quantities."""
    assert unit_factor(unit, channel) is None


def test_billing_unit_is_one_of_every_channel() -> None:
    """Each channel accepts its own billing unit, with factor 1."""
    for name, channel in CHANNELS.items():
        assert unit_factor(channel.unit, name) == 1
        assert channel.unit in units_of(name)
    assert units_of("no_such_channel") == ()
