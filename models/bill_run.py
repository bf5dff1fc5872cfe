"""Bills and determinants of many service points from their slots."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from models.bill_cycles import BillingPeriod, Contract, billing_periods
from models.bill_prices import Prices, Tariffs, prices_on
from models.billing import MICRO_DP, BillState, Line, UnpriceableError, Window, price_window
from models.calendar import day_date, day_grid, epoch_day
from models.loads import Loads, contiguous
from models.series import Bool, Int
from models.slot_quantities import netting_of
from models.tou import classify, daily_sums
from schemas.lake import BILL_LINE, BILLS, DETERMINANT
from schemas.tariff import Tariff

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


def version_on(versions: Sequence[Tariff], day: int) -> Tariff | None:
    """The version in force on an epoch day."""
    date_ = day_date(day)
    held = [
        tariff
        for tariff in versions
        if tariff.effective.from_ <= date_ and (tariff.effective.to is None or date_ <= tariff.effective.to)
    ]
    return held[-1] if held else None


def bill_loads(loads: Loads, contracts: Sequence[Contract], prices: Prices, last_closed: int) -> pa.Table:
    """Every due bill of the contracts' service points, oldest first within each.

    Args:
        loads: The meters' slots; they must reach back to the first bill of each contract.
        contracts: Of these meters; those without a known tariff are not billed.
        prices: Tariffs, events and series.
        last_closed: Last closed epoch day.

    Returns:
        ``PARTS``, one row a (service point, period).
    """
    row_of = {meter: row for row, meter in enumerate(loads.meters)}
    groups: dict[tuple[int, int, str], list[BillingPeriod]] = defaultdict(list)
    for contract in contracts:
        row = row_of.get(contract.meter_id)
        if row is None or contract.tariff_id is None or contract.tariff_id not in prices.book:
            continue
        for period in billing_periods(contract, int(loads.first_day[row]), last_closed):
            if period.first >= loads.grid.first_day:
                groups[period.first, period.last, contract.tariff_id].append(period)
    state = BillState.empty(len(loads.meters))
    bills: list[_Bills] = []
    for (first, last, _), periods in sorted(groups.items()):
        rows = np.array([row_of[period.contract.meter_id] for period in periods], np.int64)
        priced = _bill(loads, rows, periods, prices, state, first, last)
        if priced is not None:
            bills.append(priced)
    return _parts(bills)


@dataclass(frozen=True)
class _Bills:
    """Priced bills of one period and tariff; shape (n,), lines as (n, L).

    Attributes:
        lines: Tariff, line and decimals of its money, in the order of the bill.
        totals: [10^-6 of the currency]
        missing: Slots without a value, whose bills are held.
        slots, estimated: Slots of the period, and those estimated.
        lack: What else the bills need before they can be priced; empty for nothing.
    """

    periods: Sequence[BillingPeriod]
    tariff: Tariff
    lines: Sequence[tuple[Tariff, Line, int]]
    totals: Int
    states: Sequence[str | None]
    missing: Int
    slots: int
    estimated: Int
    lack: str


def _bill(
    loads: Loads,
    rows: Int,
    periods: Sequence[BillingPeriod],
    prices: Prices,
    state: BillState,
    first: int,
    last: int,
) -> _Bills | None:
    """Bills of one period for several service points on one tariff; ``state`` is carried on in place."""
    lines: list[tuple[Tariff, Line, int]] = []
    totals: Int | None = None
    own = state.at(rows)
    month = day_date(last).year * 12 + day_date(last).month - 1
    tariff, chosen, lack = None, contiguous(rows), ""
    versions = prices.book[str(periods[0].contract.tariff_id)]
    for low, high, tariff in version_stretches(versions, first, last):
        if loads.grid.interval_s // 60 not in tariff.interval.accepts_min:
            continue
        edges = [low - loads.grid.first_day, high + 1 - loads.grid.first_day]
        a, b = loads.grid.offsets[edges].tolist()
        first_run, last_run = np.searchsorted(classify(tariff, loads.grid).run_day, edges).tolist()
        fed = loads.fed_in(netted=netting_of(tariff) != "none")
        grid = day_grid(loads.grid.zone, loads.grid.interval_s, low, high - low + 1)
        try:
            window = Window(
                grid=grid,
                imported=loads.imported[chosen, a:b],
                exported=None if fed is None else fed[chosen, a:b],
                runs=loads.runs(tariff, rows)[:, first_run:last_run] if fed is None else None,
                month=month,
                billed_days=last - first + 1,
                events=prices.events,
                prices=prices_on(tariff, grid, prices.series),
                closes=high == last,
            )
            priced = price_window(tariff, window, own)
        except UnpriceableError as error:
            lack = f"tariff {tariff.id}: {error}"
            break
        dp = tariff.rounding.money_dp if tariff.rounding.money_at == "line" else MICRO_DP
        lines += [(tariff, line, dp) for line in priced.lines]
        whole = priced.total * 10 ** (MICRO_DP - tariff.rounding.money_dp)
        totals = whole if totals is None else totals + whole
        own = priced.state
    if lack:
        lines, totals, own = [], np.zeros(len(rows), np.int64), state.at(rows)
    if tariff is None or totals is None:
        return None
    state.put(rows, own)
    days = slice(first - loads.grid.first_day, last + 1 - loads.grid.first_day)
    return _Bills(
        periods=periods,
        tariff=tariff,
        lines=lines,
        totals=totals,
        states=_states(own, rows, tariff),
        missing=loads.missing[rows, days].sum(axis=1),
        slots=int(loads.grid.lengths[days].sum()),
        estimated=loads.estimated[rows, days].sum(axis=1).astype(np.int64),
        lack=lack,
    )


def _parts(bills: Sequence[_Bills]) -> pa.Table:
    """Bills as rows of ``PARTS``."""
    if not bills:
        return PARTS.empty_table()
    periods = [period for part in bills for period in part.periods]
    points = [period.contract.service_point_id for period in periods]
    sizes = [len(part.periods) for part in bills]
    slots = np.repeat(np.array([part.slots for part in bills], np.int64), sizes)
    missing = np.concatenate([part.missing for part in bills])
    lacks = [part.lack for part in bills for _ in part.periods]
    held = (missing > 0) | (np.array(lacks, np.str_) != "")
    return pa.table(
        {
            "service_point_id": points,
            "group": [f"{p.contract.commodity}/{p.contract.bill_cycle_day}" for p in periods],
            "account_id": [period.contract.account_id for period in periods],
            "period_start": _days([period.first for period in periods]),
            "period_end": _days([period.last for period in periods]),
            "status": np.where(held, "held", "active").tolist(),
            "total": decimals(np.concatenate([part.totals for part in bills]), 24, MICRO_DP, absent=held),
            "currency": [part.tariff.currency for part in bills for _ in part.periods],
            "estimated_share": pa.nulls(len(periods), pa.float64()),
            "reason": [
                f"{m} of {of} slots have no value" if m else lack
                for m, of, lack in zip(missing.tolist(), slots.tolist(), lacks, strict=True)
            ],
            "state": [state for part in bills for state in part.states],
            "lines": _line_lists(bills, points, held),
            "slots": slots,
            "estimated": np.concatenate([part.estimated for part in bills]),
        },
        schema=PARTS,
    )


def version_stretches(versions: Sequence[Tariff], first: int, last: int) -> list[tuple[int, int, Tariff]]:
    """Stretches of days on which one version is in force; days without one are not priced."""
    edges = {first, last + 1}
    for tariff in versions:
        edges.add(epoch_day(tariff.effective.from_))
        if tariff.effective.to is not None:
            edges.add(epoch_day(tariff.effective.to) + 1)
    cuts = sorted(edge for edge in edges if first <= edge <= last + 1)
    stretches: list[tuple[int, int, Tariff]] = []
    for low, high in pairwise(cuts):
        tariff_here = version_on(versions, low)
        if tariff_here is None:
            continue
        if stretches and stretches[-1][2] is tariff_here and stretches[-1][1] == low - 1:
            stretches[-1] = stretches[-1][0], high - 1, tariff_here
        else:
            stretches.append((low, high - 1, tariff_here))
    return stretches


def _states(own: BillState, rows: Int, tariff: Tariff) -> list[str | None]:
    """State after each bill as JSON text; None where nothing is carried."""
    fields = (own.fields(i, tariff.rounding.money_dp) for i in range(len(rows)))
    return [json.dumps(each) if len(each) > 1 or Decimal(each["credit"]) else None for each in fields]


def _days(days: Sequence[int]) -> pa.Array:
    return pa.array(days, pa.int32()).cast(pa.date32())


def decimals(values: Int, precision: int, scale: int, absent: object = None) -> pa.Array:
    """Decimal128 array of integers that count units of 10^-scale; no Python object a value."""
    words = np.empty((len(values), 2), np.int64)
    words[:, 0] = values
    words[:, 1] = values >> 63
    array = pa.Array.from_buffers(
        pa.decimal128(precision, scale), len(values), [None, pa.py_buffer(words.tobytes())]
    )
    return array if absent is None else pa.compute.if_else(pa.array(~np.asarray(absent)), array, None)


def _line_lists(bills: Sequence[_Bills], points: Sequence[str], held: Bool) -> pa.ListArray:
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
        "quantity": decimals(quantity, 24, MICRO_DP),
        "unit": of_line([line.unit for _, line, _ in lines], pa.string()),
        "rate": of_line([line.rate for _, line, _ in lines], pa.decimal128(24, RATE_DP)),
        "amount": decimals(amount * money[number] if len(number) else amount, 24, MICRO_DP),
    }
    structs = pa.StructArray.from_arrays([columns[f.name] for f in BILL_LINE], fields=list(BILL_LINE))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), structs)


def merge_account_bills(parts: pa.Table) -> pa.Table:
    """One bill per (account, bill group, period start) from the shares of its service points.

    Args:
        parts: ``PARTS``, any order.

    Returns:
        Content of the ``bills`` table.
    """
    order = [(name, "ascending") for name in ("account_id", "group", "period_start", "service_point_id")]
    parts = parts.sort_by(order).combine_chunks()
    if not parts.num_rows:
        return BILLS.content.empty_table()
    keys = list(
        zip(
            parts["account_id"].to_pylist(),
            parts["group"].to_pylist(),
            parts["period_start"].cast(pa.int32()).to_pylist(),
            strict=True,
        )
    )
    heads = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    share = parts["estimated"].to_numpy() / np.maximum(parts["slots"].to_numpy(), 1)
    parts = parts.set_column(
        parts.schema.get_field_index("estimated_share"), "estimated_share", pa.array(share, pa.float64())
    ).append_column("bill_id", pa.array([bill_id(*key) for key in keys], pa.string()))
    if len(heads) == len(keys):
        return parts.select(BILLS.content.names)
    ends = [*heads[1:], len(keys)]
    alone = [head for head, end in zip(heads, ends, strict=True) if end - head == 1]
    shared = [
        _merged(parts.slice(head, end - head).to_pylist())
        for head, end in zip(heads, ends, strict=True)
        if end - head > 1
    ]
    merged = pa.Table.from_pylist(shared, schema=BILLS.content)
    single = parts.take(pa.array(alone, pa.int64())).select(BILLS.content.names)
    return pa.concat_tables([single.cast(BILLS.content), merged]).sort_by("bill_id")


def bill_id(account: str, group: str, period_start: int) -> str:
    """Stable id of a bill: 16 hex digits of blake2b over its account, bill group and period start."""
    text = f"{account}\x00{group}\x00{day_date(period_start).isoformat()}"
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _merged(shares: list[dict[str, Any]]) -> dict[str, Any]:
    """A bill of several service points; held when one of them is."""
    held = [share for share in shares if share["status"] == "held"]
    lines = [] if held else [line for share in shares for line in share["lines"]]
    slots, estimated = (sum(int(share[name]) for share in shares) for name in ("slots", "estimated"))
    return {
        **shares[0],
        "period_end": max(share["period_end"] for share in shares),
        "status": "held" if held else "active",
        "total": None if held else sum((share["total"] for share in shares), Decimal(0)),
        "estimated_share": estimated / max(slots, 1),
        "reason": "; ".join(f"{share['service_point_id']}: {share['reason']}" for share in held),
        "state": None,
        "lines": [{**line, "line": i} for i, line in enumerate(lines, 1)],
    }


def daily_determinants(
    loads: Loads, contracts: Sequence[Contract], tariffs: Tariffs, wanted: object
) -> pa.Table:
    """Energy by local day, direction and period of each meter's tariff.

    Args:
        loads: The meters' slots.
        contracts: Name the tariff of each day.
        tariffs: Versions of each tariff.
        wanted: Days to write; (n, days).

    Returns:
        Content of the ``determinants`` table.
    """
    asked = np.asarray(wanted)
    row_of = {meter: row for row, meter in enumerate(loads.meters)}
    days = np.zeros(asked.shape, np.int16)
    used: list[Tariff] = []
    for contract in contracts:
        row = row_of.get(contract.meter_id)
        if row is None or contract.tariff_id is None or contract.tariff_id not in tariffs:
            continue
        last = (
            loads.grid.last_day if contract.last_day is None else min(contract.last_day, loads.grid.last_day)
        )
        first = max(contract.first_day, loads.grid.first_day)
        if first > last:
            continue
        for low, high, tariff in version_stretches(tariffs[contract.tariff_id], first, last):
            if not any(tariff is other for other in used):
                used.append(tariff)
            days[row, low - loads.grid.first_day : high + 1 - loads.grid.first_day] = used.index(tariff) + 1
    tables = [_determinants(loads, tariff, asked & (days == code)) for code, tariff in enumerate(used, 1)]
    schema = pa.schema(
        [
            ("meter_id", pa.string()),
            ("local_day", pa.date32()),
            ("tariff_id", pa.string()),
            ("lines", pa.list_(DETERMINANT)),
        ]
    )
    return pa.concat_tables([schema.empty_table(), *tables])


def _determinants(loads: Loads, tariff: Tariff, chosen: object) -> pa.Table:
    mask = np.asarray(chosen)
    rows = np.flatnonzero(mask.any(axis=1))
    mask = mask[rows]
    periods = classify(tariff, loads.grid)
    width = len(periods.names)
    occurs = np.zeros((loads.grid.days, width), np.bool_)
    occurs[periods.run_day, periods.run_period] = True
    sums = [daily_sums(loads.runs(tariff, rows), periods, loads.grid.days)]
    if loads.exported is not None:
        sums.append(daily_sums(loads.runs(tariff, rows, exported=True), periods, loads.grid.days))
    values = np.concatenate(sums, axis=2)
    present = np.concatenate([occurs] * len(sums), axis=1)
    series, day = np.nonzero(mask)
    shown = present[day]
    shown[:, width:] &= loads.exports[rows][series, day][:, None]
    at, code = np.nonzero(shown)
    offsets = np.concatenate([[0], np.cumsum(shown.sum(axis=1))]).astype(np.int32)
    names = pa.array([*periods.names] * len(sums), pa.string())
    directions = pa.array(["import"] * width + ["export"] * (width * (len(sums) - 1)), pa.string())
    pick = pa.array(code)
    structs = pa.StructArray.from_arrays(
        [
            names.take(pick),
            directions.take(pick),
            pa.array(values[series[at], day[at], code]),
            pa.repeat(pa.scalar("kWh"), len(code)),
        ],
        fields=list(DETERMINANT),
    )
    return pa.table(
        {
            "meter_id": pa.array([loads.meters[r] for r in rows.tolist()], pa.string()).take(
                pa.array(series)
            ),
            "local_day": pa.array((loads.grid.first_day + day).astype(np.int32), pa.int32()).cast(
                pa.date32()
            ),
            "tariff_id": pa.repeat(pa.scalar(tariff.id), len(series)),
            "lines": pa.ListArray.from_arrays(pa.array(offsets), structs),
        }
    )
