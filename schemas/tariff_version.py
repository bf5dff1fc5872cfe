"""One version of a tariff: its parts, and that every name used in it is defined."""

from __future__ import annotations

from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from schemas.tariff_calendar import Calendar, one_of
from schemas.tariff_charges import (
    STAGE,
    AnyCharge,
    Charge,
    Energy,
    EnergyAdder,
    Export,
    mentioned,
    priced_periods,
)
from schemas.tariff_fields import MisfitError, Part

__all__ = ["Effective", "Interval", "Rounding", "Tariff"]


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
    """Interval lengths the tariff [minutes] the tariff may be priced on."""

    accepts_min: tuple[int, ...] = (5, 10, 15, 30, 60)
    label: Literal["start"] = "start"


class Rounding(Part):
    """How and where quantities and money are rounded.

    ``half_up`` is half away from zero; ``half_even`` is the banker's. Energy is rounded once for each
    register, that is each period and tier of a charge; money on each line or on the total only; the tax
    on the subtotal or line by line.
    """

    mode: Literal["half_up", "half_even"] = "half_up"
    kwh_dp: int = Field(3, ge=0, le=6)
    kwh_at: Literal["register"] = "register"
    kw_dp: int = Field(2, ge=0, le=6)
    money_dp: int = Field(2, ge=0, le=4)
    money_at: Literal["line", "total"] = "line"
    tax_on: Literal["subtotal", "line"] = "subtotal"


class Tariff(Part):
    """One version of a tariff.

    ``clock``: ``prevailing`` local time with its changes, or ``standard`` time all year.
    """

    id: str = Field(min_length=1)
    version: int = Field(ge=1)
    effective: Effective
    currency: str = Field(pattern="^[A-Z]{3}$")
    timezone: str
    clock: Literal["prevailing", "standard"] = "prevailing"
    commodity: str = "electricity"
    unit: Literal["kWh", "MJ", "m3"] = "kWh"
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
    def _references(self) -> Tariff:
        """Every name that is used is defined, and its line exists by then."""
        periods = {period.id for period in self.calendar.periods}
        before: dict[str, AnyCharge] = {}
        by_id = {charge.id: charge for charge in self.charges}
        ids = [charge.id for charge in self.charges]
        for position, name in enumerate(ids):
            if name in ids[:position]:
                raise MisfitError(("charges", position, "id"), f"a second {name!r}", "ids that differ")
        for position, charge in enumerate(self.charges):
            at = ("charges", position)
            field, names = priced_periods(charge)
            for name in names:
                if name not in periods:
                    place = (name,) if isinstance(charge, Energy | Export) else ()
                    raise MisfitError((*at, field, *place), repr(name), one_of(periods, "period"))
            if isinstance(charge, EnergyAdder) and charge.event not in self.calendar.events:
                raise MisfitError((*at, "event"), repr(charge.event), one_of(self.calendar.events, "event"))
            field, names = mentioned(charge)
            for name in names:
                _earlier(name, charge, by_id, before, (*at, field))
            before[charge.id] = charge
        return self


def _earlier(
    name: str,
    charge: AnyCharge,
    by_id: dict[str, AnyCharge],
    before: dict[str, AnyCharge],
    address: tuple[int | str, ...],
) -> None:
    """A charge may only name charges whose lines come about before its own."""
    stage = STAGE[charge.type]
    known = [
        other.id
        for other in by_id.values()
        if STAGE[other.type] < stage or (other.id in before and STAGE[other.type] == stage)
    ]
    if name in known:
        return
    found = repr(name) if name not in by_id else f"{name!r}, whose line comes after this one"
    raise MisfitError(address, found, one_of(known, "charge before it"))
