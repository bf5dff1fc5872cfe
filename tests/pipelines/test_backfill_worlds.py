"""Random small worlds through the whole backfill: any runs in any order end where one run of all ends."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Kind
from tests.models.ledger_worlds import ZONE, Record, world
from tests.pipelines.towns import assert_equal, run, write

RECORD = {
    Kind.INTERVALS: "IntervalBlock",
    Kind.REGISTERS: "RegisterRead",
    Kind.EVENTS: "DeviceEvent",
    Kind.SERVICE_POINTS: "ServicePoint",
    Kind.EDITS: "Edit",
    Kind.TARIFFS: "TariffVersion",
    Kind.TARIFF_EVENTS: "TariffEvent",
}
SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"
SEEDS = range(int(os.environ.get("METERBEAM_WORLDS", "10")))
"""METERBEAM_WORLDS asks for more of them."""


def as_sent(kind: Kind, row: dict[str, Any]) -> dict[str, Any]:
    """A raw record as an Avro record of the input contract."""
    sent = {name: value for name, value in row.items() if not name.endswith(("_int", "_float"))}
    if kind is Kind.INTERVALS:
        sent |= {
            "values": row["values_int"],
            "start": row["start"] * 1_000_000,
            "quality": row["quality"] or [],
        }
    elif kind is Kind.REGISTERS:
        sent |= {"value": row["value_int"], "quality": 0}
    elif kind is Kind.SERVICE_POINTS:
        sent |= {"multiplier": float(row["multiplier"])}
    elif kind is Kind.EDITS:
        sent |= {"value": None if row["value"] is None else float(row["value"])}
    return sent


def files(folder: Path, records: list[Record]) -> list[Path]:
    """One file a kind."""
    found = []
    for kind, name in RECORD.items():
        rows = [as_sent(kind, row) for one, row in records if one is kind]
        if rows:
            found.append(write(folder / f"{name}.avro", name, rows))
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_any_runs_end_in_the_tables_of_one(tmp_path: Path, seed: int) -> None:
    """Records dealt out to runs at random, some twice: every view ends as after one run of everything."""
    chance = random.Random(seed)
    made = world(chance, days=chance.randint(20, 70), meters=chance.randint(1, 3))
    run(tmp_path / "whole", *files(tmp_path / "all", made.records), tariffs=SAMPLE, timezone=ZONE)
    sent = [*made.records, *chance.sample(made.records, len(made.records) // 4)]
    chance.shuffle(sent)
    runs = chance.randint(2, 5)
    for number in range(runs):
        inputs = files(tmp_path / f"part-{number}", sent[number::runs])
        shards = chance.choice((1, 2, 5))
        run(tmp_path / "parts", *inputs, tariffs=SAMPLE, timezone=ZONE, shards=shards)
    assert_equal(tmp_path / "whole", tmp_path / "parts")
