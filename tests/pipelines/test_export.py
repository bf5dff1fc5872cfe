"""``meterbeam export``: what changed and nothing else; the same readings come back from every format."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.calendar import DayGrid
from pipelines.cli import main
from pipelines.store.lake import Lake
from schemas.lake import DAYS
from schemas.quality import Quality
from schemas.quality_codes import espi_of
from tests.pipelines.exchanged import avro_readings, failed, lake_readings
from tests.pipelines.lake_days import FACTS, commit, day_rows, new_lake
from tests.pipelines.towns import make_town, rows, run, scalar, write
from tests.real_data import swiss_values, write_homes

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated town with gaps, estimates, export channels and bills, around a clock change."""
    base = tmp_path_factory.mktemp("town")
    files = make_town(base / "in", meters=6, days=40)
    run(base / "lake", files, tariffs=files / "tariffs")
    return base / "lake"


def send(lake: Path, out: Path, view: str, *options: str) -> None:
    assert main(["export", view, "--lake", str(lake), "--out", str(out), *options]) == 0


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def back(tmp_path: Path, lake: Path, form: str) -> dict[Any, int]:
    """Readings of a lake sent in a format and converted back."""
    send(lake, tmp_path / form, "readings", "--format", form)
    out = tmp_path / f"{form}-avro"
    assert main(["convert", form, str(tmp_path / form), "--out", str(out)]) == 0
    return avro_readings(out)


@pytest.mark.parametrize("form", ["csv", "parquet", "espi"])
def test_every_reading_comes_back(town: Path, tmp_path: Path, form: str) -> None:
    """Value, slot and quality of every reading of every channel are the same after a round."""
    expected = {key: espi_of(Quality[name]) for key, name in lake_readings(town).items()}
    assert len(expected) > 20_000
    assert back(tmp_path, town, form) == expected


def test_nem12_comes_back(town: Path, tmp_path: Path) -> None:
    """Every value NEM12 can carry; what failed or is missing is N; estimates stay estimates."""
    kept = lake_readings(town, "quality NOT IN ('MISSING', 'FAILED') AND channel IN ('import', 'export')")
    found = back(tmp_path, town, "nem12")
    assert set(found) == set(kept)
    estimates = {key for key, name in kept.items() if name in ("ESTIMATED", "SUBSTITUTED", "EDITED")}
    assert estimates
    assert {key for key, code in found.items() if code} == estimates


@pytest.mark.parametrize("form", ["csv", "nem12", "espi"])
def test_real_homes_come_back(shared_dir: Path, tmp_path: Path, form: str) -> None:
    """Twelve Swiss homes: the lake's values are those received, and they survive each format."""
    ids, values, grid = swiss_values()
    assert isinstance(grid, DayGrid)
    write_homes(tmp_path / "in", ids[:12], values[:12], grid)
    run(tmp_path / "lake", tmp_path / "in", detect=False)
    assert set(back(tmp_path, tmp_path / "lake", form)) == set(
        lake_readings(tmp_path / "lake", "quality NOT IN ('MISSING', 'FAILED')")
    )


def test_only_what_changed_is_sent_again(tmp_path: Path) -> None:
    """First everything, then nothing, then the changed day, then the key that is gone."""
    lake, out = new_lake(tmp_path / "lake"), tmp_path / "out"
    commit(lake, {("m1", 0): (1_250_000, 1), ("m1", 1): (5, 1), ("m2", 0): (7, 1)})
    send(lake.path, out, "days")
    assert [(r["meter_id"], r["local_day"], r["total"]) for r in table(out / "days-r000001.csv")] == [
        ("m1", "2026-03-01", "1.250000"),
        ("m1", "2026-03-02", "0.000005"),
        ("m2", "2026-03-01", "0.000007"),
    ]
    send(lake.path, out, "days")
    commit(lake, {("m1", 0): (1_250_001, 2)})
    send(lake.path, out, "days")
    assert [(r["total"], r["revision"]) for r in table(out / "days-r000002.csv")] == [("1.250001", "2")]
    commit(lake, {("m2", 0): (None, 2)})
    send(lake.path, out, "days")
    assert table(out / "days-r000003.csv") == []
    assert table(out / "days-r000003.withdrawn.csv") == [
        {"meter_id": "m2", "channel": "import", "local_day": "2026-03-01", "revision": "2"}
    ]
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "days-r000001.csv",
        "days-r000002.csv",
        "days-r000003.csv",
        "days-r000003.withdrawn.csv",
        "sent.json",
    ]
    sent = json.loads((out / "sent.json").read_text())["sent"]
    assert [(each["since"], each["run_no"]) for each in sent] == [(0, 1), (1, 2), (2, 3)]


