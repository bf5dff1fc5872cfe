"""The law through the whole stream: any disorder of messages ends in the tables of the backfill."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from models.calendar import day_date
from tests.models.ledger_worlds import ZONE, world
from tests.pipelines.stream_messages import disorder, stream
from tests.pipelines.test_backfill_worlds import RECORD, SAMPLE, as_sent, files
from tests.pipelines.towns import assert_equal, run

COMMON: dict[str, Any] = {"tariffs": SAMPLE, "timezone": ZONE}


@pytest.mark.parametrize("seed", range(3))
def test_a_world_in_disorder_ends_in_the_tables_of_its_backfill(tmp_path: Path, seed: int) -> None:
    """Small nasty worlds with late corrections, moves and exchanges; every view is equal."""
    chance = random.Random(seed)
    made = world(chance, days=40, meters=2)
    through = day_date(made.last_day)
    run(tmp_path / "backfill", *files(tmp_path / "in", made.records), detect=False, through=through, **COMMON)
    sent = [(RECORD[kind], as_sent(kind, row)) for kind, row in made.records]
    stream(tmp_path / "stream", disorder(sent, chance, through, 12), shards=3, **COMMON)
    assert_equal(tmp_path / "backfill", tmp_path / "stream")
