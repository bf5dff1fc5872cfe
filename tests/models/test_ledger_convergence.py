"""Whatever the disorder, a ledger ends where a backfill of the same records ends, and does no more work."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.assemble import Name, ShardInputs
from models.calendar import local_day, local_midnight
from models.dirty import Days, DirtyDays, merge
from models.ledger import Flushed, LedgerRules, LedgerState, ShardLedger
from models.ledger_seed import seeded_ledger
from models.shard_scope import Scope, mark_everything
from schemas.records import Kind
from tests.models.ledger_keeper import PACK, PRICES, TABLES, Keeper, computed, spread
from tests.models.ledger_worlds import FIRST, ZONE, Record, World, tables, world

DISORDERS = 240
NIGHTLY = 1_000
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
many = settings(
    max_examples=NIGHTLY if PROFILE.max_examples >= NIGHTLY else DISORDERS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def rules(hot_days: int) -> LedgerRules:
    """Of the tests."""
    return LedgerRules(ZONE, PACK, lambda tariffs, events: PRICES, hot_days=hot_days, cells=1 << 16)


def give(ledger: ShardLedger, records: Sequence[Record]) -> None:
    """Hand over a batch."""
    for kind, rows in tables(list(records)).items():
        ledger.take(kind, rows)


def _blocks(made: World) -> list[Record]:
    return [record for record in made.records if record[0] is Kind.INTERVALS]


def _end(block: dict[str, Any]) -> int:
    return int(block["start"] + len(block["values_int"]) * block["interval_s"])


def _day(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def play(seed: int, made: World, hot_days: int) -> tuple[Keeper, list[Flushed]]:
    """Send the records in any order, many twice, in any batches, between closes in their order."""
    chance = random.Random(seed)
    sent = [*made.records, *chance.sample(made.records, len(made.records) // 3)]
    if chance.random() < 0.5:  # mostly in time, some far too late
        sent.sort(key=lambda record: record[1]["received_at"] * chance.choice((1, 1, 1, 1.0002)))
    else:
        chance.shuffle(sent)
    days = list(range(FIRST, made.last_day + 1))
    ledger, keeper, flushes, late = ShardLedger(rules(hot_days)), Keeper(), [], Scope()
    while sent or days or ledger.restless:
        step = chance.random()
        if sent and step < 0.5:
            batch = chance.randint(1, 12)
            give(ledger, sent[:batch])
            del sent[:batch]
        elif days and step < 0.75:
            closed = days[: chance.choice((1, 1, 2, 5))]
            del days[: len(closed)]
            ledger.close(closed[-1])
        elif ledger.restless:
            flushed = ledger.flush()
            flushes.append(flushed)
            keeper.take(flushed)
            for name, ranges in flushed.beyond.items():
                late[name] = merge([*late.get(name, []), *ranges])
    scope = spread(made.records, made.last_day, {name: late[name] for name in sorted(late)})
    if scope:  # the batch run beside the stream
        keeper.replace(scope, computed(made.records, made.last_day, scope), FIRST - 400)
    return keeper, flushes


def whole(made: World) -> dict[str, list[dict[str, Any]]]:
    """Rows of one backfill of everything."""
    results = computed(made.records, made.last_day)
    return {name: sorted(getattr(results, name).to_pylist(), key=repr) for name in TABLES}


@given(seed=st.integers(0, 2**32), days=st.integers(4, 12), hot_days=st.sampled_from((35, 35, 1, 3)))
@example(seed=293, days=12, hot_days=35)
@many
def test_any_disorder_ends_in_the_rows_of_the_backfill(seed: int, days: int, hot_days: int) -> None:
    """Shuffled, repeated, delayed, in any batches and between any closes: equal tables, bit for bit."""
    made = world(random.Random(seed), days=days)
    expected = whole(made)
    keeper, _ = play(seed + 1, made, hot_days)
    for name in TABLES:
        found = sorted(keeper.rows[name].values(), key=repr)
        assert found == expected[name], name


@given(seed=st.integers(0, 2**32), days=st.integers(45, 75), hot_days=st.sampled_from((1, 3, 10)))
@settings(many, max_examples=many.max_examples // 10)
def test_what_falls_behind_the_horizon_ends_there_too(seed: int, days: int, hot_days: int) -> None:
    """Days that late records reach after the ledger forgot them are handed on, and end equal all the same."""
    made = world(random.Random(seed), days=days, meters=1)
    expected = whole(made)
    keeper, _ = play(seed + 1, made, hot_days)
    for name in TABLES:
        found = sorted(keeper.rows[name].values(), key=repr)
        assert found == expected[name], name


def check_daily_closes(ledger: ShardLedger, seed: int) -> None:
    """Readings in time: each close yields the rows of its day, and computes that day and the one before."""
    made = world(random.Random(seed), days=40, meters=1)
    keeper = Keeper()
    give(ledger, [record for record in made.records if record[0] is Kind.SERVICE_POINTS])
    blocks = sorted(_blocks(made), key=lambda record: record[1]["start"])
    for day in range(FIRST, made.last_day + 1):
        end = local_midnight(ZONE, day + 1)
        give(ledger, [record for record in blocks if record[1]["start"] < end])
        blocks = [record for record in blocks if record[1]["start"] >= end]
        ledger.close(day)
        flushed = ledger.flush()
        keeper.take(flushed)
        rows = flushed.results.days.filter(~pc.field("withdrawn")).to_pylist()
        due = {name for name, (first, last) in flushed.ranges.items() if first <= day <= last}
        assert due == {(r["meter_id"], r["channel"]) for r in rows if _day(r["local_day"]) == day}
        ranged = {name: days for name, days in flushed.scope.items() if name in due}
        assert all(days[0][0] >= day - 1 or day == FIRST for days in ranged.values())
    assert sum(len(rows) for rows in keeper.rows.values()) >= 20


def check_one_late_reading(ledger: ShardLedger) -> None:
    """A correction of day x asks for x − 1 … x + 35 and the read intervals they touch, nothing else."""
    made = world(random.Random(11), days=70, meters=2)
    records = [record for record in made.records if record[0] is not Kind.REGISTERS]
    give(ledger, records)
    ledger.close(made.last_day)
    ledger.flush()
    before = local_midnight(ZONE, FIRST + 20)
    row = max((r for _, r in _blocks(made) if r["start"] < before), key=lambda r: r["start"])
    corrected = {"received_at": row["received_at"] + 10**13, "values_int": [v + 1 for v in row["values_int"]]}
    give(ledger, [(Kind.INTERVALS, {**row, **corrected})])
    flushed = ledger.flush()
    x = local_day(ZONE, row["start"])
    assert set(flushed.scope) == {name for name in flushed.ranges if name[0] == row["meter_id"]}
    assert all(days == [(x - 1, x + 35)] for days in flushed.scope.values())
    assert not flushed.beyond


@pytest.mark.parametrize("seed", range(6))
def test_a_day_comes_out_with_the_flush_after_its_close(seed: int) -> None:
    """Its first rows, and no work but for that day and the one before."""
    check_daily_closes(ShardLedger(rules(35)), seed)


def test_one_late_reading_computes_only_what_it_reaches() -> None:
    """The closure of one changed day, on one meter."""
    check_one_late_reading(ShardLedger(rules(60)))


class ComputesEverything(ShardLedger):
    """Ends where a backfill ends, by computing every day again with each flush."""

    def _dirty(self, inputs: ShardInputs, ranges: dict[Name, Days], former: dict[Name, Days]) -> Scope:
        dirty = DirtyDays()
        mark_everything(dirty, inputs, ranges)
        return dirty.merged()


class ComputesAtTheEnd(ShardLedger):
    """Ends where a backfill ends, by storing everything until the last day has closed."""

    def close(self, through: int) -> None:
        if through >= FIRST + 39:
            super().close(through)


@pytest.mark.parametrize("ledger", [ComputesEverything, ComputesAtTheEnd])
def test_a_ledger_that_is_not_incremental_is_found_out(ledger: type[ShardLedger]) -> None:
    """The checks above fail for it, although its rows would be right in the end."""
    with pytest.raises(AssertionError):
        check_daily_closes(ledger(rules(35)), 1)


def test_a_ledger_that_computes_too_much_after_a_late_reading_is_found_out() -> None:
    """Every day of the shard again is more than the closure."""
    with pytest.raises(AssertionError):
        check_one_late_reading(ComputesEverything(rules(60)))


def test_exact_repeats_compute_nothing() -> None:
    """The same records again, in another order: no day is computed, and nothing is kept twice."""
    made = world(random.Random(5), days=10)
    ledger = ShardLedger(rules(35))
    give(ledger, made.records)
    ledger.close(made.last_day)
    first = ledger.flush()
    held = {kind: table.num_rows for kind, table in ledger.state.raw.items()}
    give(ledger, made.records[::-1])
    again = ledger.flush()
    assert first.results.days.num_rows > 10
    assert not again.scope
    assert not any(rows.num_rows for rows in again.kept.values())
    assert again.results.days.filter(~pc.field("withdrawn")).num_rows == 0
    assert {kind: table.num_rows for kind, table in ledger.state.raw.items()} == held


@pytest.mark.parametrize(("seed", "hot_days"), [(0, 35), (1, 35), (2, 3), (3, 3)])
def test_a_ledger_goes_on_from_what_a_backfill_has_computed(seed: int, hot_days: int) -> None:
    """Seeded with the records and rows of a backfill, then the rest in disorder: equal tables."""
    chance = random.Random(seed)
    made = world(chance, days=60, meters=2)
    sent = chance.sample(made.records, len(made.records))
    first, rest = sent[: len(sent) * 2 // 3], sent[len(sent) * 2 // 3 :]
    closed = made.last_day - 12
    keeper, late = Keeper(), Scope()
    keeper.begin(computed(first, closed))
    kept, index = seeded_ledger(tables(first), closed, rules(hot_days))
    ledger = ShardLedger(rules(hot_days), LedgerState.rebuilt(kept, index, rules(hot_days)))
    for day in range(closed + 1, made.last_day + 1, 4):
        share = len(rest) * 4 // max(made.last_day + 1 - day, 4)
        give(ledger, rest[:share])
        del rest[:share]
        ledger.close(min(day + 3, made.last_day))
        flushed = ledger.flush()
        keeper.take(flushed)
        for name, ranges in flushed.beyond.items():
            late[name] = merge([*late.get(name, []), *ranges])
    assert not rest
    if late:
        keeper.replace(late, computed(made.records, made.last_day, late), FIRST - 400)
    expected = whole(made)
    for table in TABLES:
        assert sorted(keeper.rows[table].values(), key=repr) == expected[table], table


def test_state_stays_as_large_as_its_horizon() -> None:
    """What lies behind the horizon is forgotten: rows held do not grow with uptime."""
    made = world(random.Random(8), days=120, meters=1)
    ledger = ShardLedger(rules(5))
    blocks = sorted(_blocks(made), key=lambda record: record[1]["start"])
    for day in range(FIRST, made.last_day + 1):
        end = local_midnight(ZONE, day + 1)
        give(ledger, [record for record in blocks if day == local_day(ZONE, record[1]["start"])])
        ledger.close(day)
        ledger.flush()
        since = local_midnight(ZONE, day - 5 - 36 + 1)
        inside = [
            r
            for _, r in blocks
            if r["start"] < end and since < r["start"] + len(r["values_int"]) * r["interval_s"]
        ]
        assert ledger.state.raw[Kind.INTERVALS].num_rows == len(inside)
    assert len(inside) < len(blocks) / 2


@pytest.mark.parametrize("seed", range(3))
def test_a_ledger_goes_on_from_what_it_kept(seed: int) -> None:
    """State rebuilt after each flush from the kept rows still inside the horizon and the small fields."""
    made = world(random.Random(seed), days=60, meters=2)
    expected = whole(made)
    chance = random.Random(seed)
    sent = sorted(made.records, key=lambda record: record[1]["received_at"] * chance.choice((1, 1, 1.0001)))
    keeper, ledger, late = Keeper(), ShardLedger(rules(3)), Scope()
    kept: dict[Kind, list[pa.Table]] = {}
    for day in range(FIRST, made.last_day + 1):
        share = len(sent) // (made.last_day - day + 1)
        give(ledger, sent[:share])
        del sent[:share]
        ledger.close(day)
        flushed = ledger.flush()
        keeper.take(flushed)
        for name, ranges in flushed.beyond.items():
            late[name] = merge([*late.get(name, []), *ranges])
        for kind, rows in flushed.kept.items():
            kept.setdefault(kind, []).append(rows)
        tables_now = {kind: pa.concat_tables(parts) for kind, parts in kept.items()}
        ledger = ShardLedger(rules(3), LedgerState.rebuilt(tables_now, ledger.state.index, rules(3)))
    assert not sent
    keeper.replace(late, computed(made.records, made.last_day, late), FIRST - 400)
    for table in TABLES:
        assert sorted(keeper.rows[table].values(), key=repr) == expected[table], table
