"""The stateful step under Beam's TestStream: what is sent, when the watermark and the clock move."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue

from models.calendar import day_date, local_midnight
from models.ledger import LedgerRules
from models.sharding import shard_of_id
from schemas.records import Kind
from tests.models.ledger_keeper import BOOK, PRICES
from tests.models.ledger_worlds import ZONE, Record, tables
from transforms.flush_pack import ShardFlush, unpack_output
from transforms.gather import Gather, gathered
from transforms.keep_ledgers import FLUSHES, KeepLedgers, StreamTimes
from transforms.table_pack import pack_records

TIMES = StreamTimes(grace_s=3600, flush_s=30, close_flush_s=2, step_days=1)


def prices(tariffs: Any, events: Any) -> Any:
    """Those of the sample, whatever came."""
    return PRICES


class Timeline:
    """A stream as a list of steps. Times are UTC seconds.

    Args:
        ahead_s: How far the stream's clock is ahead of the true one at first. [s]
    """

    def __init__(self, ahead_s: int = 86_400) -> None:
        # The step sets timers by the true clock. A stream's clock far ahead of it fires each at once.
        self.steps: list[tuple[str, Any]] = [("advance_processing_time", int(time.time()) + ahead_s)]

    def send(self, records: Sequence[Record], at: int, shard: int = 0) -> Timeline:
        """Records arrive in one pack."""
        element = shard, pack_records(tables(list(records)))
        self.steps.append(("add_elements", [TimestampedValue(element, at)]))
        return self

    def watermark(self, second: int) -> Timeline:
        """Event time has come this far."""
        self.steps.append(("advance_watermark_to", second))
        return self

    def wait(self, seconds: int) -> Timeline:
        """The clock moves on."""
        self.steps.append(("advance_processing_time", seconds))
        return self

    def end(self, through: int) -> Timeline:
        """A drain: without it the days up to now would close when the watermark comes to its end."""
        drain: dict[str, Any] = {"through_day": day_date(through)}
        return self.send([(Kind.DRAINS, drain)], local_midnight(ZONE, through + 2))

    def run(self, *, hot_days: int = 35, shards: int = 1, times: StreamTimes = TIMES) -> list[ShardFlush]:
        """All that comes out, in order."""
        outputs = map(unpack_output, self.packed(hot_days=hot_days, shards=shards, times=times))
        return [flush for flush in outputs if isinstance(flush, ShardFlush)]

    def packed(self, *, hot_days: int = 35, shards: int = 1, times: StreamTimes = TIMES) -> list[bytes]:
        """The same as bytes."""
        token = uuid4().hex
        rules = LedgerRules(ZONE, BOOK, prices, hot_days=hot_days, cells=1 << 16)
        options = PipelineOptions(["--streaming", "--runner=BundleBasedDirectRunner"])
        coders = beam.coders.VarIntCoder(), beam.coders.BytesCoder()
        stream = TestStream(coder=beam.coders.TupleCoder(coders))  # type: ignore[no-untyped-call]
        for step, argument in self.steps:
            getattr(stream, step)(argument)
        with beam.Pipeline(options=options) as pipeline:
            kept = pipeline | stream | KeepLedgers(rules, times, shards)
            _ = kept[FLUSHES] | Gather(token)
        return [blob for _, blob in gathered(token)]


def by_shard(records: Iterable[Record], shards: int) -> dict[int, list[Record]]:
    """Records by the shard of their meter."""
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(shard_of_id(record[1]["meter_id"], shards), []).append(record)
    return found
