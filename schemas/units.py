"""Units and their exact rational factor to a channel's billing unit.

Case: a name is looked up as written first. Otherwise it is taken without regard to case (``KWH``,
``wh``, ``Gal``), except where case decides the prefix: a name that begins with m or M and is meant as
mega must be written with a capital M (``MWh``, ``MWH``, ``MJ``); ``mwh`` and ``mj`` are unknown.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from schemas.channels import CHANNELS, Quantity

__all__ = ["unit_factor", "units_of"]

_JOULE = Fraction(1, 3_600_000)
_CUBIC_FOOT = Fraction(3048, 10_000) ** 3
_GALLON = Fraction(3_785_411_784, 10**12)

_ENERGY = {
    "Wh": Fraction(1, 1000),
    "kWh": Fraction(1),
    "MWh": Fraction(1000),
    "GWh": Fraction(1_000_000),
    "J": _JOULE,
    "kJ": _JOULE * 10**3,
    "MJ": _JOULE * 10**6,
    "GJ": _JOULE * 10**9,
}
_REACTIVE = {"varh": Fraction(1, 1000), "kvarh": Fraction(1), "Mvarh": Fraction(1000)}
_VOLUME = {
    "m3": Fraction(1),
    "m³": Fraction(1),
    "L": Fraction(1, 1000),
    "hL": Fraction(1, 10),
    "kL": Fraction(1),
    "ML": Fraction(1000),
    "gal": _GALLON,
    "kgal": _GALLON * 1000,
    "ft3": _CUBIC_FOOT,
    "ft³": _CUBIC_FOOT,
    "cf": _CUBIC_FOOT,
    "CCF": _CUBIC_FOOT * 100,
    "HCF": _CUBIC_FOOT * 100,
    "MCF": _CUBIC_FOOT * 1000,
}
_VOLT = {"V": Fraction(1), "kV": Fraction(1000), "mV": Fraction(1, 1000)}
_AMPERE = {"A": Fraction(1), "kA": Fraction(1000), "mA": Fraction(1, 1000)}

_FACTORS: dict[Quantity, dict[str, Fraction]] = {
    "active energy": _ENERGY,
    "heat": _ENERGY,
    "reactive energy": _REACTIVE,
    "volume": _VOLUME,
    "voltage": _VOLT,
    "current": _AMPERE,
}


def _case_free(names: dict[str, Fraction]) -> dict[str, Fraction]:
    """Names that may be written in any case, folded; those where m and M differ are left out."""
    return {
        name.casefold(): factor
        for name, factor in names.items()
        if name[0] not in "mM" or name in ("m3", "m³", "MCF")
    }


_FOLDED = {quantity: _case_free(names) for quantity, names in _FACTORS.items()}
_UPPER = {
    quantity: {name.upper(): factor for name, factor in names.items() if name[0] == "M"}
    for quantity, names in _FACTORS.items()
}


@lru_cache(maxsize=4096)
def unit_factor(unit: str, channel: str) -> Fraction | None:
    """How many billing units of a channel one ``unit`` is, exactly.

    Args:
        unit: As the record has it; blanks around it do not count.
        channel: A name of the catalogue.

    Returns:
        None where the channel is unknown or cannot be measured in this unit.
    """
    entry = CHANNELS.get(channel)
    if entry is None:
        return None
    name, quantity = unit.strip(), entry.quantity
    factor = _FACTORS[quantity].get(name)
    if factor is None:
        factor = _UPPER[quantity].get(name)
    if factor is None:
        factor = _FOLDED[quantity].get(name.casefold())
    return factor


def units_of(channel: str) -> tuple[str, ...]:
    """Units accepted for a channel, as they are best written; empty for an unknown channel."""
    entry = CHANNELS.get(channel)
    return tuple(_FACTORS[entry.quantity]) if entry else ()
