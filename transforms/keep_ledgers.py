"""The stateful step of a stream: one ledger a shard behind a runner's state and timers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.utils.timestamp import Timestamp

from models.alerts import dead_meters
from models.calendar import epoch_day, local_midnight
from models.day_close import close_second, closed_by
from models.ledger import HELD, LedgerRules, ShardLedger
from models.ledger_seed import seeded_ledger
from models.sharding import shard_of_id
from schemas.records import Kind
from transforms.flush_pack import pack_flush
from transforms.ledger_store import CELLS, LedgerNotes, LedgerStore
from transforms.table_pack import pack, packed_kinds, unpack_records

__all__ = ["FLUSHES", "SILENT", "KeepLedgers", "Seed", "StreamTimes", "next_tick"]

FLUSHES, SILENT = "flushes", "silent"

AHEAD_S = 2 * 86_400
"""A day that would close later than this from now gets no timer: only a watermark at its end comes there."""
AHEAD_DAYS = 64
"""Most days that have a timer at a time: in a backlog they close together, not one behind the other."""
BACKLOG_S = 6 * 3600
"""A day whose closing lies further back than this closes in a backlog: others will close right after it."""
LONG_AGO_S = 14 * 86_400
"""Days that close further back than this close several at a time."""
QUIET_S = 20.0
"""In a backlog, time without anything new after which what came is flushed. [s]"""
_BYTES = BytesCoder()
_NOTES = ReadModifyWriteStateSpec("notes", _BYTES)
_ARRIVED, _RECENT, _LASTING, _FIRSTS = (
    BagStateSpec(name, _BYTES) for name in ("arrived", "recent", "lasting", "firsts")
)
_CELL = [BagStateSpec(f"cell{number}", _BYTES) for number in range(CELLS)]
_CLOSE = TimerSpec("close", TimeDomain.WATERMARK)
_FLUSH = TimerSpec("flush", TimeDomain.REAL_TIME)


@dataclass(frozen=True)
class StreamTimes:
    """When a stream acts.

    Attributes:
        grace_s: A local day closes once the watermark has passed its end by this. [s]
        flush_s: What came is flushed within this. [s]
        close_flush_s: A day that closed is flushed within this; in a backlog within ``flush_s``, so that
            the days that close meanwhile are computed with it, or after ``QUIET_S`` without anything new;
            the last day of the backlog within this again. [s]
        commit_s: Flushes are committed together within this. [s]
        step_days: Of a backlog older than ``LONG_AGO_S`` so many days close by one timer: each shard and
            timer costs as much as a day's block of many meters.
    """

    grace_s: int = 6 * 3600
    flush_s: float = 30.0
    close_flush_s: float = 0.5
    commit_s: float = 30.0
    step_days: int = 8


def next_tick(now: float, every: float, share: float = 0.0) -> float:
    """The next of the moments that lie ``every`` apart, moved by a share of it."""
    offset = every * share
    return ((now - offset) // every + 1) * every + offset


class Seed(Protocol):
    """What a lake held before its stream began; picklable, and the same whenever it is asked."""

    def records(self, shard: int) -> tuple[dict[Kind, pa.Table], int]:
        """Records of a shard, and the last closed epoch day of the lake."""

    def points(self, key: int, keys: int) -> pa.Table:
        """Service-point versions whose ids hash to one of some keys, as to a shard."""


class _LedgerFn(beam.DoFn):
    """Keeps one ledger a key.

    Args:
        rules: Of the stream.
        times: When to act.
        shards: Shard count of the lake.
        seed: What the lake held before, or None.
    """

    def __init__(self, rules: LedgerRules, times: StreamTimes, shards: int, seed: Seed | None) -> None:
        self.seed = seed
        self.rules = rules
        self.times = times
        self.shards = shards

        self.taken: Any = Metrics.counter("stream", "rows-taken")
        self.late: Any = Metrics.counter("stream", "rows-late")

    def setup(self) -> None:
        """Begin without any ledger in memory."""
        # State is the truth: a ledger in memory counts only while its stamp is the one in state.
        self._ledgers: dict[int, tuple[str, ShardLedger]] = {}

    def process(
        self,
        element: tuple[int, bytes],
        at: Any = beam.DoFn.TimestampParam,
        notes: Any = beam.DoFn.StateParam(_NOTES),
        arrived: Any = beam.DoFn.StateParam(_ARRIVED),
        close: Any = beam.DoFn.TimerParam(_CLOSE),
        flush: Any = beam.DoFn.TimerParam(_FLUSH),
    ) -> None:
        """Append what came, and see that the next closes and the next flush will happen."""
        shard, blob = element
        arrived.add(blob)
        now = time.time()
        held = LedgerNotes.read(notes)
        former = replace(held)
        if Kind.DRAINS in packed_kinds(blob):  # until something else comes no day closes by itself
            for day in range(held.closing + 1, (held.armed or held.closing) + 1):
                close.clear(dynamic_timer_tag=str(day))
            held.armed, held.due = None, now
            held.write(notes)
            flush.set(now)
            return
        if held.armed is None:
            second = int(at.micros // 1_000_000)
            first = max(closed_by(self.rules.zone, second, self.times.grace_s), held.closing + 1)
            self._arm(held, first, now, close)
        self._wait(held, now, shard, flush)
        if held != former:
            held.write(notes)

    def _wait(self, held: LedgerNotes, now: float, shard: int, flush: Any) -> None:
        """See that what has come by now is flushed.

        A moment that was set stays, though its timer may fire late; in a backlog the timer may fire before.
        """
        due = held.due or next_tick(now, self.times.flush_s, shard / self.shards)
        in_backlog = held.closing > held.last_closed
        if in_backlog:
            flush.set(min(due, now + QUIET_S))
        elif held.due is None:
            flush.set(due)
        held.due = due

    def _in_backlog(self, day: int, now: float) -> bool:
        """Whether a day closed so long ago that others will close right after it."""
        return now - close_second(self.rules.zone, day, self.times.grace_s) >= BACKLOG_S

    def _caught_up(self, day: int, now: float) -> bool:
        """Whether no day after this one can have closed by the clock: a backlog ends with it."""
        return day >= closed_by(self.rules.zone, int(now), self.times.grace_s)

    def _arm(self, held: LedgerNotes, first: int, now: float, close: Any) -> None:
        """Set timers for days from ``first`` on, as far as they do not lie far ahead of the clock."""
        for day in range(first, max(first, held.closing + 1) + AHEAD_DAYS):
            second = close_second(self.rules.zone, day, self.times.grace_s)
            if second > now + AHEAD_S:
                break
            if second < now - LONG_AGO_S and day % self.times.step_days:
                continue
            close.set(Timestamp(second), dynamic_timer_tag=str(day))
            held.armed = day

    @on_timer(_CLOSE)
    def close_day(
        self,
        day: Any = beam.DoFn.DynamicTimerTagParam,
        shard: Any = beam.DoFn.KeyParam,
        notes: Any = beam.DoFn.StateParam(_NOTES),
        close: Any = beam.DoFn.TimerParam(_CLOSE),
        flush: Any = beam.DoFn.TimerParam(_FLUSH),
    ) -> None:
        """The watermark has passed a day's end and grace."""
        held = LedgerNotes.read(notes)
        if held.armed is None:
            return
        now = time.time()
        held.closing = max(held.closing, int(day))
        self._arm(held, held.armed + 1, now, close)
        if held.armed <= held.closing:
            held.armed = None
        if self._caught_up(held.closing, now) or not self._in_backlog(int(day), now):
            held.due = now + self.times.close_flush_s
            flush.set(held.due)
        else:
            self._wait(held, now, shard, flush)
        held.write(notes)

    @on_timer(_FLUSH)
    def flush(
        self,
        shard: Any = beam.DoFn.KeyParam,
        notes: Any = beam.DoFn.StateParam(_NOTES),
        arrived: Any = beam.DoFn.StateParam(_ARRIVED),
        recent: Any = beam.DoFn.StateParam(_RECENT),
        lasting: Any = beam.DoFn.StateParam(_LASTING),
        firsts: Any = beam.DoFn.StateParam(_FIRSTS),
        c0: Any = beam.DoFn.StateParam(_CELL[0]),
        c1: Any = beam.DoFn.StateParam(_CELL[1]),
        c2: Any = beam.DoFn.StateParam(_CELL[2]),
        c3: Any = beam.DoFn.StateParam(_CELL[3]),
        c4: Any = beam.DoFn.StateParam(_CELL[4]),
        c5: Any = beam.DoFn.StateParam(_CELL[5]),
        c6: Any = beam.DoFn.StateParam(_CELL[6]),
        c7: Any = beam.DoFn.StateParam(_CELL[7]),
        c8: Any = beam.DoFn.StateParam(_CELL[8]),
        c9: Any = beam.DoFn.StateParam(_CELL[9]),
        c10: Any = beam.DoFn.StateParam(_CELL[10]),
        c11: Any = beam.DoFn.StateParam(_CELL[11]),
    ) -> Iterator[Any]:
        """Hand what came to the ledger, and on what it yields."""
        cells = (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11)
        store = LedgerStore(notes, arrived, recent, lasting, firsts, cells)
        held = LedgerNotes.read(notes)
        held.due = None
        if self.seed is not None and not (held.flushes or held.planted):
            store.plant(held, *seeded_ledger(*self.seed.records(shard), self.rules))
        packs = list(arrived.read())
        ledger = self._ledger(shard, store, held)
        records = unpack_records(packs)
        drains = records.get(Kind.DRAINS)
        for kind, rows in records.items():
            if kind in HELD:
                ledger.take(kind, rows)
        ledger.close(held.closing)
        if drains is not None:
            through = max(map(epoch_day, drains["through_day"].to_pylist()))
            held.closing = max(held.closing, through)
            ledger.close(held.closing)
        if not packs and not ledger.restless:
            held.write(notes)
            return
        self._count(records.get(Kind.INTERVALS), held.last_closed)
        now = time.time()
        ends = self._in_backlog(held.last_closed + 1, now) and self._caught_up(held.closing, now)
        closes = ledger.state.index.last_closed > held.last_closed
        flushed = ledger.flush()
        store.save(held, ledger, flushed)
        self._ledgers[shard] = held.stamp, ledger
        yield 0, pack_flush(shard, held.flushes, flushed, records, ends=ends)
        if closes:
            blocks = ledger.state.raw[Kind.INTERVALS]
            alerts = dead_meters(blocks, flushed.ranges, flushed.last_closed, self.rules.zone)
            if alerts.num_rows:
                yield beam.pvalue.TaggedOutput(SILENT, pack({}, {"alerts": alerts}))

    def _count(self, blocks: pa.Table | None, last_closed: int) -> None:
        """Blocks, and those that begin on a day that had closed before."""
        if blocks is not None:
            end = local_midnight(self.rules.zone, last_closed + 1)
            self.taken.inc(blocks.num_rows)
            self.late.inc(int((blocks["start"].to_numpy() < end).sum()))

    def _ledger(self, shard: int, store: LedgerStore, held: LedgerNotes) -> ShardLedger:
        # Taken out: should this bundle fail half way, what it did to the ledger must not be found again.
        stamp, ledger = self._ledgers.pop(shard, ("", None))
        if ledger is not None and stamp == held.stamp:
            return ledger
        return store.load(held, self.rules, partial(_serves, shard=shard, shards=self.shards))


def _serves(meter: str, *, shard: int, shards: int) -> bool:
    return shard_of_id(meter, shards) == shard


@dataclass
class KeepLedgers(beam.PTransform[PCollection[Any], dict[str, PCollection[Any]]]):
    """Packs of records by shard to what each shard yields.

    Unbounded; keyed by shard, global window. Gives packs of flushes, all under one key for the committer,
    and packs of alerts of meters that fell silent. Every arrival is in exactly one flush's ``records``.
    Repeats and any order of arrival change nothing in the end.

    Attributes:
        rules: Of the stream.
        times: When to act.
        shards: Shard count of the lake.
        seed: What the lake held before the stream began, or None.
    """

    rules: LedgerRules
    times: StreamTimes
    shards: int
    seed: Seed | None = None

    def expand(self, packs: PCollection[Any]) -> dict[str, PCollection[Any]]:
        """Label the one step."""
        step: Any = beam.ParDo(_LedgerFn(self.rules, self.times, self.shards, self.seed))  # type: ignore[no-untyped-call]
        kept = packs | "KeepLedgers" >> step.with_outputs(SILENT, main=FLUSHES)
        return {FLUSHES: kept[FLUSHES], SILENT: kept[SILENT]}
