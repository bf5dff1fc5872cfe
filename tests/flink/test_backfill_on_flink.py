"""``meterbeam backfill --runner flink`` on a real cluster ends as the in-memory run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.cluster.flink import FlinkCluster
from tests.pipelines.towns import ZONE, assert_equal, make_town, run


def test_same_tables(flink: FlinkCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every compared view holds the same current rows, bit for bit; nothing of the job stays in the lake."""
    town = make_town(tmp_path / "town", meters=6, days=36)
    local, cluster = tmp_path / "local", tmp_path / "cluster"
    tariffs = town / "tariffs"
    summary = run(local, town, tariffs=tariffs)
    code = main(
        [
            *("backfill", str(town), "--lake", str(cluster), "--timezone", ZONE, "--shards", "3", "--json"),
            *("--tariffs", str(tariffs), "--runner", "flink", "--flink", flink.rest.address),
        ]
    )
    printed = capsys.readouterr()
    assert code == 0, printed.err
    counts = json.loads(printed.out)
    for name in ("readings_in", "new", "exact_repeats", "dead", "days_written", "bills_written", "findings"):
        assert counts[name] == summary[name], name
    assert counts["bills_written"] > 0
    assert_equal(local, cluster)
    assert not (cluster / "receipts").exists()


def test_damaged_file_is_one_clear_message(
    flink: FlinkCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error inside a worker arrives as it would on one machine: file, place, expectation; exit 1."""
    town = make_town(tmp_path / "town", meters=2, days=3)
    victim = max(town.rglob("*.avro"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[-1] ^= 0xFF  # the last sync marker
    victim.write_bytes(content)
    arguments = ["backfill", str(victim), "--timezone", ZONE, "--lake"]
    assert main([*arguments, str(tmp_path / "a")]) == 1
    local = capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "b"), "--runner", "flink", "--flink", flink.rest.address]) == 1
    assert capsys.readouterr().err == local
    assert victim.name in local


def test_no_cluster_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An address where nothing answers is said at once."""
    town = make_town(tmp_path / "town", meters=1, days=1)
    arguments = ["backfill", str(town), "--timezone", ZONE, "--lake", str(tmp_path / "lake")]
    assert main([*arguments, "--runner", "flink", "--flink", "127.0.0.1:9"]) == 1
    assert "a Flink cluster that is running" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--runner", "flink"], id="no address"),
        pytest.param(["--flink", "127.0.0.1:8081"], id="address without runner"),
        pytest.param(["--runner", "spark"], id="unknown runner"),
    ],
)
def test_wrong_usage(options: list[str], tmp_path: Path) -> None:
    """Options that do not go together are wrong usage, not an input error."""
    arguments = ["backfill", str(tmp_path), "--timezone", ZONE, "--lake", str(tmp_path / "lake")]
    assert main([*arguments, *options]) == 2
