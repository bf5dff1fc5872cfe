"""``meterbeam push kafka``: who keeps the greatest revision of each key has what the lake shows."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pipelines.batch.kafka_address import kafka_address
from pipelines.cli import main
from pipelines.downstream import kafka
from pipelines.downstream.kafka import KafkaTarget, push_kafka
from pipelines.downstream.messages import STREAMS, schema_text
from pipelines.downstream.registry import Registry
from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError
from tests.pipelines.downstream_consumer import consumed, newest, shown
from tests.pipelines.kafka_broker import Broker, library_broker
from tests.pipelines.lake_days import commit, new_lake
from tests.pipelines.towns import make_town, run


@pytest.fixture
def target() -> Iterator[KafkaTarget]:
    """A cluster that has the topics: the library's broker makes one that is asked for."""
    with library_broker() as broker:
        yield made(broker)


def made(broker: Broker, prefix: str = "meterbeam.") -> KafkaTarget:
    """A target whose topics are there."""
    client = Producer({"bootstrap.servers": broker.server})
    for name in (*(stream.name for stream in STREAMS), "pushed"):
        client.list_topics(prefix + name, timeout=30)
    return KafkaTarget(kafka_address(broker.address), prefix)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input of a small town."""
    return make_town(tmp_path_factory.mktemp("town"), days=50)


def test_consumers_end_where_the_lake_is(town: Path, tmp_path: Path, target: KafkaTarget) -> None:
    """After each of several runs, bills and queues included, what changed is sent once and no more."""
    lake = tmp_path / "lake"
    files = sorted(town.glob("*.avro"), key=lambda file: "readings" in file.name)
    counts = []
    for inputs in (files[:-1], files[-1:]):
        run(lake, *inputs, tariffs=town / "tariffs")
        summary = push_kafka(lake, target)
        counts.append(summary["messages"].get("days", 0))
        assert newest(consumed(target)) == shown(lake)
    assert summary["since_run"] == 1
    again = push_kafka(lake, target)
    assert (again["messages"], again["through_run"]) == ({}, 2)
    assert counts[0]
    assert counts[1]
    assert [topic for topic, messages in consumed(target).items() if not messages] == []


def test_a_withdrawn_day_and_its_findings(tmp_path: Path, target: KafkaTarget) -> None:
    """A key that holds nothing any more is sent as such, with the next revision."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m1", 0): (5, 1), ("m2", 0): (6, 1)})
    push_kafka(lake.path, target)
    commit(lake, {("m1", 0): (None, 2)})
    assert push_kafka(lake.path, target)["messages"] == {"days": 1, "findings": 1}
    days = newest(consumed(target))["days"]
    assert {key: (row["revision"], row["withdrawn"], row["values"]) for key, row in days.items()} == {
        '["m1","import","2026-03-01"]': (2, True, []),
        '["m2","import","2026-03-01"]': (1, False, [6, 0]),
    }


