"""The committer of a stream: one key that gathers what all shards flush, and commits it on a timer."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipelines.store.lake import Lake
from pipelines.store.lock import LakeBusyError
from pipelines.streaming.stream_commit import CommitRules, commit_outputs
from transforms.flush_pack import ShardFlush, ends_backlog, unpack_output
from transforms.keep_ledgers import next_tick

__all__ = ["CommitFlushes", "Committer"]

PENDING_BYTES = 64 << 20
"""Pending bytes at which a commit does not wait for its time."""
BUSY_S = 5.0
"""While another run holds the lake a commit tries again this often. [s]"""
SETTLED_S = 1.0
"""At the end of a backlog a commit waits so long for the flush of one more shard. [s]"""
_PENDING = BagStateSpec("pending", BytesCoder())
_NOTES = ReadModifyWriteStateSpec("notes", BytesCoder())
_COMMIT = TimerSpec("commit", TimeDomain.REAL_TIME)


@dataclass
class _Notes:
    """What the committer remembers.

    Attributes:
        size: Bytes pending.
        closed: Last closed epoch day of each shard that ever flushed.
        due: Second at which a commit is due at the latest; None while nothing waits.
        stamp: Another one with every flush that came: tells whether what is in memory is what is pending.
    """

    size: int = 0
    closed: dict[int, int] = field(default_factory=dict)
    due: float | None = None
    stamp: str = ""

    @classmethod
    def read(cls, slip: Any) -> _Notes:
        text = slip.read()
        found: dict[str, Any] = json.loads(text) if text else {"closed": {}}
        return cls(**{**found, "closed": {int(shard): day for shard, day in found["closed"].items()}})

    def write(self, slip: Any) -> None:
        slip.write(json.dumps(asdict(self)).encode())


class Committer(beam.DoFn):
    """Gathers and commits under its one key."""

    def __init__(self, rules: CommitRules, every_s: float) -> None:
        self.rules = rules
        self.every_s = every_s
        self.commits: Any = Metrics.counter("stream", "commits")
        self.days: Any = Metrics.counter("stream", "days-written")
        self.bills: Any = Metrics.counter("stream", "bills-written")

    def setup(self) -> None:
        """Begin with nothing in memory."""
        self._pending: tuple[str, list[bytes]] = "", []

    def process(
        self,
        element: tuple[int, bytes],
        pending: Any = beam.DoFn.StateParam(_PENDING),
        notes: Any = beam.DoFn.StateParam(_NOTES),
        commit: Any = beam.DoFn.TimerParam(_COMMIT),
    ) -> None:
        """Keep a flush for the next commit."""
        pending.add(element[1])
        held = _Notes.read(notes)
        stamp, blobs = self._pending
        if held.stamp != stamp:
            blobs = []
        whole = held.size == sum(map(len, blobs))
        held.size += len(element[1])
        held.stamp = uuid4().hex
        self._pending = (held.stamp, [*blobs, element[1]]) if whole else ("", [])
        now = time.time()
        due = now if held.size > PENDING_BYTES else held.due or next_tick(now, self.every_s)
        if due != held.due or ends_backlog(element[1]):  # what was set stays, though its timer may fire late
            commit.set(Timestamp(min(due, now + SETTLED_S) if ends_backlog(element[1]) else due))
        held.due = due
        held.write(notes)

    @on_timer(_COMMIT)
    def commit(
        self,
        pending: Any = beam.DoFn.StateParam(_PENDING),
        notes: Any = beam.DoFn.StateParam(_NOTES),
        commit: Any = beam.DoFn.TimerParam(_COMMIT),
    ) -> None:
        """Commit all that is pending as one run."""
        held = _Notes.read(notes)
        # State is the truth: what is in memory counts only while its stamp is the one in state.
        stamp, blobs = self._pending
        self._pending = "", []
        known = stamp != "" and stamp == held.stamp
        outputs = [unpack_output(blob) for blob in (blobs if known else pending.read())]
        if not outputs:
            return
        for output in outputs:
            if isinstance(output, ShardFlush):
                held.closed[output.shard] = max(output.last_closed, held.closed.get(output.shard, -1))
        try:
            counts = commit_outputs(Lake.open(self.rules.lake), outputs, held.closed, self.rules)
        except LakeBusyError:  # a backfill beside the stream: its turn first
            held.due = time.time() + BUSY_S
            held.write(notes)
            commit.set(Timestamp(held.due))
            return
        pending.clear()
        held.size, held.due = 0, None
        held.write(notes)
        self.commits.inc()
        self.days.inc(counts["days_written"])
        self.bills.inc(counts.get("bills_written", 0))


@dataclass
class CommitFlushes(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Commit what shards flush to the lake, every so often, as one run each time.

    Unbounded; everything under one key, global window; emits nothing. Bundles that are repeated change
    nothing: rows that are there already are dropped, raw files are named by their content.

    Attributes:
        rules: What holds for all commits.
        every_s: Time within which a flush is committed. [s]
    """

    rules: CommitRules
    every_s: float

    def expand(self, flushes: PCollection[Any]) -> PCollection[Any]:
        """Label the one step."""
        step: Any = beam.ParDo(Committer(self.rules, self.every_s))  # type: ignore[no-untyped-call]
        return flushes | "Commit" >> step  # type: ignore[no-any-return]
