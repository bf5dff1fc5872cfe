"""Energy at the price of its slot, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact

import numpy as np

from models.bill_window import MissingPriceError, Window
from models.series import Int
from schemas.tariff import EnergySeries

__all__ = ["Priceless", "at_prices", "series_rates", "whole_rates"]

EXACT = Context(prec=100, traps=[Inexact])
"""Products and sums of prices are never rounded."""


@dataclass
class Priceless:
    """Energy at the prices of a series, before it is rounded to money.

    Attributes:
        energy: Shape (n,). [micro-unit]
        products: Σ energy × price of each service point, exact. [10^-decimals × micro-unit]
        decimals: Of the prices.
    """

    energy: Int
    products: list[int]
    decimals: int


def series_rates(charge: EnergySeries, window: Window) -> list[Decimal]:
    """Price of each slot under a charge: that of the series × multiplier + adder, exact.

    Raises:
        MissingPriceError: A slot has none.
    """
    prices: Sequence[Decimal | None] | None = window.prices.get(charge.series)
    if prices is None:
        raise MissingPriceError(charge.series, None)
    rates: dict[Decimal, Decimal] = {}
    found = []
    for second, price in zip(window.grid.starts.tolist(), prices, strict=True):
        if price is None:
            raise MissingPriceError(charge.series, second)
        if price not in rates:
            rates[price] = EXACT.add(EXACT.multiply(price, charge.multiplier), charge.adder)
        found.append(rates[price])
    return found


def whole_rates(rates: Sequence[Decimal]) -> tuple[list[int], int]:
    """Rates as integers, and the decimals they share."""
    distinct = set(rates)
    decimals = max((max(-int(rate.normalize(EXACT).as_tuple().exponent), 0) for rate in distinct), default=0)
    whole = {rate: int(rate.scaleb(decimals, EXACT)) for rate in distinct}
    return [whole[rate] for rate in rates], decimals


def at_prices(load: Int, prices: list[int], decimals: int) -> Priceless:
    """Energy at the price of each slot; (n, slots) and (slots,) [10^-decimals]."""
    energy = load.sum(axis=1)
    highest = max((abs(price) for price in prices), default=0)
    if highest * int(np.abs(load).sum(axis=1).max(initial=0)) < 1 << 62:
        products = (load @ np.array(prices, np.int64)).tolist()
    else:
        products = [sum(e * p for e, p in zip(row, prices, strict=True)) for row in load.tolist()]
    return Priceless(energy, products, decimals)
