"""A detect run: from the features of a moment to two ranked queues and a list of faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from models.calendar import day_date
from models.change_queue import ChangeScores, change_scores
from models.faults import Fault, find_faults, leaving
from models.series import Int
from models.state_queue import StateScores, state_scores
from models.week_table import WeekTable, week_table
from models.weekly_features import NAMES, Float
from schemas.lake import CHANGE_QUEUE, FAULTS, STATE_QUEUE

FEWEST_METERS = 5
FEWEST_WEEKS = 3


@dataclass(frozen=True)
class DetectResult:
    """Queues and faults, with the columns of their tables, and how many meters were looked at."""

    meters: int
    change_queue: pa.Table
    state_queue: pa.Table
    faults: pa.Table


@dataclass(frozen=True)
class Place:
    """What master data say of a meter at the moment of the run.

    Attributes:
        since: Epoch day from which its service point, account and role hold.
    """

    role: str
    feeder_id: str | None
    status: str
    since: int


def detect(pieces: Iterable[pa.Table], weeks: Int, places: dict[str, Place], as_of: date) -> DetectResult:
    """Rank every customer meter and name the faults.

    Args:
        pieces: Rows of the ``features`` table up to the moment, all of a meter in one piece.
        weeks: Mondays of all pieces, ascending.
        places: Service point of each meter; empty in a lake without master data.
        as_of: Last local day the features tell of.

    Returns:
        The same result for any order of the rows and any sharding. The queues are empty where there are
        fewer than five meters or three weeks: then nothing can be compared.
    """
    table = week_table(pieces, weeks)
    count = len(table.meters)
    customer = [not places or _role(meter, places) == "customer" for meter in table.meters]
    feeders = _feeders(table, places)
    table = table.chosen(np.flatnonzero(np.array(customer, np.bool_)))
    faults = find_faults(table) if len(table.weeks) else []
    fault_rows = _fault_rows(table, faults)
    kept = np.flatnonzero(~leaving(faults, len(table.meters)))
    against = _against(table, kept, faults, places)
    table = table.chosen(kept, ("day_total",))  # only what the queues need is held from here on
    queues = (CHANGE_QUEUE.content.empty_table(), STATE_QUEUE.content.empty_table())
    if len(table.meters) >= FEWEST_METERS and len(table.weeks) >= FEWEST_WEEKS:
        change = change_scores(table)
        feeder_of = [places[m].feeder_id if m in places else None for m in table.meters]
        state = state_scores(table, change, feeders, feeder_of)
        queues = (
            _queue(table, change.score, change, _change_reasons(table, change), against, as_of),
            _queue(table, state.score, change, _state_reasons(state, change), against, as_of),
        )
    return DetectResult(count, *queues, fault_rows)


def _role(meter: str, places: dict[str, Place]) -> str | None:
    return places[meter].role if meter in places else None


def _feeders(table: WeekTable, places: dict[str, Place]) -> dict[str, Float]:
    """Daily energy through each feeder meter."""
    days = table.days("day_total")
    return {
        str(places[meter].feeder_id): days[row].astype(np.float64)
        for row, meter in enumerate(table.meters)
        if _role(meter, places) == "feeder" and places[meter].feeder_id
    }


def _queue(
    table: WeekTable, score: Float, change: ChangeScores, reasons: list[str], against: list[str], as_of: date
) -> pa.Table:
    """Rows by falling score; equal scores by meter id."""
    order = sorted(range(len(score)), key=lambda i: (-score[i], table.meters[i]))
    weeks = [int(table.weeks[week]) if week >= 0 else None for week in change.first_week.tolist()]
    return pa.table(
        {
            "meter_id": [table.meters[i] for i in order],
            "rank": pa.array(range(1, len(order) + 1), pa.int32()),
            "score": pa.array([float(score[i]) for i in order]),
            "first_week": pa.array([weeks[i] for i in order], pa.int32()).cast(pa.date32()),
            "kwh_lost": pa.array([round(float(change.lost[i]), 3) for i in order]),
            "reasons": [reasons[i] for i in order],
            "against": [against[i] for i in order],
            "as_of": [as_of] * len(order),
        },
        schema=CHANGE_QUEUE.content,
    )


def _change_reasons(table: WeekTable, change: ChangeScores) -> list[str]:
    """The strongest features of the suspicious weeks in words."""
    texts = []
    for row in range(len(table.meters)):
        first = int(change.first_week[row])
        strength = change.deviation[row, max(first, 0) :].mean(axis=0)
        top = [k for k in np.argsort(-strength)[:3].tolist() if strength[k] > 1]
        parts = [f"{NAMES[k]} off by {strength[k]:.1f} robust deviations" for k in top]
        if change.drop[row] > 0.1:
            parts.insert(0, f"use fell by {change.drop[row]:.0%} against its own baseline and the fleet")
        texts.append("; ".join(parts) or "nothing stands out")
    return texts


def _state_reasons(state: StateScores, change: ChangeScores) -> list[str]:
    """What the feeder says, and how far the level fell."""
    texts = []
    for share, drop in zip(state.feeder_share.tolist(), change.drop.tolist(), strict=True):
        if np.isnan(share):
            text = "no feeder meter: compared with the population only"
        elif share > 0.05:
            text = f"the feeder's loss moves with this meter: {share:.0%} of what it reports is missing there"
        else:
            text = "the feeder's loss does not follow this meter"
        texts.append(text + (f"; use fell by {drop:.0%}" if drop > 0.3 else ""))
    return texts


def _against(everyone: WeekTable, kept: Int, faults: list[Fault], places: dict[str, Place]) -> list[str]:
    """What speaks against theft: a fault, a new contract, a closed service point."""
    by_meter: dict[int, list[str]] = {}
    for fault in faults:
        by_meter.setdefault(fault.meter, []).append(f"fault {fault.fault}: {fault.evidence}")
    texts = []
    for row in kept.tolist():
        parts = by_meter.get(row, [])[:2]
        place = places.get(everyone.meters[row])
        if place is not None and place.since > int(everyone.weeks[0]):
            parts.append(f"new customer or contract since {day_date(place.since)}")
        if place is not None and place.status != "active":
            parts.append(f"service point is {place.status}")
        texts.append("; ".join(parts))
    return texts


def _fault_rows(table: WeekTable, faults: list[Fault]) -> pa.Table:
    return pa.table(
        {
            "meter_id": [table.meters[fault.meter] for fault in faults],
            "fault": [fault.fault for fault in faults],
            "since": [day_date(fault.since) for fault in faults],
            "until": [None if fault.until is None else day_date(fault.until) for fault in faults],
            "severity": [fault.severity for fault in faults],
            "evidence": [fault.evidence for fault in faults],
        },
        schema=FAULTS.content,
    )
