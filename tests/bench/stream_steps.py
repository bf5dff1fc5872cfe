"""CPU a message of each Python step of the stream, in one process, without Kafka and Flink.

Run with ``python -m tests.bench.stream_steps --meters 6000 --days 30``; ``--profile FOLDER`` writes what
cProfile saw in each step.
"""

from __future__ import annotations

import argparse
import cProfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa

from models.day_close import closed_by
from models.ledger import ShardLedger
from models.route import points_by_shard
from models.sharding import shard_of_id
from pipelines.store.lake import Lake
from pipelines.stream import StreamOptions, build
from pipelines.streaming.stream_commit import CommitRules, commit_outputs
from schemas.records import Kind
from tests.bench.stream_feed import ZONE, BenchFeed, Message
from tests.bench.stream_state import ListBag, MemorySlip
from transforms.flush_pack import ShardFlush, pack_flush, unpack_output
from transforms.ledger_store import CELLS, LedgerNotes, LedgerStore
from transforms.route_messages import DecodeRules, decode_messages, packs_by_shard
from transforms.table_pack import pack_records, unpack_records

SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"
GRACE_S = 3600


class Steps:
    """CPU seconds by step, and where they went if asked for."""

    def __init__(self, profiled: bool) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.profiles: dict[str, cProfile.Profile] | None = (
            defaultdict(cProfile.Profile) if profiled else None
        )

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Count what happens in the block to a step."""
        began = time.process_time()
        if self.profiles is not None:
            self.profiles[step].enable()
        yield
        if self.profiles is not None:
            self.profiles[step].disable()
        self.spent[step] += time.process_time() - began

    def show(self, messages: int, folder: Path | None) -> None:
        """Print microseconds a message."""
        for step, spent in self.spent.items():
            print(f"{step:44} {spent / messages * 1e6:7.1f} us")
        print(f"{'all':44} {sum(self.spent.values()) / messages * 1e6:7.1f} us a message")
        if folder is not None:
            for step, profile in (self.profiles or {}).items():
                profile.dump_stats(folder / f"{step.split(':')[0].replace(' ', '-')}.prof")


class Shard:
    """A ledger and its state in memory."""

    def __init__(self, options: StreamOptions, number: int) -> None:
        self.rules = build(None, None, options).ledger
        bags = [ListBag() for _ in range(4 + CELLS)]
        self.arrived, recent, lasting, firsts, *cells = bags
        self.store = LedgerStore(MemorySlip(), self.arrived, recent, lasting, firsts, cells)
        self.number = number
        serves = partial(_serves, shard=number, shards=options.shards)
        self.ledger: ShardLedger = self.store.load(LedgerNotes(), self.rules, serves)

    def flush(self, through: int, steps: Steps) -> bytes:
        """What the step of the stream does when a flush is due."""
        with steps.of("unpack arrivals"):
            records = unpack_records(self.arrived.read())
        with steps.of("ledger: dirty days, VEE, determinants"):
            for kind, rows in records.items():
                self.ledger.take(kind, rows)
            self.ledger.close(through)
            flushed = self.ledger.flush()
        with steps.of("keep in state"):
            notes = LedgerNotes.read(self.store.notes)
            self.store.save(notes, self.ledger, flushed)
        with steps.of("pack a flush"):
            return pack_flush(self.number, notes.flushes, flushed, records)


def _serves(meter: str, *, shard: int, shards: int) -> bool:
    return shard_of_id(meter, shards) == shard


def run(feed: BenchFeed, options: StreamOptions, steps: Steps, bundle: int, flush: int, commit: int) -> int:
    """Pass a feed through the steps; how many messages.

    Args:
        feed: What arrives.
        options: Of the stream; its lake is made.
        steps: Get the time.
        bundle, flush, commit: Messages of a bundle; between flushes; between commits.
    """
    stream = build(None, None, options)
    shards = [Shard(options, number) for number in range(options.shards)]
    rules = DecodeRules(ZONE, options.shards)
    messages = list(chain(feed.points(), feed.readings()))
    pending: list[bytes] = []
    closed: dict[int, int] = {}
    since_flush, since_commit = 0, 0
    for begin in range(0, len(messages), bundle):
        part = messages[begin : begin + bundle]
        _arrive(part, rules, shards, steps)
        since_flush, since_commit = since_flush + len(part), since_commit + len(part)
        last = begin + bundle >= len(messages)
        if last or since_flush >= flush:
            through = feed.first + feed.days - 1 if last else closed_by(ZONE, part[-1][3], GRACE_S)
            pending += [shard.flush(through, steps) for shard in shards]
            since_flush = 0
        if last or since_commit >= commit:
            _commit(pending, closed, options.lake, stream.commit, steps)
            pending, since_commit = [], 0
    return len(messages)


def _arrive(part: list[Message], rules: DecodeRules, shards: list[Shard], steps: Steps) -> None:
    with steps.of("decode, route, pack"):
        of_topic: dict[str, list[tuple[str, int, int, bytes | None]]] = defaultdict(list)
        for offset, (topic, _, value, _) in enumerate(part):
            of_topic[topic].append((topic, 0, offset, value))
        tables: dict[Kind, pa.Table] = {}
        for sent in of_topic.values():
            tables |= decode_messages(sent, rules)[0]
        points = tables.pop(Kind.SERVICE_POINTS, None)
        for shard, pack in packs_by_shard(tables, rules.shards).items():
            shards[shard].arrived.add(pack)
        if points is not None:
            for number, rows in points_by_shard(points.slice(0, 0), points, rules.shards).items():
                shards[number].arrived.add(pack_records({Kind.SERVICE_POINTS: rows}))


def _commit(
    pending: list[bytes], closed: dict[int, int], lake: Path, rules: CommitRules, steps: Steps
) -> None:
    with steps.of("unpack for the commit"):
        outputs = [unpack_output(blob) for blob in pending]
    for output in outputs:
        if isinstance(output, ShardFlush):
            closed[output.shard] = max(output.last_closed, closed.get(output.shard, -1))
    with steps.of("commit: raw, rows, bills"):
        commit_outputs(Lake.open(lake), outputs, closed, rules)


def main() -> None:
    """Feed, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--meters", type=int, default=6000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--form", choices=("blocks", "rows"), default="blocks")
    parser.add_argument("--bundle", type=int, default=10_000)
    parser.add_argument("--flush", type=int, default=60_000)
    parser.add_argument("--commit", type=int, default=90_000)
    parser.add_argument("--profile", type=Path)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stream-steps-"))
    options = StreamOptions(folder / "lake", timezone=ZONE, tariffs=SAMPLE)
    feed = replace(BenchFeed(given.meters, 20_500, given.days), form=given.form)
    if given.profile is not None:
        given.profile.mkdir(parents=True, exist_ok=True)
    steps = Steps(given.profile is not None)
    messages = run(feed, options, steps, given.bundle, given.flush, given.commit)
    print(f"{messages:,} messages of {given.meters:,} meters, {given.days} days, {options.shards} shards")
    steps.show(messages, given.profile)


if __name__ == "__main__":
    main()
