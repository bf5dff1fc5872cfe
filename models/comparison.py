"""Meters compared: the faults of each, what its days are like, and how both queues score it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.behaviour import Behaviour, behaviour
from models.change_queue import ChangeScores, change_scores
from models.device_events import DeviceEvents, self_reported
from models.export_start import ExportStart
from models.fault_days import Days
from models.fault_master import Exports, Place, export_faults, use_without_contract
from models.fault_registers import RegisterReads, register_faults
from models.faults import Fault, find_faults, leaving
from models.feeder_fit import FeederFit, OverReported, feeder_fit
from models.feeder_loads import FeederLoads, Metered
from models.series import Int
from models.state_queue import StateScores, state_scores
from models.theft_columns import theft_columns
from models.trained import Model
from models.week_table import WeekTable, week_table
from models.weekly_features import Float

__all__ = ["FEWEST_TAUGHT", "Comparison", "EnergyPrice", "Place", "Scored", "compare"]

FEWEST_METERS = 5
FEWEST_WEEKS = 3
COMPARED = ("day_total", "day_max", "day_min", "day_zeros", "day_have")
"""Daily columns that are needed of the theft population; the others tell of faults only."""
FEWEST_TAUGHT = 30
"""Meters from which a model is asked: below, robust distances from the population say too little."""


@dataclass(frozen=True)
class EnergyPrice:
    """What a meter's bills charge a kWh, fixed charges left out."""

    a_kwh: Decimal
    currency: str


@dataclass(frozen=True)
class Scored:
    """What is known of each meter of the theft population; m meters in the order of ``table``."""

    table: WeekTable
    found: Behaviour
    change: ChangeScores
    fit: FeederFit
    state: StateScores
    exports: ExportStart
    model: str | None = None

    def columns(self) -> Float:
        """What a trained model is told of each meter; (m, k)."""
        return theft_columns(self.table, self.found, self.change, self.fit)


@dataclass(frozen=True)
class Comparison:
    """All of a detect run but its words.

    Attributes:
        meters: How many meters of any role have features.
        customers: Ids of the customers' meters, sorted.
        first_day: Epoch day of the first Monday.
        faults: Of the customers, by their place in ``customers``.
        kept: Places in ``customers`` of the theft population.
        scored: None where there are fewer than five meters or three weeks: then nothing can be compared.
    """

    meters: int
    customers: list[str]
    first_day: int
    faults: list[Fault]
    kept: Int
    scored: Scored | None


def compare(
    pieces: Iterable[pa.Table],
    weeks: Int,
    places: dict[str, Place],
    events: DeviceEvents | None = None,
    registers: Iterable[RegisterReads] = (),
    model: Model | None = None,
    *,
    meters: Collection[str] | None = None,
) -> Comparison:
    """Find faults and score every customer meter that can be compared.

    Args:
        pieces: Rows of the ``features`` table up to the moment, all of a meter in one piece.
        weeks: Mondays of all pieces, ascending.
        places: Service point of each meter; empty in a lake without master data.
        events: Of the meters that have any of interest.
        registers: Register reads up to the moment, all of a meter in one piece.
        model: Orders the state queue; None for the order that needs no teaching.
        meters: Ids of the meters of all pieces; None where they are not known: then the pieces are held.

    Returns:
        The same for any order of the rows and any sharding.
    """
    loads, exports, started = _feeder_loads(places, weeks), Exports(places), ExportStart()
    if meters is None:
        pieces = list(pieces)
        meters = {meter for piece in pieces for meter in pc.unique(piece["meter_id"]).to_pylist()}
    measured: set[str] = set()
    watched = started.watched(exports.watched(loads.watched(_noted(pieces, measured))))
    wanted = [meter for meter in meters if not places or _role(meter, places) == "customer"]
    table = week_table(watched, weeks, meters=wanted)
    customers = table.meters
    faults = find_faults(table) if len(weeks) else []
    faults += _by_events(customers, events or {}) + export_faults(exports, customers)
    if len(weeks):
        faults += use_without_contract(Days(table), places)
        faults += register_faults(Days(table), registers)
    faults.sort(key=lambda f: (f.meter, f.fault, f.since))
    kept = np.flatnonzero(~leaving(faults, len(customers)))
    over = _over_reported(table, faults)
    table = table.narrowed(kept, COMPARED)
    scored = None
    if len(kept) >= FEWEST_METERS and len(weeks) >= FEWEST_WEEKS:
        found = behaviour(table)
        change, fit = change_scores(table, found), feeder_fit(table, loads, over)
        scored = Scored(table, found, change, fit, state_scores(table, found, change, fit), started)
        if model is not None and len(kept) >= FEWEST_TAUGHT:
            score = model.scores(scored.state.score, change.score, scored.columns())
            scored = replace(scored, state=replace(scored.state, score=score), model=model.name)
    return Comparison(len(measured), customers, int(weeks[0]) if len(weeks) else 0, faults, kept, scored)


def _noted(pieces: Iterable[pa.Table], meters: set[str]) -> Iterator[pa.Table]:
    """The pieces, the meters of their import channel noted on the way."""
    for piece in pieces:
        rows = piece["meter_id"].filter(pc.equal(piece["channel"], "import"))
        meters.update(pc.unique(rows).to_pylist())
        yield piece


def _over_reported(table: WeekTable, faults: list[Fault]) -> OverReported:
    """Meters whose scale is wrong: what they report is more than they use."""
    since = {f.meter: f.since for f in faults if f.fault in ("multiplier_x10", "unit_error")}
    rows = np.array(sorted(since), np.int64)
    chosen = table.chosen(rows, ("day_total",))
    return OverReported(chosen, np.array([since[row] for row in rows.tolist()], np.int64))


def _by_events(customers: list[str], events: DeviceEvents) -> list[Fault]:
    """What devices reported of themselves."""
    return [
        Fault(row, fault, since, until, severity, f"{count} events of the device itself")
        for row, meter in enumerate(customers)
        for fault, severity, since, until, count in self_reported(events.get(meter, ()))
    ]


def _role(meter: str, places: dict[str, Place]) -> str | None:
    return places[meter].role if meter in places else None


def _feeder_loads(places: dict[str, Place], weeks: Int) -> FeederLoads:
    """Feeders that have a meter, and the meters that count in their balance."""
    names = sorted({str(p.feeder_id) for p in places.values() if p.role == "feeder" and p.feeder_id})
    number = {name: at for at, name in enumerate(names)}
    meters = {
        meter: Metered(number[place.feeder_id], place.role == "feeder")
        for meter, place in places.items()
        if place.feeder_id in number and place.role in ("feeder", "customer", "generation")
    }
    return FeederLoads(names, meters, weeks)
