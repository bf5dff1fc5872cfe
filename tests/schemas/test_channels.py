"""The channel catalogue and its names elsewhere."""

from __future__ import annotations

import pytest

from schemas.channels import CHANNELS, channel_of_nem12, channel_of_obis


def test_reading_type_of_quarter_hour_import() -> None:
    """15-minute delta forward active energy in kWh is the published example."""
    assert CHANNELS["import"].reading_type(900) == "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


@pytest.mark.parametrize(
    ("channel", "interval_s", "expected"),
    [
        pytest.param("export", 1800, "0.0.5.4.19.1.12.0.0.0.0.0.0.0.0.3.72.0", id="export-half-hour"),
        pytest.param("reactive_import", 3600, "0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.73.0", id="reactive-hour"),
        pytest.param("voltage_l1", 300, "0.0.6.6.0.1.54.0.0.0.0.0.0.0.128.0.29.0", id="voltage-phase-a"),
    ],
)
def test_reading_types(channel: str, interval_s: int, expected: str) -> None:
    """Flow, unit, period and phase stand in their fields."""
    assert CHANNELS[channel].reading_type(interval_s) == expected


def test_keys_are_unique_and_found_again() -> None:
    """OBIS code and NEM12 letter lead back to their channel; references, which no meter has, have none."""
    for channel in CHANNELS.values():
        if channel.reference:
            assert (channel.obis, channel.nem12) == ("", None)
            continue
        assert channel_of_obis(channel.obis) is channel
        if channel.nem12:
            assert channel_of_nem12(f"{channel.nem12}1") is channel


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("1.8.0", "import", id="short"),
        pytest.param("1-0:2.8.0*255", "export", id="with-billing-period"),
        pytest.param("3.0.0", None, id="short-of-gas-is-ambiguous"),
        pytest.param("9.9.9", None, id="unknown"),
    ],
)
def test_obis_forms(code: str, expected: str | None) -> None:
    """Short codes are electricity; others need their medium."""
    found = channel_of_obis(code)
    assert (found.name if found else None) == expected


def test_instantaneous_channels_are_the_snapshots() -> None:
    """Voltages and currents, nothing else."""
    snapshots = {name for name, channel in CHANNELS.items() if channel.instantaneous}
    assert snapshots == {name for name in CHANNELS if name.startswith(("voltage", "current"))}


def test_no_code_is_no_channel() -> None:
    """References have no code, and no code is not theirs."""
    assert channel_of_obis("") is None


def test_unknown_nem12_suffix() -> None:
    """A suffix of another letter, or none at all, is no channel."""
    assert channel_of_nem12("Z9") is None
    assert channel_of_nem12(" ") is None
