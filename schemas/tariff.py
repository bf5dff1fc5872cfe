"""Tariffs: everything a price depends on, as data; money and limits are exact decimals."""

from __future__ import annotations

from schemas.billing_rules import BillingRules, Holding, Sharing, Supplier, VirtualLoad
from schemas.tariff_calendar import Calendar, Event, Holidays, Period, Span, stretches
from schemas.tariff_charges import (
    AnyCharge,
    CashRounding,
    Credit,
    Fixed,
    Minimum,
    Percent,
    Tax,
    charged_channel,
)
from schemas.tariff_demand import CoincidentDemand, Demand, PowerFactor, Ratchet
from schemas.tariff_energy import Energy, EnergyAdder, EnergySeries, Reactive, Scope, Tiers
from schemas.tariff_export import Export, TrueUp
from schemas.tariff_fields import DAY_NAMES, MINUTES, Prorate
from schemas.tariff_file import load_billing_rules, load_tariff, load_tariffs, parse_tariff
from schemas.tariff_version import Conversion, Effective, Interval, Rounding, Tariff
from schemas.yaml_model import MisfitError

__all__ = [
    "DAY_NAMES",
    "MINUTES",
    "AnyCharge",
    "BillingRules",
    "Calendar",
    "CashRounding",
    "CoincidentDemand",
    "Conversion",
    "Credit",
    "Demand",
    "Effective",
    "Energy",
    "EnergyAdder",
    "EnergySeries",
    "Event",
    "Export",
    "Fixed",
    "Holding",
    "Holidays",
    "Interval",
    "Minimum",
    "MisfitError",
    "Percent",
    "Period",
    "PowerFactor",
    "Prorate",
    "Ratchet",
    "Reactive",
    "Rounding",
    "Scope",
    "Sharing",
    "Span",
    "Supplier",
    "Tariff",
    "Tax",
    "Tiers",
    "TrueUp",
    "VirtualLoad",
    "charged_channel",
    "load_billing_rules",
    "load_tariff",
    "load_tariffs",
    "parse_tariff",
    "stretches",
]
