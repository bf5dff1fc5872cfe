"""What bills need beside tariffs: loads by formula, shares of generation, limits that hold bills, suppliers.

All of it stands in one file of the tariff folder, ``billing.yaml``, every entry with the days it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from schemas.tariff_fields import Money, Part
from schemas.tariff_version import Effective
from schemas.yaml_model import MisfitError

__all__ = ["RULES_FILE", "BillingRules", "Holding", "Sharing", "Supplier", "VirtualLoad"]

RULES_FILE = "billing.yaml"
SHARE_DP = 6
"""Decimals of a share of generation: its product with a slot fits 64 bits."""


def _pairs(value: object) -> object:
    return tuple(value.items()) if isinstance(value, dict) else value


class VirtualLoad(Part):
    """A load that no meter measures: Σ of the loads of some service points less those of others.

    It is billed like a service point of its own. Service points that it is billed ``instead_of`` have no
    bills of their own meanwhile.
    """

    id: str = Field(min_length=1)
    effective: Effective
    account: str = Field(min_length=1)
    tariff: str = Field(min_length=1)
    bill_cycle_day: int = Field(1, ge=1, le=31)
    commodity: str = "electricity"
    add: tuple[str, ...] = Field(min_length=1)
    subtract: tuple[str, ...] = ()
    instead_of: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _once_each(self) -> VirtualLoad:
        seen: set[str] = set()
        for field, points in (("add", self.add), ("subtract", self.subtract)):
            for position, point in enumerate(points):
                if point in seen:
                    raise MisfitError((field, position), repr(point), "each service point once")
                seen.add(point)
        return self

    @property
    def terms(self) -> list[tuple[str, int]]:
        """Service points with their signs."""
        return [(point, 1) for point in self.add] + [(point, -1) for point in self.subtract]


class Sharing(Part):
    """What one service point feeds in, shared out to others slot by slot (virtual net metering).

    Each gets its share as export of its own load, in whole micro-units: what the first k get together is
    their summed share rounded down, so that shares that make one leave nothing over.
    """

    id: str = Field(min_length=1)
    effective: Effective
    service_point: str = Field(min_length=1)
    to: Annotated[tuple[tuple[str, Money], ...], BeforeValidator(_pairs), Field(min_length=1)]

    @model_validator(mode="after")
    def _at_most_one(self) -> Sharing:
        for point, share in self.to:
            if not 0 < share <= 1 or share != round(share, SHARE_DP):
                expected = f"a share above 0, at most 1, with at most {SHARE_DP} decimals"
                raise MisfitError(("to", point), str(share), expected)
        total = sum((share for _, share in self.to), Decimal(0))
        if total > 1:
            raise MisfitError(("to",), f"shares that make {total}", "shares that make at most 1")
        return self


class Holding(Part):
    """Greatest shares of a bill's slots with which it is not held."""

    effective: Effective
    missing: Money = Field(Decimal(0), ge=0, le=1)
    failed: Money = Field(Decimal(0), ge=0, le=1)
    estimated: Money = Field(Decimal(1), ge=0, le=1)
    edited: Money = Field(Decimal(1), ge=0, le=1)


class Supplier(Part):
    """Who supplies some service points, for the settlement of energy."""

    id: str = Field(min_length=1)
    effective: Effective
    service_points: tuple[str, ...] = Field(min_length=1)


class BillingRules(Part):
    """The whole file; empty where there is none."""

    loads: tuple[VirtualLoad, ...] = ()
    shares: tuple[Sharing, ...] = ()
    holding: tuple[Holding, ...] = ()
    suppliers: tuple[Supplier, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> BillingRules:
        _apart("loads", self.loads, [{load.id} for load in self.loads])
        _apart("shares", self.shares, [{sharing.id} for sharing in self.shares])
        _apart("holding", self.holding, [{"holding"} for _ in self.holding])
        _apart("suppliers", self.suppliers, [set(supplier.service_points) for supplier in self.suppliers])
        virtual = {load.id for load in self.loads}
        for position, load in enumerate(self.loads):
            for field in ("add", "subtract", "instead_of"):
                for place, point in enumerate(getattr(load, field)):
                    if point in virtual:
                        address = ("loads", position, field, place)
                        raise MisfitError(address, f"the load {point!r}", "a service point with a meter")
        return self

    def holding_on(self, day: date) -> Holding:
        """The limits in force on a day."""
        return next((h for h in self.holding if _in_force(h.effective, day)), _DEFAULT)


_DEFAULT = Holding(effective=Effective.model_validate({"from": date(1970, 1, 1)}))


def _in_force(effective: Effective, day: date) -> bool:
    return effective.from_ <= day and (effective.to is None or day <= effective.to)


def _apart(field: str, entries: Sequence[object], names: Sequence[set[str]]) -> None:
    """Entries that name the same thing hold on different days."""
    for first, second in combinations(range(len(entries)), 2):
        here, there = (getattr(entries[i], "effective") for i in (first, second))  # noqa: B009
        common = names[first] & names[second]
        if common and (_in_force(here, there.from_) or _in_force(there, here.from_)):
            found = f"a second entry for {min(common)} from {there.from_}, beside that from {here.from_}"
            raise MisfitError((field, second), found, "one entry at a time; the earlier with an end")
