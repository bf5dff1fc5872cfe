"""Explain one slot: what was received, which rules hit it, and how its value was made, step by step."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from models.calendar import day_date, utc_text
from models.finding_text import finding_texts
from models.master import MICROS
from models.origin import Origin, origin
from models.scaling import Interval, interval_of
from models.series import RULES
from pipelines.readings.received import received
from pipelines.readings.slot_facts import SlotFacts, slot_facts
from pipelines.store.lake import AsOf, Lake
from schemas.channels import CHANNELS
from schemas.quality import SCALED, Flag, Method, Quality

__all__ = ["explain_slot"]

NO_REFERENCES = (Method.NONE, Method.ZERO, Method.EXTERNAL, Method.REGISTER, Method.MANUAL)


def explain_slot(
    lake: Lake, meter: str, channel: str, moment: datetime, as_of: AsOf | None = None
) -> dict[str, Any]:
    """Where the result of one slot comes from, computed again from the raw zone.

    Args:
        lake: The lake.
        meter: Whose slot.
        channel: Of it.
        moment: Within the slot; with an offset.
        as_of: A moment, a run number or a run id.

    Returns:
        Quantities are whole micro-units, times UTC. ``result``, and ``stored``: as ``readings`` has it, which
        differs only where the day is still to be computed; ``received``; ``rules``; ``edit``; ``estimate``:
        the estimator, its references and the unscaled value, None where the value is no estimate; and
        ``interval``: the usable read interval that holds the slot whole, with the scale factor.

    Raises:
        MeterbeamError: There is no such series, slot or run, or its readings have left the lake.
    """
    past = lake if as_of is None else lake.at(as_of)
    slot = slot_facts(past, meter, channel, int(moment.timestamp()))
    value = int(slot.result.value[slot.row, slot.column])
    quality = Quality(int(slot.result.quality[slot.row, slot.column]))
    method = Method(int(slot.result.method[slot.row, slot.column]))
    grid = slot.facts.grid
    held = slot.received.have[slot.row, slot.column]
    interval = interval_of(slot.facts, slot.made, slot.flat)
    day = day_date(grid.first_day + slot.day)
    return {
        "meter_id": meter,
        "channel": channel,
        "start": utc_text(slot.start),
        "interval_s": grid.interval_s,
        "local_day": day.isoformat(),
        "unit": CHANNELS[channel].unit,
        "pack": f"{slot.pack.id} {slot.pack.version}",
        "result": {
            "value": None if quality is Quality.MISSING else value,
            "measured": int(slot.received.value[slot.row, slot.column]) if held else None,
            "quality": quality.name,
            "method": method.name.lower(),
            "flags": [flag.name for flag in Flag(int(slot.result.flags[slot.row, slot.column]))],
        },
        "stored": _stored(past, slot, day),
        "received": received(slot.intervals, slot.inputs.master, slot.start, grid.interval_s),
        "rules": _rules(slot),
        "edit": _edit(slot),
        "estimate": _estimate(slot, method, interval),
        "interval": None if interval is None else _interval(interval),
    }


def _stored(lake: Lake, slot: SlotFacts, day: Any) -> dict[str, Any] | None:
    """The slot as the view ``readings`` has it."""
    rows = lake.current("days", meters=[slot.meter], days=(day, day), channel=slot.channel)
    for row in rows.to_pylist():
        if row["start"] is None:  # withdrawn: an address without a result
            continue
        at, rest = divmod(int(slot.start - row["start"].timestamp()), row["interval_s"])
        if row["values"] is None or rest or not 0 <= at < len(row["values"]):
            continue
        return {
            "value": row["values"][at],
            "quality": Quality(row["quality"] if row["qualities"] is None else row["qualities"][at]).name,
            "method": Method(0 if row["methods"] is None else row["methods"][at]).name.lower(),
            "revision": row["revision"],
        }
    return None


def _rules(slot: SlotFacts) -> list[dict[str, Any]]:
    """Findings whose slots hold this one."""
    found, unit = slot.result.findings, CHANNELS[slot.channel].unit
    told = []
    hit = (found.series == slot.row) & (found.start <= slot.start) & (slot.start < found.end)
    for i in hit.nonzero()[0].tolist():
        rule = RULES[int(found.rule[i])]
        seen, expected = finding_texts(rule, int(found.seen[i]), int(found.expected[i]), unit)
        told.append(
            {
                "rule": rule,
                "severity": slot.pack.rules.severity(rule),
                "from": utc_text(int(found.start[i])),
                "to": utc_text(int(found.end[i])),
                "seen": seen,
                "expected": expected,
            }
        )
    return told


def _edit(slot: SlotFacts) -> dict[str, Any] | None:
    """The decision of a person that is in force."""
    if slot.edit is None:
        return None
    row = slot.edit
    moments = {name: utc_text(row[name] // MICROS) for name in ("from", "to", "edited_at")}
    kept = ("edit_id", "kind", "value", "method", "user", "reason")
    return {**{name: None if row[name] is None else str(row[name]) for name in kept}, **moments}


def _estimate(slot: SlotFacts, method: Method, interval: Interval | None) -> dict[str, Any] | None:
    """How the estimate came about before registers."""
    plain = Method(method % SCALED) if method else method
    if plain is Method.REGISTER and interval is not None and interval.number is not None:
        total, count = interval.good
        before = interval.estimates[interval.number].before
        return {"method": "register", "unscaled": before, "good_total": total, "good_slots": count}
    if plain in NO_REFERENCES:
        return None
    force = slot.made.forces[int(slot.packs.of_day[slot.row, slot.day])]
    found = origin(force.facts, slot.made.checked, force.pack, slot.flat)
    return None if found is None else _origin(found)


def _origin(found: Origin) -> dict[str, Any]:
    references = [
        {
            name: utc_text(value) if name == "start" else value
            for name, value in asdict(each).items()
            if value is not None and (found.method == "similar" or name != "counted")
        }
        for each in found.references
    ]
    return {
        "method": found.method,
        "unscaled": found.value,
        "number": found.number,
        "of": found.length,
        "references": references,
    }


def _interval(interval: Interval) -> dict[str, Any]:
    """Figures of a read interval; with the scale factor where the slot is an estimate."""
    mine = None
    if interval.number is not None and interval.spare is not None:
        spare, rank = interval.spare
        factor = interval.factor
        mine = {
            "number": interval.number + 1,
            "factor": None if factor is None else str(factor),
            "units_left": spare,
            "rank": rank,
        }
    return {
        "from": utc_text(interval.start),
        "to": utc_text(interval.end),
        "register_from": interval.reads[0],
        "register_to": interval.reads[1],
        "advance": interval.advance,
        "resolution": interval.resolution,
        "actual": interval.actual,
        "shared": interval.shared,
        "target": interval.target,
        "tou_registers": [
            {"tou_register": part.register, "advance": part.advance, "target": part.target}
            for part in interval.parts
        ],
        "unscaled_total": interval.total,
        "estimates": [
            {
                "start": utc_text(each.start),
                "method": each.method,
                "unscaled": each.before,
                "tou_register": each.register,
                "by_tou_register": None if each.register is None else each.by_register,
                "value": each.after,
            }
            for each in interval.estimates
        ],
        "scaling": mine,
    }
