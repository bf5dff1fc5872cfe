"""What ``meterbeam stream`` says when it cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.cluster.process import free_ports
from pipelines.store.lake import Lake
from pipelines.streaming.stream_run import newest_state
from pipelines.streaming.stream_seed import begins_with, begun_with
from schemas.errors import MeterbeamError
from tests.pipelines.towns import ZONE, run, write

COMMAND = ["stream", "--kafka", "localhost:1", "--lake"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--backend", "disk"], "hashmap or rocksdb", id="backend"),
        pytest.param(["--kafka-option", "security"], "NAME=VALUE", id="kafka-option"),
        pytest.param(["--parallelism", "0"], "parallelism", id="parallelism"),
    ],
)
def test_wrong_options_end_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    """And nothing is made."""
    assert main([*COMMAND, str(tmp_path / "lake"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "lake").exists()


def test_a_broker_that_is_not_there_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One message names it; no lake is made."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    assert main(["stream", "--kafka", address, "--lake", str(tmp_path / "lake")]) == 1
    told = capsys.readouterr().err
    assert f"error: Kafka at {address}" in told
    assert not (tmp_path / "lake").exists()


def test_a_savepoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names it, and what may be given."""
    with pytest.raises(MeterbeamError, match="latest, none, or the folder of a savepoint"):
        newest_state(tmp_path, str(tmp_path / "savepoint-1"))


def test_the_newest_state_is_taken(tmp_path: Path) -> None:
    """Without a stop: the newest retained checkpoint of the embedded cluster; with none of both: nothing."""
    assert newest_state(tmp_path, "latest") is None
    for number in (1, 2):
        folder = tmp_path / "flink" / "checkpoints" / "job" / f"chk-{number}"
        folder.mkdir(parents=True)
        (folder / "_metadata").touch()
    assert str(newest_state(tmp_path, "latest")).endswith("job/chk-2")
    (tmp_path / "last-stop.json").write_text('{"savepoint": "file:/savepoint-7"}', encoding="utf-8")
    assert newest_state(tmp_path, "latest") == "file:/savepoint-7"
    assert newest_state(tmp_path, "none") is None


def test_a_stream_without_state_begins_with_what_the_lake_holds(tmp_path: Path) -> None:
    """As of the run it found, at every later start too; an empty lake gives it nothing."""
    Lake.create(tmp_path / "empty", timezone=ZONE)
    for folder in ("empty", "none"):
        assert begins_with(tmp_path / folder, tmp_path / folder / "stream") is None
        assert begun_with(tmp_path / folder, tmp_path / folder / "stream") is None
    row = {"meter_id": "m", "event_type": "power_down", "occurred_at": 10**15, "received_at": 10**15}
    run(tmp_path / "lake", write(tmp_path / "events.avro", "DeviceEvent", [row]))
    seed = begins_with(tmp_path / "lake", tmp_path / "lake" / "stream")
    assert seed is not None
    run(tmp_path / "lake", write(tmp_path / "more.avro", "DeviceEvent", [{**row, "occurred_at": 0}]))
    assert begun_with(tmp_path / "lake", tmp_path / "lake" / "stream") == seed
    held = [rows for shard in range(3) for rows in seed.records(shard)[0].values()]
    assert [rows["occurred_at"].to_pylist() for rows in held] == [[10**15]]
