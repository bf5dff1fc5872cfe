"""``meterbeam edit`` through the command line, on a lake of a simulated town."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from tests.pipelines.towns import assert_equal, make_town, run, scalar

WHO = ("--user", "ann", "--reason", "site visit")


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A town's files."""
    return make_town(tmp_path / "town", meters=4, days=12)


@pytest.fixture
def lake(town: Path, tmp_path: Path) -> Path:
    """A lake of the town, without tariffs."""
    run(tmp_path / "lake", town)
    return tmp_path / "lake"


def edit(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The summary of an edit that is carried out."""
    capsys.readouterr()
    assert main(["edit", *arguments, *WHO, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """What a refused edit says."""
    capsys.readouterr()
    assert main(["edit", *arguments, *WHO]) == code
    return " ".join(capsys.readouterr().err.split())


def slot_of(lake: Path) -> tuple[str, datetime]:
    """A verified slot to decide on."""
    verified = "channel = 'import' AND quality = 'VERIFIED'"
    meter = str(scalar(lake, f"SELECT min(meter_id) FROM readings WHERE {verified}"))
    first = f"SELECT min(start) FROM readings WHERE {verified} AND meter_id = '{meter}'"
    return meter, scalar(lake, first)


def test_set_and_revoke(town: Path, lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The slot holds the value through a later run; a revoke brings the lake back to where it was."""
    meter, start = slot_of(lake)
    end = start + timedelta(minutes=15)
    where = ("--lake", str(lake), "--meter", meter, "--from", start.isoformat(), "--to", end.isoformat())
    made = edit(capsys, "set", *where, "--value", "12.5")
    slot = f"meter_id = '{meter}' AND channel = 'import' AND start = '{start.isoformat()}'"
    seen = f"SELECT quality || ' ' || method || ' ' || value::DOUBLE FROM readings WHERE {slot}"
    before = f"SELECT measured::DOUBLE FROM readings WHERE {slot}"
    assert scalar(lake, seen) == "EDITED manual 12.5"
    assert scalar(lake, before) < 12.5
    run(lake, town)
    assert scalar(lake, seen) == "EDITED manual 12.5"
    assert scalar(lake, "SELECT user || ': ' || reason FROM edits") == "ann: site visit"

    edit(capsys, "revoke", made["edit_id"], "--lake", str(lake))
    assert str(scalar(lake, seen)).startswith("VERIFIED none")
    run(tmp_path / "never", town)
    assert_equal(tmp_path / "never", lake)


def test_out_writes_a_record_for_a_backfill(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is an input like any other."""
    meter, start = slot_of(lake)
    span = ("--from", start.isoformat(), "--to", (start + timedelta(hours=1)).isoformat())
    made = edit(capsys, "reject", "--meter", meter, *span, "--out", str(tmp_path / "edit.avro"))
    assert main(["backfill", made["file"], "--lake", str(lake), "--workers", "1"]) == 0
    assert scalar(lake, "SELECT count(*) FROM readings WHERE quality = 'SUBSTITUTED'") >= 4


def test_edits_that_cannot_be(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends with 2, a meter or edit the lake does not know with 1."""
    good = {
        "--lake": str(lake),
        "--meter": "nobody",
        "--from": "2026-03-01T10:00Z",
        "--to": "2026-03-01T11:00Z",
    }

    def words(**changed: str) -> list[str]:
        options = good | {f"--{name}": value for name, value in changed.items()}
        return [word for option in options.items() for word in option]

    assert "nobody" in refused(capsys, 1, "accept", *words())
    assert "no edit 'x'" in refused(capsys, 1, "revoke", "x", "--lake", str(lake))
    assert "--to" in refused(capsys, 2, "accept", *words(to="2026-03-01T09:00Z"))
    assert "offset" in refused(capsys, 2, "accept", *words(to="2026-03-01T12:00"))
    assert "--method" in refused(capsys, 2, "estimate", *words(method="guess"))
    assert "--value" in refused(capsys, 2, "set", *words(value="much"))
    assert "--channel" in refused(capsys, 2, "accept", *words(channel="imp"))
    del good["--lake"]
    assert "--lake" in refused(capsys, 2, "accept", *words())
