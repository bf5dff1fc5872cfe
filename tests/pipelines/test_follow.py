"""Follow mode: whatever lands, however it lands, the lake ends as after one backfill of the same files."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.store.lake import Lake
from pipelines.store.lock import held
from schemas.errors import MeterbeamError
from tests.pipelines.following import begin, copy, followed
from tests.pipelines.towns import ZONE, assert_equal, make_town, records, rows, run, scalar, write


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input files of a town with gaps, conflicts, outages, theft and faults."""
    return make_town(tmp_path_factory.mktemp("town"), meters=5, days=25)


@pytest.fixture(scope="module")
def whole(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of one backfill of everything."""
    lake = tmp_path_factory.mktemp("whole") / "lake"
    run(lake, town, tariffs=town / "tariffs")
    return lake


def pieces(town: Path, folder: Path, seed: int) -> list[Path]:
    """The town's records dealt out to small files by time of receipt, roughly as a head-end drops them."""
    chance = random.Random(seed)
    kinds = {"IntervalBlock": ["readings-000", "readings-001"], "RegisterRead": ["registers"],
             "DeviceEvent": ["events"], "ServicePoint": ["service-points"]}  # fmt: skip
    made = []
    for record, names in kinds.items():
        sent = [row for name in names for row in records(town / f"{name}.avro")]
        sent.sort(key=lambda row: (row.get("received_at") is not None, row.get("received_at")))
        size = -(-len(sent) // 3)
        for part in range(0, len(sent), size):
            some = sent[part : part + size]
            chance.shuffle(some)
            made.append(write(folder / f"{record}-{part:05d}.avro", record, some))
    return made


def test_files_that_land_end_in_the_tables_of_one_backfill(town: Path, whole: Path, tmp_path: Path) -> None:
    """Out of order, some twice, some half-written first, renamed, with drafts beside them."""
    chance = random.Random(4)
    files = pieces(town, tmp_path / "made", 4)
    chance.shuffle(files)
    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "draft.avro.tmp").write_bytes(files[0].read_bytes()[:50])
    (landing / ".hidden.avro").write_text("nothing")
    acts: list[Any] = []
    for number, path in enumerate(files):
        target = landing / path.name
        if number % 4 == 0:
            acts += [begin(path, target, 0.6), begin(path, target, 0.8)]
        acts.append(copy(path, target))
        if number % 5 == 1:
            acts.append(copy(path, landing / "again" / f"renamed-{path.name}"))
    moved = landing / files[2].name
    acts.append(lambda: moved.rename(landing / "moved.avro"))
    done = followed(tmp_path / "lake", landing, *acts, tariffs=town / "tariffs")
    assert_equal(whole, tmp_path / "lake")
    assert scalar(tmp_path / "lake", "SELECT count(*) FROM dead_letters") == 0
    assert done["rounds"] > 3
    assert done["new"] == scalar(whole, "SELECT count(*) FROM raw")


def test_a_restart_takes_nothing_twice(town: Path, whole: Path, tmp_path: Path) -> None:
    """A second follower over the same folder publishes no run; one over a renamed folder counts repeats."""
    landing = tmp_path / "landing"
    landing.mkdir()
    acts = [copy(path, landing / path.name) for path in sorted(town.glob("*.avro"))]
    followed(tmp_path / "lake", landing, *acts, tariffs=town / "tariffs")
    runs = scalar(tmp_path / "lake", "SELECT count(*) FROM runs")
    again = followed(tmp_path / "lake", landing, tariffs=town / "tariffs")
    assert (again["rounds"], scalar(tmp_path / "lake", "SELECT count(*) FROM runs")) == (0, runs)
    other = landing.rename(tmp_path / "elsewhere")
    moved = followed(tmp_path / "lake", other, tariffs=town / "tariffs")
    assert (moved["new"], moved["days_written"]) == (0, 0)
    assert moved["exact_repeats"] == moved["readings_in"] > 0
    assert_equal(whole, tmp_path / "lake")


def test_a_file_that_stopped_growing_too_early_is_a_dead_letter(town: Path, tmp_path: Path) -> None:
    """Not before its time; its rest makes it a new file, which is taken in; a restart leaves it alone."""
    file = town / "readings-000.avro"
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    target = landing / "r.avro"
    idle = [lambda: None] * 3
    early = followed(lake, landing, begin(file, target, 0.5), *idle, patience=100.0, once=False)
    assert early["dead_letters"] == 1
    letters = rows(lake, "SELECT source, reason, octet_length(bytes) AS size FROM dead_letters").to_pylist()
    assert letters[0]["source"] == str(target)
    assert letters[0]["size"] == target.stat().st_size
    assert followed(lake, landing, *idle)["rounds"] == 0
    late = followed(lake, landing, copy(file, target), *idle)
    assert (late["rounds"], late["dead_letters"]) == (1, 0)
    assert late["new"] == scalar(lake, "SELECT count(*) FROM raw") > 0


def test_a_growing_file_is_never_a_dead_letter(town: Path, tmp_path: Path) -> None:
    """As long as it grows within ``patience``, it is waited for."""
    file = town / "readings-000.avro"
    landing = tmp_path / "landing"
    landing.mkdir()
    target = landing / "r.avro"
    growing: list[Any] = []
    for share in (0.2, 0.4, 0.6, 0.8):
        growing += [begin(file, target, share), lambda: None, lambda: None, lambda: None]
    done = followed(tmp_path / "lake", landing, *growing, copy(file, target), patience=6.0)
    assert (done["rounds"], done["dead_letters"]) == (1, 0)


def test_damage_is_kept_aside_and_the_rest_goes_on(town: Path, tmp_path: Path) -> None:
    """A text file that calls itself Avro leaves a letter; the next files are taken in."""
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    bad = landing / "bad.avro"
    acts: list[Any] = [lambda: bad.write_text("meter,value\n"), lambda: None, lambda: None]
    done = followed(lake, landing, *acts, copy(town / "registers.avro", landing / "registers.avro"))
    assert (done["rounds"], done["dead_letters"]) == (2, 1)
    assert scalar(lake, "SELECT count(*) FROM registers") > 0
    bad.rename(landing / "bad-again.avro")
    assert followed(lake, landing)["rounds"] == 0


def test_damage_stops_where_that_is_asked_for(tmp_path: Path) -> None:
    """With --on-error stop the follower ends, and nothing of that round is published."""
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    (landing / "bad.avro").write_text("meter,value\n")
    with pytest.raises(MeterbeamError, match=r"bad\.avro"):
        followed(lake, landing, lambda: None, on_error="stop")
    assert scalar(lake, "SELECT count(*) FROM runs") == 0


def test_a_lake_that_is_held_is_waited_for(town: Path, tmp_path: Path) -> None:
    """Another run at work ends nothing: the files are taken in when it has ended."""
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    holder = ExitStack()
    made = Lake.create(lake, timezone=ZONE, shards=3)
    copy(town / "registers.avro", landing / "r.avro")()
    acts: list[Any] = [*[lambda: None] * 3, holder.close]
    with holder:
        holder.enter_context(held(made.path))
        done = followed(lake, landing, *acts, once=True)
    assert (done["rounds"], done["run"]) == (1, 1)
    assert scalar(lake, "SELECT count(*) FROM registers") > 0


def test_detection_that_was_put_off_is_made_when_it_is_due(town: Path, tmp_path: Path) -> None:
    """Rarer than rounds, and once more when nothing comes any more: the queues are those of the last rows."""
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    files = ["service-points", "readings-000", "readings-001"]
    acts: list[Any] = []
    for name in files:
        acts += [copy(town / f"{name}.avro", landing / f"{name}.avro"), lambda: None, lambda: None]
    followed(lake, landing, *acts, *[lambda: None] * 8, detect_every=7.0)
    whole = tmp_path / "whole"
    run(whole, *(town / f"{name}.avro" for name in files))
    assert_equal(whole, lake)
    detected = scalar(lake, "SELECT count(*) FROM stored.detect_runs_rows")
    assert detected < scalar(lake, "SELECT count(*) FROM runs")


def test_once_ends_when_everything_is_in(
    town: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command: one round for what is there, a line for it, and exit code 0."""
    lake = tmp_path / "lake"
    options = ["--lake", str(lake), "--timezone", ZONE, "--shards", "3", "--tariffs", str(town / "tariffs")]
    fast = ["--settle", "0", "--every", "0.1", "--workers", "1"]
    assert main(["backfill", str(town), "--follow", "--once", *options, *fast, "--json"]) == 0
    told = capsys.readouterr()
    assert '"rounds": 1' in told.out
    assert "run 1: 5 files, " in told.err
    assert_equal(whole, lake)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["--follow"], 2, ["IN…", "nothing"], id="no-folder"),
        pytest.param(["--once", "IN"], 2, ["--once", "--follow beside it"], id="once-alone"),
        pytest.param(["--follow", "--dirty", "IN"], 2, ["--dirty", "one of them"], id="dirty-too"),
        pytest.param(["--follow", "nowhere"], 1, ["nowhere", "a landing folder"], id="no-such-folder"),
    ],
)
def test_wrong_arguments_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: list[str]
) -> None:
    """Usage errors end with 2, a folder that is not there with 1; no lake is made."""
    given = [str(tmp_path) if word == "IN" else word for word in arguments]
    assert main(["backfill", *given, "--lake", str(tmp_path / "lake"), "--timezone", ZONE]) == code
    told = capsys.readouterr().err
    assert all(word in told for word in words)
    assert not (tmp_path / "lake").exists()
