"""The law: the same events in one run, in several, backwards or shuffled with repeats give equal tables."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.pipelines.towns import assert_equal, make_town, records, run, scalar, tables, write

SEEDS = (1, 2)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input files of a town with gaps, conflicts, outages, theft and faults."""
    return make_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def whole(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of one backfill of everything."""
    lake = tmp_path_factory.mktemp("whole") / "lake"
    run(lake, town, tariffs=town / "tariffs")
    return lake


def test_everything_is_there(whole: Path) -> None:
    """The compared lake is worth comparing: estimates, substitutes, bills, queues and findings exist."""
    found = tables(whole)
    qualities = {str(row[7]) for row in found["readings"]}
    assert {"VERIFIED", "ESTIMATED", "SUBSTITUTED"} <= qualities
    for view in ("bills", "bill_lines", "determinants", "findings", "faults", "change_queue", "gaps"):
        assert found[view], view


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_records_in_several_runs(town: Path, whole: Path, tmp_path: Path, seed: int) -> None:
    """Records shuffled over files, a third of them sent twice, ingested in five runs in any order."""
    chance = random.Random(seed)
    kinds = {"IntervalBlock": ["readings-000", "readings-001"], "RegisterRead": ["registers"],
             "DeviceEvent": ["events"], "ServicePoint": ["service-points"]}  # fmt: skip
    files = []
    for record, names in kinds.items():
        all_rows = [row for name in names for row in records(town / f"{name}.avro")]
        sent = [*all_rows, *chance.sample(all_rows, len(all_rows) // 3)]
        chance.shuffle(sent)
        folder = tmp_path / "in"
        files += [write(folder / f"{record}-{part}.avro", record, sent[part::3]) for part in range(3)]
    chance.shuffle(files)
    lake = tmp_path / "lake"
    for first in range(0, len(files), 3):
        run(lake, *files[first : first + 3], tariffs=town / "tariffs", shards=5)
    assert_equal(whole, lake)


def test_files_backwards_one_by_one(town: Path, whole: Path, tmp_path: Path) -> None:
    """Each file in a run of its own, the last one first."""
    lake = tmp_path / "lake"
    for path in sorted(town.glob("*.avro"), reverse=True):
        run(lake, path, tariffs=town / "tariffs", shards=1)
    assert_equal(whole, lake)


def test_small_groups_and_two_workers(town: Path, whole: Path, tmp_path: Path) -> None:
    """Neither the slots held at once nor the number of workers shows in the result."""
    run(tmp_path / "lake", town, tariffs=town / "tariffs", cells=5000, workers=2, shards=7)
    assert_equal(whole, tmp_path / "lake")


def test_a_second_run_changes_nothing(town: Path, whole: Path, tmp_path: Path) -> None:
    """The same files again: every reading is an exact repeat, no row is written."""
    lake = tmp_path / "lake"
    shutil.copytree(whole, lake)
    again = run(lake, town, tariffs=town / "tariffs")
    assert again["new"] == 0
    assert again["exact_repeats"] == again["readings_in"] > 0
    assert again["days_written"] == again["bills_written"] == 0
    assert scalar(lake, "SELECT max(revision) FROM days") == 1
    assert_equal(whole, lake)


def test_from_and_to_leave_the_rest_dirty(town: Path, whole: Path, tmp_path: Path) -> None:
    """Days outside the limits stay dirty and are computed by the next run."""
    from datetime import date

    lake = tmp_path / "lake"
    run(lake, town, tariffs=town / "tariffs", from_day=date(2026, 3, 10), to_day=date(2026, 3, 20))
    assert scalar(lake, "SELECT min(local_day) FROM days") == date(2026, 3, 10)
    assert scalar(lake, "SELECT max(local_day) FROM days") == date(2026, 3, 20)
    run(lake, town / "events.avro", tariffs=town / "tariffs")
    assert_equal(whole, lake)


def test_single_readings_equal_blocks(whole: Path, tmp_path: Path) -> None:
    """The same town sent reading by reading gives the same rows."""
    rows = make_town(tmp_path / "rows", form="rows")
    run(tmp_path / "lake", rows, tariffs=rows / "tariffs")
    assert_equal(whole, tmp_path / "lake")


def test_tariffs_that_come_later_price_every_day_again(town: Path, tmp_path: Path) -> None:
    """A TariffVersion record received after the readings gives the bills it gives when it comes first."""
    text = (town / "tariffs" / "home-tou.yaml").read_text("utf-8")
    sent = {"tariff_id": "home-tou", "version": "1", "yaml": text}
    tariff = write(tmp_path / "tariff.avro", "TariffVersion", [sent])
    run(tmp_path / "once", town, tariff)
    run(tmp_path / "later", town)
    assert not tables(tmp_path / "later")["bills"]
    run(tmp_path / "later", tariff)
    assert tables(tmp_path / "once")["bills"]
    assert_equal(tmp_path / "once", tmp_path / "later")
