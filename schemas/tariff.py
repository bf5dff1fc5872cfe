"""The tariff model: everything a price depends on, as data; money and limits are exact decimals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import MeterbeamError

DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MINUTES = 1440


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f'write money and limits as text, "{value}", so that they stay exact')
    return value


def _minute(value: object) -> object:
    if not isinstance(value, str):
        return value
    hours, _, minutes = value.partition(":")
    if not (
        hours.isdigit()
        and minutes.isdigit()
        and int(minutes) < 60
        and int(hours) * 60 + int(minutes) <= MINUTES
    ):
        raise ValueError(f"expected a clock time from 00:00 to 24:00, got {value!r}")
    return int(hours) * 60 + int(minutes)


def _month_day(value: object) -> object:
    if not isinstance(value, str):
        return value
    month, _, day = value.partition("-")
    if not (month.isdigit() and day.isdigit()):
        raise ValueError(f"expected a day of the year such as 06-01, got {value!r}")
    date(2024, int(month), int(day))  # a leap year: 02-29 may end a season
    return int(month), int(day)


Money = Annotated[Decimal, BeforeValidator(_no_float)]
Minute = Annotated[int, BeforeValidator(_minute)]
MonthDay = Annotated[tuple[int, int], BeforeValidator(_month_day)]


class Part(BaseModel):
    """Base of every part: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Effective(Part):
    """First and last local day a version is in force."""

    from_: date = Field(alias="from")
    to: date | None = None


class Interval(Part):
    """Interval lengths the tariff may be priced on."""

    accepts_min: tuple[int, ...] = (5, 15, 30, 60)
    label: Literal["start"] = "start"


class Rounding(Part):
    """How and where quantities and money are rounded."""

    mode: Literal["half_up"] = "half_up"
    kwh_dp: int = Field(3, ge=0, le=6)
    kwh_at: Literal["register"] = "register"
    kw_dp: int = Field(2, ge=0, le=6)
    money_dp: int = Field(2, ge=0, le=4)
    money_at: Literal["line", "total"] = "line"
    tax_on: Literal["subtotal", "line"] = "subtotal"


HolidayName = Literal[
    "new_year", "mlk", "presidents", "memorial", "juneteenth", "independence", "labor", "columbus",
    "veterans", "thanksgiving", "christmas",
]  # fmt: skip
Shift = Literal["none", "mon", "fri"]


class Holidays(Part):
    """Holidays: named US ones and dates, where they move to, and what they count as."""

    named: tuple[HolidayName, ...] = ()
    dates: tuple[date, ...] = ()
    shift: dict[Literal["sat", "sun"], Shift] = {}
    as_: Literal["weekend", "saturday", "sunday"] = Field("weekend", alias="as")

    def __hash__(self) -> int:
        return hash((self.named, self.dates, tuple(sorted(self.shift.items())), self.as_))


class Period(Part):
    """A period: season, day type and clock; the first that matches a slot holds."""

    id: str
    season: str | None = None
    days: str | tuple[str, ...] = "all"
    at: tuple[Minute, Minute] | None = None

    @model_validator(mode="after")
    def _known_days(self) -> Period:
        names = (self.days,) if isinstance(self.days, str) else self.days
        known = {*DAY_NAMES, "weekday", "weekend", "all"}
        for name in names:
            if name.lower() not in known:
                raise ValueError(f"days {name!r} is none of {', '.join(sorted(known))}")
        return self

    def weekdays(self) -> frozenset[int]:
        """Days of the week it covers, 0 Monday … 6 Sunday."""
        groups = {"all": range(7), "weekday": range(5), "weekend": (5, 6)}
        names = (self.days,) if isinstance(self.days, str) else self.days
        return frozenset(
            day
            for name in names
            for day in groups.get(
                name.lower(), () if name.lower() in groups else (DAY_NAMES.index(name.lower()),)
            )
        )


class Event(Part):
    """Days on which a higher price holds, from a feed."""

    source: str = "event_feed"
    at: tuple[Minute, Minute]
    max_per_year: int | None = None