@pytest.mark.parametrize("step", ["days", "faults", "sent"])
def test_cut_short_and_made_again(
    step: str, town: Path, tmp_path: Path, target: KafkaTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push that ends anywhere before its note is made again, and consumers end right."""
    run(tmp_path / "lake", town, tariffs=town / "tariffs")

    def stop(now: str) -> None:
        if now == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(kafka, "reached", stop)
    with pytest.raises(KeyboardInterrupt):
        push_kafka(tmp_path / "lake", target)
    monkeypatch.undo()
    assert push_kafka(tmp_path / "lake", target)["since_run"] == 0
    assert newest(consumed(target)) == shown(tmp_path / "lake")


def test_other_lakes_and_later_runs_are_refused(tmp_path: Path, target: KafkaTarget) -> None:
    """Topics are of one lake, and never set back to a past run."""
    lake, other = new_lake(tmp_path / "lake"), new_lake(tmp_path / "other")
    for each in (lake, lake, other):
        commit(each, {("m1", 0): (each.run_no, each.run_no + 1)})
    push_kafka(lake.path, target)
    with pytest.raises(MeterbeamError, match="another lake"):
        push_kafka(other.path, target)
    with pytest.raises(MeterbeamError, match="results up to run 2"):
        push_kafka(lake.path, target, as_of=1)
    with pytest.raises(MeterbeamError, match="without a run"):
        push_kafka(new_lake(tmp_path / "empty").path, target)


class _Registry(BaseHTTPRequestHandler):
    """The one call of a schema registry that a producer makes; with a log-in where one is asked for."""

    seen: ClassVar[dict[str, str]] = {}
    wanted: ClassVar[str | None] = None
    elsewhere: ClassVar[str | None] = None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.elsewhere is not None:
            self._answer(302, {}, Location=self.elsewhere)
        elif self.headers.get("Authorization") != self.wanted:
            self._answer(401, {"error_code": 401, "message": f"not {self.headers.get('Authorization')}"})
        else:
            self.seen[self.path] = json.loads(body["schema"])["name"]
            self._answer(200, {"id": 4000 + len(self.seen)})

    def do_GET(self) -> None:
        """Where a redirect that is followed ends."""
        self.seen["followed"] = str(self.headers.get("Authorization"))
        self._answer(200, {"id": 1})

    def _answer(self, code: int, content: dict[str, object], **headers: str) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    """Address of a registry of this process; without a log-in until a test asks for one."""
    _Registry.seen, _Registry.wanted, _Registry.elsewhere = {}, None, None
    server = HTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SUBJECTS = {f"/subjects/meterbeam.{stream.name}-value/versions": stream.record for stream in STREAMS}


def test_numbers_of_a_registry(tmp_path: Path, target: KafkaTarget, registry: str) -> None:
    """With a registry each topic's schema is registered as its subject, and frames carry its number."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m1", 0): (5, 1)})
    assert main(["push", "kafka", str(target.address), "--lake", str(lake.path), "--registry", registry]) == 0
    assert _Registry.seen == SUBJECTS
    client = Consumer({"bootstrap.servers": target.address.servers[0], "group.id": "t"})
    client.assign([TopicPartition("meterbeam.days", part, 0) for part in range(4)])
    message = client.poll(30)
    client.close()
    assert message is not None
    assert (message.value() or b"")[:5] == b"\0" + (4001).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        pytest.param(
            ["schema.registry.basic.auth.user.info=ada:pass:word="],
            f"Basic {b64encode(b'ada:pass:word=').decode()}",
            id="basic",
        ),
        pytest.param(
            ["basic.auth.credentials.source=USER_INFO", "basic.auth.user.info=k:s"],
            f"Basic {b64encode(b'k:s').decode()}",
            id="basic, as Confluent's clients name it",
        ),
        pytest.param(["schema.registry.bearer.auth.token=abc.def"], "Bearer abc.def", id="bearer"),
    ],
)
def test_a_registry_with_a_log_in(
    lines: list[str], wanted: str, tmp_path: Path, target: KafkaTarget, registry: str
) -> None:
    """The log-in stands in the file of client settings, beside the brokers' own, which get none of it."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m1", 0): (5, 1)})
    _Registry.wanted = wanted
    config = tmp_path / "client"
    config.write_text("\n".join(["client.id=mb", f"schema.registry.url={registry}/", *lines]), "utf-8")
    command = ["push", "kafka", str(target.address), "--lake", str(lake.path), "--kafka-config", str(config)]
    assert main(command) == 0
    assert _Registry.seen == SUBJECTS


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("address", "lines", "said"),
    [
        pytest.param(None, [f"basic.auth.user.info=ada:{SECRET}"], "HTTP 401", id="refused"),
        pytest.param(None, [f"schema.registry.token={SECRET}"], "not known here", id="unknown"),
        pytest.param(
            None, [f"bearer.auth.token={SECRET}", f"basic.auth.user.info=a:{SECRET}"], "two log-ins", id="two"
        ),
        pytest.param("", [f"bearer.auth.token={SECRET}"], "without an address", id="no address"),
        pytest.param(f"http://ada:{SECRET}@127.0.0.1:1", [], "with a log-in", id="in the address"),
        pytest.param(f"http://127.0.0.1:{SECRET}", [], "another form", id="no port"),
        pytest.param("http://127.0.0.1:1", [f"bearer.auth.token={SECRET}"], "refused", id="nobody there"),
        pytest.param(
            None, [f"bearer.auth.token={SECRET}\n"], "no header may hold", id="a token of odd bytes"
        ),
    ],
)
def test_no_word_shows_a_log_in(address: str | None, lines: list[str], said: str, registry: str) -> None:
    """The setting's name, and never its value."""
    _Registry.wanted = "Basic other"
    settings = dict(line.split("=", 1) for line in lines)
    where = registry if address is None else address

    def ask() -> None:
        made = KafkaTarget.of(kafka_address("kafka://localhost:1"), settings, registry=where).registry
        assert made is not None
        made.number("t", schema_text("Bill"))

    with pytest.raises(MeterbeamError, match=said) as refused:
        ask()
    assert SECRET not in str(refused.value)
    assert b64encode(f"ada:{SECRET}".encode()).decode() not in str(refused.value)


def test_a_refused_push_and_what_it_says(
    tmp_path: Path,
    target: KafkaTarget,
    registry: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Exit 1, what was found and what is expected, in three lines without any secret."""
    caplog.set_level("DEBUG")
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m1", 0): (5, 1)})
    _Registry.wanted = "Basic other"
    config = tmp_path / "client"
    config.write_text(f"basic.auth.user.info=ada:{SECRET}\nclient.id={SECRET}\n", "utf-8")
    command = ["push", "kafka", str(target.address), "--lake", str(lake.path), "--kafka-config", str(config)]
    assert main([*command, "--registry", registry]) == 1
    error = capsys.readouterr().err
    assert (error.count("\n"), "HTTP 401" in error) == (3, True)
    assert SECRET not in error + caplog.text + repr(KafkaTarget.of(target.address, {"sasl.password": SECRET}))


def test_a_log_in_stays_with_its_host(registry: str) -> None:
    """A registry that sends elsewhere is an error: the header is not carried there."""
    _Registry.elsewhere = f"{registry}/other"
    with pytest.raises(MeterbeamError, match="HTTP 302"):
        Registry(registry, f"Bearer {SECRET}").number("t", schema_text("Bill"))
    assert _Registry.seen == {}


def test_no_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An address with topics, or none at all, is an error of two sides."""
    lake = new_lake(tmp_path / "lake")
    commit(lake, {("m1", 0): (5, 1)})
    for address in ("kafka://localhost:9092/readings", "localhost"):
        assert main(["push", "kafka", address, "--lake", str(lake.path)]) == 1
    assert "kafka://HOST:PORT" in capsys.readouterr().err


def test_after_each_round_of_a_follower(town: Path, tmp_path: Path, target: KafkaTarget) -> None:
    """``--push`` brings consumers up to date while a follower works, and at its end."""
    command = [
        "backfill",
        str(town),
        "--follow",
        "--once",
        "--settle",
        "0",
        "--workers",
        "1",
        "--shards",
        "3",
    ]
    lake = ["--lake", str(tmp_path / "lake"), "--timezone", "Europe/Zurich"]
    assert main([*command, *lake, "--push", str(target.address)]) == 0
    assert Lake.open(tmp_path / "lake").run_no >= 1
    assert newest(consumed(target)) == shown(tmp_path / "lake")
    assert main(["backfill", str(town), *lake, "--push", str(target.address)]) == 2
