"""Backfills of one lake at the same moment, on disk and in a bucket: one works, the others say why not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.store.lake import Lake
from pipelines.store.views import connect
from tests.pipelines.s3_server import s3_server
from tests.pipelines.towns import assert_equal, make_town, run
from transforms.storage import place

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["disk", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where lakes lie: a folder, or a bucket of a running server."""
    if request.param == "disk":
        yield str(tmp_path / "lakes")
        return
    with s3_server(tmp_path / "server") as address:
        yield address


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def end(command: subprocess.Popen[str]) -> int:
    """Exit code of a command that did its work, or was refused with one message."""
    error = command.communicate(timeout=300)[1]
    refused = "found:    a run at work: process" in error or "a run committed by another process" in error
    code = command.returncode
    assert (code, error.count("error:"), refused) in ((0, 0, False), (1, 1, True)), error
    return code


def first_days(lake: Path) -> list[tuple[Any, ...]]:
    """The days of a lake as of its first run."""
    with connect(Lake.open(lake), 1) as views:
        return views.execute("SELECT * FROM days ORDER BY ALL").fetchall()


def test_rivals(storage: str, tmp_path: Path) -> None:
    """Who loses ends with 1 and names the holder; run again, all is there once, and the past is as it was."""
    town = make_town(tmp_path / "in", meters=4, days=28)
    files = sorted(town.glob("*.avro"))
    lake = place(f"{storage}/lake")
    run(lake, *files[:1], detect=False)
    before = first_days(lake)
    works = [("backfill", file, "--lake", lake, "--workers", 1) for file in files[1:]]
    with Lake.open(lake).begin():
        assert end(start(*works[0])) == 1
    codes = [end(rival) for rival in [start(*work) for work in works]]
    assert Lake.open(lake).runs().num_rows == 1 + codes.count(0) > 1
    for work, code in zip(works, codes, strict=True):
        assert not code or end(start(*work)) == 0
    run(tmp_path / "alone", *files)
    assert end(start("detect", "--lake", lake)) == 0
    assert_equal(tmp_path / "alone", lake)
    assert first_days(lake) == before
