"""Priced bills as rows: each service point's share of an account's bill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.bill_cycles import BillingPeriod
from models.bill_sheet import MICRO_DP, Line
from models.series import Bool, Int
from schemas.lake import BILL_LINE, BILLS
from schemas.tariff import Tariff

__all__ = ["PARTS", "PricedBills", "bill_parts"]

RATE_DP = 10
PARTS = pa.schema(
    [
        ("service_point_id", pa.string()),
        ("group", pa.string()),
        *[field for field in BILLS.content if field.name != "bill_id"],
        ("slots", pa.int64()),
        ("estimated", pa.int64()),
    ]
)
"""A service point's share of an account's bill."""


@dataclass(frozen=True)
class PricedBills:
    """Priced bills of one period and tariff; shape (n,), lines as (n, L).

    Attributes:
        lines: Tariff, line and decimals of its money, in the order of the bill.
        totals: [10^-6 of the currency]
        states: What each hands on, as text.
        slots: Slots of the period.
        estimated: Those estimated.
        reasons: Why each is held; empty where it is not.
    """

    periods: Sequence[BillingPeriod]
    tariff: Tariff
    lines: Sequence[tuple[Tariff, Line, int]]
    totals: Int
    states: Sequence[str | None]
    slots: int
    estimated: Int
    reasons: Sequence[str]

    @property
    def held(self) -> Bool:
        """Which are held."""
        return np.array([reason != "" for reason in self.reasons], np.bool_)


def bill_parts(bills: Sequence[PricedBills]) -> pa.Table:
    """Bills as rows of ``PARTS``."""
    if not bills:
        return PARTS.empty_table()
    periods = [period for part in bills for period in part.periods]
    points = [period.contract.service_point_id for period in periods]
    sizes = [len(part.periods) for part in bills]
    held = np.concatenate([part.held for part in bills])
    return pa.table(
        {
            "service_point_id": points,
            "group": [f"{p.contract.commodity}/{p.contract.bill_cycle_day}" for p in periods],
            "account_id": [period.contract.account_id for period in periods],
            "period_start": _days([period.first for period in periods]),
            "period_end": _days([period.last for period in periods]),
            "status": np.where(held, "held", "active").tolist(),
            "total": _decimals(np.concatenate([part.totals for part in bills]), 24, MICRO_DP, absent=held),
            "currency": [part.tariff.currency for part in bills for _ in part.periods],
            "estimated_share": pa.nulls(len(periods), pa.float64()),
            "reason": [reason for part in bills for reason in part.reasons],
            "state": [state for part in bills for state in part.states],
            "lines": _line_lists(bills, points, held),
            "slots": np.repeat(np.array([part.slots for part in bills], np.int64), sizes),
            "estimated": np.concatenate([part.estimated for part in bills]),
        },
        schema=PARTS,
    )


def _days(days: Sequence[int]) -> pa.Array:
    return pa.array(days, pa.int32()).cast(pa.date32())


def _decimals(values: Int, precision: int, scale: int, absent: object = None) -> pa.Array:
    """Decimal128 array of integers that count units of 10^-scale; no Python object a value."""
    words = np.empty((len(values), 2), np.int64)
    words[:, 0] = values
    words[:, 1] = values >> 63
    array = pa.Array.from_buffers(
        pa.decimal128(precision, scale), len(values), [None, pa.py_buffer(words.tobytes())]
    )
    return array if absent is None else pa.compute.if_else(pa.array(~np.asarray(absent)), array, None)


def _line_lists(bills: Sequence[PricedBills], points: Sequence[str], held: Bool) -> pa.ListArray:
    """Lines of each bill, in the order of the bill; zero lines and those of held bills are left out."""
    lines = [line for part in bills for line in part.lines]
    cells: list[tuple[Int, Int, Int, Int]] = []
    first_bill = first_line = 0
    for part in bills:
        count = len(part.periods)
        if part.lines:
            amounts = np.stack([line.amount for _, line, _ in part.lines], axis=1)
            finer = [10 ** (MICRO_DP - line.quantity_dp) for _, line, _ in part.lines]
            quantities = np.stack([line.quantity for _, line, _ in part.lines], axis=1) * np.array(finer)
            bill, number = np.nonzero((amounts != 0) & ~held[first_bill : first_bill + count, None])
            chosen = amounts[bill, number], quantities[bill, number]
            cells.append((bill + first_bill, number + first_line, *chosen))
        first_bill += count
        first_line += len(part.lines)
    bill, number, amount, quantity = (
        (np.concatenate(columns) for columns in zip(*cells, strict=True))
        if cells
        else np.zeros((4, 0), np.int64)
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(bill, minlength=len(points)))])
    place = np.arange(len(bill)) - offsets[:-1][bill] + 1
    money = np.array([10 ** (MICRO_DP - dp) for _, _, dp in lines] or [1], np.int64)
    pick = pa.array(number)

    def of_line(values: list[object], type_: pa.DataType) -> pa.Array:
        return pa.array(values, type_).take(pick)

    columns = {
        "line": pa.array(place.astype(np.int32)),
        "charge": of_line([line.charge for _, line, _ in lines], pa.string()),
        "service_point_id": pa.array(points, pa.string()).take(pa.array(bill)),
        "tariff_id": of_line([tariff.id for tariff, _, _ in lines], pa.string()),
        "tariff_version": of_line([tariff.version for tariff, _, _ in lines], pa.int32()),
        "period": of_line([line.period for _, line, _ in lines], pa.string()),
        "tier": of_line([line.tier or None for _, line, _ in lines], pa.int32()),
        "quantity": _decimals(quantity, 24, MICRO_DP),
        "unit": of_line([line.unit for _, line, _ in lines], pa.string()),
        "rate": of_line([line.rate for _, line, _ in lines], pa.decimal128(24, RATE_DP)),
        "amount": _decimals(amount * money[number] if len(number) else amount, 24, MICRO_DP),
    }
    structs = pa.StructArray.from_arrays([columns[f.name] for f in BILL_LINE], fields=list(BILL_LINE))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), structs)
