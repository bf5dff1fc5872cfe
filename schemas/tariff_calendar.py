"""Seasons, periods, holidays and events of a tariff, and the proof that they cover the calendar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.tariff_fields import DAY_NAMES, MINUTES, Minute, MonthDay, Part
from schemas.yaml_model import Address, MisfitError

HolidayName = Literal[
    "new_year", "mlk", "presidents", "memorial", "juneteenth", "independence", "labor", "columbus",
    "veterans", "thanksgiving", "christmas",
]  # fmt: skip
Shift = Literal["none", "mon", "fri"]


def _day_name(value: object) -> object:
    """A day's first three letters stand for it."""
    return {name[:3]: name for name in DAY_NAMES}.get(value, value) if isinstance(value, str) else value


DayName = Annotated[
    Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
        "weekday", "weekend", "all",
    ],
    BeforeValidator(_day_name),
]  # fmt: skip
NOBODY = -1
"""Code of a minute that no period covers."""


class Holidays(Part):
    """Holidays: named US ones and dates, where they move to, and what they count as."""

    named: tuple[HolidayName, ...] = ()
    dates: tuple[date, ...] = ()
    shift: dict[Literal["sat", "sun"], Shift] = Field(default_factory=dict)
    as_: Literal["weekend", "saturday", "sunday"] = Field("weekend", alias="as")

    def __hash__(self) -> int:
        return hash((self.named, self.dates, tuple(sorted(self.shift.items())), self.as_))


class Span(Part):
    """When a period holds: season, day type and clock.

    An ``at`` that ends before it begins runs over midnight; its hours after midnight belong to the day
    they lie in.
    """

    season: str | None = None
    days: DayName | tuple[DayName, ...] = "all"
    at: tuple[Minute, Minute] | None = None

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        some_time(self.at)
        return self

    def weekdays(self) -> frozenset[int]:
        """Days of the week it covers, 0 Monday … 6 Sunday."""
        groups = {"all": range(7), "weekday": range(5), "weekend": range(5, 7)}
        names = (self.days,) if isinstance(self.days, str) else self.days
        return frozenset(
            day for name in names for day in (groups[name] if name in groups else (DAY_NAMES.index(name),))
        )


class Period(Span):
    """A period: one register of energy or demand. ``also`` names further times at which it holds."""

    id: str = Field(min_length=1)
    also: tuple[Span, ...] = ()

    def spans(self) -> tuple[Span, ...]:
        """All its times, in the order of the file."""
        return (self, *self.also)


class Event(Part):
    """Hours in which other prices hold, called by a feed.

    A feed names days, on which the hours of ``at`` count, or stretches of time. Without ``at`` it must name
    stretches. An ``at`` that ends before it begins runs over midnight.
    """

    source: Literal["event_feed"] = "event_feed"
    at: tuple[Minute, Minute] | None = None
    max_per_year: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _some_time(self) -> Event:
        some_time(self.at)
        return self


