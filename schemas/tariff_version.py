"""One version of a tariff: its parts, and that they fit together."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from schemas.tariff_calendar import Calendar
from schemas.tariff_charges import Charge
from schemas.tariff_fields import Money, Part
from schemas.tariff_references import check_cash_rounding, check_references
from schemas.yaml_model import MisfitError

__all__ = ["Conversion", "Effective", "Interval", "Rounding", "Tariff"]

MJ_PER_KWH = Fraction(36, 10)


class Effective(Part):
    """First and last local day a version is in force."""

    from_: date = Field(alias="from")
    to: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Effective:
        if self.to is not None and self.to < self.from_:
            raise MisfitError(("to",), str(self.to), f"a day not before {self.from_}")
        return self


class Interval(Part):
    """Interval lengths [minutes] the tariff may be priced on; each divides a day."""

    accepts_min: tuple[Annotated[int, Field(ge=1, le=1440)], ...] = Field((5, 10, 15, 30, 60), min_length=1)
    label: Literal["start"] = "start"

    @model_validator(mode="after")
    def _divides(self) -> Interval:
        for position, minutes in enumerate(self.accepts_min):
            if 1440 % minutes:
                raise MisfitError(("accepts_min", position), str(minutes), "minutes that divide a day")
        return self


class Rounding(Part):
    """How and where quantities and money are rounded.

    ``half_up`` is half away from zero, ``half_even`` the banker's, ``down`` toward zero, ``up`` away from
    it. Energy is rounded once for each register, that is each period and tier of a charge; money on each
    line, or on the total only (lines then keep a millionth); the tax on the subtotal or line by line.
    """

    mode: Literal["half_up", "half_even", "down", "up"] = "half_up"
    kwh_dp: int = Field(3, ge=0, le=6)
    kwh_at: Literal["register"] = "register"
    kw_dp: int = Field(2, ge=0, le=6)
    money_dp: int = Field(2, ge=0, le=4)
    money_at: Literal["line", "total"] = "line"
    tax_on: Literal["subtotal", "line"] = "subtotal"


class Conversion(Part):
    """How a measured volume becomes energy: kWh = m³ × correction × calorific value / 3.6."""

    calorific_value: Money = Field(gt=0)
    """[MJ/m³]"""
    correction: Money = Field(Decimal(1), gt=0)
    """For temperature and pressure, dimensionless."""

    @model_validator(mode="after")
    def _few_digits(self) -> Conversion:
        # The product of both over 3.6 is applied in 64-bit integers (models/gas.py).
        for name, value, most, decimals in (
            ("calorific_value", self.calorific_value, 1000, 4),
            ("correction", self.correction, 10, 5),
        ):
            if value >= most or value != round(value, decimals):
                expected = f"a number below {most} with at most {decimals} decimals"
                raise MisfitError((name,), str(value), expected)
        return self

    @cached_property
    def factor(self) -> Fraction:
        """Energy [kWh] of a m³ of volume."""
        return Fraction(self.calorific_value) * Fraction(self.correction) / MJ_PER_KWH


class Tariff(Part):
    """One version of a tariff.

    ``clock``: ``prevailing`` local time with its changes, or ``standard`` time all year. ``unit`` is what
    energy charges price; with a ``conversion`` the load is a volume in m³ and the unit is kWh.
    """

    id: str = Field(min_length=1)
    version: int = Field(ge=1)
    effective: Effective
    currency: str = Field(pattern="^[A-Z]{3}$")
    timezone: str
    clock: Literal["prevailing", "standard"] = "prevailing"
    commodity: Literal["electricity", "gas", "water", "heat", "cold"] = "electricity"
    unit: Literal["kWh", "MJ", "m3"] = "kWh"
    conversion: Conversion | None = None
    interval: Interval = Interval()
    rounding: Rounding = Rounding()
    calendar: Calendar
    charges: tuple[Charge, ...] = Field(min_length=1)

    def __hash__(self) -> int:
        return hash((self.id, self.version, self.effective))

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("an IANA time zone such as America/Los_Angeles") from None
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Tariff:
        if self.conversion is not None and self.unit != "kWh":
            raise MisfitError(("unit",), self.unit, "kWh, which the conversion gives")
        check_references(self.charges, self.calendar, self.unit, self.rounding.kw_dp)
        check_cash_rounding(self.charges, self.rounding.money_dp)
        return self
