"""Models of suspicion: trained on a lake, checked on load, taken by detect runs, taught by inspections."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from skops.io import dumps, loads

from models.calendar import DayGrid, epoch_day
from models.theft_columns import COLUMNS, OWN, in_ranks
from models.town import TownPlan
from models.trained import taught
from pipelines.batch.detect_run import detect_lake
from pipelines.batch.energy_prices import energy_prices
from pipelines.batch.lake_master import lake_master
from pipelines.batch.model_file import _hash as model_file_hash
from pipelines.batch.model_file import default_model, load_model, model_in_force, save_model
from pipelines.batch.outcomes import ENOUGH, keep_outcome
from pipelines.batch.train import train_lake
from pipelines.cli import main
from pipelines.store.lake import Lake
from pipelines.store.views import connect
from pipelines.town.simulate import SimulateOptions, simulate
from schemas.errors import MeterbeamError
from tests.models.test_detection import fleet
from tests.pipelines.towns import ZONE, make_town, run

METERS, FIRST, DAYS = 44, date(2026, 3, 2), 42


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-four hourly meters over six weeks."""
    folder = tmp_path_factory.mktemp("trained")
    grid = DayGrid(ZONE, 3600, epoch_day(FIRST), DAYS)
    town = TownPlan(METERS, 3, theft=0.0, faults=0.0, defects=0.0)
    simulate(SimulateOptions(folder / "town", town, grid, form="blocks", codec="snappy", files=1))
    run(folder / "lake", folder / "town")
    return folder / "lake"


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A small model that was taught something."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(80, len(COLUMNS)))
    save_model(tmp_path / "m.skops", taught("injected", rows, rows[:, 0] > 0), {"source": "test"}, {}, "1.0")
    return tmp_path / "m.skops"


def queue_models(lake: Path) -> set[str | None]:
    with connect(Lake.open(lake)) as views:
        return {row[0] for row in views.execute("SELECT DISTINCT model FROM state_queue").fetchall()}


def test_the_default_model_orders_the_state_queue(lake: Path) -> None:
    """A backfill's state queue is ordered by the model that ships, and says so."""
    assert queue_models(lake) == {"default"}


def test_a_trained_model_is_taken_without_a_restart(lake: Path) -> None:
    """Once trained, the same process's next detect run takes it; when it is gone, the default again."""
    trained = train_lake(lake, "injected")
    assert trained["trained_auc"] > 0.5
    assert detect_lake(lake)["ranked_meters"] == METERS
    assert queue_models(lake) == {trained["model"]}
    Path(trained["file"]).unlink()
    detect_lake(lake)
    assert queue_models(lake) == {"default"}