def test_deliveries_put_together_are_the_view(tmp_path: Path) -> None:
    """Of each key the greatest revision of all deliveries, without the withdrawn, is the current view."""
    lake, out = new_lake(tmp_path / "lake"), tmp_path / "out"
    history: list[dict[tuple[str, int], tuple[int | None, int]]] = [
        {("a", 0): (1, 1), ("a", 1): (2, 1), ("b", 0): (3, 1)},
        {("a", 0): (None, 2), ("b", 1): (4, 1)},
        {("a", 0): (5, 3), ("b", 0): (None, 2), ("a", 1): (6, 2)},
    ]
    received: dict[tuple[str, str], tuple[int, str | None]] = {}
    for content in history:
        commit(lake, content)
        send(lake.path, out, "days")
        for path in out.glob(f"days-r{lake.run_no:06d}*.csv"):
            for row in table(path):
                key, revision = (row["meter_id"], row["local_day"]), int(row["revision"])
                if revision > received.get(key, (0, None))[0]:
                    received[key] = (revision, row.get("total"))
    held = {key: row for key, row in received.items() if row[1] is not None}
    current = rows(
        lake.path, "SELECT meter_id, local_day::VARCHAR AS d, revision, total::VARCHAR AS t FROM days"
    )
    assert held == {(r["meter_id"], r["d"]): (r["revision"], r["t"]) for r in current.to_pylist()}


def test_as_of_and_since(tmp_path: Path) -> None:
    """An export as of a past run is what stood there; --since-revision needs no record."""
    lake = new_lake(tmp_path / "lake")
    for value in (1, 2, 3):
        commit(lake, {("m", 0): (value, value), ("n", value): (9, 1)})
    send(lake.path, tmp_path / "past", "days", "--as-of", "2")
    assert sorted((r["meter_id"], r["total"]) for r in table(tmp_path / "past" / "days-r000002.csv")) == [
        ("m", "0.000002"),
        ("n", "0.000009"),
        ("n", "0.000009"),
    ]
    send(lake.path, tmp_path / "one.csv", "days", "--since-revision", "2")
    assert sorted(r["meter_id"] for r in table(tmp_path / "one.csv")) == ["m", "n"]
    assert not (tmp_path / "sent.json").exists()


def test_a_rebill_sends_the_reversal_too(tmp_path: Path) -> None:
    """A corrected reading: the superseded revision comes again as reversed, the new one active."""
    files = make_town(tmp_path / "in", meters=3, days=40)
    lake, out = tmp_path / "lake", tmp_path / "out"
    run(lake, files, tariffs=files / "tariffs", detect=False)
    send(lake, out, "bills")
    first = {(r["bill_id"], r["revision"]): r["status"] for r in table(next(out.glob("bills-*.csv")))}
    assert set(first.values()) >= {"active"}
    correction = {
        "meter_id": scalar(lake, "SELECT min(meter_id) FROM service_points JOIN bills USING (account_id)"),
        "channel": "import",
        "start": datetime(2026, 3, 10, 12, tzinfo=UTC),
        "interval_s": 900,
        "values": [777],
        "unit": "Wh",
        "received_at": datetime(2026, 5, 1, tzinfo=UTC),
    }
    late = write(tmp_path / "late.avro", "IntervalBlock", [correction])
    run(lake, late, tariffs=files / "tariffs", detect=False)
    send(lake, out, "bills")
    second = table(sorted(out.glob("bills-*.csv"))[1])
    states = {(r["bill_id"], int(r["revision"])): r["status"] for r in second}
    renewed = [bill for bill, revision in states if revision == 2]
    assert renewed
    assert all(states[bill, 1] == "reversed" for bill in renewed)


@pytest.mark.parametrize("view", ["determinants", "findings", "bill_lines", "gaps", "change_queue", "faults"])
def test_the_whole_view_in_parquet(town: Path, tmp_path: Path, view: str) -> None:
    """A first delivery has every row of the view; determinants tell their revision."""
    file = tmp_path / "all.parquet"
    send(town, file, view)
    found = pq.read_table(file)
    assert found.num_rows == scalar(town, f"SELECT count(*) FROM {view}")
    assert ("revision" in found.column_names) == (view in ("determinants", "findings", "bill_lines"))


