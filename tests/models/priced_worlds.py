"""Worlds whose tariffs come as records too: versions, corrections of a version, days of an event."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from models.calendar import day_date, local_midnight
from schemas.records import Kind
from tests.models.ledger_worlds import FIRST, MICROS, ZONE, Record, World

SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"
CYCLE_DAYS = (1, 12, 28)


def priced(chance: random.Random, made: World) -> World:
    """The world with a tariff of two versions, the second corrected late, and bills that become due in it."""
    days = made.last_day - FIRST + 1
    first = yaml.safe_load((SAMPLE / "home-tou.yaml").read_text("utf-8"))
    events = {"cpp": {"source": "event_feed", "at": ["17:00", "21:00"]}}
    calendar = {**first["calendar"], "events": events}
    effective = {"from": day_date(FIRST + days // 2), "to": None}
    second = {**first, "version": 2, "effective": effective, "calendar": calendar}
    raised = {**second, "charges": [*second["charges"], _adder(chance)]}
    found: list[Record] = [_tariff(first, 0)]
    found += [_tariff(second, FIRST + days // 3), _tariff(raised, FIRST + chance.randrange(days))]
    for day in chance.sample(range(days), 3):
        row = {"event": "cpp", "local_date": day_date(FIRST + day), **_receipt(FIRST + day - 1)}
        found.append((Kind.TARIFF_EVENTS, row))
    records = [_cycled(chance, record) for record in made.records]
    return replace(made, records=[*records, *found])


def _adder(chance: random.Random) -> dict[str, Any]:
    rate = chance.choice(("0.5", "0.75"))
    return {"id": "cpp", "type": "energy_adder", "direction": "import", "event": "cpp", "rate": rate}


def _cycled(chance: random.Random, record: Record) -> Record:
    kind, row = record
    if kind is not Kind.SERVICE_POINTS:
        return record
    return kind, {**row, "bill_cycle_day": chance.choice(CYCLE_DAYS)}


def _tariff(content: dict[str, Any], day: int) -> Record:
    text = yaml.safe_dump(content, sort_keys=False)
    row = {"tariff_id": content["id"], "version": str(content["version"]), "yaml": text}
    return Kind.TARIFFS, {**row, **_receipt(day)}


def _receipt(day: int) -> dict[str, Any]:
    at = local_midnight(ZONE, max(day, 0)) * MICROS
    return {"received_at": at, "sequence": None, "source": "a"}