def test_a_model_can_be_named(lake: Path, model_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``detect --model`` takes it for one run."""
    assert main(["detect", "--lake", str(lake), "--model", str(model_file)]) == 0
    assert queue_models(lake) == {load_model(model_file)[0].name}
    capsys.readouterr()


def test_an_isolation_forest_needs_no_labels(lake: Path, tmp_path: Path) -> None:
    """It is saved and loaded like any other model, and orders the queue."""
    train_lake(lake, "isolation", tmp_path / "forest.skops")
    model, card = load_model(tmp_path / "forest.skops")
    assert (model.sighted, card.method, card.population["meters"]) == (None, "isolation", METERS)
    detect_lake(lake, tmp_path / "forest.skops")
    assert queue_models(lake) == {model.name}


def test_a_saved_model_scores_as_before(model_file: Path) -> None:
    """Every bit of its scores, with feeder meters and without; its card says what it was taught with."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(30, len(COLUMNS)))
    rows[::3, len(OWN) :] = np.nan
    taught_rows = np.random.default_rng(1).normal(size=(80, len(COLUMNS)))
    before = taught("injected", taught_rows, taught_rows[:, 0] > 0)
    model, card = load_model(model_file)
    assert model.suspicion(rows).tolist() == before.suspicion(rows).tolist()
    assert (card.population, card.code_version, card.columns) == ({"source": "test"}, "1.0", list(COLUMNS))


def test_a_model_taught_with_ranks_stays_one(tmp_path: Path) -> None:
    """Saved and loaded it orders meters as before; a file that says nothing of ranks was taught without."""
    rows = np.random.default_rng(1).normal(size=(80, len(COLUMNS)))
    before = replace(taught("injected", in_ranks(rows), rows[:, 0] > 0), ranked=True)
    save_model(tmp_path / "m.skops", before, {}, {}, "1.0")
    model, card = load_model(tmp_path / "m.skops")
    assert (model.ranked, card.ranked) == (True, True)
    state, change = np.random.default_rng(2).normal(size=(2, 80))
    assert model.scores(state, change, rows).tolist() == before.scores(state, change, rows).tolist()
    content = loads((tmp_path / "m.skops").read_bytes(), trusted=[])
    silent = {name: value for name, value in json.loads(content["card"]).items() if name != "ranked"}
    text = json.dumps(silent, sort_keys=True)
    tampered(tmp_path / "m.skops", card=text, hash=model_file_hash(text, content["trees"]))
    assert not load_model(tmp_path / "m.skops")[0].ranked


def tampered(file: Path, **changes: Any) -> None:
    content = loads(file.read_bytes(), trusted=[])
    file.write_bytes(dumps({**content, **changes}))


def test_a_tampered_model_is_refused(model_file: Path) -> None:
    """A threshold changed by hand does not match the hash any more."""
    trees = loads(model_file.read_bytes(), trusted=[])["trees"]
    trees["blind.threshold"] = trees["blind.threshold"] + 1
    tampered(model_file, trees=trees)
    with pytest.raises(MeterbeamError, match="an unchanged file"):
        load_model(model_file)


def test_a_model_with_other_columns_is_refused(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of another version names the column that is not known here."""
    monkeypatch.setattr("pipelines.batch.model_file.COLUMNS", (*COLUMNS[1:], "phase of the moon"))
    rows = np.random.default_rng(1).normal(size=(80, len(COLUMNS)))
    save_model(model_file, taught("injected", rows, rows[:, 0] > 0), {}, {}, "9")
    monkeypatch.undo()
    with pytest.raises(MeterbeamError, match="phase of the moon"):
        load_model(model_file)


def test_trees_that_would_never_end_are_refused(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that leads back is not followed, even under a hash that fits."""
    content = loads(model_file.read_bytes(), trusted=[])
    content["trees"]["blind.left"][:] = 0
    monkeypatch.setattr("pipelines.batch.model_file._hash", lambda *_: content["hash"])
    model_file.write_bytes(dumps(content))
    with pytest.raises(MeterbeamError, match="leads astray"):
        load_model(model_file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"no zip", "no skops file", id="no skops"),
        pytest.param(dumps({"a": 1}), "another content", id="other content"),
        pytest.param(dumps({"a": np.polynomial.Polynomial([1, 2])}), "types ", id="foreign types"),
        pytest.param(dumps(LogisticRegression()), "another content", id="an estimator"),
        pytest.param(None, "no such file", id="absent"),
    ],
)
def test_what_is_no_model_is_said(
    tmp_path: Path, lake: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    """Exit code 1, the file and what was found; nothing is published."""
    file = tmp_path / "m.skops"
    if content is not None:
        file.write_bytes(content)
    before = Lake.open(lake).run_no
    assert main(["detect", "--lake", str(lake), "--model", str(file)]) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "m.skops" in shown.replace(" ", "")
    assert Lake.open(lake).run_no == before


def test_the_default_is_whole() -> None:
    """The model that ships loads, has both forests, and is what a lake without its own takes."""
    model = default_model()
    assert model.sighted is not None
    assert model_in_force(Path("nowhere")) is model


def outcomes(lake: Path, as_of: str | None = None) -> list[tuple[Any, ...]]:
    with connect(Lake.open(lake, as_of=as_of) if as_of else Lake.open(lake)) as views:
        return views.execute("SELECT meter_id, outcome, revision FROM outcomes ORDER BY 1").fetchall()


def test_inspections_are_kept_and_teach(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Feedback is stored once, revised by a second word, and teaches a model when there is enough of it."""
    day = FIRST + timedelta(days=DAYS)
    words = ["--lake", str(lake), "--user", "ann", "--on", day.isoformat(), "--json"]
    command = ["detect", "feedback", "--meter", "M000000", *words]
    assert main([*command, "--outcome", "clean"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == 1
    run_no = Lake.open(lake).run_no
    assert main([*command, "--outcome", "clean"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == 0
    assert Lake.open(lake).run_no == run_no
    assert main([*command, "--outcome", "theft"]) == 0
    assert outcomes(lake) == [("M000000", "theft", 2)]
    capsys.readouterr()
    assert main(["train", "--lake", str(lake), "--method", "feedback"]) == 1
    assert f"at least {ENOUGH} of each" in " ".join(capsys.readouterr().err.split())
    for number in range(1, 2 * ENOUGH):
        keep_outcome(lake, f"M{number:06d}", "clean" if number % 2 else "theft", day, "ann", None, "test")
    trained = train_lake(lake, "feedback", lake.parent / "feedback.skops")
    assert {"trained_auc", "untaught_auc"} <= set(trained)
    assert load_model(lake.parent / "feedback.skops")[1].population["meters"] == 2 * ENOUGH


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(("M000001", "guilty", "ann"), 2, "theft or clean", id="outcome"),
        pytest.param(("M000001", "theft", " "), 2, "who found it", id="user"),
        pytest.param(("M9", "theft", "ann"), 1, "no meter 'M9'", id="meter"),
    ],
)
def test_feedback_that_cannot_be_is_refused(
    lake: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str, str], code: int, said: str
) -> None:
    """Wrong words are wrong usage; a meter that the lake never saw is a data error."""
    meter, outcome, user = words
    options = ["--lake", str(lake), "--meter", meter, "--outcome", outcome, "--user", user]
    assert main(["detect", "feedback", *options]) == code
    assert said in " ".join(capsys.readouterr().err.split())


def test_prices_are_those_of_the_bills(tmp_path: Path) -> None:
    """Of each billed meter: what its kWh lines add up to, over the kWh of the line that counts most."""
    town = make_town(tmp_path / "town", meters=6, days=40)
    run(tmp_path / "lake", town, tariffs=town / "tariffs")
    lake = Lake.open(tmp_path / "lake")
    prices = energy_prices(lake, lake_master(lake))
    with connect(lake) as views:
        lines = views.execute(
            "SELECT p.meter_id, l.charge, sum(l.quantity), sum(l.amount) FROM "
            "(SELECT unnest(lines) AS l FROM stored.bills_current WHERE NOT withdrawn AND status = 'active') "
            "JOIN service_points p ON p.service_point_id = l.service_point_id "
            "WHERE l.unit = 'kWh' GROUP BY ALL"
        ).fetchall()
    assert lines
    for meter in {line[0] for line in lines}:
        mine = [line for line in lines if line[0] == meter]
        expected = sum(line[3] for line in mine) / max(line[2] for line in mine)
        assert prices[meter].a_kwh == expected.quantize(Decimal("0.000001"))


def test_too_few_meters_teach_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Below thirty comparable meters training is refused, with how many there are."""
    load = fleet()[:24].reshape(24, 56, 24) / 1e6
    days = [FIRST + timedelta(days=day) for day in range(56)]
    rows = [
        {"meter_id": f"H{home:02d}", "day": day, "kwh": load[home, at].tolist()}
        for home in range(24)
        for at, day in enumerate(days)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "few.parquet")
    words = ["--homes", str(tmp_path / "few.parquet"), "--out", str(tmp_path / "m.skops")]
    assert main(["train", *words]) == 1
    assert "found: 24 meters that can be compared expected: at least 30" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not (tmp_path / "m.skops").exists()
