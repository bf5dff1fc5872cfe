"""A follower killed or asked to stop at any moment: the next one goes on; nothing is lost or taken twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.store.lake import Lake
from tests.pipelines.following import copy
from tests.pipelines.test_follow import pieces
from tests.pipelines.towns import assert_equal, make_town, run, scalar

KILLS = 4
LIMIT = 240
"""Seconds after which a test gives up waiting."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input of a small town."""
    return make_town(tmp_path_factory.mktemp("town"), meters=5, days=25)


def start(town: Path, landing: Path, lake: Path, *options: str) -> subprocess.Popen[bytes]:
    """A follower with two workers, in a process group of its own."""
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "backfill",
        str(landing),
        "--lake",
        str(lake),
        "--follow",
    ]
    settings = ["--timezone", "Europe/Zurich", "--shards", "3", "--tariffs", str(town / "tariffs")]
    fast = ["--every", "0.1", "--settle", "0", "--detect-every", "0"]
    return subprocess.Popen(
        [*command, *settings, *fast, *options],
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def runs(lake: Path) -> int:
    """Published runs; 0 where there is no lake yet."""
    return Lake.open(lake).run_no if (lake / "lake.json").exists() else 0


def alive_in_group(group: int) -> bool:
    """Whether a process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_at_any_moment_it_goes_on(town: Path, tmp_path: Path) -> None:
    """Files land while followers are killed; workers end with them; the tables are those of one backfill."""
    chance = random.Random(5)
    files = pieces(town, tmp_path / "made", 5)
    chance.shuffle(files)
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    share = -(-len(files) // KILLS)
    for number in range(KILLS):
        before = runs(lake)
        victim = start(town, landing, lake)
        for path in files[number * share : (number + 1) * share]:
            copy(path, landing / path.name)()
        moment = chance.choice(("begun", "raw", "published"))
        if moment == "begun":
            until((lake / "lock").exists)
            time.sleep(chance.random())
        elif moment == "raw":
            kept = len(list(lake.rglob("*")))
            until(lambda kept=kept: len(list(lake.rglob("*"))) > kept)  # type: ignore[misc]
        else:
            until(lambda before=before: runs(lake) > before)  # type: ignore[misc]
            time.sleep(chance.random())
        victim.kill()
        victim.communicate()
        until(lambda group=victim.pid: not alive_in_group(group))  # type: ignore[misc]
    last = start(town, landing, lake, "--once")
    _, told = last.communicate(timeout=LIMIT)
    assert last.returncode == 0, told.decode()
    run(tmp_path / "whole", town, tariffs=town / "tariffs")
    assert_equal(tmp_path / "whole", lake)
    names = "SELECT count(*) - count(DISTINCT source_hash || name) FROM stored.raw_files_rows"
    assert scalar(lake, names) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_ends_it_with_a_run(town: Path, tmp_path: Path, number: int) -> None:
    """As a terminal or a service manager sends it: the round at work is published, the exit code is 0."""
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    for path in town.glob("*.avro"):
        copy(path, landing / path.name)()
    follower = start(town, landing, lake)
    until((lake / "raw").exists)  # a round is at work
    os.killpg(follower.pid, number)
    _, told = follower.communicate(timeout=LIMIT)
    assert follower.returncode == 0, told.decode()
    assert "stopping at the end of the round" in told.decode()
    assert "run 1: 5 files" in told.decode()
    assert runs(lake) == 1
    until(lambda: not alive_in_group(follower.pid))
