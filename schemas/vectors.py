"""Golden vectors of a rule pack: what goes in, and what must come out, as people write it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.channels import BESIDE, CHANNELS
from schemas.quality import Method, Quality

__all__ = ["Expected", "Read", "Vector", "VectorDay", "micro", "tokens"]

MICRO = 1_000_000
MOST_DAYS = 120
MOST_SLOTS = 1501
"""One more than the longest local day has minutes: enough for the count of slots to be wrong."""


def tokens(text: str) -> list[str]:
    """Words in their order; ``4*x`` stands for four times x, at most ``MOST_SLOTS`` times."""
    found: list[str] = []
    for word in text.split():
        count, star, rest = word.partition("*")
        if star and count.isdigit():
            found += [rest] * min(int(count), MOST_SLOTS)
        else:
            found.append(word)
    return found


def micro(word: str) -> int | None:
    """Micro-units of a value in the billing unit; None for ``_``, a slot without one."""
    if word == "_":
        return None
    exact = Decimal(word) * MICRO
    if not exact.is_finite() or exact != int(exact) or abs(exact) > 1 << 60:
        raise ValueError(f"{word!r} is no number of at most six decimals, nor _ for none")
    return int(exact)


def _values(text: str) -> str:
    for word in tokens(text):
        try:
            micro(word)
        except ArithmeticError as error:
            raise ValueError(f"{word!r} is no number of at most six decimals, nor _ for none") from error
    return text


def _names(kind: type[Method] | type[Quality]) -> AfterValidator:
    def check(text: str) -> str:
        for word in tokens(text):
            if word not in kind.__members__:
                raise ValueError(f"{word!r} is none of {', '.join(kind.__members__)}")
        return text

    return AfterValidator(check)


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Values = Annotated[str, BeforeValidator(_text), AfterValidator(_values)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VectorDay(_Part):
    """Readings of a local day, or the same of each of several."""

    day: date
    through: date | None = None
    slots: Values = Field(
        description="values of the day's slots in the billing unit; _ for none; 4*1.5 repeats"
    )
    check: Values | None = Field(None, description="the same of the channel's check meter")
    previous_year: Values | None = Field(None, description="the same of the channel of previous years")
    proxy_day: Values | None = Field(None, description="the same of the channel of days of like temperature")

    def beside(self, method: str) -> str | None:
        """Values of the channel that an estimator takes beside the day's own."""
        told: str | None = getattr(self, method)
        return told


class Read(_Part):
    """A register read."""

    at: datetime
    value: Values


class Expected(_Part):
    """What must come out for a local day; a part that is left out is not compared."""

    day: date
    slots: Values | None = None
    quality: Annotated[str, _names(Quality)] | None = None
    method: Annotated[str, _names(Method)] | None = None
    findings: tuple[str, ...] | None = Field(None, description="rules that found something, in any order")


class Vector(_Part):
    """One series over consecutive days, and what a pack must make of it."""

    name: str
    pack: str = Field(description="the shipped pack it belongs to")
    source: str = ""
    zone: str = "UTC"
    interval_minutes: Literal[1, 5, 10, 15, 30, 60] = 30
    channel: str = "import"
    days: tuple[VectorDay, ...] = Field(min_length=1)
    registers: tuple[Read, ...] = ()
    expect: tuple[Expected, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.zone not in available_timezones():
            raise ValueError(f"zone {self.zone!r} is no IANA time zone")
        if self.channel not in CHANNELS:
            raise ValueError(f"channel {self.channel!r} is not in the catalogue")
        for method, pairs in BESIDE.items():
            if self.channel not in pairs and any(day.beside(method) is not None for day in self.days):
                raise ValueError(f"{method}: channel {self.channel!r} has no such channel beside it")
        spans = sorted((day.day, day.through or day.day) for day in self.days)
        for (_, before), (after, _) in pairwise(spans):
            if after <= before:
                raise ValueError(f"{after} is given twice")
        if any(last < first for first, last in spans):
            raise ValueError("a through lies before its day")
        if (spans[-1][1] - spans[0][0]).days >= MOST_DAYS:
            raise ValueError(f"a vector spans at most {MOST_DAYS} days")
        for expected in self.expect:
            if not spans[0][0] <= expected.day <= spans[-1][1]:
                raise ValueError(f"expect: {expected.day} lies outside the days given")
        for read in self.registers:
            if read.at.tzinfo is None:
                raise ValueError(f"registers: {read.at} needs its offset, for example {read.at}Z")
        return self
