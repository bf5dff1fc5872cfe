"""What a suspect would have cost: energy by the change or by the feeder's loss, money by its own bills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from models.comparison import EnergyPrice, Scored
from models.series import Bool, Int
from models.state_queue import WAYS
from models.weekly_features import Float

__all__ = ["Loss", "Money", "Prices", "priced", "state_loss"]

Prices = Mapping[str, EnergyPrice]
"""Of the meters that have bills."""
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Money:
    """An estimated loss in money, and the price of a kWh it was made with."""

    amount: Decimal
    price: EnergyPrice


@dataclass(frozen=True)
class Loss:
    """Estimated losses of m meters.

    Attributes:
        since: Index of the first day, −1 where it has no beginning in view, shape (m,).
        kwh: Shape (m,).
        money: None where the meter has no bills, or nothing was lost; length m.
    """

    since: Int
    kwh: Float
    money: list[Money | None]


def state_loss(scored: Scored, began: Bool, prices: Prices) -> Loss:
    """What the state queue's suspects lost: since it began, or on all days as the feeder's loss says.

    Args:
        scored: The comparison.
        began: Meters that show by a lasting change, shape (m,).
        prices: Of a kWh.
    """
    change, fit = scored.change, scored.fit
    a_day = np.where(scored.state.way == WAYS.index("steady"), fit.steady_kwh, fit.moving_kwh)
    seen = (scored.table.days("day_have") > 0).sum(axis=1)
    by_feeder = np.isfinite(a_day) & ~began
    kwh = np.where(by_feeder, np.nan_to_num(a_day) * seen, change.lost)
    return Loss(np.where(began, change.since, -1), kwh, priced(scored.table.meters, kwh, prices))


def priced(meters: Sequence[str], kwh: Float, prices: Prices) -> list[Money | None]:
    """The energy at each meter's price, in whole cents."""
    found: list[Money | None] = []
    for meter, energy in zip(meters, kwh.tolist(), strict=True):
        price = prices.get(meter)
        if price is None or energy <= 0:
            found.append(None)
            continue
        amount = Decimal(repr(round(energy, 3))) * price.a_kwh
        found.append(Money(amount.quantize(CENT, ROUND_HALF_UP), price))
    return found
