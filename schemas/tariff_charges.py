"""The kinds of charge a tariff may have, and the order in which their lines come about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.tariff_demand import CoincidentDemand, Demand
from schemas.tariff_energy import Energy, EnergyAdder, EnergySeries, Reactive
from schemas.tariff_export import Export
from schemas.tariff_fields import EVERY_MONTH, Money, Month, Part, Prorate
from schemas.yaml_model import MisfitError

Per = Literal["day", "month", "year"]
"""What an amount is for; of a year each day is the 365th part, in a leap year the 366th."""


class Fixed(Part):
    """Step 6: a fixed amount per day, month or year; without ``prorate`` a month is due in full."""

    id: str
    type: Literal["fixed"]
    amount: Money
    per: Per
    prorate: Prorate | None = None
    months: tuple[Month, ...] = Field(EVERY_MONTH, min_length=1)


class Percent(Part):
    """Step 10: a share of named charges; negative for a discount."""

    id: str
    type: Literal["percent"]
    of: tuple[str, ...] = Field(min_length=1)
    rate: Money


class Minimum(Part):
    """Step 12: what the named charges come to at least."""

    id: str
    type: Literal["minimum"]
    amount: Money
    per: Per = "month"
    prorate: Prorate | None = None
    covers: tuple[str, ...] = Field(min_length=1)


class Credit(Part):
    """An amount taken off: before the tax if ``taxed``, otherwise after it."""

    id: str
    type: Literal["credit"]
    amount: Money = Field(ge=0)
    per: Per = "month"
    prorate: Prorate | None = None
    taxed: bool = True
    months: tuple[Month, ...] = Field(EVERY_MONTH, min_length=1)


class Tax(Part):
    """Step 13: a share of all lines before it that are no taxes, or of named charges.

    ``included``: the prices hold it already. Its line says how much of them it is, and adds nothing.
    """

    id: str
    type: Literal["tax"]
    rate: Money
    of: Literal["subtotal"] | tuple[str, ...] = "subtotal"
    included: bool = False

    @model_validator(mode="after")
    def _above_minus_one(self) -> Tax:
        if self.included and self.rate <= -1:
            raise MisfitError(("rate",), str(self.rate), "a rate above -1 of a tax that prices include")
        return self


class CashRounding(Part):
    """Step 15: what brings the total of a bill to a multiple, as where the least coin is 0.05."""

    id: str
    type: Literal["rounding"]
    to: Money = Field(gt=0)


AnyCharge = (
    Fixed
    | Energy
    | EnergyAdder
    | EnergySeries
    | Reactive
    | Demand
    | CoincidentDemand
    | Export
    | Percent
    | Minimum
    | Credit
    | Tax
    | CashRounding
)
Charge = Annotated[AnyCharge, Field(discriminator="type")]

STAGE: dict[str, int] = {
    "fixed": 0,
    "energy": 0,
    "energy_adder": 0,
    "energy_series": 0,
    "reactive": 0,
    "demand": 0,
    "coincident_demand": 0,
    "percent": 1,
    "export": 2,
    "minimum": 3,
    "credit": 4,
    "tax": 5,
    "rounding": 6,
}
"""Order in which lines come about: a charge may name charges of earlier stages, a percent or a tax also
those of its own kind above it in the file."""


def mentioned(charge: AnyCharge) -> tuple[str, tuple[str, ...]]:
    """The field in which a charge names others, and the names."""
    if isinstance(charge, Percent):
        return "of", charge.of
    if isinstance(charge, Minimum):
        return "covers", charge.covers
    if isinstance(charge, Export):
        return "applies_to", charge.applies_to
    if isinstance(charge, Tax) and charge.of != "subtotal":
        return "of", charge.of
    return "", ()


def priced_periods(charge: AnyCharge) -> tuple[str, tuple[str, ...]]:
    """The field in which a charge names periods, and the names."""
    if isinstance(charge, Energy):
        return "rates", tuple(charge.rates)
    if isinstance(charge, Export) and isinstance(charge.rate, dict):
        return "rate", tuple(charge.rate)
    if isinstance(charge, Demand) and charge.rates is not None:
        return "rates", tuple(charge.rates)
    if isinstance(charge, Demand | Reactive):
        return "periods", charge.periods or ()
    return "", ()


def charged_channel(charge: AnyCharge) -> str | None:
    """The channel of reactive energy without which a charge cannot be priced."""
    if isinstance(charge, Reactive):
        return charge.channel
    return "reactive_import" if isinstance(charge, Demand) and charge.unit == "kVA" else None


def named_event(charge: AnyCharge) -> str | None:
    """The event in whose hours a charge counts."""
    return charge.event if isinstance(charge, EnergyAdder | CoincidentDemand) else None
