"""The stateful step closes days on time, flushes late data, and hands on what lies behind the horizon."""

from __future__ import annotations

import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from models.calendar import day_date, local_midnight
from models.dirty import merge
from models.shard_scope import Scope
from schemas.records import Kind
from tests.models.ledger_keeper import TABLES, Keeper, computed
from tests.models.ledger_worlds import FIRST, ZONE, Record, World, world
from tests.transforms.ledger_stream import TIMES, Timeline
from transforms.flush_pack import ShardFlush, ends_backlog, unpack_output

GRACE = TIMES.grace_s


def midnight(day: int) -> int:
    """UTC second at which a day of the world begins, counted from its first."""
    return local_midnight(ZONE, FIRST + day)


def made(seed: int, days: int, meters: int = 1) -> World:
    """A world without master data, so that each meter has a row a day."""
    found = world(random.Random(seed), days=days, meters=meters)
    kept = [record for record in found.records if record[0] is Kind.INTERVALS]
    return World(kept, found.last_day, found.meters)


def of_day(records: list[Record], day: int) -> list[Record]:
    """Blocks that begin on a day."""
    return [r for r in records if midnight(day) <= r[1]["start"] < midnight(day + 1)]


def days_of(flush: ShardFlush) -> set[int]:
    """Days, counted from the world's first, that have a row."""
    rows = flush.days.filter(~pc.field("withdrawn"))
    return {(day - day_date(FIRST)).days for day in rows["local_day"].to_pylist()}


def drained(flush: ShardFlush) -> bool:
    """Whether it is the one that a drain asked for."""
    return Kind.DRAINS in flush.records


def test_a_day_closes_when_the_watermark_passes_its_end_and_grace() -> None:
    """Not a second earlier, and its rows come out with the flush that follows."""
    blocks = made(7, 6).records
    line = Timeline().watermark(midnight(0))
    for day in range(3):
        line.send(of_day(blocks, day), midnight(day + 1) - 60)
    line.watermark(midnight(1) + GRACE - 1)
    line.watermark(midnight(1) + GRACE).watermark(midnight(2) + GRACE)
    flushes = [flush for flush in line.end(FIRST + 1).run() if not drained(flush)]
    closed = [flush.last_closed - FIRST for flush in flushes]
    assert closed[-2:] == [0, 1]
    assert max(closed[:-2]) < 0
    assert all(not days_of(flush) for flush in flushes[:-2])
    assert days_of(flushes[-2]) == {0}
    assert max(days_of(flushes[-1])) == 1


def test_days_long_ago_close_several_at_a_time() -> None:
    """All of them, each by the first timer that is set at or behind it."""
    blocks = made(7, 12).records
    line = Timeline().watermark(midnight(0)).send(blocks, midnight(1))
    for day in range(1, 13):
        line.watermark(midnight(day) + GRACE)
    flushes = line.end(FIRST + 11).run(times=replace(TIMES, step_days=4))
    closed = [flush.last_closed for flush in flushes if not drained(flush) and flush.last_closed >= FIRST]
    assert closed == [day for day in range(FIRST, FIRST + 12) if day % 4 == 0]
    assert set().union(*map(days_of, flushes)) == set(range(12))


def test_late_data_come_out_with_the_next_flush() -> None:
    """A block of a closed day is computed within the time of a flush, with the days it reaches."""
    blocks = made(3, 8).records
    late, rest = of_day(blocks, 2)[:1], [b for b in blocks if b not in of_day(blocks, 2)[:1]]
    line = Timeline().watermark(midnight(0)).send(rest, midnight(1))
    line.watermark(midnight(8) + GRACE)
    line.send(late, midnight(8) + GRACE + 5).end(FIRST + 7)
    before, flush = [flush for flush in line.run() if not drained(flush)][-2:]
    assert max(days_of(before)) == 7
    assert flush.scope == {name: [(FIRST + 1, FIRST + 7)] for name in flush.scope}
    assert flush.records[Kind.INTERVALS].num_rows == 1
    assert days_of(flush) == set(range(1, 8))


