"""``meterbeam rules`` through the command line: packs that are shipped, own packs and own vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.rules_text import vector_files
from schemas.rulepack import shipped_packs

VECTOR = """name: mine
pack: california
days:
  - {day: 2024-05-15, slots: "75 4*_ 100 42*80"}
expect:
  - {day: 2024-05-15, slots: "75 80 85 90 95 100 42*80"}
"""
PACK = Path(__file__).resolve().parents[2] / "schemas" / "packs" / "california.yaml"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON that a command ending with 0 prints."""
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command ending with 1 says."""
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return " ".join(captured.err.split())


def test_every_shipped_pack_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The nine packs, each with the order of its estimators."""
    found = said(capsys, "rules", "list")
    assert sorted(found) == [
        "california",
        "cold",
        "default",
        "export",
        "gas",
        "heat",
        "nem",
        "ontario",
        "water",
    ]
    order = ["check", "linear max_minutes=120", "like_day days=3", "flat"]
    assert found["california"]["estimators"] == order


@pytest.mark.parametrize("pack", shipped_packs())
def test_golden_vectors_of_a_pack_pass(pack: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every shipped vector gives the values, methods and findings that it states, reckoned by hand."""
    found = said(capsys, "rules", "check", pack)
    found = found.get(pack, found)  # ``default`` is a book: a pack for each commodity
    assert len(found["vectors_passed"]) == len(vector_files(pack, None)) >= 2


def test_explain_names_every_rule_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    """Severity and parameters of each rule."""
    found = said(capsys, "rules", "explain", "ontario")
    assert found["rules"]["spike"].startswith("fail max_excess=1.8 min_third_peak_kw=0.1")
    assert found["registers"] == {"max_read_gap_days": 62}


def test_own_vectors_run_through_a_pack(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A folder of vectors is run instead of the shipped ones."""
    (tmp_path / "mine.yaml").write_text(VECTOR, "utf-8")
    assert said(capsys, "rules", "check", "california", "--vectors", str(tmp_path))["vectors_passed"] == [
        "mine"
    ]


def test_a_vector_that_is_not_met_names_slot_and_both_values(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 1; day, slot, found and expected."""
    (tmp_path / "mine.yaml").write_text(VECTOR.replace("75 80 85", "75 80 86"), "utf-8")
    text = refused(capsys, "rules", "check", "california", "--vectors", str(tmp_path))
    assert "mine.yaml" in text
    assert "2024-05-15, slot 2: 85" in text
    assert "2024-05-15, slot 2: 86" in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("42*80", "41*80", "found: 47 slots", id="too few slots"),
        pytest.param("pack: california", "pack: california\nzone: Mars/Crater", "Mars/Crater", id="no zone"),
        pytest.param('"75 4*_ 100', '"7x5 4*_ 100', "line 4", id="no number"),
        pytest.param(
            'day: 2024-05-15, slots: "75 80', 'day: 2025-05-15, slots: "75 80', "2025-05-15", id="day"
        ),
    ],
)
def test_a_wrong_vector_says_what_and_where(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, expected: str
) -> None:
    """File, place and what was expected."""
    assert old in VECTOR
    (tmp_path / "mine.yaml").write_text(VECTOR.replace(old, new), "utf-8")
    text = refused(capsys, "rules", "check", "california", "--vectors", str(tmp_path))
    assert "mine.yaml" in text
    assert expected in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("slots: 24", "slots: many", "line 15: rules.flat_line.slots", id="no integer"),
        pytest.param("{method: flat}", "{method: guess}", "'guess'", id="no estimator"),
        pytest.param("averages:", "averagges:", "averagges", id="unknown field"),
        pytest.param("id: california", "id: california\nid: other", "a second 'id'", id="twice"),
        pytest.param('max_excess: "1.8"', "max_excess: 1.8", "'1.8'", id="a float"),
        pytest.param("rules:", "rules: [", "valid YAML", id="no YAML"),
    ],
)
def test_a_wrong_pack_says_what_and_where(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, expected: str
) -> None:
    """File, line and what was expected."""
    text = PACK.read_text("utf-8")
    assert old in text
    path = tmp_path / "own.yaml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    message = refused(capsys, "rules", "check", str(path))
    assert "own.yaml" in message
    assert expected in message


def test_unknown_names_and_folders(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The packs there are; a folder that is none, one without vectors; wrong usage ends with 2."""
    assert "one of california, cold, default" in refused(capsys, "rules", "check", "texas")
    assert "no such file" in refused(capsys, "rules", "explain", str(tmp_path / "no.yaml"))
    assert "no folder" in refused(capsys, "rules", "check", "nem", "--vectors", str(tmp_path / "none"))
    assert "no YAML file" in refused(capsys, "rules", "check", "nem", "--vectors", str(tmp_path))
    assert main(["rules", "check"]) == 2
