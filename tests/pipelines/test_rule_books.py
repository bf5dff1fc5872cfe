"""Rule books in a lake: the pack by customer class and day, what a change of the book changes, and errors."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.calendar import DayGrid, epoch_day
from pipelines.cli import main
from schemas.rulepack import load_rule_pack
from tests.pipelines.towns import ZONE, assert_equal, rows, run, scalar, write

GRID = DayGrid(ZONE, 3600, epoch_day(date(2026, 3, 2)), 60)
MICROS = 1_000_000
LOST = (20, 40)
METHOD = """SELECT meter_id, local_day::VARCHAR AS day, list_distinct(methods) AS methods FROM days
    WHERE estimated_share > 0 ORDER BY ALL"""


def town(folder: Path, growth: int = 0) -> list[Path]:
    """A home and a shop of 1 and 3 kWh in turn, and so much more from day to day, that lack two days."""
    blocks = [
        {"meter_id": meter, "channel": "import", "start": int(GRID.day_starts[day]) * MICROS,
         "interval_s": 3600, "unit": "kWh", "scaler": 0, "quality": [],
         "received_at": int(GRID.day_starts[day + 1]) * MICROS,
         "values": [1 + slot % 2 * 2 + growth * day for slot in range(int(GRID.lengths[day]))]}
        for meter in ("home", "shop") for day in range(GRID.days) if day not in LOST
    ]  # fmt: skip
    points = [
        {"service_point_id": f"sp-{meter}", "meter_id": meter, "account_id": "a", "interval_s": 3600,
         "channels": ["import"], "customer_class": kind, "valid_from": 0, "received_at": 0}
        for meter, kind in (("home", "residential"), ("shop", "commercial"))
    ]  # fmt: skip
    written: dict[str, list[dict[str, Any]]] = {"IntervalBlock": blocks, "ServicePoint": points}
    return [write(folder / f"{name}.avro", name, records) for name, records in written.items()]


def pack(folder: Path, name: str, method: str, **more: Any) -> None:
    """A pack with one estimator."""
    content = load_rule_pack("default").model_dump(by_alias=True, mode="json")
    content |= {"id": name, "estimation": {"order": [{"method": method}]}, **more}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))


def book(folder: Path, change: str) -> Path:
    """Like days for all, the flat average for homes from a day on."""
    folder.mkdir(exist_ok=True)
    pack(folder, "like", "like_day")
    pack(folder, "level", "flat")
    lines = [
        {"pack": "like.yaml"},
        {"pack": "level.yaml", "when": {"customer_class": "residential"}, "valid_from": change},
    ]
    (folder / "book.yaml").write_text(yaml.safe_dump({"id": "town", "packs": lines}))
    return folder / "book.yaml"


def test_the_pack_follows_class_and_day_and_a_change_moves_only_its_days(tmp_path: Path) -> None:
    """The home's second lost day is flat; a change that begins earlier moves the first one alone."""
    inputs = town(tmp_path)
    late, early = book(tmp_path / "late", "2026-04-01"), book(tmp_path / "early", "2026-03-15")
    run(tmp_path / "lake", *inputs, rules=late, detect=False)
    assert [tuple(row.values()) for row in rows(tmp_path / "lake", METHOD).to_pylist()] == [
        ("home", "2026-03-22", ["like_day"]), ("home", "2026-04-11", ["flat"]),
        ("shop", "2026-03-22", ["like_day"]), ("shop", "2026-04-11", ["like_day"]),
    ]  # fmt: skip
    run(tmp_path / "lake", rules=early, detect=False)
    moved = rows(tmp_path / "lake", "SELECT meter_id, local_day::VARCHAR AS day FROM days WHERE revision > 1")
    assert [tuple(row.values()) for row in moved.to_pylist()] == [("home", "2026-03-22")]
    run(tmp_path / "once", *inputs, rules=early, detect=False)
    assert_equal(tmp_path / "once", tmp_path / "lake")
    before = scalar(tmp_path / "lake", "SELECT count(*) FROM days")
    run(tmp_path / "lake", rules=early, detect=False)
    assert scalar(tmp_path / "lake", "SELECT count(*) FROM days WHERE revision > 2") == 0
    assert scalar(tmp_path / "lake", "SELECT count(*) FROM days") == before


