"""Bills of a stream: whatever the order of all records, they end as the backfill's; changes reverse them."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from models.calendar import day_date
from models.ledger import HELD, LedgerRules, ShardLedger
from models.route import points_by_shard
from models.sharding import shard_of_id
from pipelines.backfill import BackfillOptions, dirty_backfill
from pipelines.store.lake import Lake
from pipelines.streaming.stream_bills import StreamPrices
from pipelines.streaming.stream_commit import CommitRules, commit_outputs
from schemas.arrow import RAW
from schemas.records import Kind
from schemas.rulebook import load_rule_book
from tests.models.ledger_worlds import FIRST, ZONE, Record, World, world
from tests.models.priced_worlds import priced
from tests.pipelines.stream_messages import message
from tests.pipelines.test_backfill_worlds import RECORD, as_sent, files
from tests.pipelines.towns import assert_equal, run, scalar
from transforms.flush_pack import ShardFlush, pack_flush, unpack_output
from transforms.message_pack import Message
from transforms.route_messages import DecodeRules, decode_messages, shard_records

SHARDS = 2
BOOK = load_rule_book("default")
RULES = LedgerRules(ZONE, BOOK, StreamPrices(None), cells=1 << 16)
SEEDS = range(int(os.environ.get("METERBEAM_WORLDS", "5")))
"""METERBEAM_WORLDS asks for more of them."""


class BareStream:
    """The ledgers of a stream and its committer, without a runner.

    Args:
        folder: Of the lake.
    """

    def __init__(self, folder: Path) -> None:
        self.lake = Lake.create(folder, timezone=ZONE, shards=SHARDS)
        self.rules = CommitRules(folder, BOOK, None, "test")
        self.ledgers = {n: ShardLedger(RULES, None, partial(_serves, n)) for n in range(SHARDS)}
        self.arrived: dict[int, dict[Kind, list[pa.Table]]] = {n: {} for n in range(SHARDS)}
        self.points = RAW[Kind.SERVICE_POINTS].empty_table()
        self.pending: list[ShardFlush] = []
        self.closed: dict[int, int] = {}
        self.flushes = 0

    def give(self, records: Sequence[Record]) -> None:
        """Hand a batch to the shards it concerns."""
        found = decoded(records)
        routed = shard_records(found, SHARDS)
        if Kind.SERVICE_POINTS in found:
            new = found[Kind.SERVICE_POINTS]
            for shard, rows in points_by_shard(self.points, new, SHARDS).items():
                routed.setdefault(shard, {})[Kind.SERVICE_POINTS] = rows
            self.points = pa.concat_tables([self.points, new])
        for shard, mine in routed.items():
            for kind, rows in mine.items():
                self.arrived[shard].setdefault(kind, []).append(rows)
                if kind in HELD:
                    self.ledgers[shard].take(kind, rows)

    def flush(self, shard: int) -> None:
        """What a shard's flush hands to the committer."""
        ledger = self.ledgers[shard]
        self.flushes += 1
        records = {kind: pa.concat_tables(rows) for kind, rows in self.arrived[shard].items()}
        output = unpack_output(pack_flush(shard, self.flushes, ledger.flush(), records))
        assert isinstance(output, ShardFlush)
        self.arrived[shard] = {}
        self.pending.append(output)
        self.closed[shard] = output.last_closed

    def commit(self) -> None:
        """Publish what was flushed."""
        commit_outputs(Lake.open(self.lake.path), self.pending, self.closed, self.rules)
        self.pending = []

    def close(self, day: int) -> None:
        """A day has closed on every shard."""
        for ledger in self.ledgers.values():
            ledger.close(day)


def decoded(records: Sequence[Record]) -> dict[Kind, pa.Table]:
    """Records as they come out of their messages."""
    by_topic: dict[str, list[Message]] = {}
    for number, (kind, row) in enumerate(records):
        one = message(RECORD[kind], as_sent(kind, row), number)
        by_topic.setdefault(one[0], []).append(one)
    rules = DecodeRules(ZONE, SHARDS)
    found: dict[Kind, pa.Table] = {}
    for messages in by_topic.values():
        good, letters = decode_messages(messages, rules)
        assert not letters.num_rows
        found |= good
    return found


