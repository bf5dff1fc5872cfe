"""``backfill --dirty``: the days that lie dirty in the lake, without new input."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.backfill import BackfillOptions, dirty_backfill
from pipelines.cli import main
from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError
from schemas.lake import DIRTY_DAYS
from tests.pipelines.towns import ZONE, assert_equal, make_town, run, scalar


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


@pytest.fixture
def part(town: Path, tmp_path: Path) -> Path:
    """A lake of which some days were computed, the others lie dirty."""
    lake = tmp_path / "lake"
    run(lake, town, tariffs=town / "tariffs", from_day=date(2026, 3, 8), to_day=date(2026, 3, 12))
    assert Lake.open(lake).table(DIRTY_DAYS.name).num_rows > 0
    return lake


def dirty(lake: Path, **options: Any) -> dict[str, Any]:
    """The command in this process."""
    return dirty_backfill(BackfillOptions(inputs=(), lake=lake, workers=0, **options))


def test_dirty_days_are_processed_without_input(town: Path, whole: Path, part: Path) -> None:
    """The lake ends as after one backfill; nothing was read, and no day is dirty any more."""
    done = dirty(part, tariffs=town / "tariffs")
    assert_equal(whole, part)
    assert (done["files"], done["readings_in"]) == (0, 0)
    assert done["days_written"] > 0
    assert Lake.open(part).table(DIRTY_DAYS.name).num_rows == 0


def test_limits_leave_the_rest_dirty(town: Path, whole: Path, part: Path) -> None:
    """--from and --to choose among the dirty days; what is left is done by the next run."""
    dirty(part, tariffs=town / "tariffs", to_day=date(2026, 3, 10))
    assert scalar(part, "SELECT max(local_day) FROM days") == date(2026, 3, 12)
    assert scalar(part, "SELECT min(local_day) FROM days") == scalar(whole, "SELECT min(local_day) FROM days")
    dirty(part, tariffs=town / "tariffs")
    assert_equal(whole, part)


def test_no_dirty_day_is_no_run(town: Path, whole: Path, tmp_path: Path) -> None:
    """A schedule may call it as often as it likes."""
    lake = tmp_path / "lake"
    shutil.copytree(whole, lake)
    done = dirty(lake, tariffs=town / "tariffs")
    assert (done["run"], done["days_written"]) == (1, 0)
    assert scalar(lake, "SELECT count(*) FROM runs") == 1


def test_other_tariffs_are_a_run_without_a_dirty_day(town: Path, whole: Path, tmp_path: Path) -> None:
    """Corrected tariffs price the bills again, in no day's readings; a folder that is wrong is said."""
    lake, corrected = tmp_path / "lake", tmp_path / "corrected"
    shutil.copytree(whole, lake)
    shutil.copytree(town / "tariffs", corrected)
    for path in corrected.glob("*.yaml"):
        text = path.read_text()
        path.write_text(text + '  - {id: correction, type: fixed, amount: "1.00", per: month}\n')
    done = dirty(lake, tariffs=corrected)
    assert (done["run"], done["days_written"]) == (2, 0)
    assert scalar(lake, "SELECT count(*) FROM determinants") > 0
    again = tmp_path / "again"
    run(again, town, tariffs=corrected)
    assert_equal(again, lake)
    with pytest.raises(MeterbeamError, match="nowhere"):
        dirty(lake, tariffs=tmp_path / "nowhere")


def test_days_that_the_last_run_did_not_close_stay_open(town: Path, tmp_path: Path) -> None:
    """What has closed was said by the run that wrote the dirty days, not by the raw zone."""
    lake = tmp_path / "lake"
    settings: dict[str, Any] = {"tariffs": town / "tariffs"}
    run(lake, town, through=date(2026, 3, 20), to_day=date(2026, 3, 10), **settings)
    assert dirty(lake, **settings)["last_closed_day"] == "2026-03-20"
    assert scalar(lake, "SELECT max(local_day) FROM days") == date(2026, 3, 20)


def test_the_command_needs_a_lake_and_no_input(
    town: Path, part: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 without a lake, 0 with one; input beside it is left alone, and that is said."""
    assert main(["backfill", "--dirty", "--lake", str(tmp_path / "nothing")]) == 1
    assert "no lake.json" in capsys.readouterr().err
    options = ["--lake", str(part), "--tariffs", str(town / "tariffs"), "--workers", "1", "--json"]
    assert main(["backfill", str(town), "--dirty", *options]) == 0
    told = capsys.readouterr()
    assert '"files": 0' in told.out
    assert "IN is not looked at" in told.err
    assert main(["backfill", "--lake", str(part), "--timezone", ZONE]) == 2
