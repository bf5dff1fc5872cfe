"""One rate of the US Utility Rate Database, its fields read with their places and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.errors import MeterbeamError

__all__ = ["Tier", "UrdbRate"]

MONTHS = 12
HOURS = 24
RATE_DP = 10
OPEN = Decimal(10) ** 30
"""Limits from here on stand for none; tools write 1e38."""
TIER_FIELDS = ("rate", "adj", "max", "unit", "sell")
Matrix = list[list[int]]


@dataclass(frozen=True)
class Tier:
    """One tier of one period.

    Attributes:
        rate: Price of a unit: the rate and its adjustment together.
        limit: Upper edge, counted from zero; None where it is open.
        unit: Of the limit as written; the database fills it in where nothing was given.
        sell: Worth of a unit fed in, None where none is given.
    """

    rate: Decimal
    limit: Decimal | None
    unit: str | None
    sell: Decimal | None


class UrdbRate:
    """A rate as the API gives it. A field that is null or absent is None; names count without case.

    Attributes:
        where: File and rate, for messages.
        assumed: What the import took for granted so far, as sentences.
    """

    def __init__(self, where: str, fields: Mapping[str, Any]) -> None:
        self.where = where
        self.assumed: list[str] = []
        self._fields = {name.lower(): value for name, value in fields.items() if value is not None}
        self._read: set[str] = set()

    def error(self, place: str, found: str, expected: str) -> MeterbeamError:
        """An error at a place of this rate."""
        return MeterbeamError(f"{self.where}: {place}", found, expected)

    def has(self, name: str) -> bool:
        """Whether a field holds anything."""
        return self._field(name) not in (None, [], "")

    def left_over(self) -> list[str]:
        """Fields that hold something and that nobody asked for, in their order."""
        return [name for name, value in self._fields.items() if name not in self._read and not _empty(value)]

    def _field(self, name: str) -> Any:
        self._read.add(name)
        return self._fields.get(name)

    def text(self, name: str) -> str | None:
        """A text, None where there is none."""
        value = self._field(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.error(name, repr(value), "a text")
        return value

    def number(self, name: str) -> Decimal:
        """A number, zero where there is none."""
        value = self._field(name)
        return self._number(0 if value is None else value, name)

    def whole(self, name: str) -> int | None:
        """A whole number, None where there is none."""
        if not self.has(name):
            return None
        number = self.number(name)
        if number != int(number):
            raise self.error(name, str(number), "a whole number")
        return int(number)

    def money(self, value: Any, place: str) -> Decimal:
        """A price; more decimals than a tariff holds are what float arithmetic left behind."""
        number = self._number(value, place)
        if abs(number) >= 10**8:
            raise self.error(place, str(number), f"an amount below {10**8:,}")
        nearest = round(number, RATE_DP)
        if nearest == number:
            return number
        nearest = nearest.normalize()
        self.assumed.append(f"{place}: {number} is meant as {nearest:f}")
        return nearest

    def monthly(self, name: str) -> list[Decimal] | None:
        """A number for each month, None where the field is absent."""
        if not self.has(name):
            return None
        values = self._list(self._field(name), name, MONTHS)
        return [self.money(value, f"{name}[{i}]") for i, value in enumerate(values)]

    def flags(self, name: str) -> list[bool] | None:
        """A yes or no for each month, None where the field is absent."""
        if not self.has(name):
            return None
        values = self._list(self._field(name), name, MONTHS)
        for i, value in enumerate(values):
            if value not in (0, 1):
                raise self.error(f"{name}[{i}]", repr(value), "true or false")
        return [bool(value) for value in values]

    def schedule(self, name: str) -> Matrix | None:
        """Period numbers by month and hour, 12 × 24, None where the field is absent."""
        if not self.has(name):
            return None
        rows = self._list(self._field(name), name, MONTHS)
        return [
            [
                self.index(cell, f"{name}[{month}][{hour}]")
                for hour, cell in enumerate(self._list(row, f"{name}[{month}]", HOURS))
            ]
            for month, row in enumerate(rows)
        ]

    def by_month(self, name: str) -> list[int] | None:
        """A period number for each month, None where the field is absent."""
        if not self.has(name):
            return None
        cells = self._list(self._field(name), name, MONTHS)
        return [self.index(cell, f"{name}[{month}]") for month, cell in enumerate(cells)]

    def structure(self, name: str) -> list[list[Tier]]:
        """Tiers by period; no periods where the field is absent. Limits rise, only the last tier is open."""
        if not self.has(name):
            return []
        periods = self._list(self._field(name), name)
        found = []
        for p, tiers in enumerate(periods):
            place = f"{name}[{p}]"
            entries = self._list(tiers, place)
            if not entries:
                raise self.error(place, "no tiers", "a rate")
            found.append([self._tier(entry, f"{place}[{t}]") for t, entry in enumerate(entries)])
            self._check_limits(found[-1], place)
        return found

    def index(self, value: Any, place: str) -> int:
        """A period number."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.error(place, _shown(value), "the number of a period, counted from 0")
        return value

    def _tier(self, entry: Any, place: str) -> Tier:
        if not isinstance(entry, dict):
            raise self.error(place, _shown(entry), "an object with rate, and adj, max, unit, sell if any")
        known = {name.lower(): value for name, value in entry.items() if value is not None}
        for name in known:
            if name not in TIER_FIELDS:
                raise self.error(f"{place}.{name}", _shown(known[name]), f"only {', '.join(TIER_FIELDS)}")
        if "rate" not in known and "adj" not in known:
            raise self.error(f"{place}.rate", "nothing", "a price")
        limit = self._number(known["max"], f"{place}.max") if "max" in known else None
        unit = known.get("unit")
        if unit is not None and not isinstance(unit, str):
            raise self.error(f"{place}.unit", _shown(unit), "a text such as kWh")
        rate = self._number(known.get("rate", 0), f"{place}.rate")
        return Tier(
            rate=self.money(rate + self._number(known.get("adj", 0), f"{place}.adj"), place),
            limit=None if limit is None or limit >= OPEN else limit,
            unit=unit,
            sell=self.money(known["sell"], f"{place}.sell") if "sell" in known else None,
        )

    def _check_limits(self, tiers: list[Tier], place: str) -> None:
        before = Decimal(0)
        for t, tier in enumerate(tiers):
            here, last = f"{place}[{t}].max", t == len(tiers) - 1
            if last and tier.limit is not None:
                raise self.error(here, str(tier.limit), "none on the last tier: what lies above has no price")
            if last:
                return
            if tier.limit is None or tier.limit <= before:
                found = "nothing" if tier.limit is None else str(tier.limit)
                raise self.error(here, found, f"a limit above {before}, as another tier follows")
            before = tier.limit

    def _list(self, value: Any, place: str, length: int | None = None) -> list[Any]:
        wanted = "a list" if length is None else f"a list of {length}"
        if not isinstance(value, list):
            raise self.error(place, _shown(value), wanted)
        if length is not None and len(value) != length:
            raise self.error(place, f"a list of {len(value)}", wanted)
        return value

    def _number(self, value: Any, place: str) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.error(place, _shown(value), "a number")
        number = Decimal(value)
        if not number.is_finite():
            raise self.error(place, str(number), "a finite number")
        return number


def _empty(value: Any) -> bool:
    """Nothing, zero, or lists of that, which the database fills in by default."""
    return all(map(_empty, value)) if isinstance(value, list) else value in (None, "", 0)


def _shown(value: Any) -> str:
    text = repr(str(value) if isinstance(value, Decimal) else value)
    return text if len(text) <= 80 else text[:77] + "…"
