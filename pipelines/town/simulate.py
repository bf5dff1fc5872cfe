"""A simulated town as input files: readings, registers, events, service points, tariff, and the truth."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.calendar import DayGrid, day_date
from models.series import Int
from models.town import TownMeter, TownPlan, make_meter
from pipelines.console import progress
from pipelines.town.avro_write import ContainerWriter, text, write_blocks, write_readings, write_records
from schemas.records import avro_schema

MICROS = 1_000_000
TARIFF_ID = "home-tou"
ARRIVAL_DELAY_S = 3600
CORRECTION_DELAY_S = 3 * 86_400


@dataclass(frozen=True)
class SimulateOptions:
    """What to simulate; see ``meterbeam simulate --help``."""

    out: Path
    town: TownPlan
    grid: DayGrid
    form: str = "blocks"
    codec: str = "deflate"
    files: int = 2


@dataclass
class _Files:
    """Small records gathered while the meters are made."""

    registers: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    truth: list[dict[str, Any]] = field(default_factory=list)
    readings: int = 0


def simulate(options: SimulateOptions) -> dict[str, Any]:
    """Write a town's files.

    Returns:
        What was written.
    """
    out, grid, town = options.out, options.grid, options.town
    out.mkdir(parents=True, exist_ok=True)
    found = _Files()
    through = np.zeros((-(-town.meters // town.homes_a_feeder), grid.slots), np.int64)
    record = "IntervalBlock" if options.form == "blocks" else "MeterReading"
    with ExitStack() as stack, progress("Simulate", total=town.meters, unit="meters") as advance:
        writers = [
            stack.enter_context(
                ContainerWriter(out / f"readings-{i:03d}.avro", avro_schema(record), options.codec)
            )
            for i in range(options.files)
        ]
        for number in range(town.meters):
            meter = make_meter(town, number, grid)
            writer = writers[number * options.files // town.meters]
            through[number // town.homes_a_feeder] += meter.used - (0 if meter.fed is None else meter.fed)
            _write_meter(writer, meter, options, found)
            advance(1)
        for feeder, load in enumerate(through):
            _write_feeder(writers[-1], feeder, load, options, found)
    write_records(out / "registers.avro", "RegisterRead", found.registers)
    write_records(out / "events.avro", "DeviceEvent", found.events)
    write_records(out / "service-points.avro", "ServicePoint", found.points)
    pq.write_table(pa.Table.from_pylist(found.truth, schema=TRUTH), out / "truth.parquet")
    _write_tariff(out / "tariffs", grid.zone)
    return {
        "out": str(out),
        "meters": town.meters,
        "feeders": len(through),
        "readings": found.readings,
        "first_day": day_date(grid.first_day).isoformat(),
        "last_day": day_date(grid.last_day).isoformat(),
        "thieves": sum(1 for row in found.truth if row["theft"]),
        "faulty": sum(1 for row in found.truth if row["fault"]),
    }


TRUTH = pa.schema(
    [
        ("meter_id", pa.string()),
        ("kind", pa.string()),
        ("theft", pa.string()),
        ("theft_from", pa.date32()),
        ("fault", pa.string()),
        ("fault_from", pa.date32()),
        ("used_wh", pa.int64()),
        ("said_wh", pa.int64()),
    ]
)
"""truth.parquet: one row a customer meter."""


def meter_id(number: int) -> str:
    """Name of a customer's meter."""
    return f"M{number:06d}"


def _write_meter(writer: ContainerWriter, meter: TownMeter, options: SimulateOptions, found: _Files) -> None:
    grid, name = options.grid, meter_id(meter.number)
    _write_channel(writer, name, "import", meter.sent, meter.arrived, meter, options, found)
    if meter.fed is not None:
        _write_channel(writer, name, "export", meter.fed, meter.arrived, None, options, found)
    _registers(name, "import", meter.said, grid, found)
    if meter.fed is not None:
        _registers(name, "export", meter.fed, grid, found)
    for start, end in meter.outages:
        for event, column in (("power_down", start), ("power_restored", end)):
            at = _moment(grid.origin + column * grid.interval_s)
            found.events.append({"meter_id": name, "event_type": event, "occurred_at": at, "received_at": at})
    if meter.theft is not None:
        at = _moment(int(grid.day_starts[meter.theft_day]) + 3 * 3600)
        found.events.append(
            {"meter_id": name, "event_type": "cover_removed", "occurred_at": at, "received_at": at}
        )
    found.points.append(_point(meter, options))
    found.truth.append(
        {
            "meter_id": name,
            "kind": meter.kind,
            "theft": meter.theft,
            "theft_from": None if meter.theft is None else grid.date(meter.theft_day),
            "fault": meter.fault,
            "fault_from": None if meter.fault is None else grid.date(meter.fault_day),
            "used_wh": int(meter.used.sum()),
            "said_wh": int(meter.said.sum()),
        }
    )


