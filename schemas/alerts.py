"""Alerts: what somebody should see within seconds, and its Arrow form."""

from __future__ import annotations

import pyarrow as pa

from schemas.lake import UTC

__all__ = ["ALERTS", "DEAD_METER", "EVENT_ALERTS"]

ALERTS = pa.schema(
    [
        ("alert", pa.string()),
        ("meter_id", pa.string()),
        ("severity", pa.string()),
        ("occurred_at", UTC),
        ("received_at", UTC),
        ("seen", pa.string()),
    ]
)
"""One row an alert. An alert may be sent again: (alert, meter_id, occurred_at) is its identity."""

EVENT_ALERTS: dict[str, tuple[str, str]] = {
    "power_down": ("outage", "warning"),
    "last_gasp": ("outage", "warning"),
    "power_restored": ("outage_over", "info"),
    "cover_removed": ("tamper", "critical"),
    "tamper": ("tamper", "critical"),
    "magnetic_tamper": ("tamper", "critical"),
    "reverse_rotation": ("tamper", "critical"),
    "low_battery": ("low_battery", "info"),
    "over_voltage": ("voltage", "warning"),
    "under_voltage": ("voltage", "warning"),
}
"""From the name of a device event (``schemas.event_types.event_name``) to its alert and severity."""

DEAD_METER = ("dead_meter", "warning")
"""A series without any reading on a day that closed, after a day that had some."""
