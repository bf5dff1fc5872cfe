"""A detect run: from the features of a moment to two ranked queues and a list of faults."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from models.calendar import day_date
from models.comparison import Comparison, Place, Scored, compare
from models.device_events import DeviceEvents
from models.fault_registers import RegisterReads
from models.other_reasons import against
from models.reasons import change_reasons, state_reasons
from models.series import Int
from models.state_queue import WAYS
from models.theft_loss import Loss, Money, Prices, priced, state_loss
from models.trained import Model
from models.week_table import WEEK
from models.weekly_features import Float
from schemas.lake import CHANGE_QUEUE, FAULTS, FEEDER_BALANCE, STATE_QUEUE

__all__ = ["DetectResult", "detect"]


@dataclass(frozen=True)
class DetectResult:
    """Queues, faults and balances with the columns of their tables, and how many meters were looked at."""

    meters: int
    change_queue: pa.Table
    state_queue: pa.Table
    faults: pa.Table
    feeder_balance: pa.Table


def detect(
    pieces: Iterable[pa.Table],
    weeks: Int,
    places: dict[str, Place],
    as_of: date,
    events: DeviceEvents | None = None,
    registers: Iterable[RegisterReads] = (),
    *,
    prices: Prices | None = None,
    model: Model | None = None,
    meters: Collection[str] | None = None,
) -> DetectResult:
    """Rank every customer meter and name the faults.

    Args:
        pieces: Rows of the ``features`` table up to the moment, all of a meter in one piece.
        weeks: Mondays of all pieces, ascending.
        places: Service point of each meter; empty in a lake without master data.
        as_of: Last local day the features tell of.
        events: Of the meters that have any of interest.
        registers: Register reads up to the moment, all of a meter in one piece.
        prices: Of a kWh at the meters that have bills.
        model: Orders the state queue; None for the order that needs no teaching.
        meters: Ids of the meters of all pieces; None where they are not known: then the pieces are held.

    Returns:
        The same result for any order of the rows and any sharding. The queues are empty where there are
        fewer than five meters or three weeks: then nothing can be compared.
    """
    found = compare(pieces, weeks, places, events, registers, model, meters=meters)
    queues = CHANGE_QUEUE.content.empty_table(), STATE_QUEUE.content.empty_table()
    if found.scored is not None:
        told = against(found, places, events or {})
        queues = _queues(found.scored, told, as_of, events or {}, prices or {})
    return DetectResult(found.meters, *queues, _fault_rows(found), _balance_rows(found, as_of))


def _queues(
    scored: Scored, against: list[str], as_of: date, events: DeviceEvents, prices: Prices
) -> tuple[pa.Table, pa.Table]:
    change, state = scored.change, scored.state
    began = state.way == WAYS.index("began")
    losses = (
        Loss(change.since, change.lost, priced(scored.table.meters, change.lost, prices)),
        state_loss(scored, began, prices),
    )
    reasons = change_reasons(scored, losses[0], events), state_reasons(scored, losses[1], events)
    columns: dict[str, list[Any]] = {"against": against, "as_of": [as_of] * len(against)}
    return (
        _queue(scored, change.score, losses[0], {**columns, "reasons": reasons[0]}, None),
        _queue(scored, state.score, losses[1], {**columns, "reasons": reasons[1]}, scored.model),
    )


def _queue(
    scored: Scored, score: Float, loss: Loss, columns: dict[str, list[Any]], model: str | None
) -> pa.Table:
    """Rows by falling score; equal scores by meter id."""
    table = scored.table
    order = np.argsort(-score, kind="stable")  # meters are sorted
    weeks = [int(table.weeks[day // WEEK]) if day >= 0 else None for day in loss.since[order].tolist()]
    rows = order.tolist()
    return pa.table(
        {
            "meter_id": [table.meters[i] for i in rows],
            "rank": pa.array(range(1, len(rows) + 1), pa.int32()),
            "score": pa.array(score[order]),
            "first_week": pa.array(weeks, pa.int32()).cast(pa.date32()),
            "kwh_lost": pa.array([round(kwh, 3) for kwh in loss.kwh[order].tolist()]),
            **{name: [columns[name][i] for i in rows] for name in ("reasons", "against", "as_of")},
            "money_lost": pa.array([_amount(loss.money[i]) for i in rows], pa.decimal128(24, 6)),
            "currency": pa.array([_currency(loss.money[i]) for i in rows], pa.string()),
            "model": pa.array([model] * len(rows), pa.string()),
        },
        schema=CHANGE_QUEUE.content,
    )


def _amount(money: Money | None) -> Decimal | None:
    return None if money is None else money.amount


def _currency(money: Money | None) -> str | None:
    return None if money is None else money.price.currency


def _balance_rows(found: Comparison, as_of: date) -> pa.Table:
    """Feeders by the energy that nobody reported."""
    balances = [] if found.scored is None else found.scored.fit.balances
    ranked = sorted(balances, key=lambda balance: (-balance.hidden, balance.feeder))
    return pa.table(
        {
            "feeder_id": [balance.feeder for balance in ranked],
            "rank": pa.array(range(1, len(ranked) + 1), pa.int32()),
            "days": pa.array([balance.days for balance in ranked], pa.int32()),
            "through_kwh": [round(balance.through, 3) for balance in ranked],
            "reported_kwh": [round(balance.reported, 3) for balance in ranked],
            "technical_kwh": [round(balance.technical, 3) for balance in ranked],
            "hidden_kwh": [round(balance.hidden, 3) for balance in ranked],
            "hidden_share": [round(balance.hidden / max(balance.through, 1e-9), 5) for balance in ranked],
            "as_of": [as_of] * len(ranked),
        },
        schema=FEEDER_BALANCE.content,
    )


def _fault_rows(found: Comparison) -> pa.Table:
    faults = found.faults
    return pa.table(
        {
            "meter_id": [found.customers[fault.meter] for fault in faults],
            "fault": [fault.fault for fault in faults],
            "since": [day_date(fault.since) for fault in faults],
            "until": [None if fault.until is None else day_date(fault.until) for fault in faults],
            "severity": [fault.severity for fault in faults],
            "evidence": [fault.evidence for fault in faults],
        },
        schema=FAULTS.content,
    )