class Calendar(Part):
    """Seasons, periods, holidays and events."""

    holidays: Holidays = Holidays()
    seasons: dict[str, tuple[MonthDay, MonthDay]] = {}
    periods: tuple[Period, ...]
    events: dict[str, Event] = {}


class Prorate(Part):
    """When a month counts as one, and as how much otherwise."""

    basis: Literal["days"] = "days"
    normal: tuple[int, int]
    denom: int = 30


class Fixed(Part):
    """A fixed amount per day or month."""

    id: str
    type: Literal["fixed"]
    amount: Money
    per: Literal["day", "month"]
    prorate: Prorate | None = None


class Tiers(Part):
    """Tier edges and how tiers meet periods (billing.md names the three scopes)."""

    scope: Literal["bill_total_chronological", "bill_total_prorata", "per_period"]
    unit: Literal["kWh", "kWh/day"] = "kWh"
    limits: tuple[Money, ...]


class Energy(Part):
    """Price per kWh by period and tier."""

    id: str
    type: Literal["energy"]
    direction: Literal["import", "export"] = "import"
    tiers: Tiers | None = None
    rates: dict[str, Money | tuple[Money, ...]]

    def of_period(self, period: str) -> tuple[Decimal, ...]:
        """Rates of a period, one a tier."""
        rates = self.rates[period]
        return rates if isinstance(rates, tuple) else (rates,)


class EnergyAdder(Part):
    """An extra price per kWh in event hours."""

    id: str
    type: Literal["energy_adder"]
    direction: Literal["import"] = "import"
    event: str
    rate: Money


class Ratchet(Part):
    """A share of the highest past peak that demand does not fall below."""

    pct: Money
    months: tuple[int, ...] = tuple(range(1, 13))
    lookback: int = Field(11, ge=1, le=36)


class PowerFactor(Part):
    """Demand raised for a poor power factor."""

    target: Money
    rule: Literal["kw_times_target_over_pf"] = "kw_times_target_over_pf"


class Demand(Part):
    """Price per kW of the highest window."""

    id: str
    type: Literal["demand"]
    window_min: Literal[5, 15, 30, 60]
    method: Literal["block", "sliding"] = "block"
    periods: tuple[str, ...] | None = None
    rate: Money
    ratchet: Ratchet | None = None
    min_kw: Money = Decimal(0)
    pf: PowerFactor | None = None


class TrueUp(Part):
    """Month in which a carried credit is settled."""

    month: int = Field(ge=1, le=12)
    rate: Money


class Export(Part):
    """Credit for energy fed in."""

    id: str
    type: Literal["export"]
    mode: Literal["net_billing"] = "net_billing"
    netting: Literal["interval"] = "interval"
    rate: dict[str, Money]
    applies_to: tuple[str, ...]
    carry: Literal["dollars", "none"] = "dollars"
    true_up: TrueUp | None = None


class Percent(Part):
    """A share of named charges; negative for a discount."""

    id: str
    type: Literal["percent"]
    of: tuple[str, ...]
    rate: Money


class Minimum(Part):
    """What the named charges amount to at least."""

    id: str
    type: Literal["minimum"]
    amount: Money
    per: Literal["day", "month"] = "month"
    prorate: Prorate | None = None
    covers: tuple[str, ...]


class Tax(Part):
    """A share of everything before it."""

    id: str
    type: Literal["tax"]
    rate: Money
    of: Literal["subtotal"] | tuple[str, ...] = "subtotal"


Charge = Annotated[
    Fixed | Energy | EnergyAdder | Demand | Export | Percent | Minimum | Tax, Field(discriminator="type")
]


