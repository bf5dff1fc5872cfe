"""Field types of a tariff: exact money, clock times, days of the year."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.yaml_model import MisfitError

MINUTES = 1440
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _exact(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        shown = f'"{value}"' if isinstance(value, float) else 'a text such as "0.40"'
        raise ValueError(f"money and limits as text, {shown}, so that they stay exact")
    return value


def _minute(value: object) -> object:
    if isinstance(value, str):
        hours, colon, minutes = value.partition(":")
        if colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2 and int(minutes) < 60:
            value = int(hours) * 60 + int(minutes)
    # YAML 1.1 reads an unquoted 16:00 as 16 · 60, which is the minute that was meant.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MINUTES:
        raise ValueError('a clock time from "00:00" to "24:00"')
    return value


def _month_day(value: object) -> object:
    if isinstance(value, str):
        month, _, day = value.partition("-")
        try:
            date(2024, int(month), int(day))  # a leap year: 02-29 may end a season
        except ValueError:
            raise ValueError('a day of the year such as "06-01"') from None
        return int(month), int(day)
    if isinstance(value, tuple):
        return value
    raise ValueError('a day of the year such as "06-01"')


Money = Annotated[Decimal, BeforeValidator(_exact), Field(max_digits=18, decimal_places=10)]
Minute = Annotated[int, BeforeValidator(_minute)]
MonthDay = Annotated[tuple[int, int], BeforeValidator(_month_day)]
Month = Annotated[int, Field(ge=1, le=12)]
EVERY_MONTH = tuple(range(1, 13))


class Part(BaseModel):
    """Base of every part: unknown fields are errors, nothing changes after it is built."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


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
