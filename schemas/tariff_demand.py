"""Charges for demand: the highest window of a bill, and the demand while a system peaks."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from schemas.tariff_energy import by_tier, one_rate_a_tier, rising
from schemas.tariff_fields import EVERY_MONTH, Money, Month, Part, Prorate
from schemas.yaml_model import MisfitError

WindowMinutes = Literal[5, 10, 15, 20, 30, 60]


class Ratchet(Part):
    """A share of the highest peak of past bills that demand does not fall below.

    Counts the bills of the ``lookback`` months before, as far as their month is one of ``months``.
    """

    pct: Money = Field(ge=0)
    months: tuple[Month, ...] = Field(EVERY_MONTH, min_length=1)
    lookback: int = Field(11, ge=1, le=36)


class PowerFactor(Part):
    """Demand raised for a power factor below the target: kW × target / power factor.

    The power factor is that of the bill, kWh / √(kWh² + kvarh²) with ``dp`` decimals, where both are
    measured and none is given; without one nothing is raised.
    """

    target: Money = Field(gt=0, le=1)
    rule: Literal["kw_times_target_over_pf"] = "kw_times_target_over_pf"
    dp: int = Field(4, ge=1, le=6)


class DemandTiers(Part):
    """Edges, in the charge's unit, between which each kW or kVA has its own price; the last tier is open."""

    unit: Literal["kW", "kVA"] = "kW"
    limits: tuple[Money, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rising(self) -> DemandTiers:
        rising(self.limits)
        return self


class Demand(Part):
    """Step 9: price per kW of the highest window; a window belongs to the period of its last slot.

    ``rate`` prices the highest window of all ``periods`` together (of the whole bill where none are named),
    ``rates`` the highest window of each period on its own. ``months`` are those of the bills it is due in.
    ``per``: the rate is for a bill, or for each of its days on which the season of a priced period runs.
    ``unit``: what a window's demand is measured in; in kVA it is √(kW² + kvar²) of the window, and so are
    the peaks of past bills, the limits of tiers and ``min_kw``.
    """

    id: str
    type: Literal["demand"]
    window_min: WindowMinutes
    method: Literal["block", "sliding"] = "block"
    unit: Literal["kW", "kVA"] = "kW"
    periods: tuple[str, ...] | None = Field(None, min_length=1)
    tiers: DemandTiers | None = None
    rate: Money | tuple[Money, ...] | None = None
    rates: dict[str, Money | tuple[Money, ...]] | None = Field(None, min_length=1)
    ratchet: Ratchet | None = None
    per: Literal["month", "day"] = "month"
    min_kw: Money = Field(Decimal(0), ge=0)
    pf: PowerFactor | None = None
    prorate: Prorate | None = None
    months: tuple[Month, ...] = Field(EVERY_MONTH, min_length=1)

    @model_validator(mode="after")
    def _priced(self) -> Demand:
        if self.rate is None and self.rates is None:
            raise MisfitError(("rate",), "nothing", "the field rate, or rates by period")
        if self.unit == "kVA" and self.pf is not None:
            raise MisfitError(("pf",), "a power factor", "none with demand in kVA, which holds it already")
        if self.tiers is not None and self.tiers.unit != self.unit:
            raise MisfitError(("tiers", "unit"), self.tiers.unit, f"{self.unit}, as the charge")
        if self.per == "day" and self.prorate is not None:
            raise MisfitError(("prorate",), "a proration", "none with a rate per day")
        if self.rates is not None:
            for field, given in (("rate", self.rate), ("periods", self.periods), ("ratchet", self.ratchet)):
                if given is not None:
                    raise MisfitError((field,), f"{field} beside rates", "either rate or rates by period")
        limits = self.tiers.limits if self.tiers else ()
        for period, rate in self.parts().items():
            at = ("rate",) if self.rates is None else ("rates", *period)
            one_rate_a_tier(rate, limits, at)
        return self

    def parts(self) -> dict[tuple[str, ...], tuple[Decimal, ...]]:
        """Rates by tier of what has a highest window of its own; () stands for ``periods`` together."""
        if self.rates is not None:
            return {(period,): by_tier(rate) for period, rate in self.rates.items()}
        return {(): by_tier(self.rate or Decimal(0))}


class CoincidentDemand(Part):
    """Step 9: price per kW of the windows that lie in an event's hours, the peaks of the system.

    ``highest`` takes the highest window of all event hours, ``average`` the mean over the event days of
    each day's highest.
    """

    id: str
    type: Literal["coincident_demand"]
    event: str
    window_min: WindowMinutes
    method: Literal["block", "sliding"] = "block"
    of: Literal["highest", "average"] = "highest"
    rate: Money
    months: tuple[Month, ...] = Field(EVERY_MONTH, min_length=1)
