"""``meterbeam evaluate``: tables over a file and over a lake, wrong arguments, and real meters."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.attacks import MIX
from models.fault_trial import BREAKS
from models.theft_evaluation import METHODS, TheftPlan, evaluate_theft, summary_rows
from pipelines.batch.model_file import default_model
from pipelines.cli import main
from pipelines.evaluation.evaluate import run_faults
from pipelines.evaluation.homes import homes_of_file, homes_of_lake
from pipelines.store.lake import Lake
from tests.models.test_detection import fleet
from tests.pipelines.towns import make_town, run
from tests.real_data import shared

ZONE = "Europe/Zurich"
FIRST = date(2025, 1, 13)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty made-up homes over eight weeks, a row a day."""
    load = fleet().reshape(40, 56, 24) / 1e6
    rows = [
        {"meter_id": f"H{home:02d}", "day": FIRST + timedelta(days=day), "kwh": load[home, day].tolist()}
        for home in range(40)
        for day in range(56)
    ]
    path = tmp_path_factory.mktemp("homes") / "homes.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_theft_prints_a_table_and_writes_plots(
    homes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every method and timing once; files of the same rows; the same figures when run again."""
    command = ["evaluate", "theft", "--homes", str(homes), "--seeds", "1", "--prevalence", "0.1", "--feeders"]
    command += ["2", "--top", "5", "--timing", "onset,always", "--out", str(tmp_path), "--json"]
    assert main(command) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(row["timing"], row["method"]) for row in shown["rows"]] == [
        (timing, method) for timing in ("onset", "always") for method in METHODS
    ]
    assert all(0 <= row["auc"] <= 1 and set(row["auc_by_attack"]) == set(MIX) for row in shown["rows"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shown["files"])
    assert (tmp_path / "theft-auc.svg").read_text("utf-8").count("<rect") == 1 + 2 * len(METHODS)
    plan = TheftPlan(1, ("onset", "always"), (0.1,), (*MIX,), 2, 5, references=False, model=default_model())
    again = summary_rows([one for draw in evaluate_theft(homes_of_file(homes, ZONE), plan) for one in draw])
    untaught = {row["method"] for row in again}
    assert untaught == {name for name in METHODS if "trained" not in name and name != "isolation forest"}
    assert again == [row for row in shown["rows"] if row["method"] in untaught]


def test_onset_is_found_where_it_can_be(homes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On calm homes the change queue finds what begins in view better than the drop rule, and says so."""
    assert main(["evaluate", "theft", "--homes", str(homes), "--timing", "onset", "--prevalence", "0.1",
                 "--seeds", "2", "--no-references", "--json"]) == 0  # fmt: skip
    rows = {row["method"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["change queue"]["auc"] > 0.9
    assert rows["change queue"]["auc"] >= rows["drop rule"]["auc"]


def test_faults_prints_recall_and_false_alarms(homes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row a fault; text for people, with the rate of false alarms."""
    assert main(["evaluate", "faults", "--homes", str(homes), "--seeds", "1", "--each", "1"]) == 0
    shown = capsys.readouterr().out
    assert "false_alarms" in shown
    assert all(f"\n{fault} " in shown for fault in BREAKS)


def test_a_lake_gives_the_same_homes_as_its_files(tmp_path: Path) -> None:
    """The customers' import as measured: no feeder, no estimate, NaN-free; and as it was."""
    town = make_town(tmp_path / "town", meters=24, days=35)
    run(tmp_path / "lake", town, detect=False)
    run(tmp_path / "lake", make_town(tmp_path / "more", meters=30, days=35, seed=4), detect=False)
    assert len(homes_of_lake(Lake.open(tmp_path / "lake")).names) == 30
    found = homes_of_lake(Lake.open(tmp_path / "lake", as_of=1))
    assert found.names == [f"M{number:06d}" for number in range(24)]
    assert found.load.shape == found.have.shape == (24, found.grid.slots)
    assert not found.load[~found.have].any()
    assert found.have.mean() > 0.95


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param([], 2, "neither", id="no homes"),
        pytest.param(["--homes", "HOMES", "--lake", "x"], 2, "both", id="two kinds of homes"),
        pytest.param(["--homes", "HOMES", "--timing", "never"], 2, "onset, always, half", id="timing"),
        pytest.param(["--homes", "HOMES", "--attacks", "FDI9"], 2, "FDI1", id="attack"),
        pytest.param(["--homes", "HOMES", "--prevalence", "8"], 2, "at most 0.5", id="prevalence"),
        pytest.param(["--homes", "HOMES", "--timezone", "Zurich"], 2, "Europe/Zurich", id="zone"),
        pytest.param(["--homes", "absent.parquet"], 1, "absent.parquet", id="no file"),
        pytest.param(["--homes", "TEXT"], 1, "readings as Parquet", id="no Parquet"),
        pytest.param(["--homes", "OTHER"], 1, "columns meter_id, day and kwh", id="other columns"),
        pytest.param(["--homes", "FEW"], 1, "at least 20 meters", id="too few"),
        pytest.param(["--lake", "nowhere"], 1, "no lake.json", id="no lake"),
        pytest.param(["--homes", "HOMES", "--as-of", "1"], 2, "which has a past", id="a file has no past"),
    ],
)
def test_what_cannot_be_used_is_said(
    homes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    """One clear message, 2 for wrong usage and 1 for wrong input."""
    (tmp_path / "text").write_text("no Parquet", "utf-8")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other")
    few = pa.table({"meter_id": ["A"], "day": [FIRST], "kwh": [[1.0] * 24]})
    pq.write_table(few, tmp_path / "few")
    known = {"HOMES": homes, "TEXT": tmp_path / "text", "OTHER": tmp_path / "other", "FEW": tmp_path / "few"}
    words = [str(known.get(word, word)) for word in arguments]
    assert main(["evaluate", "theft", *words]) == code
    assert said in capsys.readouterr().err


def test_single_readings_equal_days(homes: Path, tmp_path: Path) -> None:
    """A row a reading with its local time gives the same homes as a row a day."""
    rows = pq.read_table(homes).to_pylist()
    hours = [np.timedelta64(hour, "h") for hour in range(24)]
    single = [
        {"meter_id": row["meter_id"], "local_time": np.datetime64(row["day"], "us") + hour, "kwh": value}
        for row in rows
        for hour, value in zip(hours, row["kwh"], strict=True)
    ]
    table = pa.table({name: [row[name] for row in single] for name in single[0]})
    pq.write_table(table, tmp_path / "single.parquet")
    one, other = homes_of_file(homes, ZONE), homes_of_file(tmp_path / "single.parquet", ZONE)
    assert one.names == other.names
    assert (one.load == other.load).all()
    assert (one.have == other.have).all()


def test_swiss_homes() -> None:
    """On 537 real homes: the figures of docs/detection.md hold, with room for another draw."""
    file = shared("swiss_15min") / "consumption.parquet"
    if not file.is_file():
        pytest.skip("real Swiss meters are not there: set METERBEAM_SHARED to the folder that holds data/")
    found = homes_of_file(file, ZONE)
    plan = TheftPlan(2, ("onset", "always"), (0.08,), references=False, model=default_model())
    draws = evaluate_theft(found, plan)
    summary = summary_rows([one for draw in draws for one in draw])
    rows = {(str(row["timing"]), str(row["method"])): row for row in summary}
    assert float(str(rows["onset", "change queue"]["auc"])) > 0.92
    assert float(str(rows["onset", "change queue"]["precision"])) > 0.8
    assert float(str(rows["always", "state queue + feeder"]["auc"])) > 0.82
    assert float(str(rows["always", "state queue + feeder"]["precision"])) > 0.6
    faults = run_faults(found, seeds=2, each=10)
    recall = {row["fault"]: row["recall"] for row in faults["rows"]}
    assert min(recall[name] for name in ("stuck at zero", "stuck value", "gap, then lump", "duplicate")) > 0.9
    assert faults["false_alarms"]["all"] < 0.06


def test_years_of_few_homes_are_cut_into_windows(homes: Path) -> None:
    """Each whole window is a meter over the first one's days, with the readings of its own days."""
    whole, cut = homes_of_file(homes, ZONE), homes_of_file(homes, ZONE, 28)
    assert cut.grid.days == 28
    assert cut.have.mean() > 0.97
    assert {name.split("#")[0] for name in cut.names} == set(whole.names)
    for row, name in enumerate(cut.names):
        meter, number = name.split("#")
        start = int(number) * 28 * 24  # the first day is a Monday
        assert (cut.load[row] == whole.load[whole.names.index(meter), start : start + 28 * 24]).all()
    by_meter: dict[str, set[int]] = {}
    for name, fold in zip(cut.names, cut.folds.tolist(), strict=True):
        by_meter.setdefault(name.split("#")[0], set()).add(fold)
    assert all(len(folds) == 1 for folds in by_meter.values())
    assert set.union(*by_meter.values()) == {0, 1}
