"""Tariffs that come as records read like those of files."""

from __future__ import annotations

import pytest

from pipelines.tariffs.tariff_book import tariff_book
from schemas.errors import MeterbeamError

TARIFF = """
id: night
version: 1
effective: {from: 2026-01-01}
currency: USD
timezone: UTC
calendar: {periods: [{id: on, at: ["07:00", "22:00"]}, {id: off}]}
charges: [{id: energy, type: energy, rates: {on: "0.20", off: "0.10"}}]
"""


def test_on_and_off_are_names() -> None:
    """YAML 1.1 takes them for true and false; a period is often called so."""
    (tariff,) = tariff_book(None, (("night", "1", TARIFF),))["night"]
    assert [period.id for period in tariff.calendar.periods] == ["on", "off"]


def test_a_wrong_record_names_its_line() -> None:
    """Tariff, version, line, and both sides."""
    with pytest.raises(MeterbeamError, match=r"TariffVersion night 1, line 8.*rates\.off: found 0\.1"):
        tariff_book(None, (("night", "1", TARIFF.replace('"0.10"', "0.1")),))
