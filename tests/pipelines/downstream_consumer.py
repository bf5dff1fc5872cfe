"""A consumer as others would write it: decodes frames by the published schemas, keeps the newest."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition

from pipelines.downstream.kafka import KafkaTarget
from pipelines.store.lake import Lake

SENT = Path(__file__).resolve().parents[2] / "schemas" / "avro" / "sent"
NUMBERS = {101: "MeterDay", 102: "DayFindings", 103: "Bill", 104: "QueueEntry", 105: "MeterFaults"}
TOPICS = ("days", "findings", "bills", "queues", "faults")
Messages = dict[str, list[tuple[str, dict[str, Any]]]]


def consumed(target: KafkaTarget) -> Messages:
    """Keys and decoded values of every topic, from its beginning."""
    settings = {"group.id": "test", "enable.partition.eof": True, "enable.auto.commit": False}
    client = Consumer({"bootstrap.servers": ",".join(target.address.servers), **settings})
    found: Messages = {}
    for topic in TOPICS:
        name = target.prefix + topic
        parts = client.list_topics(name, timeout=30).topics[name].partitions
        client.assign([TopicPartition(name, part, 0) for part in parts])
        found[topic], left = [], len(parts)
        while left:
            message = client.poll(30)
            assert message is not None
            error = message.error()
            if error is None:
                found[topic].append(((message.key() or b"").decode(), _decoded(message.value() or b"")))
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                left -= 1
    client.close()
    return found


def _decoded(frame: bytes) -> dict[str, Any]:
    assert frame[0] == 0
    schema = json.loads((SENT / f"{NUMBERS[int.from_bytes(frame[1:5], 'big')]}.avsc").read_text())
    row: Any = fastavro.schemaless_reader(BytesIO(frame[5:]), schema, None)
    return dict(row)


def newest(messages: Messages) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each key the value of the greatest revision, whatever the order."""
    held: dict[str, dict[str, dict[str, Any]]] = {}
    for topic, pairs in messages.items():
        mine = held.setdefault(topic, {})
        for key, row in reversed(pairs):
            if key not in mine or row["revision"] > mine[key]["revision"]:
                mine[key] = row
    return held


def shown(lake: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The same from the lake's stored tables, in plain Python."""
    opened = Lake.open(lake)
    found: dict[str, dict[str, dict[str, Any]]] = {"days": {}, "findings": {}}
    for row in opened.current("days").to_pylist():
        key = _key(row["meter_id"], row["channel"], row["local_day"])
        values = row["values"] or []
        address = {name: row[name] for name in ("meter_id", "channel", "local_day", "revision", "run_no")}
        qualities = row["qualities"] or [row["quality"]] * len(values)
        plain = {name: row[name] for name in ("start", "interval_s", "unit", "total", "withdrawn")}
        lists = {"methods": row["methods"] or [], "flags": row["flags"] or []}
        found["days"][key] = {**address, **plain, **lists, "values": values, "qualities": qualities}
        if row["findings"] or row["revision"] > 1:
            found["findings"][key] = {**address, "findings": row["findings"] or []}
    found["bills"] = {
        _key(row["bill_id"]): {
            **{name: value for name, value in row.items() if name != "state"},
            "lines": row["lines"] or [],
        }
        for row in opened.current("bills").to_pylist()
    }
    return {**found, "queues": _queues(opened), "faults": _faults(opened)}


def _queues(lake: Lake) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for queue in ("change_queue", "state_queue"):
        rows = lake.table(queue).to_pylist()
        last = max(lake.table("detect_runs")["run_no"].to_pylist(), default=0)
        for row in sorted(rows, key=lambda row: row["run_no"]):
            there = row["run_no"] == last
            entry = {name: value if there else None for name, value in row.items() if name != "run_no"}
            fixed = {"queue": queue, "meter_id": row["meter_id"], "revision": last, "withdrawn": not there}
            found[_key(queue, row["meter_id"])] = {**entry, **fixed}
    return found


def _faults(lake: Lake) -> dict[str, dict[str, Any]]:
    last = max(lake.table("detect_runs")["run_no"].to_pylist(), default=0)
    found: dict[str, dict[str, Any]] = {}
    rows = lake.table("faults").to_pylist()
    for row in sorted(rows, key=lambda row: (row["fault"], row["since"])):
        meter = row.pop("meter_id")
        empty = {"meter_id": meter, "revision": last, "faults": []}
        mine = found.setdefault(_key(meter), empty)
        if row.pop("run_no") == last:
            mine["faults"].append(row)
    return found


def _key(*parts: object) -> str:
    return json.dumps([str(part) for part in parts], separators=(",", ":"))
