"""Energy of a volume of gas, in integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from models.series import Int

__all__ = ["energy_of_volume"]

LIMB = 20


def energy_of_volume(volume: Int, factor: Fraction) -> Int:
    """Energy of each slot, such that every running total is the volume's total converted and rounded once.

    So nothing drifts: the energy of any stretch differs by less than a micro-kWh from its converted volume.

    Args:
        volume: Shape (n, slots), not negative. [micro-m³]
        factor: Energy of a unit of volume, with numerator · denominator below 2^82. [kWh/m³]

    Returns:
        Shape (n, slots). [micro-kWh]
    """
    up, down = factor.numerator, factor.denominator
    whole, rest = np.divmod(np.cumsum(volume, axis=1), down)
    # rest · up may pass 64 bits: divide in two steps, the high limb of the numerator first.
    high, low = divmod(up, 1 << LIMB)
    part, left = np.divmod(rest * high, down)
    total = whole * up + (part << LIMB) + ((left << LIMB) + rest * low + down // 2) // down
    energy: Int = np.diff(total, axis=1, prepend=0)
    return energy
