"""``meterbeam query``: the result and nothing else on stdout; errors on stderr with the right exit code."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from pipelines.query import parse_as_of
from pipelines.store.lake import Lake
from schemas.errors import UsageError
from tests.pipelines.lake_days import commit, new_lake

Capture = pytest.CaptureFixture[bytes]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake after two runs."""
    made = new_lake(tmp_path / "lake")
    commit(made, {("m1", 0): (1_250_000, 1), ("m2", 0): (-1, 1)})
    commit(made, {("m1", 0): (1_250_001, 2)})
    return made


READINGS = "SELECT meter_id, start, value FROM readings WHERE value <> 0 ORDER BY meter_id"


def test_csv(lake: Lake, capfdbinary: Capture) -> None:
    """A header, exact decimals, UTC times; text that needs it is quoted."""
    sql = f"SELECT *, 'a \"b\", c' AS note FROM ({READINGS})"
    assert main(["query", sql, "--lake", str(lake.path), "--format", "csv"]) == 0
    out, err = capfdbinary.readouterr()
    assert err == b""
    assert list(csv.reader(io.StringIO(out.decode()))) == [
        ["meter_id", "start", "value", "note"],
        ["m1", "2026-03-01 00:00:00+00", "1.250001", 'a "b", c'],
        ["m2", "2026-03-01 00:00:00+00", "-0.000001", 'a "b", c'],
    ]


def test_json(lake: Lake, capfdbinary: Capture) -> None:
    """An array of records, times in ISO 8601; no rows are an empty array."""
    assert main(["query", READINGS, "--lake", str(lake.path), "--format", "json"]) == 0
    records = json.loads(capfdbinary.readouterr().out, parse_float=Decimal)
    assert [(row["meter_id"], row["value"]) for row in records] == [
        ("m1", Decimal("1.250001")),
        ("m2", Decimal("-0.000001")),
    ]
    assert {datetime.fromisoformat(row["start"]) for row in records} == {datetime(2026, 3, 1, tzinfo=UTC)}
    assert main(["query", "SELECT * FROM bills", "--lake", str(lake.path), "--format", "json"]) == 0
    assert json.loads(capfdbinary.readouterr().out) == []


def test_parquet(lake: Lake, capfdbinary: Capture) -> None:
    """The bytes of a Parquet file."""
    assert main(["query", READINGS, "--lake", str(lake.path), "--format", "parquet"]) == 0
    table = pq.read_table(io.BytesIO(capfdbinary.readouterr().out))
    assert table["value"].to_pylist() == [Decimal("1.250001"), Decimal("-0.000001")]
    assert str(table.schema.field("start").type) == "timestamp[us, tz=UTC]"


def test_table(lake: Lake, capfdbinary: Capture) -> None:
    """For eyes: a box with names and types."""
    assert main(["query", "SELECT 42 AS answer", "--lake", str(lake.path)]) == 0
    out = capfdbinary.readouterr().out.decode()
    assert "answer" in out
    assert "42" in out
    assert out.endswith("\n")


def test_as_of(lake: Lake, capfdbinary: Capture) -> None:
    """A run number, a run id and a moment read the lake as it was."""
    first = lake.at(1)
    run_id = lake.runs()["run_id"][0].as_py()
    for as_of in ("1", run_id, first.finished.isoformat()):
        command = ["query", READINGS, "--lake", str(lake.path), "--format", "csv", "--as-of", as_of]
        assert main(command) == 0
        assert b"1.250000" in capfdbinary.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["SELEC 1"], 1, "syntax error", id="syntax"),
        pytest.param(["SELECT * FROM reading"], 1, 'Did you mean "readings"', id="unknown view"),
        pytest.param(["SELECT error('late') FROM readings", "--format", "csv"], 1, "late", id="fails late"),
        pytest.param(["SELECT 1", "--as-of", "9"], 1, "the runs are 1 ", id="no such run"),
        pytest.param(["SELECT 1", "--as-of", "2001-01-01"], 1, "the runs are 1 ", id="before all"),
        pytest.param(["SELECT 1", "--as-of", "soon"], 2, "a moment such as", id="no moment"),
        pytest.param(["SELECT 1", "--format", "xml"], 2, "table, csv, json, parquet", id="format"),
        pytest.param([], 2, "SQL", id="no sql"),
        pytest.param(["/* nothing */", "--format", "csv"], 1, "without rows", id="no statement"),
    ],
)
def test_errors(lake: Lake, capfdbinary: Capture, arguments: list[str], code: int, said: str) -> None:
    """1 for data, 2 for usage; the reason on stderr and not a byte on stdout."""
    assert main(["query", *arguments, "--lake", str(lake.path)]) == code
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert said in err.decode()


def test_no_lake(tmp_path: Path, capfdbinary: Capture) -> None:
    """A folder without a lake is said so, and not made into one."""
    assert main(["query", "SELECT 1", "--lake", str(tmp_path / "none")]) == 1
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert "no lake.json" in err.decode()
    assert not (tmp_path / "none").exists()


def test_a_lake_without_runs_answers(tmp_path: Path, capfdbinary: Capture) -> None:
    """Every view is there from the start."""
    new_lake(tmp_path)
    assert (
        main(["query", "SELECT count(*) AS n FROM readings", "--lake", str(tmp_path), "--format", "csv"]) == 0
    )
    assert capfdbinary.readouterr().out == b"n\n0\n"


def test_parse_as_of() -> None:
    """A moment without an offset is in UTC; a day is its midnight."""
    assert parse_as_of(None) is None
    assert parse_as_of("12") == 12
    assert parse_as_of("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert parse_as_of("2026-03-01T06:00+01:00") == datetime(2026, 3, 1, 5, tzinfo=UTC)
    text = "0f3b5e9e-5d0f-4f7b-9a93-0d3f3c1e2a11"
    assert parse_as_of(text) == text
    with pytest.raises(UsageError, match="run id"):
        parse_as_of("yesterday")
