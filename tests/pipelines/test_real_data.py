"""Real meters end to end: every reading accounted for, sums exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.towns import run, scalar
from tests.real_data import shared, swiss_values, write_nsw, write_swiss

TARIFFS = Path(__file__).resolve().parents[2] / "pipelines" / "sample"
HOMES = 60


def needed(folder: str) -> None:
    """Skip where the real data are not beside the checkout."""
    if not shared(folder).is_dir():
        pytest.skip(f"real data are not here: set METERBEAM_SHARED to the folder that holds data/{folder}")


def test_swiss_homes_end_to_end(tmp_path: Path) -> None:
    """Every reading is stored; verified slots carry the very values of the file; bills follow."""
    needed("swiss_15min")
    written = write_swiss(tmp_path / "in", HOMES)
    done = run(tmp_path / "lake", tmp_path / "in", tariffs=TARIFFS)
    assert written == done["readings_in"] == done["new"] == HOMES * 49 * 96
    assert (done["dead"], done["exact_repeats"], done["superseded"]) == (0, 0, 0)
    _, values, _ = swiss_values()
    measured = scalar(tmp_path / "lake", "SELECT sum(measured) FROM readings")
    assert int(measured * 10**6) == int(values[:HOMES].sum())
    assert scalar(tmp_path / "lake", "SELECT count(*) FROM bills WHERE status = 'active'") > 0


def test_nsw_homes_with_their_gaps(tmp_path: Path) -> None:
    """Real gaps are found to the slot; what can be estimated is; measured slots are never altered."""
    needed("nsw_halfhour")
    written = write_nsw(tmp_path / "in")
    lake = tmp_path / "lake"
    done = run(lake, tmp_path / "in", timezone="Australia/Sydney")
    assert written == done["new"]
    total, present = (
        scalar(lake, f"SELECT {what} FROM readings") for what in ("count(*)", "count(measured)")
    )
    missing = scalar(lake, "SELECT sum(slots) FROM gaps")
    assert total - present == missing
    altered = "SELECT count(*) FROM readings WHERE quality IN ('VALIDATED', 'VERIFIED') AND value <> measured"
    assert scalar(lake, altered) == 0
    assert scalar(lake, "SELECT count(*) FROM readings WHERE quality = 'ESTIMATED'") > 0.9 * missing


def test_the_packaged_sample_runs(tmp_path: Path) -> None:
    """The homes that ship with the wheel are whole: 16 homes, 49 days, all accounted for."""
    done = run(tmp_path / "lake", TARIFFS, tariffs=TARIFFS)
    assert done["new"] == done["readings_in"] == 16 * 49 * 96
