"""Tariffs: everything a price depends on, as data; money and limits are exact decimals."""

from __future__ import annotations

from schemas.tariff_calendar import Calendar, Event, Holidays, Period, stretches
from schemas.tariff_charges import (
    AnyCharge,
    Credit,
    Demand,
    Energy,
    EnergyAdder,
    EnergySeries,
    Export,
    Fixed,
    Minimum,
    Percent,
    Prorate,
    Scope,
    Tax,
    Tiers,
)
from schemas.tariff_fields import DAY_NAMES, MINUTES, MisfitError
from schemas.tariff_file import load_tariff, load_tariffs, parse_tariff
from schemas.tariff_version import Effective, Interval, Rounding, Tariff

__all__ = [
    "DAY_NAMES",
    "MINUTES",
    "AnyCharge",
    "Calendar",
    "Credit",
    "Demand",
    "Effective",
    "Energy",
    "EnergyAdder",
    "EnergySeries",
    "Event",
    "Export",
    "Fixed",
    "Holidays",
    "Interval",
    "Minimum",
    "MisfitError",
    "Percent",
    "Period",
    "Prorate",
    "Rounding",
    "Scope",
    "Tariff",
    "Tax",
    "Tiers",
    "load_tariff",
    "load_tariffs",
    "parse_tariff",
    "stretches",
]
