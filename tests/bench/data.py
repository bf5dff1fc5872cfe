"""Benchmark input: N meter-years of quarter-hours with daily registers and a service point each."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from models.calendar import DayGrid, epoch_day
from pipelines.town.avro_write import ContainerWriter, text, write_blocks, write_readings, write_records
from schemas.records import avro_schema

ZONE = "Europe/Zurich"
DAYS = 365
MICROS = 1_000_000


def make(out: Path, meters: int, codec: str = "snappy", form: str = "blocks") -> int:
    """Write the files of some meters; returns the readings in them. One meter in two has a gap.

    ``form`` is ``blocks`` (one message a meter-day) or ``rows`` (one a reading).
    """
    out.mkdir(parents=True, exist_ok=True)
    grid = DayGrid(ZONE, 900, epoch_day(date(2025, 1, 1)), DAYS)
    rng = np.random.default_rng(0)
    hour = np.arange(grid.slots) % 96 / 4
    shape = 40 + 60 * np.exp(-((hour - 7.5) ** 2) / 3) + 120 * np.exp(-((hour - 19) ** 2) / 6)
    registers: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    readings = 0
    half = -(-meters // 2)
    for part in range(2):
        record = "IntervalBlock" if form == "blocks" else "MeterReading"
        with ContainerWriter(out / f"readings-{part}.avro", avro_schema(record), codec) as writer:
            for number in range(part * half, min((part + 1) * half, meters)):
                load = (shape * rng.uniform(0.3, 2) * rng.gamma(3, 1 / 3, grid.slots)).astype(np.int64) + 5
                counts = np.concatenate([[0], np.cumsum(load)])[grid.offsets] + MICROS
                name = f"meter-{number:06d}"
                lengths = grid.lengths.copy()
                if number % 2:
                    day = int(rng.integers(1, DAYS - 1))
                    lost = int(rng.integers(4, 90))
                    keep = np.ones(grid.slots, np.bool_)
                    keep[grid.offsets[day + 1] - lost : grid.offsets[day + 1]] = False
                    load, lengths[day] = load[keep], lengths[day] - lost
                head, received = text(name) + text("import"), (grid.day_starts[1:] + 3600) * MICROS
                if form == "blocks":
                    write_blocks(
                        writer,
                        heads=[head] * DAYS,
                        starts=grid.day_starts[:-1],
                        interval_s=900,
                        values=load,
                        lengths=lengths,
                        received=received,
                    )
                else:
                    kept = np.arange(grid.slots) if number % 2 == 0 else np.flatnonzero(keep)
                    write_readings(
                        writer,
                        heads=[head],
                        meter=np.zeros(len(load), np.int64),
                        starts=grid.starts[kept],
                        interval_s=900,
                        values=load,
                        received=np.repeat(received, lengths),
                    )
                readings += len(load)
                registers += [
                    {"meter_id": name, "channel": "import", "read_at": int(at) * MICROS, "value": int(count),
                     "unit": "Wh", "received_at": int(at) * MICROS}
                    for at, count in zip(grid.day_starts, counts, strict=True)
                ]  # fmt: skip
                points.append(
                    {"service_point_id": f"SP-{name}", "meter_id": name, "account_id": f"A-{name}",
                     "tariff_id": "home-tou", "interval_s": 900, "channels": ["import"],
                     "valid_from": datetime(2024, 1, 1, tzinfo=UTC)}
                )  # fmt: skip
    with (out / "registers.avro").open("wb") as file:
        fastavro.writer(file, avro_schema("RegisterRead"), registers, codec=codec, sync_interval=500_000)
    write_records(out / "service-points.avro", "ServicePoint", points)
    return readings
