"""Which shards a run works on, and how many of them at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from models.sharding import shard_of_id
from schemas.lake import DIRTY_DAYS
from schemas.records import SHARDED_KINDS, Kind
from transforms.raw_codec import raw_shards
from transforms.storage import place

if TYPE_CHECKING:
    from pipelines.batch.shard_job import ProcessJob
    from pipelines.store.lake import Lake

__all__ = ["ShardRange", "busy_shards", "linked_ranges", "shard_ranges"]


@dataclass(frozen=True)
class ShardRange:
    """Shards worked on together; results do not depend on which ones are.

    Linked meters are worked on apart, wherever they lie: where the first of a component does.

    Attributes:
        numbers: Their numbers, ascending.
        count: Shards of the lake.
        linked: Whether it is about the linked meters, or about the others.
    """

    numbers: tuple[int, ...]
    count: int
    linked: bool = False

    def serves(self, meter: str, linked: Mapping[str, str]) -> bool:
        """Whether a meter is worked on here.

        Args:
            meter: Its id.
            linked: The first meter of the component of each linked meter.
        """
        home = linked.get(meter)
        if (home is not None) != self.linked:
            return False
        return shard_of_id(home or meter, self.count) in self.numbers

    @property
    def name(self) -> str:
        """Names the parts that it writes."""
        return f"{'linked-' if self.linked else ''}{self.numbers[0]:04d}"


def shard_ranges(
    count: int, cells: int, at_once: int, workers: int, busy: Collection[int]
) -> list[ShardRange]:
    """Shards in ranges of about ``at_once`` cells, as even as can be, at least one range a worker.

    Args:
        count: Shards of the lake.
        cells: Size of the lake: its readings, and what rows take beside them.
        at_once: Cells a worker takes at once.
        workers: Number of processes.
        busy: Shards to work on; the others are in no range.
    """
    if not busy:
        return []
    numbers = sorted(busy)
    most = min(max(at_once * count // max(cells, 1), 1), -(-len(numbers) // max(workers, 1)))
    ranges = -(-len(numbers) // most)
    edges = [len(numbers) * number // ranges for number in range(ranges + 1)]
    return [ShardRange(tuple(numbers[low:high]), count) for low, high in pairwise(edges)]


def linked_ranges(
    linked: Mapping[str, str],
    meters: int,
    plain: Sequence[ShardRange],
    count: int,
    readings: int,
    at_once: int,
) -> list[ShardRange]:
    """Ranges for the linked meters that what is new can have changed.

    Args:
        linked: The first meter of the component of each linked meter.
        meters: Meters of the lake.
        plain: Ranges of the shards to work on: a component with a meter in one of them is worked on.
        count: Shards of the lake.
        readings: Readings of the lake.
        at_once: Readings a worker takes at once.
    """
    busy = {number for one in plain for number in one.numbers}
    homes = {shard_of_id(home, count) for meter, home in linked.items() if shard_of_id(meter, count) in busy}
    share = readings * len(linked) // max(meters, 1)
    return [replace(one, linked=True) for one in shard_ranges(count, share, at_once, 1, homes)]


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
    if job.everything or job.last_closed != job.former_closed:
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
            busy.update(raw_shards(place(job.lake) / "raw" / kind.value / name, kind))
    return busy | {shard_of_id(meter, lake.config.shards) for meter in meters}
