"""Explain a bill: every line back to its days and slots, and what changed since the revision before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb

from models.bill_run import version_stretches
from models.calendar import epoch_day
from pipelines.store.lake import AsOf, Lake
from pipelines.store.views import connect
from pipelines.tariffs.bill_slots import Slot, Slots, line_days, read_slots
from pipelines.tariffs.tariff_store import kept_tariffs
from schemas.errors import MeterbeamError
from schemas.tariff import Tariff, load_tariffs
from schemas.tariff_charges import mentioned

__all__ = ["explain_bill"]

HEAD = (
    "bill_id",
    "account_id",
    "period_start",
    "period_end",
    "revision",
    "status",
    "total",
    "currency",
    "reason",
)
SHOWN = ("charge", "period", "tier", "quantity", "unit", "rate", "amount", "tariff_id", "tariff_version")
KEY = ("service_point_id", "charge", "tariff_version", "period", "tier")


def explain_bill(lake: Lake, bill: str, as_of: AsOf | None = None) -> dict[str, Any]:
    """A bill, where each of its lines comes from, and what changed since the revision before.

    Args:
        lake: Holds the bill.
        bill: Its id.
        as_of: A moment, a run number or a run id.

    Returns:
        The bill's own fields; ``lines`` with ``days`` (slots, energy, qualities, methods) or ``of`` (the
        charges that a line is a share of); ``changes`` with lines and slots before and after, None for a
        first revision.

    Raises:
        MeterbeamError: There is no such bill.
    """
    with connect(lake, as_of) as connection:
        found = _revisions(connection, bill)
        if not found:
            raise MeterbeamError(f"{lake.path}: bills", f"no bill {bill!r}", "a bill_id of the view bills")
        now = found[-1]
        versions = _tariffs(lake, now["run_no"])
        points = sorted({line["service_point_id"] for line in now["lines"]})
        slots = _slots(connection, now, points, lake.config.timezone)
    lines = [_explained(line, now, versions, slots) for line in now["lines"]]
    return {
        **{name: _text(now[name]) for name in HEAD},
        "lines": lines,
        "changes": _changes(lake, found, slots) if len(found) > 1 else None,
    }


def _revisions(connection: duckdb.DuckDBPyConnection, bill: str) -> list[dict[str, Any]]:
    found = connection.execute("SELECT * FROM stored.bills_rows WHERE bill_id = ? ORDER BY revision", [bill])
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [{**row, "lines": row["lines"] or []} for row in rows]


def _tariffs(lake: Lake, run_no: int) -> Mapping[str, list[Tariff]]:
    """The tariffs that a run billed by."""
    text = lake.at(run_no).runs().to_pylist()
    of_run = next((row["tariffs"] for row in text if row["run_no"] == run_no), None)
    return {} if of_run is None else load_tariffs(kept_tariffs(lake.path, of_run))


def _slots(
    connection: duckdb.DuckDBPyConnection, bill: Mapping[str, Any], points: list[str], zone: str
) -> dict[str, Slots]:
    first, last = epoch_day(bill["period_start"]), epoch_day(bill["period_end"])
    found = {point: read_slots(connection, point, zone, first, last - first + 1) for point in points}
    return {point: slots for point, slots in found.items() if slots is not None}


def _explained(
    line: Mapping[str, Any],
    bill: Mapping[str, Any],
    versions: Mapping[str, list[Tariff]],
    slots: Mapping[str, Slots],
) -> dict[str, Any]:
    shown = {"line": line["line"], "service_point_id": line["service_point_id"]}
    shown |= {name: _text(line[name]) for name in SHOWN}
    first, last = epoch_day(bill["period_start"]), epoch_day(bill["period_end"])
    for low, high, tariff in version_stretches(versions.get(line["tariff_id"], []), first, last):
        if tariff.version != line["tariff_version"]:
            continue
        charge = next((charge for charge in tariff.charges if charge.id == line["charge"]), None)
        if charge is not None and mentioned(charge)[1]:
            shown["of"] = list(mentioned(charge)[1])
        own = slots.get(line["service_point_id"])
        if own is not None:
            shown["days"] = line_days(line, tariff, own, range(low, high + 1))
    return shown


def _changes(lake: Lake, found: list[dict[str, Any]], slots: Mapping[str, Slots]) -> dict[str, Any]:
    """Lines and slots that differ from those of the revision before."""
    before, now = found[-2:]
    old = {tuple(line[name] for name in KEY): line for line in before["lines"]}
    new = {tuple(line[name] for name in KEY): line for line in now["lines"]}
    lines = []
    for key in dict.fromkeys([*old, *new]):
        was, is_ = old.get(key), new.get(key)
        amounts = [
            None if line is None else (line["quantity"], line["rate"], line["amount"]) for line in (was, is_)
        ]
        if amounts[0] != amounts[1]:
            named = dict(zip(KEY, key, strict=True))
            lines.append({**named, "before": _amount(was), "after": _amount(is_)})
    with connect(lake, int(before["run_no"])) as connection:
        former = _slots(connection, now, sorted(slots), lake.config.timezone)
    return {
        "revision_before": before["revision"],
        "total_before": _text(before["total"]),
        "status_before": before["status"],
        "lines": lines,
        "slots": [
            change for point in sorted(slots) for change in _slot_changes(former.get(point), slots[point])
        ],
    }


def _slot_changes(former: Slots | None, now: Slots) -> list[dict[str, Any]]:
    changes = []
    for channel, was, is_ in (
        ("import", former.drawn if former else {}, now.drawn),
        ("export", former.fed if former else {}, now.fed),
    ):
        for second in sorted({*was, *is_}):
            old, new = was.get(second), is_.get(second)
            if old != new:
                start = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%MZ}"
                changes.append(
                    {"channel": channel, "start": start, "before": _slot(old), "after": _slot(new)}
                )
    return changes


def _slot(slot: Slot | None) -> dict[str, Any] | None:
    if slot is None:
        return None
    known = {"meter_id": slot.meter_id, "value": _text(slot.value)}
    return {**known, "quality": slot.quality, "method": slot.method}


def _amount(line: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if line is None else {name: _text(line[name]) for name in ("quantity", "rate", "amount")}


def _text(value: Any) -> Any:
    """Numbers and days as text, without trailing zeros beyond the cent."""
    if value is None or isinstance(value, str | int):
        return value
    text = str(value)
    whole, dot, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}" if dot else text
