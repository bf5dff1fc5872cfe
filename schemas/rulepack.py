"""Rule packs: the parameters of validation and estimation, as data with an effective date."""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import Field, field_serializer, model_validator

from schemas.errors import MeterbeamError
from schemas.estimators import AnyStep, SomeDays
from schemas.rules import Rules
from schemas.tariff_fields import MINUTES, Minute
from schemas.yaml_model import Part, parse_yaml, read_yaml


class Averages(Part):
    """Window of the average daily usage."""

    days: int = Field(28, ge=1, le=35)
    min_days: int = Field(7, ge=1)

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.min_days > self.days:
            raise ValueError(f"min_days {self.min_days} are more than the days {self.days} looked at")
        return self


class Estimation(Part):
    """Estimators in the order they are tried; the first that can be made counts."""

    order: tuple[AnyStep, ...] = Field(min_length=1)
    scale_external: bool = False

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[str] = set()
        for step in self.order:
            key = step.model_dump_json(exclude={"max_minutes"})
            if key in seen:
                raise ValueError(f"the method {step.method} stands twice with the same parameters")
            seen.add(key)
        return self


class TouRegister(SomeDays):
    """Slots that a time-of-use register of the meters counts.

    Attributes:
        name: As register reads have it in ``tou_register``.
        at: From and to, on the local clock; over midnight where the first is the later.
    """

    name: str = Field(min_length=1)
    at: tuple[Minute, Minute] = (0, MINUTES)

    @field_serializer("at", when_used="json")
    def _clock_times(self, at: tuple[int, int]) -> list[str]:
        return [f"{minute // 60:02}:{minute % 60:02}" for minute in at]


class Registers(Part):
    """Read intervals.

    Attributes:
        tou: When each time-of-use register counts; of a slot the first that holds its start. Without any, no
            estimate is scaled by them.
    """

    max_read_gap_days: int = Field(62, ge=1, le=366)
    tou: tuple[TouRegister, ...] = ()


class Effective(Part):
    """First and last local day a version is in force."""

    from_: date = Field(alias="from")
    to: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to is not None and self.to < self.from_:
            raise ValueError(f"to {self.to} lies before from {self.from_}")
        return self


class RulePack(Part):
    """A named, effective-dated set of rules and estimators.

    Attributes:
        source: The rule book it follows, in words.
    """

    id: str
    version: int = Field(ge=1)
    source: str = ""
    effective: Effective
    holidays: tuple[date, ...] = ()
    rules: Rules
    averages: Averages
    estimation: Estimation
    registers: Registers


def shipped_packs() -> list[str]:
    """Names of the packs that come with Meterbeam."""
    folder = resources.files("schemas") / "packs"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_rule_pack(name: str) -> RulePack:
    """A rule pack by name (shipped) or by path of a YAML file.

    Raises:
        MeterbeamError: There is no such pack, or a field is wrong; says which and what is accepted.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read_yaml(path, RulePack, "a rule pack")
    if name not in shipped_packs():
        raise MeterbeamError("rule pack", repr(name), f"one of {', '.join(shipped_packs())}, or a .yaml file")
    text = (resources.files("schemas") / "packs" / f"{name}.yaml").read_text("utf-8")
    return parse_yaml(text, name, RulePack, "a rule pack")
