"""What is sent to Kafka: of each key its whole present content and its revision, as Avro.

A consumer that keeps the greatest revision of each key has what the lake shows, however often and in
whatever order messages come. So a push that was killed is simply made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any

import duckdb
import fastavro

__all__ = ["STREAMS", "Stream", "encode", "schema_text"]

ROWS_A_STEP = 2048
_LATEST = "(SELECT max(run_no) FROM stored.detect_runs_rows)"
_FORMER = "(SELECT coalesce(max(run_no), 0) FROM stored.detect_runs_rows WHERE run_no <= {since})"


@dataclass(frozen=True)
class Stream:
    """The messages of one topic.

    Attributes:
        name: Of the topic, behind the prefix.
        record: Name of the Avro record, a file of ``schemas/avro/sent``.
        number: Schema id in the frame, where no registry gives one.
        key: Fields that make up the key.
        select: DuckDB SELECT of the record's fields; ``{since}`` is the last run that was sent.
    """

    name: str
    record: str
    number: int
    key: tuple[str, ...]
    select: str

    def messages(
        self, views: duckdb.DuckDBPyConnection, since: int, schema_id: int
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys (a JSON list of the key's fields) and framed values of all that changed after a run."""
        reader = views.sql(self.select.replace("{since}", str(since))).to_arrow_reader(ROWS_A_STEP)
        for batch in reader:
            for row in batch.to_pylist():
                yield _key(row, self.key), encode(self.record, row, schema_id)


def _key(row: Mapping[str, Any], names: tuple[str, ...]) -> bytes:
    return json.dumps([str(row[name]) for name in names], separators=(",", ":")).encode()


def encode(record: str, row: Mapping[str, Any], schema_id: int) -> bytes:
    """One datum in Confluent framing: a zero byte, the schema's number in four bytes, the Avro binary."""
    out = BytesIO(b"\0" + schema_id.to_bytes(4, "big"))
    out.seek(5)
    fastavro.schemaless_writer(out, _parsed(record), row)
    return out.getvalue()


@cache
def schema_text(record: str) -> str:
    """A record's Avro schema as JSON text."""
    return resources.files("schemas").joinpath("avro", "sent", f"{record}.avsc").read_text("utf-8")


@cache
def _parsed(record: str) -> Any:
    return fastavro.parse_schema(json.loads(schema_text(record)))


def _queue(name: str) -> str:
    """Entries of the newest detect run, and a withdrawn one for each meter that any run since had."""
    return f"""
SELECT '{name}' AS queue, meter_id, run_no AS revision, false AS withdrawn, rank, score, first_week, kwh_lost,
       reasons, against, as_of, money_lost, currency, model
FROM stored.{name}_rows WHERE run_no = {_LATEST} AND {_LATEST} > {{since}}
UNION ALL BY NAME
SELECT DISTINCT '{name}' AS queue, meter_id, {_LATEST} AS revision, true AS withdrawn
FROM stored.{name}_rows WHERE run_no >= {_FORMER} AND {_LATEST} > {{since}}
     AND meter_id NOT IN (SELECT meter_id FROM stored.{name}_rows WHERE run_no = {_LATEST})"""


STREAMS = (
    Stream(
        "days",
        "MeterDay",
        101,
        ("meter_id", "channel", "local_day"),
        """
SELECT meter_id, channel, local_day, revision, run_no, withdrawn, epoch_us(start) AS start, interval_s, unit,
       coalesce("values", []) AS "values",
       CASE WHEN withdrawn THEN [] WHEN qualities IS NULL
            THEN list_resize([]::INTEGER[], len("values"), quality::INTEGER)
            ELSE qualities::INTEGER[] END AS qualities,
       coalesce(methods::INTEGER[], []) AS methods, coalesce(flags, []) AS flags, total
FROM stored.days_current WHERE run_no > {since}""",
    ),
    Stream(
        "findings",
        "DayFindings",
        102,
        ("meter_id", "channel", "local_day"),
        """
SELECT meter_id, channel, local_day, revision, run_no, coalesce(findings, []) AS findings
FROM stored.days_current WHERE run_no > {since} AND (revision > 1 OR len(findings) > 0)""",
    ),
    Stream(
        "bills",
        "Bill",
        103,
        ("bill_id",),
        """
SELECT bill_id, account_id, revision, run_no, withdrawn, period_start, period_end, status, total, currency,
       estimated_share, reason, coalesce(lines, []) AS lines
FROM stored.bills_current WHERE run_no > {since}""",
    ),
    Stream(
        "queues",
        "QueueEntry",
        104,
        ("queue", "meter_id"),
        f"{_queue('change_queue')}\nUNION ALL BY NAME{_queue('state_queue')}",
    ),
    Stream(
        "faults",
        "MeterFaults",
        105,
        ("meter_id",),
        f"""
SELECT meter_id, {_LATEST} AS revision,
       coalesce(list(struct_pack(fault := fault, since := since, until := until, severity := severity,
                                 evidence := evidence) ORDER BY fault, since)
                FILTER (WHERE run_no = {_LATEST}), []) AS faults
FROM stored.faults_rows WHERE run_no >= {_FORMER} AND {_LATEST} > {{since}} GROUP BY meter_id""",
    ),
)
"""Everything that is sent. The numbers are fixed for ever: a changed schema gets a new one."""
