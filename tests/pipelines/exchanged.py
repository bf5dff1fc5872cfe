"""What an Avro file or a lake holds as plain readings, to compare one way round with the other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pipelines.store.lake import Lake
from pipelines.store.views import connect
from schemas.units import unit_factor
from tests.pipelines.towns import records

Reading = tuple[str, str, int, int, Fraction]
"""Meter, channel, start [s], interval [s], value in the billing unit."""


def avro_readings(folder: Path) -> dict[Reading, int]:
    """Readings of all Avro files of a folder with their ESPI quality codes; no reading twice."""
    found: dict[Reading, int] = {}
    for path in sorted(folder.glob("*.avro")):
        for block in records(path):
            factor = unit_factor(block["unit"], block["channel"])
            assert factor is not None
            codes = block["quality"] or [0] * len(block["values"])
            start = int(block["start"].timestamp())
            for place, (value, code) in enumerate(zip(block["values"], codes, strict=True)):
                at = start + place * block["interval_s"]
                exact = value * Fraction(10) ** block["scaler"] * factor
                key = (block["meter_id"], block["channel"], at, block["interval_s"], exact)
                assert key not in found
                found[key] = code
    return found


def lake_readings(lake: Path, where: str = "quality <> 'MISSING'") -> dict[Reading, str]:
    """Readings of a lake with the names of their qualities."""
    columns = "meter_id, channel, epoch(start)::BIGINT, interval_s, value, quality"
    sql = f"SELECT {columns} FROM readings WHERE {where}"
    with connect(Lake.open(lake)) as connection:
        return {
            (meter, channel, start, interval, Fraction(value)): quality
            for meter, channel, start, interval, value, quality in connection.execute(sql).fetchall()
        }


def failed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and error of a command that must fail."""
    from pipelines.cli import main

    code = main(arguments)
    return code, capsys.readouterr().err