def _serves(shard: int, meter: str) -> bool:
    return shard_of_id(meter, SHARDS) == shard


def play(stream: BareStream, made: World, chance: random.Random) -> None:
    """Send the records about in time or in any order, a quarter twice, between closes and commits."""
    sent = [*made.records, *chance.sample(made.records, len(made.records) // 4)]
    if chance.random() < 0.5:
        sent.sort(key=lambda record: (record[1]["received_at"] or 0) * chance.choice((1, 1, 1, 1.0002)))
    else:
        chance.shuffle(sent)
    days = list(range(FIRST, made.last_day + 1))
    while sent or days:
        size = max(len(sent) // max(len(days) // 6, 1), 1)
        stream.give(sent[:size])
        del sent[:size]
        closing = days[: chance.choice((1, 6, 9))]
        del days[: len(closing)]
        if closing:
            stream.close(closing[-1])
        for shard in chance.sample(range(SHARDS), chance.randint(1, SHARDS)):
            stream.flush(shard)
        if chance.random() < 0.7:
            stream.commit()
    for shard in range(SHARDS):
        stream.flush(shard)
    stream.commit()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_order_of_all_records_ends_in_the_bills_of_the_backfill(tmp_path: Path, seed: int) -> None:
    """Readings, registers, events, edits, moves, tariff versions, their corrections and event days; what came
    too late for the stream a backfill of the dirty days brings home.
    """
    chance = random.Random(seed)
    made = priced(chance, world(chance, days=chance.randint(50, 64), meters=2))
    stream = BareStream(tmp_path / "stream")
    play(stream, made, chance)
    inputs = files(tmp_path / "in", made.records)
    run(tmp_path / "backfill", *inputs, detect=False, through=day_date(made.last_day))
    if scalar(tmp_path / "stream", "SELECT count(*) FROM dirty_days"):
        settled = BackfillOptions(inputs=(), lake=tmp_path / "stream", workers=0, detect=False)
        dirty_backfill(settled)
    assert_equal(tmp_path / "backfill", tmp_path / "stream")


def test_a_late_correction_reverses_the_bill_and_a_repeat_does_not(tmp_path: Path) -> None:
    """One more kilowatt hour in a billed month: the bill is reversed, the next revision stands."""
    active, before = "SELECT count(*) FROM bills WHERE status = 'active'", 0
    for seed in range(20):  # the first world of which any bill is good
        chance = random.Random(seed)
        made = priced(chance, world(chance, days=64, meters=2))
        stream = BareStream(tmp_path / f"lake {seed}")
        stream.give(made.records)
        stream.close(made.last_day)
        _all(stream)
        before = scalar(stream.lake.path, active)
        if before:
            break
    assert before > 0
    stream.give(made.records[::3])
    _all(stream)
    assert scalar(stream.lake.path, "SELECT max(revision) FROM bills") == 1
    stream.give([_corrected(record) for record in made.records if _corrects(record)])
    _all(stream)
    assert scalar(stream.lake.path, active) == before
    assert scalar(stream.lake.path, "SELECT count(*) FROM bills WHERE status = 'reversed'") > 0
    assert scalar(stream.lake.path, "SELECT max(revision) FROM bills WHERE status = 'active'") == 2


def _all(stream: BareStream) -> None:
    for shard in range(SHARDS):
        stream.flush(shard)
    stream.commit()


def _corrects(record: Record) -> bool:
    return record[0] is Kind.INTERVALS and record[1]["channel"] == "import"


def _corrected(record: Record) -> Record:
    kind, row = record
    later = {"received_at": row["received_at"] + 10**13, "values_int": [v + 10 for v in row["values_int"]]}
    return kind, {**row, **later}
