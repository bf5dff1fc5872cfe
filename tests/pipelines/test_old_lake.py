"""A lake that an older version made: ``tests/golden/lakes/2026-11-25.tar.xz``.

Two meters, 40 days, two runs (without, then with master data), written before there were tables of inputs,
offsets, feeder balances and retired raw readings. The figures are those the older version's own queries gave.
"""

from __future__ import annotations

import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.store.lake import Lake
from pipelines.store.maintain import MaintainOptions, maintain
from pipelines.store.retain import RetentionRules, retain
from pipelines.store.views import VIEWS, connect
from schemas.errors import MeterbeamError
from tests.pipelines.test_retain_raw import TODAY
from tests.pipelines.towns import run, write

ARCHIVE = Path(__file__).resolve().parents[1] / "golden" / "lakes" / "2026-11-25.tar.xz"
TOTALS = [("export", 40, Decimal("342.888000")), ("import", 120, Decimal("1778.862000"))]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The old lake."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "lake"


def asked(lake: Path, sql: str, as_of: int | None = None) -> list[tuple[Any, ...]]:
    """A query's rows."""
    with connect(Lake.open(lake), as_of) as views:
        return views.execute(sql).fetchall()


def totals(lake: Path, as_of: int | None = None) -> list[tuple[Any, ...]]:
    """Days and energy of each channel."""
    return asked(lake, "SELECT channel, count(*), sum(total) FROM days GROUP BY 1 ORDER BY 1", as_of)


def test_it_is_read_as_it_was(lake: Path) -> None:
    """Every view answers at every run; tables that were unknown then are empty."""
    assert totals(lake) == totals(lake, 1) == TOTALS
    assert asked(lake, "SELECT status, total FROM bills") == [("active", Decimal("226.360000"))]
    assert asked(lake, "SELECT status FROM bills", 1) == []
    assert asked(lake, "SELECT (SELECT count(*) FROM raw), (SELECT count(*) FROM findings)") == [(3643, 21)]
    for view in VIEWS:
        asked(lake, f"FROM {view}")
    assert asked(lake, "FROM feeder_balance") == []


def test_it_goes_on_with_a_new_channel(lake: Path, tmp_path: Path) -> None:
    """A new run, upkeep and retention work on it, and its own runs stay what they were."""
    start = 1_773_100_800_000_000  # 2026-03-10T00:00Z
    block = {
        "meter_id": "M000000",
        "channel": "reactive_import",
        "start": start,
        "interval_s": 3600,
        "values": [1] * 24,
        "unit": "kvarh",
        "scaler": 0,
        "quality": [],
        "received_at": start + 2 * 86_400_000_000,
        "source": None,
        "sequence": None,
    }
    new = write(tmp_path / "reactive.avro", "IntervalBlock", [block])
    with pytest.raises(MeterbeamError, match="--rules"):
        run(lake, new)  # the pack of its last run has fields of that time
    run(lake, new, rules="default")
    measured = "channel = 'reactive_import' AND method = 'none' AND value > 0"
    assert asked(lake, f"SELECT sum(value), count(*) FROM readings WHERE {measured}") == [(Decimal(24), 24)]
    assert [row[:2] for row in totals(lake)] == [*(row[:2] for row in TOTALS), ("reactive_import", 32)]
    maintain(MaintainOptions(lake, keep_days=0))
    assert (totals(lake, 1), totals(lake, 2)) == (TOTALS, TOTALS)
    assert retain(lake, RetentionRules(keep={"raw": 60}), TODAY)["removed_rows"]["raw"] > 0
    assert (totals(lake, 1), totals(lake, 2)) == (TOTALS, TOTALS)
