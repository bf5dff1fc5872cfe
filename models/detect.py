"""A detect run: from the features of a moment to two ranked queues and a list of faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from models.calendar import day_date
from models.comparison import Comparison, Place, Scored, compare
from models.device_events import DeviceEvents
from models.fault_registers import RegisterReads
from models.reasons import against, change_reasons, state_reasons
from models.series import Int
from models.state_queue import WAYS
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
    registers: RegisterReads | None = None,
) -> DetectResult:
    """Rank every customer meter and name the faults.

    Args:
        pieces: Rows of the ``features`` table up to the moment, all of a meter in one piece.
        weeks: Mondays of all pieces, ascending.
        places: Service point of each meter; empty in a lake without master data.
        as_of: Last local day the features tell of.
        events: Of the meters that have any of interest.
        registers: Register reads up to the moment.

    Returns:
        The same result for any order of the rows and any sharding. The queues are empty where there are
        fewer than five meters or three weeks: then nothing can be compared.
    """
    found = compare(pieces, weeks, places, events, registers)
    queues = CHANGE_QUEUE.content.empty_table(), STATE_QUEUE.content.empty_table()
    if found.scored is not None:
        queues = _queues(found.scored, against(found, places), as_of, events or {})
    return DetectResult(found.meters, *queues, _fault_rows(found), _balance_rows(found, as_of))


def _queues(
    scored: Scored, against: list[str], as_of: date, events: DeviceEvents
) -> tuple[pa.Table, pa.Table]:
    change, state, fit = scored.change, scored.state, scored.fit
    began = state.way == WAYS.index("began")
    days = np.isfinite(fit.moving_kwh) & ~began
    a_day = np.where(state.way == WAYS.index("steady"), fit.steady_kwh, fit.moving_kwh)
    seen = (scored.table.days("day_have") > 0).sum(axis=1)
    lost = np.where(days, np.nan_to_num(a_day) * seen, change.lost)
    first = np.where(began, change.first_week, -1)
    return (
        _queue(
            scored,
            change.score,
            change.first_week,
            change.lost,
            change_reasons(scored, events),
            against,
            as_of,
        ),
        _queue(scored, state.score, first, lost, state_reasons(scored), against, as_of),
    )


def _queue(
    scored: Scored,
    score: Float,
    first_week: Int,
    lost: Float,
    reasons: list[str],
    against: list[str],
    as_of: date,
) -> pa.Table:
    """Rows by falling score; equal scores by meter id."""
    table = scored.table
    order = np.argsort(-score, kind="stable").tolist()  # meters are sorted
    weeks = [int(table.weeks[week]) if week >= 0 else None for week in first_week.tolist()]
    return pa.table(
        {
            "meter_id": [table.meters[i] for i in order],
            "rank": pa.array(range(1, len(order) + 1), pa.int32()),
            "score": pa.array([float(score[i]) for i in order]),
            "first_week": pa.array([weeks[i] for i in order], pa.int32()).cast(pa.date32()),
            "kwh_lost": pa.array([round(float(lost[i]), 3) for i in order]),
            "reasons": [reasons[i] for i in order],
            "against": [against[i] for i in order],
            "as_of": [as_of] * len(order),
        },
        schema=CHANGE_QUEUE.content,
    )


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
