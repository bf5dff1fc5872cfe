"""Explain a bill: every line back to its days and slots, and what changed since the revision before."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import duckdb

from models.bill_prices import Prices
from models.calendar import epoch_day
from pipelines.store.lake import AsOf, Lake
from pipelines.store.views import connect
from pipelines.tariffs.bill_changes import slot_changes
from pipelines.tariffs.bill_slots import Slots, read_slots
from pipelines.tariffs.explain_line import BillOf, explain_line, text_of
from pipelines.tariffs.neighbours import neighbours
from pipelines.tariffs.run_prices import run_contracts, run_prices
from schemas.errors import MeterbeamError

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
KEY = ("service_point_id", "charge", "tariff_version", "period", "tier")


def explain_bill(lake: Lake, bill: str, as_of: AsOf | None = None, *, each: bool = False) -> dict[str, Any]:
    """A bill, where each of its lines comes from, and what changed since the revision before.

    Args:
        lake: Holds the bill.
        bill: Its id.
        as_of: A moment, a run number or a run id.
        each: Whether to list every slot of a line, not only its days.

    Returns:
        The bill's own fields; ``lines`` with ``days`` (slots, energy, qualities, methods) or ``of`` (the
        charges that a line is a share of); ``neighbours``, None where they may not be shown; ``changes``
        with lines and slots before and after, None for a first revision.

    Raises:
        MeterbeamError: There is no such bill.
    """
    with connect(lake, as_of) as connection:
        found = _revisions(connection, bill)
        if not found:
            raise MeterbeamError(f"{lake.path}: bills", f"no bill {bill!r}", "a bill_id of the view bills")
        now = found[-1]
        prices = run_prices(lake, now["run_no"])
        slots = _slots(connection, lake, now, prices)
        others = neighbours(connection, now)
    of = BillOf(now, prices, slots, each)
    return {
        **{name: text_of(now[name]) for name in HEAD},
        "lines": [explain_line(of, line) for line in now["lines"]],
        "estimated_share": now["estimated_share"],
        "neighbours": others,
        "changes": _changes(lake, found, slots) if len(found) > 1 else None,
    }


def _revisions(connection: duckdb.DuckDBPyConnection, bill: str) -> list[dict[str, Any]]:
    found = connection.execute("SELECT * FROM stored.bills_rows WHERE bill_id = ? ORDER BY revision", [bill])
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    rows = [{**row, "lines": row["lines"] or []} for row in rows]
    for former, row in pairwise(rows):
        if row["withdrawn"]:  # it is billed no more: the reversal of the revision before stands alone
            for name in HEAD:
                row[name] = former[name] if row[name] is None else row[name]
            row |= {"status": "reversed", "total": None, "reason": "billed no more"}
    return rows


def _slots(
    connection: duckdb.DuckDBPyConnection, lake: Lake, bill: Mapping[str, Any], prices: Prices
) -> dict[str, Slots]:
    """Slots of each service point of a bill, as of the run that made it."""
    first, last = epoch_day(bill["period_start"]), epoch_day(bill["period_end"])
    found = {}
    for contract in run_contracts(lake, bill["run_no"], prices).every:
        ends = last if contract.last_day is None else contract.last_day
        if contract.account_id == bill["account_id"] and contract.first_day <= last and first <= ends:
            slots = read_slots(connection, contract, lake.config.timezone, first, last - first + 1)
            if slots is not None:
                found[contract.service_point_id] = slots
    return found


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
        then = {**now, "run_no": before["run_no"]}
        former = _slots(connection, lake, then, run_prices(lake, int(before["run_no"])))
    return {
        "revision_before": before["revision"],
        "total_before": text_of(before["total"]),
        "status_before": before["status"],
        "lines": lines,
        "slots": [
            change for point in sorted(slots) for change in slot_changes(former.get(point), slots[point])
        ],
    }


def _amount(line: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if line is None else {name: text_of(line[name]) for name in ("quantity", "rate", "amount")}
