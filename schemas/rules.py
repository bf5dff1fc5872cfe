"""The validation rules a pack may set, each with its severity and its typed parameters (docs/vee.md)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.yaml_model import Part

__all__ = [
    "Exact",
    "FlatLineRule",
    "HighSlotRule",
    "HistoricalMaxRule",
    "LeakRule",
    "RateRule",
    "Rule",
    "Rules",
    "Severity",
    "SpikeRule",
    "UsageRule",
]

Severity = Literal["info", "questionable", "fail", "hold-billing"]


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f"write the number as text to keep it exact, for example '{value}'")
    return value


Exact = Annotated[Decimal, BeforeValidator(_exact)]


class Rule(Part):
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
        Decimal("0.1"), ge=0, le=1_000_000, description="days with a lower p3 are skipped [unit an hour: kW]"
    )


class ZeroRunRule(Rule):
    """Zeros that last."""

    hours: int = Field(48, ge=1, le=24 * 30, description="shortest run that counts [h]")


class FlatLineRule(Rule):
    """Equal non-zero values that last.

    A meter that counts in whole units repeats a small number of them without being stuck: values of
    fewer than ``min_steps`` of its steps count only from ``coarse_slots`` on.
    """

    slots: int = Field(24, ge=3, le=2000, description="shortest run that counts [slots]")
    min_steps: int = Field(1, ge=1, le=1000, description="fewer steps of the meter are coarse")
    coarse_slots: int = Field(240, ge=3, le=2000, description="shortest run of coarse values [slots]")


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
    """Intervals, or TOU registers, against the advance of the total register."""

    tolerance: Exact = Field(Decimal("0.02"), ge=0, le=1, description="share of the advance")


class HistoricalMaxRule(Rule):
    """A slot above the highest of the period before."""

    max_excess: Exact = Field(
        Decimal("0.5"), ge=0, le=1000, description="(value − highest) / highest above this is a hit"
    )
    min_rate: Exact = Field(
        Decimal(0), ge=0, le=1_000_000, description="lower values are skipped [unit an hour: kW]"
    )


class HighSlotRule(Rule):
    """A slot far above the average slot of the days before."""

    factor: int = Field(30, ge=1, le=100_000)
    min_rate: Exact = Field(
        Decimal(0), ge=0, le=1_000_000, description="lower values are skipped [unit an hour: kW]"
    )


class RateRule(Rule):
    """Flow above a rate where none is expected."""

    min_rate: Exact = Field(Decimal(0), ge=0, le=1_000_000, description="higher ones count [unit an hour]")


class UsageRule(Rule):
    """Usage of a day where none is expected."""

    min_usage: Exact = Field(Decimal(0), ge=0, le=1_000_000, description="higher totals count [unit a day]")


class LeakRule(Rule):
    """A night flow that never reaches zero for days."""

    days: int = Field(3, ge=1, le=34, description="consecutive nights that count as a leak")
    from_hour: int = Field(1, ge=0, le=22, description="the night begins, by the local clock [h]")
    to_hour: int = Field(5, ge=1, le=23, description="the night ends [h]")
    min_rate: Exact = Field(Decimal(0), ge=0, le=1_000_000, description="an hour's flow must exceed it")

    @model_validator(mode="after")
    def _a_night(self) -> Self:
        if self.to_hour <= self.from_hour:
            raise ValueError(f"to_hour {self.to_hour} must be later than from_hour {self.from_hour}")
        return self


class Rules(Part):
    """Every rule of a pack, by name; one that has a default here may be left out, or be null for none."""

    missing: Rule
    conflict: Rule
    negative: Rule
    over_capacity: Rule
    spike: SpikeRule
    zero_run: ZeroRunRule | None
    flat_line: FlatLineRule | None
    high_usage: HighUsageRule | None
    low_usage: LowUsageRule | None
    prolonged_estimation: ProlongedRule
    read_interval: Rule
    sum_check: SumCheckRule
    register_decreased: Rule = Rule(severity="questionable")
    tou_registers: SumCheckRule | None = SumCheckRule(severity="questionable", tolerance=Decimal("0.02"))
    stale_snapshot: Rule | None = Rule(severity="fail")
    test_mode: Rule | None = Rule(severity="fail")
    meter_id_mismatch: Rule | None = Rule(severity="fail")
    pulse_overflow: Rule | None = Rule(severity="fail")
    reverse_rotation: Rule | None = Rule(severity="questionable")
    clock_changed: Rule | None = Rule(severity="info")
    power_failure: Rule | None = Rule(severity="info")
    reactive_without_active: RateRule | None = RateRule(severity="questionable", min_rate=Decimal("0.1"))
    disconnected_usage: UsageRule | None = UsageRule(severity="questionable", min_usage=Decimal(0))
    inactive_usage: UsageRule | None = UsageRule(severity="questionable", min_usage=Decimal(0))
    sibling_missing: Rule | None = Rule(severity="info")
    historical_max: HistoricalMaxRule | None = None
    high_slot: HighSlotRule | None = None
    leak: LeakRule | None = None
    no_service_point: Rule = Rule(severity="info")
    wrong_commodity: Rule = Rule(severity="info")
    wrong_interval: Rule = Rule(severity="info")
    unaligned: Rule = Rule(severity="info")
    future: Rule = Rule(severity="info")
    beyond_limit: Rule = Rule(severity="info")
    unpaired_outage: Rule = Rule(severity="info")
    never_reported: Rule = Rule(severity="info")
    contested_meter: Rule = Rule(severity="info")
    no_tariff: Rule = Rule(severity="info")

    def severity(self, rule: str) -> str:
        """Severity of a rule by name; ``info`` where the pack does not have it."""
        found = getattr(self, rule)
        return "info" if found is None else str(found.severity)
