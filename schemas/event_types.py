"""Device events: the names the pipeline acts on, and their CIM codes (IEC 61968-9 EndDeviceEventType)."""

from __future__ import annotations

POWER_DOWN = "power_down"
POWER_RESTORED = "power_restored"
TEST_MODE_ON = "test_mode_on"
TEST_MODE_OFF = "test_mode_off"
SINGLE_EVENTS = ("meter_id_mismatch", "pulse_overflow", "reverse_rotation", "clock_changed")
"""Events that say something about the slot they occur in; each is a rule of that name."""

CIM_EVENT_CODES = {
    "3.26.9.185": POWER_DOWN,
    "3.26.0.85": POWER_DOWN,
    "3.26.9.216": POWER_RESTORED,
    "3.12.29.212": "cover_removed",
    "3.26.131.223": "under_voltage",
    "3.26.131.248": "over_voltage",
    "3.26.38.98": "imbalance",
    "3.36.0.79": "clock_changed",
    "3.2.22.150": "low_battery",
    "3.8.0.177": "demand_overload",
    "3.26.93.219": "reverse_rotation",
}
"""type.domain.sub.action as vee.md's sources list them, with the name used here."""

_SYNONYMS = {
    "power_failure": POWER_DOWN,
    "power_off": POWER_DOWN,
    "outage": POWER_DOWN,
    "power_up": POWER_RESTORED,
    "power_restore": POWER_RESTORED,
    "restore": POWER_RESTORED,
    "power_on": POWER_RESTORED,
    "test_mode": TEST_MODE_ON,
    "test_mode_start": TEST_MODE_ON,
    "test_mode_started": TEST_MODE_ON,
    "test_mode_end": TEST_MODE_OFF,
    "test_mode_stop": TEST_MODE_OFF,
    "test_mode_stopped": TEST_MODE_OFF,
    "id_mismatch": "meter_id_mismatch",
    "reverse_flow": "reverse_rotation",
    "clock_change": "clock_changed",
    "time_changed": "clock_changed",
}


def event_name(event_type: str) -> str:
    """The name of an event given as a CIM code or a name; unknown ones stay as they are, in lower case."""
    known = CIM_EVENT_CODES.get(event_type.strip())
    if known is not None:
        return known
    name = event_type.strip().lower().replace(" ", "_").replace("-", "_")
    return _SYNONYMS.get(name, name)
