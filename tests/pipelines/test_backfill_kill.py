"""A backfill killed at any moment: nothing half-written is seen, and the next run finishes the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.store.lake import Lake
from tests.pipelines.towns import assert_equal, make_town, run, scalar

MOMENTS = (0.35, 0.6, 0.8, 0.95)
"""Shares of the time an undisturbed run takes."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input of a small town."""
    return make_town(tmp_path_factory.mktemp("town"), days=28)


def start(town: Path, lake: Path) -> subprocess.Popen[bytes]:
    """A backfill with two workers, in a process group of its own."""
    command = [sys.executable, "-m", "pipelines.cli", "backfill", str(town), "--lake", str(lake)]
    options = ["--timezone", "Europe/Zurich", "--shards", "3", "--tariffs", str(town / "tariffs")]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [*command, *options],
        cwd=root,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_kill_and_run_again(town: Path, tmp_path: Path) -> None:
    """Killed with its workers at several moments, a lake shows no run or a whole one, and ends equal."""
    before = time.monotonic()
    assert start(town, tmp_path / "whole").wait(timeout=300) == 0
    usual = time.monotonic() - before
    for number, share in enumerate(MOMENTS):
        lake = tmp_path / f"lake-{number}"
        victim = start(town, lake)
        time.sleep(usual * share)
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        if (lake / "lake.json").exists():
            seen = scalar(lake, "SELECT count(*) FROM runs")
            days = scalar(lake, "SELECT count(*) FROM days")
            assert (seen, bool(days)) in ((0, False), (1, True))
        run(lake, town, tariffs=town / "tariffs")
        assert_equal(tmp_path / "whole", lake)
        assert not list(lake.rglob("*.tmp")), "a draft was left behind"


def _workers(run: int) -> list[int]:
    """Processes that a run's template process was forked into; without one, those it spawned."""

    def children(of: int, kind: str) -> list[int]:
        found = subprocess.run(["pgrep", "-P", str(of), "-f", kind], capture_output=True, text=True).stdout
        return [int(pid) for pid in found.split()]

    templates = children(run, "multiprocessing.forkserver")
    return children(templates[0], "multiprocessing") if templates else children(run, "multiprocessing.spawn")


def test_a_killed_worker_is_an_error_that_says_so(town: Path, tmp_path: Path) -> None:
    """When a worker dies, the run stops with exit code 1 and publishes nothing."""
    victim = start(town, tmp_path / "lake")
    killed = False
    for _ in range(600):
        children = _workers(victim.pid)
        if children:  # at its first moment: it has work then
            os.kill(children[0], signal.SIGKILL)
            killed = True
            break
        if victim.poll() is not None:
            break
        time.sleep(0.05)
    assert killed, "no worker was seen"
    assert victim.wait(timeout=120) == 1
    assert not Lake.open(tmp_path / "lake").runs().num_rows


def test_drafts_of_a_killed_run_are_swept(town: Path, tmp_path: Path) -> None:
    """What a run left half-written in the raw zone is gone with the next run."""
    lake = tmp_path / "lake"
    run(lake, town)
    draft = lake / "raw" / "intervals" / "half.raw.1.tmp"

    def killed() -> None:
        with Lake.open(lake).begin():
            draft.write_bytes(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        killed()
    assert draft.exists()
    run(lake, town)
    assert not draft.exists()
