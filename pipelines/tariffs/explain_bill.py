"""Explain a bill: every line back to its days and slots, and what changed since the revision before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import duckdb

from models.bill_cycles import Contract
from models.bill_prices import Prices
from models.calendar import epoch_day
from pipelines.store.lake import AsOf, Lake
from pipelines.store.views import connect
from pipelines.tariffs.bill_changes import slot_changes
from pipelines.tariffs.bill_slots import Slots, read_slots
from pipelines.tariffs.change_causes import Basis, change_causes
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
        with its causes, and lines and slots before and after, None for a first revision.

    Raises:
        MeterbeamError: There is no such bill.
    """
    with connect(lake, as_of) as connection:
        found = _revisions(connection, bill)
        if not found:
            raise MeterbeamError(f"{lake.path}: bills", f"no bill {bill!r}", "a bill_id of the view bills")
        now = found[-1]
        prices = run_prices(lake, now["run_no"])
        contracts = _contracts(lake, now, prices)
        slots = _slots(connection, lake, now, contracts)
        others = neighbours(connection, now)
    of = BillOf(now, prices, slots, each)
    return {
        **{name: text_of(now[name]) for name in HEAD},
        "lines": [explain_line(of, line) for line in now["lines"]],
        "estimated_share": now["estimated_share"],
        "neighbours": others,
        "changes": _changes(lake, found, slots, Basis(prices, contracts, _handed_on(lake, now, contracts)))
        if len(found) > 1
        else None,
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


def _contracts(lake: Lake, bill: Mapping[str, Any], prices: Prices) -> list[Contract]:
    """Contracts of a bill's account on its days, as of the run that made it."""
    first, last = epoch_day(bill["period_start"]), epoch_day(bill["period_end"])
    return [
        contract
        for contract in run_contracts(lake, bill["run_no"], prices, bill["account_id"])
        if contract.first_day <= last and (contract.last_day is None or first <= contract.last_day)
    ]


def _slots(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    bill: Mapping[str, Any],
    contracts: Sequence[Contract],
) -> dict[str, Slots]:
    """Slots of each service point of a bill, as of the run that made it."""
    first, last = epoch_day(bill["period_start"]), epoch_day(bill["period_end"])
    found = {}
    for contract in contracts:
        slots = read_slots(connection, contract, lake.config.timezone, first, last - first + 1)
        if slots is not None:
            found[contract.service_point_id] = slots
    return found


def _handed_on(lake: Lake, bill: Mapping[str, Any], contracts: Sequence[Contract]) -> dict[str, Any]:
    """State by service point that the bills before handed on, as of the run that made a bill."""
    with connect(lake, int(bill["run_no"])) as connection:
        rows = connection.execute(
            "SELECT state, lines FROM stored.bills_current "
            "WHERE NOT withdrawn AND status = 'active' AND account_id = ? AND period_end < ? "
            "ORDER BY period_end, bill_id",
            [bill["account_id"], bill["period_start"]],
        ).fetchall()
    mine = {contract.service_point_id for contract in contracts}
    states: dict[str, Any] = {}
    for text, lines in rows:
        points = {line["service_point_id"] for line in lines or ()} or mine
        state: dict[str, Any] = json.loads(text) if text else {}
        # A bill of one service point has its state as it is, one of several has one for each.
        alone = not state or isinstance(state.get("credit"), str)
        states |= {point: state if alone else state.get(point) for point in points}
    return {point: state for point, state in states.items() if point in mine and state}


def _changes(
    lake: Lake, found: list[dict[str, Any]], slots: Mapping[str, Slots], basis: Basis
) -> dict[str, Any]:
    """What differs from the revision before: lines, slots, and the other causes."""
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
    then = {**now, "run_no": before["run_no"]}
    prices = run_prices(lake, int(before["run_no"]))
    contracts = _contracts(lake, then, prices)
    with connect(lake, int(before["run_no"])) as connection:
        former = _slots(connection, lake, then, contracts)
    changed = [change for point in sorted(slots) for change in slot_changes(former.get(point), slots[point])]
    days = epoch_day(now["period_start"]), epoch_day(now["period_end"])
    was = Basis(prices, contracts, _handed_on(lake, then, contracts))
    causes = change_causes(was, basis, days, lake.config.timezone)
    return {
        "revision_before": before["revision"],
        "total_before": text_of(before["total"]),
        "status_before": before["status"],
        "lines": lines,
        "causes": [*(["slots"] if changed else []), *causes],
        "slots": changed,
    }


def _amount(line: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if line is None else {name: text_of(line[name]) for name in ("quantity", "rate", "amount")}
