"""Rule packs: the parameters of validation and estimation, as data with an effective date."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.errors import MeterbeamError
from schemas.estimators import AnyStep
from schemas.yaml_model import parse_yaml, read_yaml

Severity = Literal["info", "questionable", "fail"]


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f"write the number as text to keep it exact, for example '{value}'")
    return value


Exact = Annotated[Decimal, BeforeValidator(_exact)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Part):
    """A rule without parameters of its own."""

    severity: Severity


class SpikeRule(Rule):
    """A slot far above the third-highest of its day.

    The Direct Access Standards for Metering and Meter Data (VEE rules) state the limit as 180 %.
    """

    max_excess: Exact = Field(
        Decimal("1.8"), ge=0, le=1000, description="(value − p3) / p3 above this is a spike"
    )
    min_third_peak_kw: Exact = Field(
        Decimal("0.1"), ge=0, le=1_000_000, description="days with a lower p3 are skipped [kW]"
    )


class ZeroRunRule(Rule):
    """Zeros that last."""

    hours: int = Field(48, ge=1, le=24 * 30, description="shortest run that counts [h]")


class FlatLineRule(Rule):
    """Equal non-zero values that last."""

    slots: int = Field(24, ge=3, le=2000, description="shortest run that counts [slots]")


class HighUsageRule(Rule):
    """A day far above the average of the days before."""

    factor: int = Field(3, ge=1, le=1000)


class LowUsageRule(Rule):
    """A day far below the average of the days before."""

    divisor: int = Field(10, ge=1, le=1000)


class ProlongedRule(Rule):
    """Days without a single good slot in a row."""

    days: int = Field(3, ge=1, le=34)


class SumCheckRule(Rule):
    """Intervals against the register's advance."""

    tolerance: Exact = Field(Decimal("0.02"), ge=0, le=1, description="share of the advance")


class Rules(_Part):
    """Every rule of a pack, by name."""

    missing: Rule
    conflict: Rule
    negative: Rule
    over_capacity: Rule
    spike: SpikeRule
    zero_run: ZeroRunRule
    flat_line: FlatLineRule
    high_usage: HighUsageRule
    low_usage: LowUsageRule
    prolonged_estimation: ProlongedRule
    read_interval: Rule
    sum_check: SumCheckRule


class Averages(_Part):
    """Window of the average daily usage."""

    days: int = Field(28, ge=1, le=35)
    min_days: int = Field(7, ge=1)

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.min_days > self.days:
            raise ValueError(f"min_days {self.min_days} are more than the days {self.days} looked at")
        return self


class Estimation(_Part):
    """Estimators in the order they are tried; the first that can be made counts."""

    order: tuple[AnyStep, ...] = Field(min_length=1)
    scale_external: bool = False


class Registers(_Part):
    """Read intervals."""

    max_read_gap_days: int = Field(62, ge=1, le=366)


class Effective(_Part):
    """First and last local day a version is in force."""

    from_: date = Field(alias="from")
    to: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to is not None and self.to < self.from_:
            raise ValueError(f"to {self.to} lies before from {self.from_}")
        return self


class RulePack(_Part):
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
