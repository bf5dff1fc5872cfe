"""Which shards a run works on, and how many of them at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from models.sharding import shard_of_id
from schemas.lake import DIRTY_DAYS
from schemas.records import SHARDED_KINDS, Kind
from transforms.raw_codec import raw_shards

if TYPE_CHECKING:
    from pipelines.batch.shard_job import ProcessJob
    from pipelines.store.lake import Lake

__all__ = ["ShardRange", "busy_shards", "shard_ranges"]


@dataclass(frozen=True)
class ShardRange:
    """Shards worked on together; results do not depend on which ones are.

    Attributes:
        numbers: Their numbers, ascending.
        count: Shards of the lake.
    """

    numbers: tuple[int, ...]
    count: int

    def __contains__(self, meter: str) -> bool:
        return shard_of_id(meter, self.count) in self.numbers

    @property
    def first(self) -> int:
        """The least of them: names the range."""
        return self.numbers[0]


def shard_ranges(
    count: int, readings: int, at_once: int, workers: int, busy: Collection[int]
) -> list[ShardRange]:
    """Shards in ranges of about ``at_once`` readings, as even as can be, at least one range a worker.

    Args:
        count: Shards of the lake.
        readings: Readings of the lake.
        at_once: Readings a worker takes at once.
        workers: Number of processes.
        busy: Shards to work on; the others are in no range.
    """
    if not busy:
        return []
    numbers = sorted(busy)
    most = min(max(at_once * count // max(readings, 1), 1), -(-len(numbers) // max(workers, 1)))
    ranges = -(-len(numbers) // most)
    edges = [len(numbers) * number // ranges for number in range(ranges + 1)]
    return [ShardRange(tuple(numbers[low:high]), count) for low, high in pairwise(edges)]


def busy_shards(
    job: ProcessJob, lake: Lake, touched: Collection[str], *, first_master: bool
) -> Collection[int]:
    """Shards that what is new since the last run can have changed.

    All of them where rules, tariffs or the last closed day changed, or a record came that belongs to no
    meter; prices move bills only, and those are no shard's work. Otherwise those of fresh readings, reads
    and events, of meters whose master data came, and of dirty days.

    Args:
        job: The run's work.
        lake: As the last run left it.
        touched: Meters whose master data came with this run.
        first_master: Whether these are the lake's first service points.
    """
    everyone = range(lake.config.shards)
    fresh = {kind: [name for name, new in names if new] for kind, names in job.raw.items()}
    few = {*SHARDED_KINDS, Kind.SERVICE_POINTS, Kind.PRICES}
    if job.everything or job.former_book is not None or job.last_closed != job.former_closed:
        return everyone
    if any(names for kind, names in fresh.items() if kind not in few):
        return everyone
    busy: set[int] = set()
    if fresh.get(Kind.SERVICE_POINTS) and first_master:
        return everyone
    dirty = lake.table(DIRTY_DAYS.name, ["meter_id"])["meter_id"].to_pylist()
    meters = {meter for meter in (*touched, *dirty) if meter}
    for kind in SHARDED_KINDS:
        for name in fresh.get(kind, ()):
            busy.update(raw_shards(Path(job.lake) / "raw" / kind.value / name, kind))
    return busy | {shard_of_id(meter, lake.config.shards) for meter in meters}
