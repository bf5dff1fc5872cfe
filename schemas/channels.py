"""The channel catalogue: what each channel measures, its billing unit, and its names elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "BESIDE",
    "BILLED",
    "CHANNELS",
    "HELPED",
    "REACTIVE",
    "Channel",
    "Quantity",
    "channel_of_nem12",
    "channel_of_obis",
    "commodity_name",
    "load_channel",
    "measures",
]

Quantity = Literal["active energy", "reactive energy", "voltage", "current", "volume", "heat"]

_MEASURING_PERIOD = {60: 3, 120: 10, 180: 14, 300: 6, 600: 1, 900: 2, 1200: 31, 1800: 5, 3600: 7, 86_400: 4}


@dataclass(frozen=True)
class Channel:
    """One entry of the catalogue.

    Attributes:
        name: The name used everywhere.
        commodity: ``electricity``, ``gas``, ``water``, ``heat``, ``cooling``, or ``volume`` where the
            service point decides (gas or water).
        quantity: What is measured; decides which units are accepted.
        unit: Billing unit; stored values are millionths of it.
        instantaneous: A snapshot (volt, ampere): screened, never estimated, scaled or billed.
        one_directional: A negative value is a fault.
        reference: No measurement but what estimates of another channel may be made of: never expected,
            validated, estimated or billed itself.
        obis: OBIS code (IEC 62056-61), ``A-B:C.D.E``.
        nem12: First letter of the NEM12 NMI suffix (AEMO), None where NEM12 has none.
        cim: CIM ReadingType fields (accumulation, flow, commodity, kind, phases, multiplier, uom).
    """

    name: str
    commodity: str
    quantity: Quantity
    unit: str
    obis: str
    cim: tuple[int, int, int, int, int, int, int]
    nem12: str | None = None
    instantaneous: bool = False
    one_directional: bool = True
    reference: bool = False

    def reading_type(self, interval_s: int) -> str:
        """CIM ReadingType (IEC 61968-9 annex C, 18 fields) of this channel at one interval length.

        Args:
            interval_s: Interval length [s]; one without a code in the standard gets 0.
        """
        accumulation, flow, commodity, kind, phases, multiplier, uom = self.cim
        period = _MEASURING_PERIOD.get(interval_s, 0)
        fields = (
            0,
            0,
            period,
            accumulation,
            flow,
            commodity,
            kind,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            phases,
            multiplier,
            uom,
            0,
        )
        return ".".join(str(field) for field in fields)


_DELTA, _INDICATING = 4, 6
_NONE, _FORWARD, _NET, _REVERSE = 0, 1, 4, 19
_ELECTRICITY, _GAS, _WATER, _HEATING, _COOLING = 1, 7, 9, 12, 13
_CURRENT, _ENERGY, _VOLTAGE, _VOLUME = 4, 12, 54, 58
_KILO = 3
_AMPERE, _VOLT, _CUBIC_METRE, _WATT_HOUR, _VAR_HOUR = 5, 29, 42, 72, 73
_PHASES = {"": 0, "l1": 128, "l2": 64, "l3": 32, "n": 16}


def _electric(
    name: str, quantity: Quantity, unit: str, obis: str, flow: int, uom: int, nem12: str | None
) -> Channel:
    cim = (_DELTA, flow, _ELECTRICITY, _ENERGY, 0, _KILO, uom)
    return Channel(name, "electricity", quantity, unit, obis, cim, nem12, one_directional=flow != _NET)


def _snapshot(
    quantity: Literal["voltage", "current"], phase: str, obis: str, nem12: str | None = None
) -> Channel:
    name = f"{quantity}_{phase}" if phase else quantity
    unit, kind, uom = ("V", _VOLTAGE, _VOLT) if quantity == "voltage" else ("A", _CURRENT, _AMPERE)
    cim = (_INDICATING, _NONE, _ELECTRICITY, kind, _PHASES[phase], 0, uom)
    return Channel(
        name, "electricity", quantity, unit, obis, cim, nem12, instantaneous=True, one_directional=False
    )


def _volume(name: str, commodity: str, obis: str, cim_commodity: int) -> Channel:
    cim = (_DELTA, _FORWARD, cim_commodity, _VOLUME, 0, 0, _CUBIC_METRE)
    return Channel(name, commodity, "volume", "m3", obis, cim)


def _heat(name: str, commodity: str, obis: str, cim_commodity: int) -> Channel:
    cim = (_DELTA, _FORWARD, cim_commodity, _ENERGY, 0, _KILO, _WATT_HOUR)
    return Channel(name, commodity, "heat", "kWh", obis, cim)


CHANNELS: dict[str, Channel] = {
    channel.name: channel
    for channel in (
        _electric("import", "active energy", "kWh", "1-0:1.8.0", _FORWARD, _WATT_HOUR, "E"),
        _electric("export", "active energy", "kWh", "1-0:2.8.0", _REVERSE, _WATT_HOUR, "B"),
        _electric("net", "active energy", "kWh", "1-0:16.8.0", _NET, _WATT_HOUR, None),
        _electric("import_check", "active energy", "kWh", "1-1:1.8.0", _FORWARD, _WATT_HOUR, "F"),
        _electric("export_check", "active energy", "kWh", "1-1:2.8.0", _REVERSE, _WATT_HOUR, "C"),
        _electric("reactive_import", "reactive energy", "kvarh", "1-0:3.8.0", _FORWARD, _VAR_HOUR, "Q"),
        _electric("reactive_export", "reactive energy", "kvarh", "1-0:4.8.0", _REVERSE, _VAR_HOUR, "K"),
        _snapshot("voltage", "", "1-0:12.7.0", "V"),
        _snapshot("voltage", "l1", "1-0:32.7.0"),
        _snapshot("voltage", "l2", "1-0:52.7.0"),
        _snapshot("voltage", "l3", "1-0:72.7.0"),
        _snapshot("current", "", "1-0:11.7.0"),
        _snapshot("current", "l1", "1-0:31.7.0"),
        _snapshot("current", "l2", "1-0:51.7.0"),
        _snapshot("current", "l3", "1-0:71.7.0"),
        _snapshot("current", "n", "1-0:91.7.0"),
        _volume("volume", "volume", "7-0:3.0.0", _GAS),
        _volume("cold_water", "water", "8-0:1.0.0", _WATER),
        _volume("hot_water", "water", "9-0:1.0.0", _WATER),
        _heat("heat", "heat", "6-0:1.0.0", _HEATING),
        _heat("cold", "cooling", "5-0:1.0.0", _COOLING),
    )
}


REACTIVE = ("reactive_import", "reactive_export")
BILLED = ("import", "volume", "cold_water", "hot_water", "heat", "cold")
"""Channels of what is drawn; ``export`` stands beside ``import``."""
BESIDE: dict[str, dict[str, str]] = {
    "check": {"import": "import_check", "export": "export_check"},
    **{
        method: {channel: f"{channel}_{method}" for channel in (*BILLED, "export")}
        for method in ("previous_year", "proxy_day")
    },
}
"""Estimators that take the value of another channel of the meter: by channel, which."""
HELPED = {other: channel for pairs in BESIDE.values() for channel, other in pairs.items()}
"""Channels that stand beside others, and which: what changes there may change the estimates here."""
CHANNELS |= {
    other: replace(CHANNELS[channel], name=other, obis="", nem12=None, reference=True)
    for other, channel in HELPED.items()
    if other not in CHANNELS
}
_OF_COMMODITY = {
    "gas": ("volume",),
    "water": ("volume", "cold_water", "hot_water"),
    "heat": ("heat",),
    "cooling": ("cold",),
    "cold": ("cold",),
}


def load_channel(commodity: str, measured: Collection[str]) -> str | None:
    """The one channel of a meter that a service point of a commodity is billed by; None where there is none.

    A heat meter measures volume as well: the commodity decides, and only where it has none of its own
    channels does another one count.
    """
    order = (*_OF_COMMODITY.get(commodity.lower(), ("import",)), *BILLED)
    return next((channel for channel in order if channel in measured), None)


def channel_of_obis(code: str) -> Channel | None:
    """The channel of an OBIS code, with or without ``A-B:`` and the billing period ``*F``."""
    wanted = code.strip().partition("*")[0].upper()
    for channel in CHANNELS.values():
        if wanted and wanted in (
            channel.obis,
            channel.obis.partition(":")[2] if channel.commodity == "electricity" else None,
        ):
            return channel
    return None


def channel_of_nem12(suffix: str) -> Channel | None:
    """The channel of a NEM12 NMI suffix such as ``E1`` or ``B1``; only the letter decides."""
    letter = suffix.strip()[:1].upper()
    return next((channel for channel in CHANNELS.values() if letter and channel.nem12 == letter), None)


_KINDS_OF = {
    "electricity": ("electricity",),
    "gas": ("volume", "heat"),
    "water": ("volume", "water"),
    "heat": ("heat", "water", "volume"),
    "cooling": ("cooling", "water", "volume"),
}
"""Commodity of a service point → those of the channels that measure it; a heat meter counts its water too."""
_OTHER_NAMES = {"cold": "cooling", "power": "electricity"}


def commodity_name(commodity: str) -> str:
    """A commodity as the catalogue names it: in lower case, ``cooling`` for cold."""
    name = commodity.strip().lower()
    return _OTHER_NAMES.get(name, name)


def measures(channel_commodity: str, commodity: str) -> bool:
    """Whether a channel of one commodity may stand on a service point of another; unknown ones may."""
    kinds = _KINDS_OF.get(commodity_name(commodity))
    return kinds is None or channel_commodity in kinds
