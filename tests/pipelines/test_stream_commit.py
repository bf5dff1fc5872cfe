"""A commit takes several flushes as one, and adds nothing when it is repeated."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from models.calendar import epoch_day
from pipelines.store.lake import Lake
from pipelines.store.lock import LakeBusyError, held
from pipelines.streaming.stream_commit import CommitRules, commit_outputs
from pipelines.streaming.stream_rows import join_flushes
from schemas.lake import RAW_FILES
from tests.models.ledger_keeper import BOOK, TABLES, Keeper
from tests.models.ledger_worlds import ZONE, world
from tests.pipelines.commit_child import flushes_of
from tests.pipelines.towns import scalar


@pytest.mark.parametrize("seed", range(4))
def test_flushes_joined_are_flushes_one_by_one(seed: int) -> None:
    """Whatever a later flush computed again holds over an earlier one, in every table."""
    chance = random.Random(seed)
    found = flushes_of(world(chance, days=50, meters=2), chance)
    apart, joined = Keeper(), Keeper()
    for flush in found:
        apart.replace(flush.scope, flush, flush.whole_since)
    chance.shuffle(found)
    made = join_flushes(found)
    joined.replace(made.scope, made, made.whole_since[0])
    for name in TABLES:
        ours, theirs = (sorted(keeper.rows[name].values(), key=repr) for keeper in (joined, apart))
        assert ours == theirs, name


def test_a_commit_that_is_repeated_adds_nothing(tmp_path: Path) -> None:
    """No row, no raw file, no revision; only the run is noted."""
    chance = random.Random(6)
    found = flushes_of(world(chance, days=20), chance)
    lake = Lake.create(tmp_path / "lake", timezone=ZONE, shards=1)
    rules = CommitRules(lake.path, BOOK, None, "test")
    closed = {0: found[-1].last_closed}
    first = commit_outputs(lake, found, closed, rules)
    files = lake.table(RAW_FILES.name)
    again = commit_outputs(lake, found, closed, rules)
    assert first["days_written"] > 20
    assert again["days_written"] == again["records"] == 0
    assert lake.table(RAW_FILES.name).equals(files)
    assert scalar(lake.path, "SELECT max(revision) FROM days") == 1
    assert epoch_day(lake.runs()["last_closed"][-1].as_py()) == found[-1].last_closed


def test_a_lake_that_another_run_holds_is_left_for_later(tmp_path: Path) -> None:
    """The committer is told so, and nothing is written."""
    lake = Lake.create(tmp_path / "lake", timezone=ZONE, shards=1)
    with held(lake.path), pytest.raises(LakeBusyError):
        commit_outputs(lake, [], {}, CommitRules(lake.path, BOOK, None, "test"))
    assert lake.runs().num_rows == 0
