"""The committer's state is the truth; what it holds in memory only saves the way there."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.store.lake import Lake
from pipelines.store.lock import held
from pipelines.streaming.stream_commit import CommitRules
from pipelines.streaming.stream_committer import Committer
from tests.bench.stream_state import ListBag, MemorySlip
from tests.models.ledger_keeper import BOOK
from tests.models.ledger_worlds import ZONE, world
from tests.pipelines.commit_child import packed_flushes


class Unread(ListBag):
    """A bag whose reader fails: what is in it is known already."""

    def read(self) -> list[bytes]:
        raise AssertionError("read from state")


class Timers:
    """Notes when a timer was set."""

    def __init__(self) -> None:
        self.set_to: list[Any] = []

    def set(self, moment: Any) -> None:
        """Set it."""
        self.set_to.append(moment)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty one."""
    return Lake.create(tmp_path / "lake", timezone=ZONE, shards=1)


@pytest.fixture(scope="module")
def blobs() -> list[bytes]:
    """What a shard flushes."""
    chance = random.Random(4)
    return packed_flushes(world(chance, days=20), chance)


def committer(lake: Lake) -> Committer:
    """One that has just been started."""
    made = Committer(CommitRules(lake.path, BOOK, None, "test"), 30.0)
    made.setup()
    return made


def records(lake: Lake) -> int:
    """How many the lake's runs have published."""
    return sum(json.loads(text)["records"] for text in Lake.open(lake.path).runs()["counts"].to_pylist())


def test_what_came_to_one_worker_is_not_read_from_state(lake: Lake, blobs: list[bytes]) -> None:
    """And is committed whole, round after round."""
    one, pending, notes, timer = committer(lake), Unread(), MemorySlip(), Timers()
    found = []
    for part in (blobs[:2], blobs[2:]):
        for blob in part:
            one.process((0, blob), pending, notes, timer)
        one.commit(pending, notes, timer)
        assert not list(pending)
        found.append(records(lake))
    assert 0 < found[0] < found[1]


def test_what_came_to_a_worker_before_is_read_from_state(lake: Lake, blobs: list[bytes]) -> None:
    """Nothing is lost with a worker that dies between two flushes, or after the last one."""
    pending, notes, timer = ListBag(), MemorySlip(), Timers()
    for blob in blobs:
        committer(lake).process((0, blob), pending, notes, timer)
    committer(lake).commit(pending, notes, timer)
    apart = Lake.create(lake.path.parent / "other", timezone=ZONE, shards=1)
    one, whole, beside = committer(apart), Unread(), MemorySlip()
    for blob in blobs:
        one.process((0, blob), whole, beside, timer)
    one.commit(whole, beside, timer)
    assert records(lake) == records(apart) > 0


def test_a_flush_that_state_took_back_is_not_committed(lake: Lake, blobs: list[bytes]) -> None:
    """A bundle that failed is in memory and not in state: state counts."""
    one, pending, notes, timer = committer(lake), ListBag(), MemorySlip(), Timers()
    one.process((0, blobs[0]), pending, notes, timer)
    kept = notes.value, list(pending)
    one.process((0, blobs[1]), pending, notes, timer)
    notes.value = kept[0]
    pending[:] = kept[1]
    one.commit(pending, notes, timer)
    other = Lake.create(lake.path.parent / "other", timezone=ZONE, shards=1)
    fresh, bag, slip = committer(other), ListBag(), MemorySlip()
    fresh.process((0, blobs[0]), bag, slip, timer)
    fresh.commit(bag, slip, timer)
    assert records(lake) == records(other) > 0


def test_a_busy_lake_is_tried_again_with_everything(lake: Lake, blobs: list[bytes]) -> None:
    """The timer is set anew, and what is pending stays."""
    one, pending, notes, timer = committer(lake), ListBag(), MemorySlip(), Timers()
    one.process((0, blobs[0]), pending, notes, timer)
    before = len(timer.set_to)
    with held(lake.path):
        one.commit(pending, notes, timer)
    assert len(timer.set_to) == before + 1
    assert list(pending) == [blobs[0]]
    one.process((0, blobs[1]), pending, notes, timer)
    one.commit(pending, notes, timer)
    assert records(lake) > 0
    assert not list(pending)