def test_a_change_of_the_book_moves_every_day_of_a_read_interval_that_it_touches(tmp_path: Path) -> None:
    """One read interval holds both lost days: another estimate of the second takes from the first, weeks
    before any day whose pack changed.
    """
    inputs = town(tmp_path, growth=1)
    late, later = book(tmp_path / "late", "2026-04-01"), book(tmp_path / "later", "2026-04-20")
    reads = [
        {"meter_id": "home", "channel": "import", "read_at": int(GRID.day_starts[day]) * MICROS,
         "value": value, "unit": "kWh", "scaler": 0, "received_at": 0}
        for day, value in ((10, 0), (50, 40_000))
    ]  # fmt: skip
    inputs.append(write(tmp_path / "reads.avro", "RegisterRead", reads))
    run(tmp_path / "lake", *inputs, rules=late, detect=False)
    run(tmp_path / "lake", rules=later, detect=False)
    moved = rows(tmp_path / "lake", "SELECT local_day::VARCHAR AS day FROM days WHERE revision > 1")
    assert {"2026-03-22", "2026-04-11"} <= set(moved["day"].to_pylist())
    run(tmp_path / "once", *inputs, rules=later, detect=False)
    assert_equal(tmp_path / "once", tmp_path / "lake")


def test_a_folder_of_packs_is_a_book(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Versions follow each other by their effective dates; explain lists them with their conditions."""
    folder = tmp_path / "packs"
    folder.mkdir()
    pack(folder, "first", "like_day", effective={"from": "1900-01-01", "to": "2026-03-31"})
    pack(folder, "second", "flat", effective={"from": "2026-04-01"}, version=3)
    shops = {"customer_class": "commercial", "commodity": "electricity"}
    pack(folder, "shops", "like_day", version=2, when=shops)
    run(tmp_path / "lake", *town(tmp_path), rules=folder, detect=False)
    assert [row["methods"] for row in rows(tmp_path / "lake", METHOD).to_pylist()] == [
        ["like_day"], ["flat"], ["like_day"], ["like_day"],
    ]  # fmt: skip
    assert main(["rules", "explain", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "second, version 3: every series, 2026-04-01 to now" in said
    assert "shops, version 2: customer_class commercial and commodity electricity, 1900-01-01 to now" in said
    assert main(["rules", "check", str(folder)]) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(("days: 28", "days: true"), "true", id="a boolean for a number"),
        pytest.param(("- {method: flat}", "- {method: flat}\n    - {method: flat, max_minutes: 60}"), "twice",
                     id="a method twice"),
        pytest.param(("id: default", "id: default\nwhen: {}"), "when", id="a condition in a pack alone"),
    ],
)  # fmt: skip
def test_what_a_pack_may_not_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    """Each is refused with the place where it stands."""
    text = (Path(__file__).resolve().parents[2] / "schemas" / "packs" / "default.yaml").read_text()
    assert change[0] in text
    (tmp_path / "own.yaml").write_text(text.replace(*change, 1))
    assert main(["rules", "check", str(tmp_path / "own.yaml")]) == 1
    message = capsys.readouterr().err
    assert "own.yaml" in message
    assert said in message.lower()


def test_a_book_with_two_packs_for_one_day_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two entries for the same series from the same day on: neither could be told to hold."""
    content = {"id": "b", "packs": [{"pack": "default"}, {"pack": "nem"}]}
    (tmp_path / "book.yaml").write_text(yaml.safe_dump(content))
    assert main(["rules", "check", str(tmp_path / "book.yaml")]) == 1
    assert "default and nem" in capsys.readouterr().err
