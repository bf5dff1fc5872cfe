"""``meterbeam report`` by its command line."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.store import views as views_module
from pipelines.store.lake import Lake
from tests.pipelines.page_reader import Reader
from tests.pipelines.report_fixture import empty
from transforms.storage import whole_file


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake whose views are those of the report's fixture; what was asked of them is kept beside it."""
    path = tmp_path / "town <1>"
    Lake.create(path, timezone="Europe/Zurich", shards=4)

    def connect(lake: Lake, as_of: datetime | None = None) -> Any:
        (tmp_path / "asked.json").write_text(json.dumps([str(lake.path), as_of and as_of.isoformat()]))
        return empty()

    monkeypatch.setattr(views_module, "connect", connect)
    return path


def test_report_writes_the_page_and_says_where(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page of the lake, named after it, in the file asked for; the summary is JSON where wanted."""
    out = tmp_path / "out.html"
    assert main(["report", "--lake", str(lake), "--out", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == {"report": str(out), "bytes": out.stat().st_size, "as of": "now"}
    assert "Meter data report: town <1>" in Reader(out.read_text(encoding="utf-8")).sections[""]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_as_of_reaches_the_views_and_the_page(lake: Path, tmp_path: Path) -> None:
    """The moment asked for is the one the views are opened at and the one the page names."""
    out = tmp_path / "out.html"
    moment = "2026-03-01T06:00+01:00"
    assert main(["report", "--lake", str(lake), "--out", str(out), "--as-of", moment, "--title", "Then"]) == 0
    assert json.loads((tmp_path / "asked.json").read_text()) == [str(lake), "2026-03-01T05:00:00+00:00"]
    top = Reader(out.read_text(encoding="utf-8")).sections[""]
    assert "as of 2026-03-01 05:00 UTC" in top
    assert top.strip().startswith("Then")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param(["--as-of", "yesterday"], 2, id="moment"),
        pytest.param(["--suspects", "-1"], 2, id="suspects"),
        pytest.param(["--out", "/nowhere/at/all.html"], 1, id="folder"),
        pytest.param(["--lake", "/nowhere"], 1, id="lake"),
    ],
)
def test_wrong_options_end_with_a_code_and_write_nothing(
    lake: Path, tmp_path: Path, options: list[str], code: int
) -> None:
    """2 for wrong usage, 1 for a place that is not there."""
    assert main(["report", "--lake", str(lake), "--out", str(tmp_path / "out.html"), *options]) == code
    assert not (tmp_path / "out.html").exists()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The old page stays until the new one is complete, also where writing fails; an error names the page."""
    file = tmp_path / "page.html"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError), whole_file(file) as out:
        out.write(b"half" + "\ud800".encode())
    assert file.read_text() == "old"
    with whole_file(file) as out:
        out.write("né".encode())
    assert file.read_text(encoding="utf-8") == "né"
    assert list(tmp_path.iterdir()) == [file]
    for wrong in (tmp_path / "none" / "page.html", tmp_path):
        with pytest.raises(OSError) as caught, whole_file(wrong):
            pass
        assert caught.value.filename == str(wrong)
