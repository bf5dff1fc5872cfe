"""Power factor of a bill from its active and reactive energy, exactly."""

from __future__ import annotations

from decimal import Decimal
from math import isqrt

from models.money import Mode
from models.series import Int

__all__ = ["power_factors"]


def power_factors(active: Int, reactive: Int, dp: int, mode: Mode = "half_up") -> list[Decimal | None]:
    """The power factor kWh / √(kWh² + kvarh²) of each bill, rounded once, but never to zero.

    Args:
        active: Energy drawn, shape (n,). [micro-kWh]
        reactive: Reactive energy drawn, shape (n,); below zero where nothing measures it. [micro-kvarh]
        dp: Decimals of the result.
        mode: How to round.

    Returns:
        One a bill; None where nothing was drawn or nothing measures reactive energy.
    """
    return [
        Decimal(max(_rounded_root(kwh * kwh * 100**dp, kwh * kwh + kvarh * kvarh, mode), 1)).scaleb(-dp)
        if kwh > 0 and kvarh >= 0
        else None
        for kwh, kvarh in zip(active.tolist(), reactive.tolist(), strict=True)
    ]


def _rounded_root(above: int, below: int, mode: Mode) -> int:
    """√(above / below) rounded to an integer; squares are compared, so that nothing is rounded before."""
    floor = isqrt(above // below)
    rest = above - floor * floor * below
    if mode in ("down", "up"):
        return floor + (mode == "up" and rest > 0)
    half = 4 * above - (2 * floor + 1) ** 2 * below  # of the root less (floor + ½), its sign
    odd = mode == "half_up" or floor % 2 == 1
    return floor + (half > 0 or (half == 0 and odd))
