"""Events that a detect run reads: signs of tampering, and faults that a device reports itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.calendar import day_date
from schemas.event_types import POWER_DOWN

__all__ = ["OF_INTEREST", "DeviceEvents", "outages", "self_reported", "tampering"]

TAMPER = frozenset(
    {"cover_removed", "reverse_rotation", "magnetic_field", "tamper", "tilt", "phase_removed", "imbalance"}
)
SELF_REPORTED = {
    "low_battery": ("battery", "warning"),
    "communication_failure": ("communication_event", "warning"),
    "meter_failure": ("device_failure", "error"),
}
"""Event → fault and severity."""
OF_INTEREST = TAMPER | set(SELF_REPORTED) | {POWER_DOWN}
NEAR_DAYS = 14

DeviceEvents = Mapping[str, Sequence[tuple[int, str]]]
"""Epoch day and name of the events of interest of each meter, sorted, each once."""


def tampering(events: Sequence[tuple[int, str]], since: int) -> list[str]:
    """Signs of tampering up to ``NEAR_DAYS`` days from a change, the nearest first.

    Args:
        events: Of one meter.
        since: Epoch day of the change.
    """
    near = [(abs(day - since), day, name) for day, name in events if name in TAMPER]
    return [f"{name} on {day_date(day)}" for away, day, name in sorted(near) if away <= NEAR_DAYS]


def outages(events: Sequence[tuple[int, str]], since: int) -> int:
    """Days with a power-down of one meter up to ``NEAR_DAYS`` days from a change."""
    return sum(name == POWER_DOWN and abs(day - since) <= NEAR_DAYS for day, name in events)


def self_reported(events: Sequence[tuple[int, str]]) -> list[tuple[str, str, int, int, int]]:
    """Faults that a device reported itself: name, severity, first and last epoch day, number of events."""
    found: dict[str, list[int]] = {}
    for day, name in events:
        if name in SELF_REPORTED:
            found.setdefault(name, []).append(day)
    return [(*SELF_REPORTED[name], min(days), max(days), len(days)) for name, days in sorted(found.items())]
