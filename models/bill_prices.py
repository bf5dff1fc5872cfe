"""What prices bills: tariffs in all their versions, the days of their events, and series of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

import numpy as np

from models.bill_window import UnpriceableError
from models.calendar import DayGrid, day_date, epoch_day, utc_text
from models.series import Int
from schemas.tariff import BillingRules, EnergySeries, Tariff

__all__ = ["Events", "PriceSeries", "Prices", "Tariffs", "prices_on", "series_of", "version_stretches"]

_NO_RULES = BillingRules()
HIGHEST = 10**9
"""Price of a unit; leaves room for the amount of a bill in 64 bits."""
Tariffs = Mapping[str, Sequence[Tariff]]
Events = Mapping[str, frozenset[int]]


@dataclass(frozen=True)
class PriceSeries:
    """Prices of one series that hold, ascending; shape (k,) each.

    Attributes:
        starts, ends: When each price holds: [from, to), UTC seconds; none reaches into the next.
        prices: Exact.
        currencies: ISO 4217; None where the price does not say.
    """

    starts: Int
    ends: Int
    prices: Sequence[Decimal]
    currencies: Sequence[str | None]

    def at(self, seconds: Int) -> list[int | None]:
        """Position of the price in force at each moment, None where there is none."""
        if not len(self.starts):
            return [None] * len(seconds)
        place = np.searchsorted(self.starts, seconds, side="right") - 1
        inside = (place >= 0) & (seconds < self.ends[place])
        return [i if known else None for i, known in zip(place.tolist(), inside.tolist(), strict=True)]


def series_of(rows: Sequence[tuple[int, int, Decimal, str | None]]) -> PriceSeries:
    """A series of (start, length in seconds, price, currency), one a start, ascending."""
    starts = np.array([row[0] for row in rows], np.int64)
    ends = starts + np.array([row[1] for row in rows], np.int64)
    np.minimum(ends[:-1], starts[1:], out=ends[:-1])
    return PriceSeries(starts, ends, [row[2] for row in rows], [row[3] for row in rows])


@dataclass(frozen=True)
class Prices:
    """Tariffs by id, days of each tariff event, prices of each series, and what bills need beside.

    Without tariffs nothing is billed.
    """

    book: Tariffs = field(default_factory=dict)
    events: Events = field(default_factory=dict)
    series: Mapping[str, PriceSeries] = field(default_factory=dict)
    rules: BillingRules = _NO_RULES


def prices_on(
    tariff: Tariff, grid: DayGrid, series: Mapping[str, PriceSeries]
) -> dict[str, list[Decimal | None]]:
    """Price of each slot, by its start, of each series that a tariff charges by; None where there is none.

    A series without any price is left out.

    Raises:
        UnpriceableError: A price is in another currency than the tariff, or beyond what a bill can hold.
    """
    found: dict[str, list[Decimal | None]] = {}
    for charge in tariff.charges:
        if not isinstance(charge, EnergySeries) or charge.series not in series:
            continue
        known = series[charge.series]
        places = known.at(grid.starts)
        _check(charge.series, known, [i for i in places if i is not None], tariff.currency)
        found[charge.series] = [None if i is None else known.prices[i] for i in places]
    return found


def _check(name: str, series: PriceSeries, places: Sequence[int], currency: str) -> None:
    for i in dict.fromkeys(places):
        at = f"of series {name} at {utc_text(int(series.starts[i]))}"
        if series.currencies[i] not in (None, currency):
            raise UnpriceableError(f"a price {at} in {series.currencies[i]}", f"prices in {currency}")
        if abs(series.prices[i]) >= HIGHEST:
            raise UnpriceableError(f"a price {at} of {series.prices[i]:.3E}", f"prices below {HIGHEST:,}")


def _version_on(versions: Sequence[Tariff], day: int) -> Tariff | None:
    """The version in force on an epoch day."""
    date_ = day_date(day)
    held = [
        tariff
        for tariff in versions
        if tariff.effective.from_ <= date_ and (tariff.effective.to is None or date_ <= tariff.effective.to)
    ]
    return held[-1] if held else None


def version_stretches(versions: Sequence[Tariff], first: int, last: int) -> list[tuple[int, int, Tariff]]:
    """Stretches of days on which one version is in force; days without one are in none."""
    edges = {first, last + 1}
    for tariff in versions:
        edges.add(epoch_day(tariff.effective.from_))
        if tariff.effective.to is not None:
            edges.add(epoch_day(tariff.effective.to) + 1)
    cuts = sorted(edge for edge in edges if first <= edge <= last + 1)
    stretches: list[tuple[int, int, Tariff]] = []
    for low, high in pairwise(cuts):
        tariff_here = _version_on(versions, low)
        if tariff_here is None:
            continue
        if stretches and stretches[-1][2] is tariff_here and stretches[-1][1] == low - 1:
            stretches[-1] = stretches[-1][0], high - 1, tariff_here
        else:
            stretches.append((low, high - 1, tariff_here))
    return stretches
