"""The estimators a rule pack may name, with their parameters, in the order it tries them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from schemas.yaml_model import Part


class Step(Part):
    """One estimator of a pack. Gaps longer than ``max_minutes`` are left to the next one."""

    max_minutes: int | None = Field(None, ge=1, description="longest gap it is used for [min]; null: any")


class CheckStep(Step):
    """The check meter's good value of the same slot."""

    method: Literal["check"]


class PreviousYearStep(Step):
    """What stands for the slot in the channel of previous years (``meterbeam readings reference``)."""

    method: Literal["previous_year"]


class ProxyDayStep(Step):
    """What stands for the slot in the channel of days of like temperature (the same command)."""

    method: Literal["proxy_day"]


class LinearStep(Step):
    """A straight line between two good neighbours."""

    method: Literal["linear"]
    max_minutes: int = Field(120, ge=0, le=720)


class SimilarStep(Step):
    """The stretches of the last 35 days whose surroundings resemble those of the gap."""

    method: Literal["similar"]
    windows: int = Field(10, ge=1, le=100, description="stretches that are averaged")
    shift_minutes: int = Field(60, ge=0, le=180, description="a stretch may begin this much off [min]")
    other_days: int = Field(
        0, ge=0, le=1000, description="so much farther off counts a stretch on a day of another type [%]"
    )


class LikeDayStep(Step):
    """The mean of the latest days of the same type."""

    method: Literal["like_day"]
    days: int = Field(3, ge=1, le=35)


class TwoWeekStep(Step):
    """The mean of the days that the two-week table names for each weekday."""

    method: Literal["two_week"]


class MultiWeekStep(Step):
    """The mean of the same weekday in the weeks before."""

    method: Literal["multi_week"]
    weeks: int = Field(4, ge=1, le=5)


DayType = Literal["weekday", "saturday", "sunday", "holiday"]
EVERY_DAY: tuple[DayType, ...] = ("weekday", "saturday", "sunday", "holiday")
EVERY_MONTH = tuple(range(1, 13))
Weight = Annotated[int, Field(ge=0, le=10_000)]


class SomeDays(Part):
    """Days by their type and month."""

    days: tuple[DayType, ...] = Field(EVERY_DAY, min_length=1)
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = Field(EVERY_MONTH, min_length=1)


class Shape(SomeDays):
    """How a class uses energy over the hours of some days."""

    weights: tuple[Weight, ...] = Field(
        min_length=24,
        max_length=24,
        description="of the hours of the local clock, 00 … 23; only ratios count",
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(self.weights):
            raise ValueError("every weight is 0, expected one above it")
        return self


class ClassProfileStep(Step):
    """The meter's average usage in the shape of its class: the first of ``shapes`` that the day is in."""

    method: Literal["class_profile"]
    shapes: tuple[Shape, ...] = Field(min_length=1)


class FlatStep(Step):
    """The average usage, spread evenly."""

    method: Literal["flat"]


AnyStep = Annotated[
    CheckStep
    | LinearStep
    | SimilarStep
    | LikeDayStep
    | TwoWeekStep
    | MultiWeekStep
    | ClassProfileStep
    | PreviousYearStep
    | ProxyDayStep
    | FlatStep,
    Field(discriminator="method"),
]

METHODS = (
    "check",
    "linear",
    "similar",
    "like_day",
    "two_week",
    "multi_week",
    "previous_year",
    "proxy_day",
    "flat",
)
"""Names an edit may use; a pack also ``class_profile``, whose shapes it states."""


def step_of(method: str) -> AnyStep:
    """An estimator with its default parameters."""
    step: AnyStep = TypeAdapter(AnyStep).validate_python({"method": method})
    return step