def test_a_selection(town: Path, tmp_path: Path, capsys: Capture) -> None:
    """Some meters and days; a folder keeps to its selection."""
    meter = scalar(town, "SELECT min(meter_id) FROM determinants")
    chosen = ["--meter", meter, "--from", "2026-03-28", "--to", "2026-03-29"]
    send(town, tmp_path / "some", "determinants", *chosen)
    found = table(next((tmp_path / "some").glob("*.csv")))
    assert {row["meter_id"] for row in found} == {meter}
    assert {row["local_day"] for row in found} == {"2026-03-28", "2026-03-29"}
    code, error = failed(
        ["export", "determinants", "--lake", str(town), "--out", str(tmp_path / "some")], capsys
    )
    assert code == 1
    assert "--whole" in error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["loads"], 2, "VIEW", id="view"),
        pytest.param(["days", "--format", "xls"], 2, "--format", id="format"),
        pytest.param(["bills", "--format", "nem12"], 2, "readings, days", id="bills as nem12"),
        pytest.param(["bills", "--meter", "m"], 2, "--meter", id="bills of a meter"),
        pytest.param(["days", "--whole", "--since-revision", "1"], 2, "--whole", id="whole since"),
        pytest.param(["days", "--from", "2026-03-02", "--to", "2026-03-01"], 2, "--to", id="days"),
        pytest.param(["days", "--as-of", "7"], 1, "--as-of", id="no such run"),
        pytest.param(["days", "--since-revision", "7"], 1, "run 7", id="ahead"),
    ],
)
def test_errors(tmp_path: Path, capsys: Capture, arguments: list[str], code: int, message: str) -> None:
    """One clear message, the right exit code."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m", 0): (1, 1)})
    got, error = failed(
        ["export", *arguments, "--lake", str(lake.path), "--out", str(tmp_path / "o")], capsys
    )
    assert (got, message in error) == (code, True), error


def test_a_folder_belongs_to_one_lake(tmp_path: Path, capsys: Capture) -> None:
    """The record of another lake's deliveries is never continued."""
    lakes = [new_lake(tmp_path / name) for name in ("one", "two")]
    for lake in lakes:
        commit(lake, {("m", 0): (1, 1)})
    send(lakes[0].path, tmp_path / "out", "days")
    code, error = failed(
        ["export", "days", "--lake", str(lakes[1].path), "--out", str(tmp_path / "out")], capsys
    )
    assert (code, "another lake" in error) == (1, True)


def hourly(lake: Lake, content: dict[int, tuple[int, int]]) -> None:
    """A run that writes local days of 24 equal values of a meter in Brisbane."""
    rows = day_rows({("m", number): row for number, row in content.items()}).to_pylist()
    for row in rows:
        midnight = datetime(row["local_day"].year, row["local_day"].month, row["local_day"].day, tzinfo=UTC)
        row |= {"start": midnight - timedelta(hours=1), "interval_s": 3600, "values": [row["total"]] * 24}
    with lake.begin() as run_:
        schema = pa.schema([field for field in DAYS.schema if field.name != "run_no"])
        part = run_.write(DAYS, "a", pa.Table.from_pylist(rows, schema=schema))
        run_.commit([part], {}, FACTS)


def test_market_days_are_sent_whole(tmp_path: Path) -> None:
    """A changed local day is sent as the market days it touches, with the slots of its neighbours."""
    lake, out = new_lake(tmp_path / "lake"), tmp_path / "out"
    hourly(lake, {number: (number + 1, 1) for number in range(5)})
    hourly(lake, {2: (100, 2)})
    send(lake.path, out / "change.csv", "days", "--format", "nem12", "--since-revision", "1")
    lines = [line.split(",") for line in (out / "change.csv").read_text().split()]
    days = {line[1]: line[2:26] for line in lines if line[0] == "300"}
    # Local days here begin at 23:00 UTC: the market's day has 9 hours of the day before.
    assert days == {
        "20260303": ["0.000002"] * 9 + ["0.0001"] * 15,
        "20260304": ["0.0001"] * 9 + ["0.000004"] * 15,
    }


def test_slots_off_the_market_clock_are_refused(tmp_path: Path, capsys: Capture) -> None:
    """Twelve-hour slots that begin at 10:00 of the market's day have no place in it."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m", 0): (1, 1)})
    places = ["--lake", str(lake.path), "--out", str(tmp_path / "o")]
    code, error = failed(["export", "days", "--format", "nem12", *places], capsys)
    assert (code, "UTC+10" in error) == (1, True)


def test_opening_a_lake_without_a_run(tmp_path: Path, capsys: Capture) -> None:
    """There is nothing to send yet."""
    lake: Lake = new_lake(tmp_path / "lake")
    places = ["--lake", str(lake.path), "--out", str(tmp_path / "o")]
    code, error = failed(["export", "days", *places], capsys)
    assert (code, "without a run" in error) == (1, True)


def test_every_method_has_a_nem12_number() -> None:
    """A method that an estimator adds needs one, or exports of its values would stop."""
    from pipelines.exchange.nem12_write import _METHOD_NUMBERS
    from schemas.quality import SCALED, Method

    assert {Method(m - SCALED if m > SCALED else m) for m in Method} <= set(_METHOD_NUMBERS)
