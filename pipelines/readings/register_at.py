"""What the register of a meter shows at a moment: as read, or the read before and all slots since."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from models.calendar import local_day, utc_text
from models.finding_text import quantity
from models.master import MasterData
from models.reads import read_registers
from models.register_estimate import counted_since, shown
from models.series import Int, Reads
from pipelines.readings.slot_facts import meter_inputs
from pipelines.store.lake import AsOf, Lake
from schemas.channels import CHANNELS
from schemas.errors import MeterbeamError
from schemas.quality import Quality

__all__ = ["register_at", "register_text"]

DOUBTED = (Quality.MISSING, Quality.FAILED)
MADE = (Quality.ESTIMATED, Quality.SUBSTITUTED, Quality.EDITED)


def register_at(
    lake: Lake, meter: str, channel: str, moment: datetime, as_of: AsOf | None = None
) -> dict[str, Any]:
    """The total register of a meter at a moment.

    Args:
        lake: The lake.
        meter: Whose register.
        channel: Which.
        moment: With an offset.
        as_of: A moment, a run number or a run id.

    Returns:
        ``value`` in micro-units with the multiplier applied, ``estimated``, and where it is: the ``read``
        before it, what was ``counted`` since in how many ``slots``, how many of these are no measured
        values (``made``), and whether the register ``wrapped``.

    Raises:
        MeterbeamError: There is no sound read before, the meter was exchanged or given another multiplier
            since, or a slot has no value.
    """
    past = lake if as_of is None else lake.at(as_of)
    second, where = int(moment.timestamp()), f"{past.path}: {meter} {channel}"
    inputs = meter_inputs(past, meter)
    reads = read_registers(inputs.registers, inputs.master, {(meter, channel, -1): 0})
    at = _last(reads, second)
    if at is None:
        raise MeterbeamError(
            where, f"no sound register read until {utc_text(second)}", "one to count on from"
        )
    read = int(reads.at[at])
    found = {
        "meter_id": meter,
        "channel": channel,
        "unit": CHANNELS[channel].unit,
        "at": utc_text(second),
        "value": int(reads.value[at]),
        "estimated": read < second,
    }
    if read == second:
        return found
    if _version(inputs.master, meter, second) != int(reads.version[at, 1]):
        raise MeterbeamError(
            where, f"another meter or multiplier since {utc_text(read)}", "a read of the meter in service"
        )
    start, length, value, quality = _slots(past, meter, channel, read, second)
    known = ~np.isin(quality, DOUBTED)
    counted, covered = counted_since(start, length, value, known, since=read, until=second)
    if covered < second:
        raise MeterbeamError(
            where, f"no value in the slot at {utc_text(covered)}", "one in every slot since the read"
        )
    between = (start + length > read) & (start < second)
    modulus = int(reads.modulus[at])
    return found | {
        "value": shown(int(reads.value[at]), counted, modulus),
        "read": {"at": utc_text(read), "value": int(reads.value[at])},
        "counted": counted,
        "slots": int(between.sum()),
        "made": int(np.isin(quality[between], MADE).sum()),
        "wrapped": bool(modulus) and int(reads.value[at]) + counted >= modulus,
    }


def _last(reads: Reads, second: int) -> int | None:
    """Number of the last sound read until a moment."""
    sound = (reads.value >= 0) & ((reads.modulus == 0) | (reads.value < reads.modulus)) & (reads.at <= second)
    numbers = np.flatnonzero(sound)
    return int(numbers[-1]) if len(numbers) else None


def _version(master: MasterData, meter: str, second: int) -> int:
    """Version of what a meter's register means, just before a moment; as ``Reads.version``."""
    if master.empty:
        return 0
    of = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array([meter]))
    held = int(master.in_force(of, np.array([second - 1]))[0])
    return -2 if held < 0 else int(master.metering_changes[held])


def _slots(lake: Lake, meter: str, channel: str, low: int, high: int) -> tuple[Int, Int, Int, Int]:
    """Start, length, value and quality of the slots of the days from one moment to another, in time order."""
    zone = lake.config.timezone
    columns = ["local_day", "start", "interval_s", "values", "quality", "qualities", "withdrawn"]
    days = local_day(zone, low), local_day(zone, high)
    rows = lake.current("days", meters=[meter], channel=channel, columns=columns, days=days)
    found: list[tuple[int, int, int, int]] = []
    for row in rows.to_pylist():
        if row["withdrawn"] or row["start"] is None:
            continue
        first, values = int(row["start"].timestamp()), row["values"]
        qualities = row["qualities"] or [row["quality"]] * len(values)
        found += [
            (first + place * row["interval_s"], row["interval_s"], value or 0, quality)
            for place, (value, quality) in enumerate(zip(values, qualities, strict=True))
        ]
    table = np.array(sorted(found), np.int64).reshape(-1, 4)
    start, length, value, quality = np.ascontiguousarray(table.T)
    return start, length, value, quality


def register_text(found: dict[str, Any]) -> str:
    """The same for people."""
    unit = found["unit"]
    told = f"{found['meter_id']} {found['channel']} {found['at']}: {quantity(found['value'], unit)}"
    if not found["estimated"]:
        return f"{told}, as read\n"
    read = found["read"]
    since = f"in {found['slots']} slots since, {found['made']} of them not measured"
    lines = [
        f"{told}, estimated",
        f"  read {quantity(read['value'], unit)} at {read['at']}",
        f"  and {quantity(found['counted'], unit)} {since}",
    ]
    if found["wrapped"]:
        lines.append("  past the register's last digit")
    return "\n".join(lines) + "\n"