class Calendar(Part):
    """Seasons, periods, holidays and events. Together the periods cover every minute of every year.

    The first period that matches a slot holds. Demand charges count by ``demand_periods`` where there are
    any, otherwise by ``periods``.
    """

    holidays: Holidays = Holidays()
    seasons: dict[str, tuple[MonthDay, MonthDay]] = Field(default_factory=dict)
    periods: tuple[Period, ...] = Field(min_length=1)
    demand_periods: tuple[Period, ...] = ()
    events: dict[str, Event] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Calendar:
        for field, periods in (("periods", self.periods), ("demand_periods", self.demand_periods)):
            ids = [period.id for period in periods]
            for position, period in enumerate(periods):
                if period.id in ids[:position]:
                    raise MisfitError((field, position, "id"), f"a second {period.id!r}", "ids that differ")
                for place, span in enumerate(period.spans()):
                    if span.season is not None and span.season not in self.seasons:
                        address = (*_address(field, position, place), "season")
                        raise MisfitError(address, repr(span.season), one_of(self.seasons, "season"))
            if periods:
                self._covered(field, periods)
        return self

    @model_validator(mode="after")
    def _one_season_a_day(self) -> Calendar:
        for day in _leap_year():
            held = [name for name, edges in self.seasons.items() if _holds(edges, (day.month, day.day))]
            if len(held) > 1:
                found = f"{day:%m-%d}, which {held[0]} has as well"
                raise MisfitError(("seasons", held[1]), found, "seasons without a common day")
        return self

    def _covered(self, field: str, periods: tuple[Period, ...]) -> None:
        """Every minute has a period, and every time of a period a minute."""
        places = [(i, place) for i, period in enumerate(periods) for place in range(len(period.spans()))]
        spans = [span for period in periods for span in period.spans()]
        met: set[int] = set()
        seen: set[str | None] = set()
        for day in _leap_year():
            season = self.season_of(day)
            if season in seen:
                continue
            seen.add(season)
            for weekday in range(7):
                table = _first_of(spans, season, weekday)
                met.update(table)
                if NOBODY in table:
                    low = table.index(NOBODY)
                    high = next((i for i in range(low, MINUTES) if table[i] != NOBODY), MINUTES)
                    raise MisfitError(
                        (field,),
                        f"no period for {clock(low)}–{clock(high)} on a {DAY_NAMES[weekday]} such as "
                        f"{day:%m-%d}, season {season or 'none'}",
                        "periods that cover every minute of the year",
                    )
        for number, (position, place) in enumerate(places):
            if number not in met:
                raise MisfitError(
                    _address(field, position, place),
                    f"period {periods[position].id!r}, which earlier periods or seasons hide entirely",
                    "a period that holds at some time",
                )

    def season_of(self, day: date) -> str | None:
        """Season of a day, None where there is none."""
        here = day.month, day.day
        return next((name for name, edges in self.seasons.items() if _holds(edges, here)), None)

    def season_days(self, names: Collection[str], days: Iterable[date], *, demand: bool = False) -> int:
        """How many of some days lie in a season in which one of some periods occurs, on whatever weekday."""
        counts = Counter(self.season_of(day) for day in days)
        occurring = self._occurring[demand]
        return sum(count for season, count in counts.items() if not occurring[season].isdisjoint(names))

    @cached_property
    def _occurring(self) -> tuple[dict[str | None, frozenset[str]], ...]:
        """Periods that occur in each season on some weekday: of energy, of demand."""
        return tuple(
            {
                season: frozenset(
                    periods[place].id
                    for day in range(len(DAY_NAMES))
                    for place in set(self.minutes(season, day, demand=demand)) - {NOBODY}
                )
                for season in (None, *self.seasons)
            }
            for demand, periods in ((False, self.periods), (True, self.of_demand()))
        )

    def of_demand(self) -> tuple[Period, ...]:
        """The periods that demand charges count by."""
        return self.demand_periods or self.periods

    def minutes(self, season: str | None, weekday: int, *, demand: bool = False) -> list[int]:
        """Position of the period of each minute of a day, ``NOBODY`` where none matches; 1440 of them."""
        periods = self.of_demand() if demand else self.periods
        position = [i for i, period in enumerate(periods) for _ in period.spans()]
        spans = [span for period in periods for span in period.spans()]
        return [NOBODY if span == NOBODY else position[span] for span in _first_of(spans, season, weekday)]


def _first_of(spans: Sequence[Span], season: str | None, weekday: int) -> list[int]:
    """Position of the first time that holds each minute of a day, ``NOBODY`` where none does."""
    table = [NOBODY] * MINUTES
    for code, span in reversed(list(enumerate(spans))):
        if span.season not in (None, season) or weekday not in span.weekdays():
            continue
        for low, high in stretches(span.at):
            table[low:high] = [code] * (high - low)
    return table


def _holds(edges: tuple[tuple[int, int], tuple[int, int]], here: tuple[int, int]) -> bool:
    """Whether a season that may run over the year's end holds a month and day."""
    first, last = edges
    return first <= here <= last if first <= last else here >= first or here <= last


def _address(field: str, position: int, place: int) -> Address:
    return (field, position, "also", place - 1) if place else (field, position)


def stretches(at: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Minutes [from, to) of a clock range within a day; two where it runs over midnight."""
    if at is None:
        return [(0, MINUTES)]
    low, high = at
    return [(low, high)] if low < high else [(low % MINUTES, MINUTES), (0, high)]


def some_time(at: tuple[int, int] | None) -> None:
    """Check that a clock range holds a minute."""
    if at is not None and at[0] % MINUTES == at[1] % MINUTES and at != (0, MINUTES):
        raise MisfitError(("at",), "no time at all", "an end that differs from the start")


def clock(minute: int) -> str:
    """A minute of the day as ``16:30``."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def one_of(known: object, what: str) -> str:
    """What a reference may be, for messages."""
    names = ", ".join(sorted(str(name) for name in known)) if hasattr(known, "__iter__") else ""
    return f"one of: {names}" if names else f"no reference, as there is no {what}"


def _leap_year() -> Iterator[date]:
    return (date(2024, 1, 1) + timedelta(days=i) for i in range(366))
