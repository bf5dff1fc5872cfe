"""A stream from a broker that wants a log-in into a lake in a bucket: killed, resumed, silent on both."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.cluster import kafka
from pipelines.cluster.fetch import Parts
from pipelines.cluster.kafka import KafkaBroker, embedded_kafka
from pipelines.store.lake import Lake
from tests.flink.town_feed import StreamCommand, TownFeed, until
from tests.pipelines.s3_server import SECRET, s3_server
from transforms.storage import place

PASSWORD = 'a "quoted" password'
LOG_IN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "meter",
    "sasl.password": PASSWORD,
}


@pytest.fixture(name="broker")
def guarded_broker(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaBroker]:
    """A broker that every client must log in to."""
    plain = kafka._properties
    quoted = PASSWORD.replace('"', '\\\\"')
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"

    def guarded(data: Path, port: int, controller: int) -> str:
        text = plain(data, port, controller).replace("PLAINTEXT://", "SASL_PLAINTEXT://")
        users = f'username="broker" password="b" user_broker="b" user_meter="{quoted}"'
        return text + "".join(
            f"{name}={value}\n"
            for name, value in {
                "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
                "inter.broker.listener.name": "SASL_PLAINTEXT",
                "sasl.enabled.mechanisms": "PLAIN",
                "sasl.mechanism.inter.broker.protocol": "PLAIN",
                "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{module} required {users};",
            }.items()
        )

    monkeypatch.setattr(kafka, "_properties", guarded)
    with embedded_kafka(tmp_path / "kafka", parts) as running:
        yield running


def test_killed_and_resumed_it_ends_in_the_tables_of_its_backfill(
    broker: KafkaBroker, tmp_path: Path, note_time: Callable[[str], None]
) -> None:
    """The command is killed with its cluster and goes on; no log, table or note holds a password or a key."""
    config = tmp_path / "client.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in LOG_IN.items()), "utf-8")
    options = ("--kafka-config", str(config), "--state", str(tmp_path / "state"))
    with s3_server(tmp_path / "s3") as address:
        feed = TownFeed(tmp_path, broker.address, 40, place(f"{address}/lake"), LOG_IN)
        feed.part(0.5)
        stream = StreamCommand(feed, "embedded", *options)
        try:
            until(lambda: (feed.lake / "tables" / "days").is_dir(), "first commit")
            note_time("stream into a bucket: first commit")
            stream.end()
            feed.part(1.0)
            stream = StreamCommand(feed, "embedded", *options)
            feed.check()
            note_time("stream into a bucket: killed, started again, equal to the backfill")
            summary = stream.stop()
        finally:
            stream.end()
        assert Path(summary["savepoint"].removeprefix("file:")).is_relative_to(tmp_path / "state")
        told = [repr(Lake.open(feed.lake).runs().to_pylist()).encode()]
    state = tmp_path / "state"
    assert stat.S_IMODE((state / "flink").stat().st_mode) == 0o700  # what it holds of a log-in is the owner's
    told += [
        log.read_bytes() for log in (tmp_path / "stream.log", *state.rglob("*.log"), *state.glob("*.json"))
    ]
    assert any(b"lag 0" in text for text in told)
    assert [text for text in told if b"quoted" in text or SECRET.encode() in text] == []
