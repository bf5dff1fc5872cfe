"""The kinds of charge a tariff may have."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.tariff_fields import MisfitError, Money, Part

Direction = Literal["import", "export"]
Scope = Literal["bill_total_chronological", "bill_total_prorata", "per_period"]
Month = Annotated[int, Field(ge=1, le=12)]


class Prorate(Part):
    """When a month counts as one, and as how much otherwise.

    A bill of ``normal[0]`` to ``normal[1]`` days counts as one month, any other as days / ``denom``.
    """

    basis: Literal["days"] = "days"
    normal: tuple[int, int]
    denom: int = Field(30, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Prorate:
        if not 0 < self.normal[0] <= self.normal[1]:
            raise MisfitError(("normal",), str(list(self.normal)), "fewest and most days of a normal bill")
        return self


class Fixed(Part):
    """Step 6: a fixed amount per day, or per month; without ``prorate`` a month is due in full."""

    id: str
    type: Literal["fixed"]
    amount: Money
    per: Literal["day", "month"]
    prorate: Prorate | None = None


class Tiers(Part):
    """Tier edges and how tiers meet periods.

    ``bill_total_chronological``: tiers fill in time order; ``bill_total_prorata``: the bill's total is
    tiered and each tier split over the periods by their share; ``per_period``: a ladder for each period.
    """

    scope: Scope
    unit: Literal["kWh", "kWh/day"] = "kWh"
    limits: tuple[Money, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rising(self) -> Tiers:
        for position, (low, high) in enumerate(pairwise((Decimal(0), *self.limits))):
            if high <= low:
                raise MisfitError(("limits", position), str(high), f"a limit above {low}")
        return self


class Energy(Part):
    """Step 7: price per kWh by period and tier; prices only the periods its ``rates`` name."""

    id: str
    type: Literal["energy"]
    direction: Direction = "import"
    tiers: Tiers | None = None
    rates: dict[str, Money | tuple[Money, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_rate_a_tier(self) -> Energy:
        wanted = len(self.tiers.limits) + 1 if self.tiers else 1
        for period in self.rates:
            given = len(self.of_period(period))
            if given != wanted:
                raise MisfitError(("rates", period), f"{given} rates", f"{wanted}, one a tier")
        return self

    def of_period(self, period: str) -> tuple[Decimal, ...]:
        """Rates of a period, one a tier."""
        rates = self.rates[period]
        return rates if isinstance(rates, tuple) else (rates,)


class EnergyAdder(Part):
    """Step 8: an extra price per kWh in event hours."""

    id: str
    type: Literal["energy_adder"]
    direction: Direction = "import"
    event: str
    rate: Money


class EnergySeries(Part):
    """Step 8: every slot's energy at the price of a series in force; a missing price is an error.

    The price of a slot is ``price × multiplier + adder``.
    """

    id: str
    type: Literal["energy_series"]
    direction: Direction = "import"
    series: str
    multiplier: Money = Decimal(1)
    adder: Money = Decimal(0)


class Ratchet(Part):
    """A share of the highest peak of past bills that demand does not fall below.

    Counts the bills of the ``lookback`` months before, as far as their month is one of ``months``.
    """

    pct: Money = Field(ge=0)
    months: tuple[Month, ...] = tuple(range(1, 13))
    lookback: int = Field(11, ge=1, le=36)


class PowerFactor(Part):
    """Demand raised for a power factor below the target."""

    target: Money = Field(gt=0, le=1)
    rule: Literal["kw_times_target_over_pf"] = "kw_times_target_over_pf"


class Demand(Part):
    """Step 9: price per kW of the highest window; a window belongs to the period of its last slot."""

    id: str
    type: Literal["demand"]
    window_min: Literal[5, 10, 15, 30, 60]
    method: Literal["block", "sliding"] = "block"
    periods: tuple[str, ...] | None = None
    rate: Money
    ratchet: Ratchet | None = None
    min_kw: Money = Field(Decimal(0), ge=0)
    pf: PowerFactor | None = None


class TrueUp(Part):
    """Month in which the year's account of fed-in energy closes.

    The carried credit lapses, and what was fed in beyond what was drawn since the last true-up is paid
    at ``rate`` per kWh.
    """

    month: Month
    rate: Money


class Export(Part):
    """Step 11: credit in money for energy fed in, by period.

    ``net_billing`` nets each slot (``netting: interval``) and credits up to the charges it applies to,
    the rest is carried; ``buy_all_sell_all`` nets nothing and pays all of it.
    """

    id: str
    type: Literal["export"]
    mode: Literal["net_billing", "buy_all_sell_all"] = "net_billing"
    netting: Literal["interval", "none"] = "interval"
    rate: dict[str, Money] = Field(min_length=1)
    applies_to: tuple[str, ...] = ()
    carry: Literal["dollars", "none"] = "dollars"
    true_up: TrueUp | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Export:
        if self.mode == "net_billing" and not self.applies_to:
            raise MisfitError(("applies_to",), "no charges", "the charges that the credit may pay")
        if self.mode == "buy_all_sell_all" and (self.netting != "none" or self.applies_to):
            raise MisfitError(("netting",), self.netting, 'netting "none" and no applies_to: all is paid')
        return self


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
    per: Literal["day", "month"] = "month"
    prorate: Prorate | None = None
    covers: tuple[str, ...] = Field(min_length=1)


class Credit(Part):
    """An amount taken off: before the tax if ``taxed``, otherwise after it."""

    id: str
    type: Literal["credit"]
    amount: Money = Field(ge=0)
    per: Literal["day", "month"] = "month"
    prorate: Prorate | None = None
    taxed: bool = True


class Tax(Part):
    """Step 13: a share of all lines before it, or of named charges."""

    id: str
    type: Literal["tax"]
    rate: Money
    of: Literal["subtotal"] | tuple[str, ...] = "subtotal"


Charge = Annotated[
    Fixed | Energy | EnergyAdder | EnergySeries | Demand | Export | Percent | Minimum | Credit | Tax,
    Field(discriminator="type"),
]
AnyCharge = Fixed | Energy | EnergyAdder | EnergySeries | Demand | Export | Percent | Minimum | Credit | Tax

STAGE: dict[str, int] = {
    "fixed": 0,
    "energy": 0,
    "energy_adder": 0,
    "energy_series": 0,
    "demand": 0,
    "percent": 1,
    "export": 2,
    "minimum": 3,
    "credit": 4,
    "tax": 5,
}
"""Order in which lines come about: a charge may name charges of earlier stages, a percent also percents
above it in the file."""


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
    if isinstance(charge, Export):
        return "rate", tuple(charge.rate)
    if isinstance(charge, Demand):
        return "periods", charge.periods or ()
    return "", ()