class Tariff(Part):
    """One version of a tariff."""

    id: str
    version: int = Field(ge=1)
    effective: Effective
    currency: str = Field(min_length=3, max_length=3)
    timezone: str
    interval: Interval = Interval()
    rounding: Rounding = Rounding()
    calendar: Calendar
    charges: tuple[Charge, ...]

    def __hash__(self) -> int:
        return hash((self.id, self.version, self.effective))

    @model_validator(mode="after")
    def _references(self) -> Tariff:
        """Every name that is used is defined."""
        periods = {period.id for period in self.calendar.periods}
        ids = [charge.id for charge in self.charges]
        if len(set(ids)) < len(ids):
            raise ValueError(f"charge ids must differ, got {', '.join(ids)}")
        for period in self.calendar.periods:
            _defined(period.season, self.calendar.seasons, f"period {period.id}: season")
        for charge in self.charges:
            where = f"charge {charge.id}:"
            if isinstance(charge, Energy):
                for name in charge.rates:
                    _defined(name, periods, f"{where} period")
                self._check_tiers(charge)
            elif isinstance(charge, EnergyAdder):
                _defined(charge.event, self.calendar.events, f"{where} event")
            elif isinstance(charge, Demand):
                for name in charge.periods or ():
                    _defined(name, periods, f"{where} period")
            for name in _mentioned(charge):
                _defined(name, set(ids), f"{where} charge")
        return self

    def _check_tiers(self, charge: Energy) -> None:
        tiers = len(charge.tiers.limits) + 1 if charge.tiers else 1
        for period in charge.rates:
            if len(charge.of_period(period)) != tiers:
                given = len(charge.of_period(period))
                raise ValueError(f"charge {charge.id}, period {period}: {given} rates for {tiers} tiers")


def _mentioned(charge: Any) -> tuple[str, ...]:
    if isinstance(charge, Percent):
        return charge.of
    if isinstance(charge, Minimum):
        return charge.covers
    if isinstance(charge, Export):
        return charge.applies_to
    if isinstance(charge, Tax) and charge.of != "subtotal":
        return charge.of
    return ()


def _defined(name: str | None, known: Any, what: str) -> None:
    if name is not None and name not in known:
        raise ValueError(f"{what} {name!r} is not defined; there are {', '.join(sorted(known)) or 'none'}")


def load_tariff(path: Path) -> Tariff:
    """One tariff version from a YAML file.

    Raises:
        MeterbeamError: Names the file, the line, what stands there and what was expected.
    """
    text = path.read_text("utf-8")
    try:
        return Tariff.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise MeterbeamError(f"{path}{line}", str(getattr(error, "problem", error)), "valid YAML") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        number = _line_of(text, first["loc"])
        found = (
            repr(first["input"])
            if first["type"] != "value_error"
            else first["msg"].removeprefix("Value error, ")
        )
        raise MeterbeamError(
            f"{path}, line {number}: {where or 'tariff'}", found[:200], first["msg"]
        ) from error


def _line_of(text: str, address: tuple[int | str, ...]) -> int:
    """Line of the deepest YAML node on the way to an address."""
    node = yaml.compose(text)
    line = 1
    for step in address:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(step).rstrip("_")]
            if not found:
                continue  # a union's tag stands in the address, not in the file
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def load_tariffs(folder: Path) -> dict[str, list[Tariff]]:
    """All tariff versions below a folder, by id, each id's in the order they come into force.

    Raises:
        MeterbeamError: A file is wrong, or two versions of a tariff are in force at once.
    """
    if not folder.is_dir():
        raise MeterbeamError(str(folder), "no folder", "a folder of tariff YAML files")
    tariffs: dict[str, list[Tariff]] = {}
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        tariff = load_tariff(path)
        tariffs.setdefault(tariff.id, []).append(tariff)
    for name, versions in tariffs.items():
        versions.sort(key=lambda tariff: (tariff.effective.from_, tariff.version))
        for earlier, later in pairwise(versions):
            if earlier.effective.from_ == later.effective.from_:
                raise MeterbeamError(
                    f"tariff {name}", f"versions {earlier.version} and {later.version} from the same day",
                    "one version in force at a time",
                )  # fmt: skip
    return tariffs
