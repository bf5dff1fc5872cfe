"""``meterbeam lake maintain`` and ``retain``: no row changes, every past run stays, only the dead go."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipelines.cli import main
from pipelines.store import commit as committing
from pipelines.store.lake import Lake
from pipelines.store.maintain import MaintainOptions, maintain
from pipelines.store.retain import RetentionRules, retain
from pipelines.store.views import VIEWS, connect
from tests.pipelines.exchanged import failed
from tests.pipelines.lake_days import commit, dirty, held, new_lake
from tests.pipelines.towns import make_town, run, scalar, tables

Capture = pytest.CaptureFixture[str]


def shown(lake: Path, as_of: int) -> dict[str, list[tuple[Any, ...]]]:
    """All views as of a run; ``runs`` without those that came later."""
    with connect(Lake.open(lake), as_of) as views:
        return {view: sorted(views.execute(f"FROM {view}").fetchall(), key=repr) for view in VIEWS}


def history(folder: Path, runs: int = 6) -> Lake:
    """A lake of several small runs, each with changes, new days and a withdrawn one."""
    lake = new_lake(folder)
    for number in range(1, runs + 1):
        content: dict[tuple[str, int], tuple[int | None, int]] = {
            ("a", 0): (number, number),
            ("b", number): (7, 1),
        }
        if number > 1:
            content["b", number - 1] = (None, 2)
        commit(lake, content, [f"m{number}"])
    return lake


def test_packing_changes_no_row_and_no_past(tmp_path: Path) -> None:
    """Fewer files; the present and every past run show what they showed, dirty days included."""
    lake = history(tmp_path / "lake")
    before = [shown(lake.path, number) for number in range(1, 7)]
    past = [(held(lake.at(number)), dirty(lake.at(number))) for number in range(1, 7)]
    summary = maintain(MaintainOptions(lake.path, keep_days=0))
    assert summary["packed"] == {"days": "12 files into 1"}
    assert summary["deleted_files"] == 12
    fresh = Lake.open(lake.path)
    assert len(fresh.files("days")) == 1
    assert [shown(lake.path, number) for number in range(1, 7)] == before
    assert [(held(fresh.at(number)), dirty(fresh.at(number))) for number in range(1, 7)] == past
    assert fresh.runs().num_rows == 7
    commit(fresh, {("a", 0): (99, 7)})
    assert held(fresh)["a", 0] == (99, 7)
    assert shown(lake.path, 6) == before[5]


def test_runs_are_packed_too(tmp_path: Path) -> None:
    """Many runs become one file; each stays readable, by number and by id, and new ones follow."""
    lake = history(tmp_path / "lake", runs=16)
    rows = lake.runs().to_pylist()
    past = [held(lake.at(number)) for number in range(1, 17)]
    summary = maintain(MaintainOptions(lake.path, keep_days=0))
    assert summary["packed"]["runs"] == "16 files into 1"
    fresh = Lake.open(lake.path)
    assert fresh.runs().to_pylist()[:-1] == rows
    assert [held(fresh.at(row["run_id"])) for row in rows] == past
    assert commit(fresh, {("a", 0): (99, 17)}) == 18
    assert (held(Lake.open(lake.path))["a", 0], fresh.at(16).runs().num_rows) == ((99, 17), 16)


def test_a_reader_at_work_keeps_its_files(tmp_path: Path) -> None:
    """What was opened before is read after, until the files have been out of use for the days given."""
    lake = history(tmp_path / "lake")
    expected = held(lake)
    reader, outside = Lake.open(lake.path), DeltaTable(str(lake.path / "tables" / "days"))
    for file in reader.files("days"):
        os.utime(file, (1, 1))
    assert maintain(MaintainOptions(lake.path))["deleted_files"] == 0
    assert held(reader) == expected
    assert outside.to_pyarrow_dataset().to_table().num_rows == reader.table("days").num_rows
    late = time.time() - 8 * 86_400
    for file in reader.files("days"):
        os.utime(file, (late, late))
    assert maintain(MaintainOptions(lake.path))["deleted_files"] == 12


def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    """It says what would be done; the same files stand there after it, and no new run."""
    lake = history(tmp_path / "lake")
    files = sorted(lake.path.rglob("*"))
    summary = maintain(MaintainOptions(lake.path, keep_days=0, dry_run=True))
    assert summary["packed"] == {"days": "12 files into 1"}
    assert sorted(lake.path.rglob("*")) == files
    assert maintain(MaintainOptions(lake.path))["packed"]
    assert maintain(MaintainOptions(lake.path))["packed"] == {}


def test_orphans_go_and_nothing_else(tmp_path: Path) -> None:
    """A part and a raw file that no run knows; the raw files of the lake stay."""
    town = make_town(tmp_path / "in", meters=3, days=20)
    lake = tmp_path / "lake"
    run(lake, town, detect=False)
    maintain(MaintainOptions(lake, keep_days=0, small_bytes=1))  # parts without rows are in no table
    expected = tables(lake)
    orphans = [lake / "tables" / "days" / "part-000000-x.parquet", lake / "raw" / "intervals" / "left"]
    for orphan in orphans:
        orphan.write_bytes(b"left over")
    assert maintain(MaintainOptions(lake))["deleted_files"] == 0
    kept = {path for path in lake.rglob("*") if path.is_file()} - set(orphans)
    summary = maintain(MaintainOptions(lake, keep_days=0, small_bytes=1))
    assert (summary["deleted_files"], summary["deleted_bytes"]) == (2, 18)
    assert {path for path in lake.rglob("*") if path.is_file()} >= kept
    assert tables(lake) == expected


class _StopError(Exception):
    """Ends a run in the middle."""


@pytest.mark.parametrize("step", ["begun", "days written", "days committed", "runs written", "published"])
def test_broken_off_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The lake shows what it showed; maintaining it again ends as if nothing had been."""
    lake = history(tmp_path / "lake")
    before = shown(lake.path, 6)

    def stop(at: str) -> None:
        if at == step:
            raise _StopError

    with monkeypatch.context() as patched:
        patched.setattr(committing, "reached", stop)
        with pytest.raises(_StopError):
            maintain(MaintainOptions(lake.path, keep_days=0))
    assert shown(lake.path, 6) == before
    maintain(MaintainOptions(lake.path, keep_days=0))
    assert shown(lake.path, 6) == before
    assert len(Lake.open(lake.path).files("days")) == 1
    on_disk = list((lake.path / "tables" / "days").glob("*.parquet"))
    assert [str(path) for path in on_disk] == Lake.open(lake.path).files("days")


