"""Kill -9 at any moment of a stream's commit, on disk and in a bucket: all of it shows, or nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.store.lake import Lake
from pipelines.store.views import connect
from schemas.lake import RAW_FILES
from tests.models.ledger_worlds import ZONE
from tests.pipelines.commit_child import commit_half
from tests.pipelines.s3_server import s3_server
from tests.pipelines.test_lake_kill import KILLED, Child
from tests.pipelines.towns import assert_equal
from transforms.storage import place

STEPS = ("begun", "series committed", "days committed", "raw_files written", "runs written", "runs committed")


@pytest.fixture(scope="module", params=["disk", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where lakes lie: a folder, or a bucket of a running server."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "disk":
        yield str(folder)
        return
    with s3_server(folder) as address:
        yield address


@pytest.fixture(scope="module")
def child(storage: str) -> Iterator[Child]:
    """One process that forks the victims, with the server in its environment."""
    made = Child("tests.pipelines.commit_child")
    yield made
    made.end()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Lakes of commits that were never killed: of the first, and of both."""
    made = []
    for commits in (1, 2):
        lake = new_lake(tmp_path_factory.mktemp("whole") / "lake")
        for _ in range(commits):
            commit_half(lake)
        made.append(lake)
    return made[0], made[1]


def new_lake(folder: Path) -> Path:
    """An empty lake of one shard."""
    return Lake.create(folder, timezone=ZONE, shards=1).path


def check(folder: Path, whole: tuple[Path, Path], commits: int) -> None:
    """A lake holds exactly so many commits, to its readers; no raw file is named twice."""
    assert_equal(whole[commits - 1], folder)
    names = Lake.open(folder).table(RAW_FILES.name)["name"].to_pylist()
    assert len(names) == len(set(names))
    with connect(Lake.open(folder)) as views:
        assert views.execute("SELECT max(n) FROM (SELECT count(*) n FROM stored.days_rows GROUP BY "
                             "meter_id, channel, local_day, revision)").fetchone() == (1,)  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(step: str, storage: str, child: Child, whole: tuple[Path, Path]) -> None:
    """Before ``runs`` is committed nothing of it shows, after it all of it; repeated, it adds nothing."""
    folder = new_lake(place(f"{storage}/{STEPS.index(step)}"))
    assert child.order(folder, "-") == "0"
    check(folder, whole, 1)
    assert child.order(folder, step) == KILLED
    check(folder, whole, 2 if step == "runs committed" else 1)
    for _ in range(2):
        assert child.order(folder, "-") == "0"
        check(folder, whole, 2)


def test_killed_at_random_moments(storage: str, child: Child, whole: tuple[Path, Path]) -> None:
    """A committer that is killed anywhere, again and again, leaves whole commits only."""
    folder = new_lake(place(f"{storage}/random"))
    assert child.order(folder, "-") == "0"
    moments = random.Random(3)
    for _ in range(8):
        assert child.order(folder, "after", f"{moments.uniform(0.05, 0.8):.3f}") == KILLED
        check(folder, whole, min(Lake.open(folder).runs().num_rows, 2))
    assert child.order(folder, "-") == "0"
    check(folder, whole, 2)
