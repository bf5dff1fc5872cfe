"""What a running stream says of itself: how far it is, how fast, what came late, what could not be used."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.cluster.flink_rest import FlinkRest
from pipelines.console import note
from pipelines.store.lake import Lake
from pipelines.streaming.kafka_cluster import Partitions, known_topics, partitions_of, wake
from pipelines.streaming.kafka_topics import CLOCK_TOPICS
from schemas.errors import MeterbeamError
from transforms.route_messages import OFFSET

__all__ = ["ENDED", "StreamStatus", "lag_of", "lake_totals", "silent_partitions"]

ENDED = ("FAILED", "FINISHED", "CANCELED")


@dataclass
class StreamStatus:
    """The status lines of a job. Flink counts from the last (re)start of a step.

    Attributes:
        lake: Folder of the lake.
        rest: The cluster.
        job: Id of the job.
        kafka: Brokers.
        settings: More settings of Kafka clients.
        last: Moment and messages read at the last line.
        wakes: Whether partitions that hold nothing are woken (``schemas.writers.WAKE``), or only named.
    """

    lake: Path
    rest: FlinkRest
    job: str
    kafka: str
    settings: Mapping[str, str] = field(repr=False)
    wakes: bool = True
    last: tuple[float, float] = (0.0, 0.0)
    _told: set[tuple[str, int]] = field(default_factory=set)

    def show(self) -> None:
        """Print one line to stderr.

        Raises:
            MeterbeamError: The job has failed.
        """
        figures = self.rest.figures(self.job)
        if figures.state in ENDED:
            raise MeterbeamError(
                f"job {self.job}", f"{figures.state}: {self.rest.failure(self.job)}", "RUNNING"
            )
        read, rows, late = (self._sum(name) for name in ("messages-in", "rows-taken", "rows-late"))
        now = time.monotonic()
        before, last_read = self.last
        rate = (read - last_read) / (now - before) if before else 0.0
        self.last = now, read
        totals = lake_totals(Lake.open(self.lake))
        mark = "none yet" if figures.watermark is None else _moment(figures.watermark)
        size = 0 if figures.checkpoint is None else figures.checkpoint.size
        note(
            f"{_moment(time.time() * 1000)} {figures.state} watermark {mark} closed {totals['last_closed']} "
            f"read {read:,.0f} since the start ({max(rate, 0):,.0f}/s) lag {self._lag()} "
            f"late {100 * late / max(rows, 1):.1f} % "
            f"dead letters {totals['dead_letters']:,} days {totals['days_written']:,} "
            f"bills {totals['bills_written']:,} state {size / 1e6:.1f} MB restarts {figures.restarts}"
        )

    def _sum(self, name: str) -> float:
        return sum(self.rest.metric(self.job, name).values())

    def _lag(self) -> str:
        """Messages not decoded yet; what there is instead while no broker answers."""
        read = self.rest.gauges(self.job, OFFSET)
        try:
            there = partitions_of(self.kafka, self.settings, known_topics(self.kafka, self.settings))
        except MeterbeamError as error:
            return f"unknown ({error.where}: {error.found})"
        self._wake(silent_partitions(there) - self._told)
        return f"{lag_of(there, read):,}"

    def _wake(self, silent: set[tuple[str, int]]) -> None:
        """Wake partitions, or name them; once each."""
        self._told |= silent
        if not silent:
            return
        names = ", ".join(f"partition {number} of {topic}" for topic, number in sorted(silent))
        held = "without a message there, no day closes"
        try:
            if self.wakes:
                wake(self.kafka, self.settings, sorted(silent))
        except MeterbeamError as error:
            held = f"{held}, and none could be written ({error.found})"
        else:
            held = "woken by a message that says nothing" if self.wakes else held
        note(f"{names}: holds nothing; {held}")


def lag_of(there: Partitions, read: Mapping[str, float]) -> int:
    """Messages in the partitions that were not decoded yet.

    Args:
        there: What the partitions hold.
        read: Last offset decoded since the job's start, by ``topic-partition``. A partition without any
            counts as read, for a resumed job finds nothing new in many; before the first of all, all counts.
    """
    if not read:
        return sum(end - first for first, end in there.values())
    ends = {f"{topic}-{partition}": end for (topic, partition), (_, end) in there.items()}
    return sum(max(ends.get(name, 0) - int(offset) - 1, 0) for name, offset in read.items())


def silent_partitions(there: Partitions) -> set[tuple[str, int]]:
    """Partitions that hold no message among those that move the watermark, where others hold some.

    Kafka's reader lets a partition follow the clock only once it has read something there.
    """
    clocks = {place: end - first for place, (first, end) in there.items() if place[0] in CLOCK_TOPICS}
    return {place for place, held in clocks.items() if not held} if any(clocks.values()) else set()


def lake_totals(lake: Lake) -> dict[str, Any]:
    """Counts of all runs of a lake."""
    runs = lake.runs().to_pylist()
    counts = [json.loads(row["counts"]) for row in runs]
    names = ("records", "days_written", "bills_written", "dead_letters")
    closed = runs[-1]["last_closed"] if runs else None
    return {
        "runs": len(runs),
        "last_closed": "none" if closed is None else closed.isoformat(),
        **{name: sum(count.get(name, 0) for count in counts) for name in names},
    }


def _moment(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
