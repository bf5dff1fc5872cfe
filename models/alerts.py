"""Alerts from device events as they come, and from the days of a shard as they close."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import day_date
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


def dead_meters(days: pa.Table, closed: int) -> pa.Table:
    """Alerts of series that fell silent.

    Args:
        days: Rows of ``days`` that a shard yields when a day closes: that day and the one before.
        closed: The day that closed. [epoch day]

    Returns:
        ``ALERTS``: of each series without any reading on ``closed`` that had one on the day before.
    """
    rows = days.filter(~pc.field("withdrawn"))
    rows = rows.filter(pc.is_in(rows["local_day"], pa.array([day_date(closed), day_date(closed - 1)])))
    if not rows.num_rows:
        return ALERTS.empty_table()
    silent = _readings(rows) == 0
    today = rows["local_day"].cast(pa.int32()).to_numpy() == closed
    names = [rows[column].cast(pa.string()).to_pylist() for column in ("meter_id", "channel")]
    of_row = list(zip(*names, strict=True))
    alive = {of_row[i] for i in np.flatnonzero(~today & ~silent).tolist()}
    found = [i for i in np.flatnonzero(today & silent).tolist() if of_row[i] in alive]
    chosen = rows.take(pa.array(found, pa.int64()))
    alert, severity = DEAD_METER
    return pa.table(
        {
            "alert": [alert] * len(found),
            "meter_id": [of_row[i][0] for i in found],
            "severity": [severity] * len(found),
            "occurred_at": chosen["start"],
            "received_at": pa.nulls(len(found), ALERTS.field("received_at").type),
            "seen": [f"no reading of {of_row[i][1]} on {day_date(closed)}" for i in found],
        },
        schema=ALERTS,
    )


def _readings(rows: pa.Table) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Readings behind each day row: what was measured where something was made, else its values; (n,)."""
    counts = [_present(rows[name]) for name in ("measured", "values")]
    made = rows["measured"].is_valid().to_numpy()
    return np.where(made, *counts)


def _present(lists: pa.ChunkedArray) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Elements that are not null of each list; (n,)."""
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    there = pc.list_flatten(lists).is_valid().to_numpy()
    row = np.repeat(np.arange(len(sizes)), sizes)
    return np.bincount(row[there], minlength=len(sizes)).astype(np.int64)