def test_a_backfill_after_packing_ends_the_same(tmp_path: Path) -> None:
    """Two lakes of the same events, one maintained in between."""
    town = make_town(tmp_path / "in", meters=4, days=40)
    first, rest = sorted(town.glob("*.avro"))[:-1], sorted(town.glob("*.avro"))[-1:]
    for name in ("plain", "packed"):
        lake = tmp_path / name
        run(lake, *first, tariffs=town / "tariffs")
        if name == "packed":
            assert main(["lake", "maintain", "--lake", str(lake), "--keep-days", "0"]) == 0
        run(lake, *rest, tariffs=town / "tariffs")
    assert tables(tmp_path / "packed") == tables(tmp_path / "plain")


def test_views_sql_works_after_packing(tmp_path: Path) -> None:
    """The views left in the lake name the packed files."""
    lake = history(tmp_path / "lake")
    expected = scalar(lake.path, "SELECT count(*) FROM days")
    maintain(MaintainOptions(lake.path, keep_days=0))
    here = Path.cwd()
    os.chdir(lake.path)
    try:
        with duckdb.connect() as connection:
            connection.execute((lake.path / "views.sql").read_text())
            assert connection.execute("SELECT count(*) FROM days").fetchall() == [(expected,)]
    finally:
        os.chdir(here)


def test_retention_removes_the_old_from_every_run(tmp_path: Path) -> None:
    """Days before the first kept one are gone, the others as they were; a dry run counts the same."""
    lake = history(tmp_path / "lake")
    before = {key: row for key, row in held(lake).items() if key[1] >= 3}
    rules = RetentionRules(keep={"days": 2})
    said = retain(lake.path, rules, date(2026, 3, 6), dry_run=True)
    assert held(Lake.open(lake.path)).keys() > before.keys()
    assert retain(lake.path, rules, date(2026, 3, 6))["removed_rows"] == said["removed_rows"] == {"days": 10}
    fresh = Lake.open(lake.path)
    assert held(fresh) == before
    assert {key for number in range(1, 7) for key in held(fresh.at(number)) if key[1] < 3} == set()
    assert retain(lake.path, rules, date(2026, 3, 6))["removed_rows"] == {"days": 0}
    count = fresh.table("days").num_rows
    maintain(MaintainOptions(lake.path, keep_days=0))
    on_disk = list((lake.path / "tables" / "days").glob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in on_disk) == count


def test_retention_by_commodity(tmp_path: Path) -> None:
    """Only the days of the commodity named go; meters of others keep theirs."""
    town = make_town(tmp_path / "in", meters=4, days=20)
    lake = tmp_path / "lake"
    run(lake, town, tariffs=town / "tariffs", detect=False)
    rules = tmp_path / "keep.yaml"
    kinds = {row for (row,) in query(lake, "SELECT DISTINCT commodity FROM service_points")}
    assert kinds == {"electricity"}
    command = ["lake", "retain", "--lake", str(lake), "--keep", str(rules), "--today", "2026-03-20"]
    count = scalar(lake, "SELECT count(*) FROM days")
    rules.write_text("keep: {days: {gas: 1}}")
    assert main(command) == 0
    assert scalar(lake, "SELECT count(*) FROM days") == count
    rules.write_text("keep: {days: {electricity: 10, gas: 1}, determinants: 10}")
    assert main(command) == 0
    assert scalar(lake, "SELECT min(local_day) FROM days") == date(2026, 3, 10)
    assert scalar(lake, "SELECT min(local_day) FROM determinants") >= date(2026, 3, 10)


def query(lake: Path, sql: str) -> list[tuple[Any, ...]]:
    with connect(Lake.open(lake)) as views:
        return views.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("keep: {loads: 5}", "'loads'", id="table"),
        pytest.param("keep: {days: 0}", "greater than 0", id="days"),
        pytest.param("keep: {days: {steam: 5}}", "'steam'", id="commodity"),
        pytest.param("keep: {bills: {gas: 5}}", "one number of days", id="bills"),
        pytest.param("days: 5", "keep", id="no keep"),
        pytest.param("[", "keep.yaml", id="no yaml"),
    ],
)
def test_wrong_rules(tmp_path: Path, capsys: Capture, text: str, message: str) -> None:
    """Exit 1 and what is wrong; nothing is removed."""
    lake = history(tmp_path / "lake")
    rules = tmp_path / "keep.yaml"
    rules.write_text(text)
    code, error = failed(["lake", "retain", "--lake", str(lake.path), "--keep", str(rules)], capsys)
    assert (code, message in error) == (1, True), error
    assert Lake.open(lake.path).run_no == 6
