"""Real meters as Avro: `python -m tests.real_data swiss|nsw OUT [HOMES]`.

Swiss: 537 households, 15 minutes, 49 days (package ResidentialEnergyConsumption, CC BY-SA 4.0). The
values are float32 kWh with at most six decimals; as integers of 10⁻⁶ kWh they are lossless. NSW: 10
homes, 30 minutes (package gravitas, GPL-3); its clock has the hour that daylight saving skips and repeats
none, so it is the standard time of the meters, UTC+10.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.calendar import DayGrid, epoch_day
from pipelines.town.avro_write import ContainerWriter, text, write_blocks, write_records
from schemas.records import avro_schema

MICROS = 1_000_000
MICRO_KWH = -6


def shared(folder: str) -> Path:
    """A folder of the real data; it may be absent."""
    root = os.environ.get("METERBEAM_SHARED", str(Path(__file__).resolve().parent.parent.parent / "shared"))
    return Path(root) / "data" / folder


def swiss_values() -> tuple[list[str], NDArray[np.int64], DayGrid]:
    """Meter ids, micro-kWh by slot (homes, slots), and the days."""
    rows = pq.read_table(shared("swiss_15min") / "consumption.parquet").sort_by(
        [("meter_id", "ascending"), ("day", "ascending")]
    )
    ids = list(dict.fromkeys(rows["meter_id"].to_pylist()))
    values = rows["kwh"].combine_chunks().flatten().to_numpy().astype(np.float64).reshape(len(ids), -1)
    first = epoch_day(rows["day"][0].as_py())
    grid = DayGrid("Europe/Zurich", 900, first, values.shape[1] // 96)
    return ids, np.rint(values * 1e6).astype(np.int64), grid


def write_homes(
    out: Path, ids: list[str], values: NDArray[np.int64], grid: DayGrid, *, codec: str = "zstandard"
) -> int:
    """Readings, daily registers and service points of complete homes; returns the readings written.

    Args:
        out: Folder.
        ids: Meter ids, shape (n,).
        values: Shape (n, slots). [micro-kWh]
        grid: The days.
        codec: Of the readings.
    """
    out.mkdir(parents=True, exist_ok=True)
    days, registers, points = grid.days, [], []
    received = (grid.day_starts[1:] + 3600) * MICROS
    with ContainerWriter(out / "readings.avro", avro_schema("IntervalBlock"), codec) as writer:
        for name, load in zip(ids, values, strict=True):
            head = text(name) + text("import")
            write_blocks(
                writer,
                heads=[head] * days,
                starts=grid.day_starts[:-1],
                interval_s=grid.interval_s,
                values=load,
                lengths=grid.lengths,
                received=received,
                unit="kWh",
                scaler=MICRO_KWH,
            )
            counts = np.concatenate([[0], np.cumsum(load)])[grid.offsets] + 1_000 * MICROS
            for second, count in zip(grid.day_starts.tolist(), counts.tolist(), strict=True):
                at = datetime.fromtimestamp(second, UTC)
                registers.append(
                    {"meter_id": name, "channel": "import", "read_at": at, "value": count, "unit": "kWh",
                     "scaler": MICRO_KWH, "received_at": at}
                )  # fmt: skip
            points.append(
                {"service_point_id": f"SP-{name}", "meter_id": name, "account_id": f"A-{name}",
                 "tariff_id": "home-tou", "bill_cycle_day": 1, "interval_s": grid.interval_s,
                 "channels": ["import"], "valid_from": datetime(2010, 1, 1, tzinfo=UTC)}
            )  # fmt: skip
    write_records(out / "registers.avro", "RegisterRead", registers)
    write_records(out / "service-points.avro", "ServicePoint", points)
    return int(values.size)


def write_swiss(out: Path, homes: int | None = None) -> int:
    """The Swiss homes, or the first so many."""
    ids, values, grid = swiss_values()
    return write_homes(out, ids[:homes], values[:homes], grid)


def write_nsw(out: Path) -> int:
    """The homes of New South Wales with their gaps: readings and service points, no registers."""
    zone = timezone(timedelta(hours=10))
    rows = pq.read_table(shared("nsw_halfhour") / "consumption.parquet").sort_by(
        [("meter_id", "ascending"), ("local_time", "ascending")]
    )
    out.mkdir(parents=True, exist_ok=True)
    meters = np.array(rows["meter_id"].to_pylist())
    starts = np.array([int(t.replace(tzinfo=zone).timestamp()) for t in rows["local_time"].to_pylist()])
    values = np.rint(rows["kwh"].to_numpy() * 1000).astype(np.int64)
    with ContainerWriter(out / "readings.avro", avro_schema("IntervalBlock"), "snappy") as writer:
        for name in sorted(set(meters.tolist())):
            at = np.flatnonzero(meters == name)
            first = np.flatnonzero(np.diff(starts[at], prepend=starts[at][0] - 1) != 1800)
            lengths = np.diff(np.append(first, len(at)))
            write_blocks(
                writer,
                heads=[text(name) + text("import")] * len(first),
                starts=starts[at][first],
                interval_s=1800,
                values=values[at],
                lengths=lengths,
            )
    points = [
        {"service_point_id": f"SP-{name}", "meter_id": name, "account_id": f"A-{name}",
         "tariff_id": "home-tou", "bill_cycle_day": 1, "interval_s": 1800, "channels": ["import"],
         "valid_from": datetime(2010, 1, 1, tzinfo=UTC)}
        for name in sorted(set(meters.tolist()))
    ]  # fmt: skip
    write_records(out / "service-points.avro", "ServicePoint", points)
    return len(values)


if __name__ == "__main__":
    kind, folder = sys.argv[1], Path(sys.argv[2])
    homes = int(sys.argv[3]) if len(sys.argv) > 3 else None
    written = write_swiss(folder, homes) if kind == "swiss" else write_nsw(folder)
    sys.stdout.write(f"{written} readings in {folder}\n")
