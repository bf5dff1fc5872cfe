"""Which shards a run works on, and in which ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.batch.ingest_pass import planned
from pipelines.batch.shard_ranges import shard_ranges
from pipelines.batch.workers import workers
from pipelines.store.lake import Lake
from tests.pipelines.test_backfill_inputs import block, blocks
from tests.pipelines.towns import run, scalar, write


@given(st.sets(st.integers(0, 63)), st.integers(0, 10**9), st.integers(1, 10**8), st.integers(0, 9))
def test_ranges_hold_every_busy_shard_once(busy: set[int], readings: int, at_once: int, count: int) -> None:
    """None is left out or done twice, no range is empty, and each worker has one if there is enough."""
    ranges = shard_ranges(64, readings, at_once, count, busy)
    assert sorted(number for one in ranges for number in one.numbers) == sorted(busy)
    assert all(one.numbers for one in ranges)
    assert len(ranges) >= min(count, len(busy)) or len(busy) % max(count, 1)
    most = max(len(one.numbers) for one in ranges) if ranges else 0
    assert most - min((len(one.numbers) for one in ranges), default=0) <= 1


def sparing(lake: Path, *inputs: Path) -> dict[str, Any]:
    """A run that leaves shards alone, as a follower's round."""
    from pipelines.backfill import BackfillOptions, run_once

    options = BackfillOptions(inputs=(), lake=lake, workers=0, detect=False)
    with workers(0, ()) as pool:
        return run_once(Lake.open(lake), pool, options, planned(list(inputs), None), sparing=True)


def test_a_round_leaves_other_shards_alone(tmp_path: Path) -> None:
    """One meter's late value: its days are computed again, the range of every other series stays known."""
    lake = tmp_path / "lake"
    meters = [f"m{n}" for n in range(12)]
    rows = [row for meter in meters for row in blocks(meter, 6)]
    run(lake, write(tmp_path / "all.avro", "IntervalBlock", rows), shards=8, detect=False)
    before = Lake.open(lake).table("series")
    late = block("m3", 2, [7] * 24)
    late["received_at"] = rows[-1]["received_at"]
    done = sparing(lake, write(tmp_path / "late.avro", "IntervalBlock", [late]))
    assert "superseded" not in done
    assert done["days_written"] == 1
    assert scalar(lake, "SELECT count(DISTINCT meter_id) FROM days WHERE revision = 2") == 1
    assert Lake.open(lake).table("series").equals(before)
    nothing = sparing(lake, write(tmp_path / "late2.avro", "IntervalBlock", [late, late]))
    assert (nothing["exact_repeats"], nothing["days_written"]) == (48, 0)
    assert scalar(lake, "SELECT max(value) FROM readings WHERE meter_id = 'm3'") < 1


def test_a_closed_day_is_for_every_shard(tmp_path: Path) -> None:
    """A reading of a new day of one meter closes the day before on all of them."""
    lake = tmp_path / "lake"
    rows = [row for meter in ("m1", "m2", "m3") for row in blocks(meter, 6)]
    run(lake, write(tmp_path / "all.avro", "IntervalBlock", rows), shards=8, detect=False)
    done = sparing(lake, write(tmp_path / "next.avro", "IntervalBlock", [block("m1", 7, [5] * 24)]))
    assert "superseded" in done
    days = scalar(lake, "SELECT count(*) FROM days WHERE meter_id = 'm2' AND total IS NOT NULL")
    assert days == scalar(lake, "SELECT count(*) FROM days WHERE meter_id = 'm1' AND total IS NOT NULL")
