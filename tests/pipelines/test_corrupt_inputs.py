"""Files cut, overwritten or spliced anywhere: converted, or one error that names them; no traceback."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli import main
from tests.pipelines.towns import make_town, run

ENDINGS = {"csv": "csv", "parquet": "parquet", "nem12": "csv", "espi": "xml"}
CASES = 40
"""Corruptions of each kind and format."""
NUMBERS = (b"99999999999999999999", b"-1", b"", b"1e400", b"nan", b"2400", b"\xff")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The readings of a small town in every format."""
    folder = tmp_path_factory.mktemp("exported")
    lake = folder / "lake"
    run(lake, make_town(folder / "in", meters=2, days=3), detect=False)
    found = {}
    for form, ending in ENDINGS.items():
        out = folder / f"{form}.{ending}"
        assert main(["export", "readings", "--lake", str(lake), "--out", str(out), "--format", form]) == 0
        found[form] = out.read_bytes()
    return found


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def overwrite(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 40))):
        data[chance.randrange(len(data))] = chance.randrange(256)


def splice(data: bytearray, chance: random.Random) -> None:
    low, high = sorted(chance.randrange(len(data)) for _ in range(2))
    at = chance.randrange(len(data))
    data[at : at + chance.choice((0, 20, 400))] = data[low : min(high, low + 2000)]


def renumber(data: bytearray, chance: random.Random) -> None:
    for _ in range(3):
        digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
        at = chance.choice(digits)
        data[at : at + 1] = chance.choice(NUMBERS)


@pytest.mark.parametrize("harm", [cut, overwrite, splice, renumber])
@pytest.mark.parametrize("form", ENDINGS)
def test_a_corrupt_file_is_read_or_refused(
    form: str,
    harm: Callable[[bytearray, random.Random], None],
    exported: dict[str, bytes],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Exit 0 or 1, one error with the file's name, and no part of an output beside it."""
    chance = random.Random(f"{form} {harm.__name__}")
    file, out = tmp_path / f"harmed.{ENDINGS[form]}", tmp_path / "out"
    codes = set()
    for number in range(CASES):
        data = bytearray(exported[form])
        harm(data, chance)
        file.write_bytes(data)
        lenient = ["--lenient"] if form in ("nem12", "espi") and number % 3 == 0 else []
        code = main(["convert", form, str(file), "--out", str(out), *lenient])
        error = capfd.readouterr().err
        codes.add(code)
        assert code in (0, 1), (number, error)
        assert "Traceback" not in error, (number, error)
        if code == 1:
            told = [line for line in error.splitlines() if line.startswith("error:")]
            assert len(told) == 1, (number, error)
            assert file.name in told[0], (number, error)
            assert not list(out.glob("*.avro")), number
            assert not list(out.glob(".*")), number
        shutil.rmtree(out, ignore_errors=True)
    assert 1 in codes
