"""Charges for energy: by period and tier, in event hours, by a price series, and reactive energy."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from schemas.tariff_fields import EVERY_MONTH, Money, Month, Part, Prorate
from schemas.yaml_model import MisfitError

Direction = Literal["import", "export"]
Scope = Literal["bill_total_chronological", "bill_total_prorata", "per_period"]


class Tiers(Part):
    """Tier edges and how tiers meet periods.

    ``bill_total_chronological``: tiers fill in time order; ``bill_total_prorata``: the bill's total is
    tiered and each tier split over the periods by their share; ``per_period``: a ladder for each period.

    ``unit`` is the tariff's own unit (a limit for the bill), or that per day, per kW, or per kW and day;
    kW are the billed ones of the charge named by ``demand``. ``prorate`` shrinks a limit for the bill as it
    shrinks a month's charge; limits per day need none. ``days``: ``bill`` counts all days, ``season`` those
    of the seasons in which the charge's periods occur, and limits that count no days shrink alike.
    """

    scope: Scope
    unit: str = "kWh"
    limits: tuple[Money, ...] = Field(min_length=1)
    prorate: Prorate | None = None
    demand: str | None = None
    days: Literal["bill", "season"] = "bill"

    @model_validator(mode="after")
    def _consistent(self) -> Tiers:
        rising(self.limits)
        if self.per_kw and self.demand is None:
            raise MisfitError(
                ("demand",), "nothing", f"the demand charge whose kW the limits in {self.unit} count"
            )
        if not self.per_kw and self.demand is not None:
            raise MisfitError(("demand",), repr(self.demand), f"none with limits in {self.unit}")
        if self.per_day and self.prorate is not None:
            raise MisfitError(
                ("prorate",), "a proration", f"none with limits in {self.unit}, which count days"
            )
        return self

    @property
    def per_day(self) -> bool:
        """Whether limits are multiplied by the days."""
        return self.unit.endswith("/day")

    @property
    def per_kw(self) -> bool:
        """Whether limits are multiplied by billed kW."""
        return "/kW" in self.unit

    @property
    def energy_unit(self) -> str:
        """The unit without what it counts per."""
        return self.unit.partition("/")[0]


class Energy(Part):
    """Step 7: price per unit by period and tier; prices only the periods its ``rates`` name.

    ``months`` are those of the bills it is due in.
    """

    id: str
    type: Literal["energy"]
    direction: Direction = "import"
    months: tuple[Month, ...] = Field(EVERY_MONTH, min_length=1)
    tiers: Tiers | None = None
    rates: dict[str, Money | tuple[Money, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_rate_a_tier(self) -> Energy:
        for period in self.rates:
            one_rate_a_tier(
                self.of_period(period), self.tiers.limits if self.tiers else (), ("rates", period)
            )
        return self

    def of_period(self, period: str) -> tuple[Decimal, ...]:
        """Rates of a period, one a tier."""
        return by_tier(self.rates[period])


class EnergyAdder(Part):
    """Step 8: an extra price per unit in event hours."""

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


class Reactive(Part):
    """Step 8: price per kvarh beyond what is free for each kWh drawn, over the named periods (or all)."""

    id: str
    type: Literal["reactive"]
    channel: Literal["reactive_import", "reactive_export"] = "reactive_import"
    free_per_kwh: Money = Field(Decimal(0), ge=0)
    periods: tuple[str, ...] | None = Field(None, min_length=1)
    rate: Money


def by_tier(rate: Decimal | tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """One rate, or one a tier, as a tuple."""
    return rate if isinstance(rate, tuple) else (rate,)


def rising(limits: tuple[Decimal, ...]) -> None:
    """Check that tier edges rise from above zero."""
    for position, (low, high) in enumerate(pairwise((Decimal(0), *limits))):
        if high <= low:
            raise MisfitError(("limits", position), str(high), f"a limit above {low}")


def one_rate_a_tier(rates: tuple[Decimal, ...], limits: tuple[Decimal, ...], at: tuple[str, ...]) -> None:
    """Check that there is a rate for each tier; the last tier is open."""
    if len(rates) != len(limits) + 1:
        raise MisfitError(at, f"{len(rates)} rates", f"{len(limits) + 1}, one a tier")