def test_what_is_behind_the_horizon_is_handed_on() -> None:
    """A reading of a forgotten day yields no row; its records and its days leave for the backfill."""
    blocks = made(2, 60).records
    name = blocks[0][1]["meter_id"], blocks[0][1]["channel"]
    line = Timeline().watermark(midnight(0)).send(blocks, midnight(1))
    line.watermark(midnight(60) + GRACE)
    late = [
        (kind, {**row, "received_at": row["received_at"] + 10**13}) for kind, row in of_day(blocks, 2)[:1]
    ]
    line.send(late, midnight(60) + GRACE + 5).end(FIRST + 59)
    flush = [flush for flush in line.run(hot_days=3) if not drained(flush)][-1]
    assert flush.records[Kind.INTERVALS].num_rows == 1
    x = FIRST + 2
    assert flush.beyond[name] == [(x - 1, x + 35)]
    assert not flush.scope


def disordered(seed: int, hot_days: int) -> tuple[list[ShardFlush], World]:
    """A world sent in disorder with repeats, between closes and flushes, then a drain."""
    chance = random.Random(seed)
    sent_world = world(chance, days=46, meters=1)
    sent = [*sent_world.records, *chance.sample(sent_world.records, len(sent_world.records) // 4)]
    sent.sort(key=lambda record: record[1]["received_at"] * chance.choice((1, 1, 1, 1.0002)))
    line = Timeline().watermark(midnight(0) - 86_400)
    days = sent_world.last_day - FIRST + 1
    for day in range(days):
        share = len(sent) // (days - day)
        line.send(sent[:share], midnight(day) + 5) if share else None
        del sent[:share]
        line.watermark(midnight(day + 1) + GRACE)
    return line.end(sent_world.last_day).run(hot_days=hot_days), sent_world


@pytest.mark.parametrize(("seed", "hot_days"), [(0, 35), (1, 2), (2, 2)])
def test_any_disorder_ends_in_the_rows_of_the_backfill(seed: int, hot_days: int) -> None:
    """Through bags, cells and timers: after a drain the current rows are the backfill's, bit for bit."""
    flushes, sent = disordered(seed, hot_days)
    keeper, late = Keeper(), Scope()
    for flush in flushes:
        keeper.replace(flush.scope, flush, flush.whole_since)
        for series, days in flush.beyond.items():
            late[series] = merge([*late.get(series, []), *days])
    assert drained(flushes[-1])
    assert flushes[-1].last_closed == sent.last_day
    if late:
        keeper.replace(late, computed(sent.records, sent.last_day, late), FIRST - 400)
    expected = computed(sent.records, sent.last_day)
    for name in TABLES:
        rows = sorted(getattr(expected, name).to_pylist(), key=repr)
        assert sorted(keeper.rows[name].values(), key=repr) == rows, name


def test_what_comes_within_a_flush_is_flushed_together() -> None:
    """Two packs and a close before the timer fires give one flush."""
    blocks = made(2, 4).records
    line = Timeline(-3600).watermark(midnight(0))
    line.send(blocks[:2], midnight(1)).send(blocks[2:], midnight(1)).watermark(midnight(1) + GRACE)
    flushes = line.wait(7200).end(FIRST).run()
    arrived = [flush.records.get(Kind.INTERVALS, pa.table({})).num_rows for flush in flushes]
    assert arrived == [len(blocks), 0]
    assert [flush.last_closed for flush in flushes] == [FIRST, FIRST]


def test_the_last_day_that_can_have_closed_ends_a_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three days close and more will come; the next three are the last that the clock allows."""
    now = midnight(6) + GRACE + 600
    monkeypatch.setattr("transforms.keep_ledgers.time.time", lambda: float(now))
    blocks = made(7, 6).records
    line = Timeline().watermark(midnight(0))
    for day in range(6):
        line.send(of_day(blocks, day), midnight(day + 1) - 60)
    line.watermark(midnight(3) + GRACE).watermark(now)
    told = [(unpack_output(blob), ends_backlog(blob)) for blob in line.end(FIRST + 5).packed()]
    closed = [
        (f.last_closed - FIRST, ends) for f, ends in told if isinstance(f, ShardFlush) and not drained(f)
    ]
    assert [each for each in closed if each[0] >= 0] == [(2, False), (5, True)]
