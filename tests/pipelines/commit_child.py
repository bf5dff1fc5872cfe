"""A process that makes commits of a stream and is killed while it does; orders as in ``lake_child``.

The first commit of a lake publishes the first half of a world's flushes, every later one the second half: as
a stream that comes up again after a kill repeats what it had pending.
"""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from models.ledger import LedgerRules, ShardLedger
from pipelines.store.lake import Lake
from pipelines.streaming.stream_commit import CommitRules, commit_outputs
from tests.models.ledger_keeper import BOOK, PRICES
from tests.models.ledger_worlds import FIRST, ZONE, World, tables, world
from tests.pipelines import lake_child
from transforms.flush_pack import ShardFlush, pack_flush, unpack_output

__all__ = ["commit_half", "flushes_of", "packed_flushes"]

RULES = LedgerRules(ZONE, BOOK, lambda tariffs, events: PRICES, hot_days=3, cells=1 << 16)


def flushes_of(made: World, chance: random.Random) -> list[ShardFlush]:
    """A world in disorder through one ledger: its flushes."""
    outputs = map(unpack_output, packed_flushes(made, chance))
    return [output for output in outputs if isinstance(output, ShardFlush)]


def packed_flushes(made: World, chance: random.Random) -> list[bytes]:
    """The same as the committer gets them."""
    sent = [*made.records, *chance.sample(made.records, len(made.records) // 4)]
    sent.sort(key=lambda record: record[1]["received_at"] * chance.choice((1, 1, 1.0002)))
    ledger = ShardLedger(RULES)
    found: list[bytes] = []
    for day in range(FIRST, made.last_day + 1, 4):
        share = len(sent) * 4 // max(made.last_day + 1 - day, 4)
        batch = tables(sent[:share])
        del sent[:share]
        for kind, rows in batch.items():
            ledger.take(kind, rows)
        ledger.close(min(day + 3, made.last_day))
        found.append(pack_flush(0, len(found) + 1, ledger.flush(), batch))
    return found


@cache
def _halves() -> tuple[list[ShardFlush], list[ShardFlush]]:
    chance = random.Random(6)
    found = flushes_of(world(chance, days=24, meters=2), chance)
    return found[: len(found) // 2], found[len(found) // 2 :]


def commit_half(folder: Path) -> None:
    """The next commit of a lake."""
    lake = Lake.open(folder)
    flushes = _halves()[min(lake.runs().num_rows, 1)]
    rules = CommitRules(lake.path, BOOK, None, "test")
    commit_outputs(lake, flushes, {0: flushes[-1].last_closed}, rules)


if __name__ == "__main__":
    _halves()
    lake_child.main(commit_half)
