"""What ``meterbeam stream`` says when it cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.cluster.process import free_ports
from pipelines.store.lake import Lake
from pipelines.streaming.client_settings import java_settings
from pipelines.streaming.kafka_alerts import SendAlerts
from pipelines.streaming.kafka_topics import ReadTopics
from pipelines.streaming.stream_run import StreamRun, newest_state, state_folder
from pipelines.streaming.stream_seed import begins_with, begun_with
from schemas.errors import MeterbeamError
from tests.pipelines.towns import ZONE, run, write
from transforms.storage import place

SECRET = "s3cret-of-a-client"
COMMAND = ["stream", "--kafka", "localhost:1", "--lake"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--backend", "disk"], "hashmap or rocksdb", id="backend"),
        pytest.param(["--kafka-option", "security"], "NAME=VALUE", id="kafka-option"),
        pytest.param(["--kafka-option", f"sasl.password={SECRET}"], "--kafka-config", id="password"),
        pytest.param(["--kafka-option", f"basic.auth.user.info=u:{SECRET}"], "info", id="log-in"),
        pytest.param(["--kafka-option", SECRET], "NAME=VALUE", id="a secret alone"),
        pytest.param(["--parallelism", "0"], "parallelism", id="parallelism"),
    ],
)
def test_wrong_options_end_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    """And nothing is made."""
    assert main([*COMMAND, str(tmp_path / "lake"), *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert SECRET not in told
    assert not (tmp_path / "lake").exists()


def test_a_broker_that_is_not_there_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One message names it; no lake is made."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    assert main(["stream", "--kafka", address, "--lake", str(tmp_path / "lake")]) == 1
    told = capsys.readouterr().err
    assert f"error: Kafka at {address}" in told
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(f"sasl.pasword={SECRET}", "sasl.pasword", id="name"),
        pytest.param(f"security.protocol={SECRET}", "security.protocol", id="value"),
        pytest.param(f"schema.registry.bearer.auth.token={SECRET}", "without an address", id="registry"),
        pytest.param(f"sasl.password {SECRET}", "line 1", id="line"),
    ],
)
def test_a_file_of_settings_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    """One message names the setting or the line, and never its value."""
    file = tmp_path / "client.properties"
    file.write_text(f"{line}\n", encoding="utf-8")
    assert main([*COMMAND, str(tmp_path / "lake"), "--kafka-config", str(file)]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert SECRET not in told
    assert told.count("error:") == 1


def test_settings_of_the_java_client() -> None:
    """Log-in and TLS by their names there; what is common to both stays; quotes in a password are escaped."""
    common = {"security.protocol": "SASL_SSL", "client.id": "meterbeam"}
    log_in = {"sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "meter", "sasl.password": 'a"b\\c'}
    files = {
        "ssl.ca.location": "/ca.pem",
        "ssl.key.location": "/me.pem",
        "ssl.certificate.location": "/me.pem",
    }
    assert java_settings({**common, **log_in, **files}) == {
        **common,
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="meter" password="a\\"b\\\\c";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": "/me.pem",
    }
    with pytest.raises(MeterbeamError, match="GSSAPI.*SCRAM-SHA-256"):
        java_settings({**log_in, "sasl.mechanisms": "GSSAPI"})
    with pytest.raises(MeterbeamError, match="two files"):
        java_settings({**files, "ssl.key.location": "/key.pem"})


def test_no_text_of_a_run_shows_its_settings() -> None:
    """Neither of the run nor of the steps that hold them."""
    settings = {"sasl.password": SECRET}
    held = (
        StreamRun("b:1", settings=settings),
        ReadTopics("b:1", "e:1", ("readings",), settings),
        SendAlerts("b:1", "alerts", settings),
    )
    assert SECRET not in repr(held)


def test_a_savepoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names it, and what may be given."""
    with pytest.raises(MeterbeamError, match="latest, none, or the folder of a savepoint"):
        newest_state(tmp_path, str(tmp_path / "savepoint-1"))


def test_the_state_of_a_lake_in_a_bucket_has_a_folder_of_its_own(
    tmp_path: Path,
) -> None:
    """It must be named, lies on disk, and is never that of another lake; a lake on disk needs none."""
    lake = place("s3://bucket/lake")
    with pytest.raises(MeterbeamError, match="--state: found nothing"):
        state_folder(lake, None)
    for _ in range(2):
        assert state_folder(lake, tmp_path / "state") == tmp_path / "state"
    with pytest.raises(MeterbeamError, match="found the state of s3://bucket/lake"):
        state_folder(tmp_path / "lake", tmp_path / "state")
    with pytest.raises(MeterbeamError, match="file or folder of this machine"):
        state_folder(lake, place("s3://bucket/state"))
    assert state_folder(tmp_path / "lake", None) == tmp_path / "lake" / "stream"


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
