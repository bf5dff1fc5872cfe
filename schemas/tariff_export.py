"""Charges for energy fed in: in money or in kWh, netted by slot, hour or bill, carried and trued up."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import model_validator

from schemas.tariff_fields import Money, Month, Part
from schemas.yaml_model import MisfitError

Mode = Literal["net_billing", "net_metering", "buy_all_sell_all"]
Netting = Literal["interval", "hour", "month", "none"]
Carry = Literal["dollars", "kwh", "paid", "none"]
_ALLOWED: dict[str, tuple[tuple[Netting, ...], tuple[Carry, ...]]] = {
    "net_billing": (("interval", "hour", "month", "none"), ("dollars", "paid", "none")),
    "net_metering": (("month",), ("kwh", "dollars", "paid", "none")),
    "buy_all_sell_all": (("none",), ("paid",)),
}
"""What each mode may net and carry; the first is the default."""


class TrueUp(Part):
    """Month in which the year's account of fed-in energy closes.

    With kWh carried, those left are paid at ``rate``. With money carried, what was fed in beyond what was
    drawn since the last true-up is paid at ``rate`` per kWh, and the credit that is left lapses, is paid
    or is kept.
    """

    month: Month
    rate: Money
    credit: Literal["lapse", "paid", "kept"] = "lapse"


class Export(Part):
    """Step 11: what energy fed in is worth.

    ``net_billing``: a credit in money by period, up to the charges it applies to; the rest is carried
    (``dollars``), paid or lost. ``net_metering``: what is fed in is taken off what is drawn in the same
    period of the bill, in kWh; the excess is carried in kWh, or is worth ``rate`` in money.
    ``buy_all_sell_all``: all that is drawn is charged, all that is fed in is paid.

    ``netting`` sets import and export off against each other in each slot, each clock hour or over the
    bill, period by period. ``rate`` is one for all periods or one for each.
    """

    id: str
    type: Literal["export"]
    mode: Mode = "net_billing"
    netting: Netting
    rate: dict[str, Money] | Money | None = None
    applies_to: tuple[str, ...] = ()
    carry: Carry
    true_up: TrueUp | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, fields: object) -> object:
        if isinstance(fields, dict) and fields.get("mode", "net_billing") in _ALLOWED:
            nettings, carries = _ALLOWED[fields.get("mode", "net_billing")]
            return {"netting": nettings[0], "carry": carries[0], **fields}
        return fields

    @model_validator(mode="after")
    def _consistent(self) -> Export:
        nettings, carries = _ALLOWED[self.mode]
        if self.netting not in nettings:
            raise MisfitError(("netting",), self.netting, f"one of {', '.join(nettings)} with {self.mode}")
        if self.carry not in carries:
            raise MisfitError(("carry",), self.carry, f"one of {', '.join(carries)} with {self.mode}")
        worthless = self.mode == "net_metering" and self.carry in ("kwh", "none")
        if worthless and self.rate is not None:
            raise MisfitError(("rate",), "a rate", f"none where the excess is carried as {self.carry}")
        if not worthless and (self.rate is None or self.rate == {}):
            raise MisfitError(("rate",), "nothing", "the field rate: one for all periods, or one for each")
        if self.in_money and not self.applies_to and self.carry != "paid":
            raise MisfitError(("applies_to",), "no charges", "the charges that the credit may pay")
        if not self.in_money and self.applies_to:
            raise MisfitError(("applies_to",), "charges", "none: no credit in money is set off")
        if self.true_up is not None and self.carry not in ("dollars", "kwh"):
            raise MisfitError(("true_up",), "a true-up", f"none where nothing is carried ({self.carry})")
        if self.true_up is not None and self.carry == "kwh" and self.true_up.credit != "lapse":
            raise MisfitError(("true_up", "credit"), self.true_up.credit, "none where kWh are carried")
        return self

    @property
    def in_money(self) -> bool:
        """Whether there is a credit in money that pays other charges."""
        return (
            self.mode != "buy_all_sell_all"
            and self.carry in ("dollars", "paid", "none")
            and self.rate is not None
        )

    def rate_of(self, period: str) -> Decimal | None:
        """Worth of a unit fed in in a period; None where it has none."""
        return self.rate.get(period) if isinstance(self.rate, dict) else self.rate
