"""Kill -9 at any moment of a run, then run again: same tables, no orphan visible, nothing twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipelines.store.lake import Lake
from pipelines.store.parts import write_part
from pipelines.store.views import connect
from schemas.errors import MeterbeamError
from schemas.lake import DAYS
from tests.pipelines.lake_child import METERS, make_run, run_content, run_dirty
from tests.pipelines.lake_days import FACTS, commit, day_rows, dirty, held, new_lake

STEPS = (
    "begun",
    "dirty_days written",
    "dirty_days committed",
    "days written",
    "days committed",
    "runs written",
    "runs committed",
    "published",
    "done",
)
KILLED = "-9"


class Child:
    """Orders to the process that is killed."""

    def __init__(self, module: str = "tests.pipelines.lake_child") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def order(self, lake: Path, *words: object) -> str:
        """Exit status of one order."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, (lake, *words))) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """No more orders."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """One process that forks the victims."""
    made = Child()
    yield made
    made.end()


def check(folder: Path) -> int:
    """A lake shows exactly its complete runs, to its readers and through the views; returns their count."""
    lake = Lake.open(folder)
    complete = int(lake.runs().num_rows)
    if complete:
        assert held(lake) == run_content(complete)
        assert dirty(lake) == run_dirty(complete)
    assert lake.table("days").num_rows == complete * len(METERS) * 2
    assert lake.current("days").num_rows == (len(METERS) * 2 if complete else 0)
    with connect(lake) as views:
        counts = views.execute("SELECT count(*), count(DISTINCT (meter_id, local_day)) FROM days").fetchone()
        assert counts == ((len(METERS) * 2 - 1,) * 2 if complete else (0, 0))
    return complete


def check_clean(folder: Path) -> None:
    """After a completed run, the newest Delta versions hold the visible files and no part lies about."""
    lake = Lake.open(folder)
    for name in ("days", "dirty_days", "runs"):
        newest = DeltaTable(str(folder / "tables" / name)).file_uris()
        assert sorted(Path(uri).name for uri in newest) == [Path(path).name for path in lake.files(name)]
        known = {
            Path(path).name for run in lake.runs()["run_no"].to_pylist() for path in lake.at(run).files(name)
        }
        found = {path.name for path in (folder / "tables" / name).iterdir() if path.is_file()}
        assert found == known


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", [0, 2])
def test_killed_at_a_step(step: str, before: int, child: Child, tmp_path: Path) -> None:
    """Before ``runs`` is committed a killed run is invisible, after it is complete; the next finishes."""
    folder = new_lake(tmp_path / "lake").path
    for _ in range(before):
        make_run(folder)
    assert child.order(folder, step) == KILLED
    after = before + (STEPS.index(step) >= STEPS.index("runs committed"))
    assert check(folder) == after
    assert child.order(folder, "-") == "0"
    assert check(folder) == after + 1
    check_clean(folder)


def test_killed_again_and_again(child: Child, tmp_path: Path) -> None:
    """Kills at every step in turn, of the run that mends the last kill, never show through."""
    folder = new_lake(tmp_path / "lake").path
    make_run(folder)
    for step in STEPS[:6] * 2:
        assert child.order(folder, step) == KILLED
        assert check(folder) == 1
    assert child.order(folder, "-") == "0"
    assert check(folder) == 2
    check_clean(folder)


def test_killed_at_random_moments(child: Child, tmp_path: Path) -> None:
    """A process that makes runs and is killed anywhere leaves complete runs only."""
    folder = new_lake(tmp_path / "lake").path
    moments = random.Random(5)
    complete = 0
    for _ in range(12):
        assert child.order(folder, "after", f"{moments.uniform(0.02, 0.35):.3f}") == KILLED
        now = check(folder)
        assert now >= complete
        complete = now
    assert child.order(folder, "-") == "0"
    assert check(folder) == complete + 1
    check_clean(folder)
    numbers = Lake.open(folder).runs()["run_no"].to_pylist()
    assert numbers == sorted(set(numbers))


def test_a_late_worker_of_a_killed_run_cannot_touch_the_next(child: Child, tmp_path: Path) -> None:
    """A run number is never used twice, so a worker that outlived its run writes under names of its own."""
    lake = new_lake(tmp_path / "lake")
    assert child.order(lake.path, "days committed") == KILLED
    with lake.begin() as run:
        assert run.run_no == 2
        part = run.write(DAYS, "a", day_rows({("m1", 0): (5, 1)}))
        late = write_part(lake.path, DAYS, 1, "a", day_rows({("m1", 0): (6, 1)}))
        assert late.path != part.path
        run.commit([part], {}, FACTS)
    assert held(Lake.open(lake.path)) == {("m1", 0): (5, 1)}


def test_two_runs_at_once(tmp_path: Path) -> None:
    """The second run is refused and told who holds the lake; the first is not disturbed."""
    lake = new_lake(tmp_path / "lake")
    with lake.begin() as first:
        with pytest.raises(MeterbeamError, match=rf"process {os.getpid()} on .* since 20\d\d-") as refused:
            Lake.open(lake.path).begin().__enter__()
        assert refused.value.expected.startswith("no other run")
        first.commit([first.write(DAYS, "a", day_rows({("m1", 0): (5, 1)}))], {}, FACTS)
    assert commit(Lake.open(lake.path), {("m1", 0): (6, 2)}) == 2
    assert held(Lake.open(lake.path)) == {("m1", 0): (6, 2)}


def test_a_lock_that_does_not_hold_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system has no locks, the second of two runs is refused when it commits."""
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    lake, other = new_lake(tmp_path / "lake"), Lake.open(tmp_path / "lake")
    commit(lake, {("m1", 0): (1, 1)})
    with lake.begin() as first, other.begin() as second:
        parts = [
            run.write(DAYS, name, day_rows({("m1", 0): (value, 2)}))
            for run, name, value in ((first, "a", 2), (second, "b", 3))
        ]
        second.commit([parts[1]], {}, FACTS)
        with pytest.raises(MeterbeamError, match="committed by another process"):
            first.commit([parts[0]], {}, FACTS)
    assert held(Lake.open(lake.path)) == {("m1", 0): (3, 2)}


def test_an_unreadable_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    """The lock is the kernel's; the text in the file only tells who holds it."""
    lake = new_lake(tmp_path / "lake")
    (lake.path / "lock").write_text("process 12 since yesterday")
    assert commit(lake, {("m1", 0): (1, 1)}) == 1
    told = json.loads((lake.path / "lock").read_text())
    assert (told["process"], told["run_no"]) == (os.getpid(), 1)
