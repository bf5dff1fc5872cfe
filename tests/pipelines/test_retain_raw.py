"""Retention of the raw zone: what stays open obeys the law, what does not stays as it is."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.batch.retired import retired
from pipelines.store.lake import Lake
from pipelines.store.maintain import MaintainOptions, maintain
from pipelines.store.retain import RetentionRules, retain
from pipelines.store.views import connect
from schemas.rulepack import load_rule_pack
from tests.pipelines.towns import make_town, run

TODAY = date(2026, 3, 2) + timedelta(days=84)
RULES = RetentionRules(keep={"raw": 74})
VIEWS = ("days", "findings", "determinants")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve weeks of a few meters."""
    return make_town(tmp_path_factory.mktemp("town"), meters=4, days=84)


def pack(folder: Path, *, spike: str) -> str:
    """The default rules with a short reach, and another limit of spikes."""
    rules = load_rule_pack("default")
    changed = rules.model_copy(
        update={"registers": rules.registers.model_copy(update={"max_read_gap_days": 7})}
    ).model_dump(mode="json", by_alias=True)
    changed["rules"]["spike"]["max_excess"] = spike
    file = folder / f"rules-{spike}.yaml"
    file.write_text(json.dumps(changed))
    return str(file)


def rows(lake: Path, view: str, where: str, as_of: int | None = None) -> list[tuple[Any, ...]]:
    """Rows of a view without their revisions."""
    with connect(Lake.open(lake), as_of) as views:
        names = [column[0] for column in views.execute(f"FROM {view} LIMIT 0").description]
        listed = ", ".join(f'"{name}"' for name in names if name != "revision")
        return sorted(views.execute(f"SELECT {listed} FROM {view} WHERE {where}").fetchall(), key=repr)


def test_open_days_are_those_of_a_lake_with_everything(town: Path, tmp_path: Path) -> None:
    """After retention new rules and late readings change the open days as ever, and no frozen one."""
    late = town / "readings-001.avro"
    early = sorted(set(town.glob("*.avro")) - {late})
    first, second = pack(tmp_path, spike="4"), pack(tmp_path, spike="0.5")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for lake in (whole, cut):
        run(lake, *early, rules=first, tariffs=town / "tariffs")
        run(lake, late, rules=first, tariffs=town / "tariffs")
    said = retain(cut, RULES, TODAY, dry_run=True)
    assert retain(cut, RULES, TODAY) == {**said, "dry_run": False}
    assert said["removed_rows"]["raw"] > 0
    assert rows(cut, "raw", "start < '2026-03-10'") == []
    open_from = boundary(cut)
    assert date(2026, 3, 12) < open_from < TODAY - timedelta(days=7)
    before = {view: rows(cut, view, f"local_day < '{open_from}'") for view in VIEWS}
    runs = [rows(cut, view, "true", as_of) for view in VIEWS for as_of in (1, 2)]
    for lake in (whole, cut):
        run(lake, *early, rules=second, tariffs=town / "tariffs")
    for view in VIEWS:
        after = f"local_day >= '{open_from}'"
        assert rows(cut, view, after) == rows(whole, view, after), view
        assert rows(cut, view, f"local_day < '{open_from}'") == before[view], view
    assert rows(whole, "days", "true") != rows(cut, "days", "true"), "the new rules changed no frozen day"
    assert [rows(cut, view, "true", as_of) for view in VIEWS for as_of in (1, 2)] == runs


def boundary(lake: Path) -> date:
    """First day from which on every day of every meter is open."""
    names = {(meter, "import"): [(0, 1 << 20)] for meter in retired(Lake.open(lake)).kept_from}
    rules = load_rule_pack("default")
    short = rules.model_copy(
        update={"registers": rules.registers.model_copy(update={"max_read_gap_days": 7})}
    )
    scope = retired(Lake.open(lake)).open_days(names, short)
    return max(date(1970, 1, 1) + timedelta(days=days[0][0]) for days in scope.values())


def test_files_leave_the_disk_with_maintenance(town: Path, tmp_path: Path) -> None:
    """Old raw files stay for readers at work until they have been out of use, then go; twice cuts once."""
    lake = tmp_path / "lake"
    run(lake, town)
    folder = lake / "raw" / "intervals"
    before = {path.name for path in folder.iterdir()}
    retain(lake, RULES, TODAY)
    assert before < {path.name for path in folder.iterdir()}
    maintain(MaintainOptions(lake, keep_days=1))
    assert before < {path.name for path in folder.iterdir()}
    maintain(MaintainOptions(lake, keep_days=0))
    named = {row["name"] for row in Lake.open(lake).table("raw_files").to_pylist()}
    assert {path.name for path in folder.iterdir()} <= named
    count = Lake.open(lake).run_no
    assert retain(lake, RULES, TODAY)["removed_rows"] == {"raw": 0}
    assert Lake.open(lake).run_no == count


def test_by_commodity(town: Path, tmp_path: Path) -> None:
    """A rule for another commodity takes nothing."""
    run(tmp_path / "lake", town)
    rules = RetentionRules(keep={"raw": {"gas": 1}})
    assert retain(tmp_path / "lake", rules, TODAY)["removed_rows"] == {"raw": 0}
