"""Quality codes of ESPI, CIM and NEM12, there and back."""

from __future__ import annotations

import pytest

from schemas.quality import Quality
from schemas.quality_codes import (
    ESPI_EXTERNAL_ESTIMATES,
    ESPI_KNOWN,
    ESPI_MEASURED,
    cim_of,
    espi_of,
    from_cim,
    from_espi,
    from_nem12,
    nem12_day,
    nem12_of,
)

ESPI_LOSSES = {Quality.FAILED: Quality.QUESTIONABLE}
CIM_LOSSES = {Quality.SUBSTITUTED: Quality.ESTIMATED}
NEM12_LOSSES = {
    Quality.FAILED: Quality.MISSING,
    Quality.QUESTIONABLE: Quality.MEASURED,
    Quality.EDITED: Quality.SUBSTITUTED,
    Quality.VALIDATED: Quality.MEASURED,
    Quality.VERIFIED: Quality.MEASURED,
}


@pytest.mark.parametrize("quality", Quality)
def test_espi_round_trip(quality: Quality) -> None:
    """A class comes back from ESPI as itself, or as the class stated."""
    assert from_espi(espi_of(quality)) == ESPI_LOSSES.get(quality, quality)


@pytest.mark.parametrize("quality", Quality)
def test_cim_round_trip(quality: Quality) -> None:
    """A class comes back from CIM as itself, or as the class stated."""
    assert from_cim(cim_of(quality)) == CIM_LOSSES.get(quality, quality)


@pytest.mark.parametrize("quality", Quality)
def test_nem12_round_trip(quality: Quality) -> None:
    """A class comes back from NEM12 as itself, or as the class stated."""
    assert from_nem12(nem12_of(quality)) == NEM12_LOSSES.get(quality, quality)


@pytest.mark.parametrize("code", sorted(ESPI_KNOWN))
def test_every_espi_code_settles(code: int) -> None:
    """A foreign code, once ours, goes out and comes back as the same class."""
    ours = from_espi(code)
    assert from_espi(espi_of(ours)) == ours


def test_codes_of_the_input() -> None:
    """0 and 14 are as measured; 8, 9 and 12 are the head-end's estimates."""
    assert {from_espi(code) for code in ESPI_MEASURED} == {Quality.MEASURED}
    assert {from_espi(code) for code in ESPI_EXTERNAL_ESTIMATES} == {Quality.ESTIMATED}


def test_method_numbers_do_not_matter_in_nem12() -> None:
    """A quality method is judged by its letter."""
    assert from_nem12("S14") == Quality.SUBSTITUTED
    assert from_nem12("e51") == Quality.ESTIMATED


def test_nem12_day_flag() -> None:
    """One flag for a uniform day, V where slots differ."""
    assert nem12_day([Quality.VALIDATED, Quality.VERIFIED]) == "A"
    assert nem12_day([Quality.VALIDATED, Quality.ESTIMATED]) == "V"


def test_unknown_codes_are_errors() -> None:
    """No code is guessed, and the message lists the known ones."""
    with pytest.raises(ValueError, match=r"99.*17"):
        from_espi(99)
    with pytest.raises(ValueError, match=r"7\.7\.7.*2\.0\.0"):
        from_cim("7.7.7")
    with pytest.raises(ValueError, match="400 records"):
        from_nem12("V")