def _write_channel(
    writer: ContainerWriter,
    name: str,
    channel: str,
    values: Int,
    arrived: Any,
    meter: TownMeter | None,
    options: SimulateOptions,
    found: _Files,
) -> None:
    """Readings of one channel: runs of arrived slots within a local day, and corrections after them."""
    grid = options.grid
    head = text(name) + text(channel)
    columns = np.flatnonzero(arrived)
    if not len(columns):
        return
    cut = np.flatnonzero((np.diff(columns) != 1) | (np.diff(grid.day_of_slot[columns]) != 0)) + 1
    first = np.concatenate([[0], cut])
    lengths = np.diff(np.append(first, len(columns)))
    starts = grid.starts[columns[first]]
    ends = starts + lengths * grid.interval_s
    _emit(writer, head, starts, lengths, values[columns], (ends + ARRIVAL_DELAY_S) * MICROS, options)
    found.readings += len(columns)
    if meter is not None and meter.corrected:
        again = np.array(sorted({column for column in meter.corrected if arrived[column]}), np.int64)
        late = (grid.starts[again] + CORRECTION_DELAY_S) * MICROS
        _emit(
            writer, head, grid.starts[again], np.ones(len(again), np.int64), meter.said[again], late, options
        )
        found.readings += len(again)


def _emit(
    writer: ContainerWriter,
    head: bytes,
    starts: Int,
    lengths: Int,
    values: Int,
    received: Int,
    options: SimulateOptions,
) -> None:
    step = options.grid.interval_s
    if not len(starts):
        return
    if options.form == "blocks":
        write_blocks(
            writer,
            heads=[head] * len(starts),
            starts=starts,
            interval_s=step,
            values=values,
            lengths=lengths,
            received=received,
        )
        return
    offset = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    write_readings(
        writer,
        heads=[head],
        meter=np.zeros(len(values), np.int64),
        starts=np.repeat(starts, lengths) + offset * step,
        interval_s=step,
        values=values,
        received=np.repeat(received, lengths),
    )


def _registers(name: str, channel: str, said: Int, grid: DayGrid, found: _Files) -> None:
    """Cumulative reads at local midnight: the exact sum of what the meter counted."""
    counts = np.concatenate([[0], np.cumsum(said)])[grid.offsets] + 1_000_000
    for second, count in zip(grid.day_starts.tolist(), counts.tolist(), strict=True):
        at = _moment(second)
        found.registers.append(
            {
                "meter_id": name,
                "channel": channel,
                "read_at": at,
                "value": count,
                "unit": "Wh",
                "received_at": at,
            }
        )


def _write_feeder(
    writer: ContainerWriter, feeder: int, load: Int, options: SimulateOptions, found: _Files
) -> None:
    """A feeder meter reads what flows to its customers and 2 % technical loss."""
    name = f"F{feeder:04d}"
    through = np.maximum(load, 0) * 102 // 100
    everything = np.ones(len(through), np.bool_)
    _write_channel(writer, name, "import", through, everything, None, options, found)
    found.points.append(
        {
            **_place(f"SP-{name}", name, options),
            "account_id": None,
            "role": "feeder",
            "feeder_id": f"feeder-{feeder}",
            "channels": ["import"],
        }
    )


def _place(point: str, meter: str, options: SimulateOptions) -> dict[str, Any]:
    since = _moment(int(options.grid.day_starts[0]) - 400 * 86_400)
    return {
        "service_point_id": point,
        "meter_id": meter,
        "commodity": "electricity",
        "interval_s": options.grid.interval_s,
        "status": "active",
        "valid_from": since,
        "received_at": since,
    }


def _point(meter: TownMeter, options: SimulateOptions) -> dict[str, Any]:
    name = meter_id(meter.number)
    return {
        **_place(f"SP-{name}", name, options),
        "account_id": f"A{meter.number:06d}",
        "role": "customer",
        "tariff_id": TARIFF_ID,
        "bill_cycle_day": 1 + meter.number % 5,
        "channels": ["import"] if meter.fed is None else ["import", "export"],
        "feeder_id": f"feeder-{meter.number // options.town.homes_a_feeder}",
        "transformer_id": f"transformer-{meter.number // 8}",
        "customer_class": "business" if meter.kind == "small_business" else "residential",
    }


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _write_tariff(folder: Path, zone: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    template = (resources.files("pipelines") / "sample" / "home-tou.yaml").read_text("utf-8")
    (folder / f"{TARIFF_ID}.yaml").write_text(template.replace("Europe/Zurich", zone), "utf-8")
