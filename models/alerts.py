"""Alerts from device events as they come, and from the days of a shard as they close."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from models.assemble import Name
from models.calendar import day_date, local_day
from models.dirty import Days
from models.master import MICROS
from schemas.alerts import ALERTS, DEAD_METER, EVENT_ALERTS
from schemas.event_types import event_name

__all__ = ["dead_meters", "event_alerts"]


def event_alerts(events: pa.Table) -> pa.Table:
    """Alerts of device events.

    Args:
        events: ``RAW_EVENTS``, as received: repeats give repeated alerts.

    Returns:
        ``ALERTS``, in the order of the events; events that alert nobody have none.
    """
    types = pc.unique(events["event_type"]).to_pylist()
    alert_of = {text: EVENT_ALERTS[name] for text in types if (name := event_name(text)) in EVENT_ALERTS}
    chosen = events.filter(pc.is_in(events["event_type"], pa.array(list(alert_of), pa.string())))
    alerts = [alert_of[text] for text in chosen["event_type"].to_pylist()]
    return pa.table(
        {
            "alert": [alert for alert, _ in alerts],
            "meter_id": chosen["meter_id"],
            "severity": [severity for _, severity in alerts],
            "occurred_at": chosen["occurred_at"].cast(ALERTS.field("occurred_at").type),
            "received_at": chosen["received_at"].cast(ALERTS.field("received_at").type),
            "seen": pc.coalesce(chosen["detail"], chosen["event_type"]),
        },
        schema=ALERTS,
    )


def dead_meters(intervals: pa.Table, ranges: Mapping[Name, Days], closed: int, zone: str) -> pa.Table:
    """Alerts of series that fell silent.

    Args:
        intervals: ``RAW_INTERVALS`` of the days around the one that closed.
        ranges: Range of results of every series. [epoch days]
        closed: The day that closed. [epoch day]
        zone: Time zone of the lake.

    Returns:
        ``ALERTS``: of each series expected on ``closed`` whose latest block ends on the day before.
    """
    lengths = [
        pc.fill_null(pc.list_value_length(intervals[name]), 0) for name in ("values_int", "values_float")
    ]
    slots = pc.max_element_wise(*lengths).cast(pa.int64())
    names = {name: intervals[name].cast(pa.string()) for name in ("meter_id", "channel")}
    ends = pc.add(intervals["start"], pc.multiply(slots, intervals["interval_s"].cast(pa.int64())))
    latest = pa.table({**names, "end": ends}).group_by(["meter_id", "channel"], use_threads=False)
    rows = latest.aggregate([("end", "max")]).to_pylist()
    silent = [
        (row["meter_id"], row["channel"], row["end_max"])
        for row in rows
        if local_day(zone, row["end_max"] - 1) == closed - 1
        and ranges.get((row["meter_id"], row["channel"]), (1, 0))[1] == closed
    ]
    alert, severity = DEAD_METER
    return pa.table(
        {
            "alert": [alert] * len(silent),
            "meter_id": [meter for meter, _, _ in sorted(silent)],
            "severity": [severity] * len(silent),
            "occurred_at": pa.array([end * MICROS for _, _, end in sorted(silent)], pa.int64()).cast(
                ALERTS.field("occurred_at").type
            ),
            "received_at": pa.nulls(len(silent), ALERTS.field("received_at").type),
            "seen": [f"no reading of {channel} on {day_date(closed)}" for _, channel, _ in sorted(silent)],
        },
        schema=ALERTS,
    )
