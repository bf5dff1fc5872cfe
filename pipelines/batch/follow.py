"""Follow mode: what arrives becomes runs of the lake, round by round, until it is told to stop.

A round is a run like any other: everything that arrived, what it changes, and how far the source was read
become visible together or not at all. So a kill at any moment loses nothing and repeats nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, Protocol

from pipelines.backfill import BackfillOptions, field_mapping, open_lake, run_once
from pipelines.batch.detect_run import detect_lake
from pipelines.batch.folder_source import FolderSource
from pipelines.batch.ingest_pass import Arrivals
from pipelines.batch.kafka_address import KafkaAddress
from pipelines.batch.kafka_reader import KafkaReader
from pipelines.batch.kafka_source import KafkaSource
from pipelines.batch.landing import landed_files
from pipelines.batch.workers import Workers, workers
from pipelines.console import note
from pipelines.downstream.targets import Push, Pushes
from pipelines.store.lake import Lake
from pipelines.store.lock import LakeBusyError
from schemas.errors import MeterbeamError
from schemas.rulepack import load_rule_pack
from schemas.writers import WriterSchemas

__all__ = [
    "Clock",
    "FollowOptions",
    "Source",
    "Stop",
    "follow",
    "follow_folders",
    "follow_kafka",
    "stopped_by_signals",
]

SLICE = 0.2
"""Longest time that a request to stop goes unnoticed while waiting. [s]"""
COUNTED = (
    "files",
    "readings_in",
    "new",
    "exact_repeats",
    "dead",
    "dead_letters",
    "days_written",
    "bills_written",
)
"""Figures of a run's summary that are added up."""


@dataclass(frozen=True)
class FollowOptions:
    """How a source is followed.

    Attributes:
        every: Time between two looks at the source. [s]
        detect_every: Least time between two detect runs. [s]
        once: Stop when everything that has arrived is in.
        push: Stores to bring up to date after each round.
    """

    every: float = 10.0
    detect_every: float = 86_400.0
    once: bool = False
    push: Sequence[Push] = ()


class Source(Protocol):
    """Where records come from."""

    def arrivals(self, lake: Lake, now: float) -> Arrivals | None:
        """What has arrived and is in no run yet; None where there is nothing."""

    def published(self, arrivals: Arrivals) -> None:
        """These are in a run now."""

    def changed(self, arrivals: Arrivals) -> bool:
        """Whether what was to be taken in changed meanwhile, so that it is worth another look."""

    def lag(self, arrivals: Arrivals) -> str:
        """How far behind the source a round is, as text."""

    @property
    def waiting(self) -> bool:
        """Whether something is there that is not ready yet."""

    @property
    def patience(self) -> float:
        """How many seconds to wait before another look at what is not ready yet."""


class Stop:
    """A request to stop."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self) -> None:
        """Stop at the end of the round."""
        self.asked = True


@dataclass(frozen=True)
class Clock:
    """Time, as tests replace it.

    Attributes:
        now: Seconds that never go back.
        sleep: Wait for some seconds.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait(self, seconds: float, stop: Stop) -> None:
        """Wait, but no longer than until a stop is asked for."""
        end = self.now() + seconds
        while not stop.asked and (left := end - self.now()) > 0:
            self.sleep(min(left, SLICE))


@dataclass
class _Account:
    """What all rounds did together."""

    rounds: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))

    def add(self, summary: dict[str, Any]) -> None:
        self.rounds += 1
        self.last = summary
        for name in COUNTED:
            self.counts[name] += summary[name]


@dataclass
class _Follower:
    """The loop's parts that stay the same from round to round."""

    source: Source
    lake: Lake
    pool: Workers
    options: BackfillOptions
    how: FollowOptions
    clock: Clock
    account: _Account = field(default_factory=_Account)
    detected: float | None = None
    owed: bool = False
    again: bool = False

    def round(self) -> bool:
        """Take in what is there; whether a run took something in. ``again`` says that one could not."""
        began = self.clock.now()
        self.again = False
        self.lake.refresh()
        arrivals = self.source.arrivals(self.lake, began)
        if arrivals is None:
            if self._due(began):
                self.detect(began)
            return False
        detect = self.options.detect and self._due(began)
        try:
            options = replace(self.options, detect=detect)
            summary = run_once(self.lake, self.pool, options, arrivals, sparing=True)
        except MeterbeamError as error:
            if not isinstance(error, LakeBusyError) and not self.source.changed(arrivals):
                raise
            note(f"again later: {error}")
            self.again = True
            return False
        self.source.published(arrivals)
        self.account.add(summary)
        self.owed = self.options.detect and not detect and summary["last_closed_day"] != "none"
        if detect:
            self.detected = began
        self._say(summary, self.clock.now() - began, self.source.lag(arrivals))
        return True

    def _due(self, now: float) -> bool:
        return self.detected is None or now - self.detected >= self.how.detect_every

    def detect(self, now: float) -> None:
        """Make the detect run that was put off, if there is one."""
        if not self.owed:
            return
        try:
            detect_lake(self.lake.path)
        except LakeBusyError as error:
            note(f"again later: {error}")
            self.again = True
            return
        self.owed, self.detected = False, now

    def _say(self, summary: dict[str, Any], seconds: float, lag: str) -> None:
        rate = summary["readings_in"] / max(seconds, 1e-3)
        note(
            f"run {summary['run']}: {summary['files']:,} files, {summary['readings_in']:,} readings, "
            f"{summary['days_written']:,} days, {summary['bills_written']:,} bills, "
            f"{summary['dead_letters']:,} dead letters in {seconds:.1f} s "
            f"({rate:,.0f} readings/s), {lag}, closed through {summary['last_closed_day']}"
        )


def follow(
    source: Source,
    lake: Lake,
    pool: Workers,
    options: BackfillOptions,
    how: FollowOptions,
    *,
    clock: Clock,
    stop: Stop,
) -> dict[str, Any]:
    """Publish a run for whatever arrives, until asked to stop.

    Args:
        source: Where records come from.
        lake: Where they go.
        pool: Worker processes; they stay for all rounds.
        options: As of a backfill; ``inputs`` are not looked at.
        how: When to look, when to detect, when to end.
        clock: Time.
        stop: Looked at after every round and while waiting.

    Returns:
        The summary of all rounds.

    Raises:
        MeterbeamError: A round cannot be published; the rounds before it stay.
    """
    follower = _Follower(source, lake, pool, options, how, clock)
    pushes = Pushes(lake.path, how.push)
    while not stop.asked:
        took = follower.round()
        pushes.after_round()
        if took:
            continue
        if how.once and not source.waiting and not follower.again:
            follower.detect(clock.now())
            if not follower.again:
                break
        clock.wait(min(how.every, source.patience) if source.waiting else how.every, stop)
    pushes.finish()
    account = follower.account
    return {
        "lake": str(options.lake),
        "run": account.last.get("run", lake.run_no),
        "rounds": account.rounds,
        "last_closed_day": account.last.get("last_closed_day", "unchanged"),
        **account.counts,
    }


def follow_folders(
    options: BackfillOptions, how: FollowOptions, *, settle: float, patience: float
) -> dict[str, Any]:
    """Follow landing folders until a signal asks to stop.

    Args:
        options: As of a backfill; ``inputs`` are the folders.
        how: When to look, when to detect, when to end.
        settle: See ``FolderSource``. [s]
        patience: See ``FolderSource``. [s]

    Returns:
        The summary of all rounds.

    Raises:
        MeterbeamError: An input is no folder, a setting cannot be used, or a round cannot be published.
    """
    for folder in options.inputs:
        landed_files(folder)
    mapping = field_mapping(options.mapping)
    source = FolderSource(options.inputs, settle=settle, patience=patience, mapping=mapping)
    return _followed(source, options, how)


def follow_kafka(
    address: KafkaAddress,
    options: BackfillOptions,
    how: FollowOptions,
    *,
    settings: Mapping[str, str],
    writers: WriterSchemas,
) -> dict[str, Any]:
    """Follow topics of a Kafka cluster until a signal asks to stop.

    Args:
        address: The cluster and topics.
        options: As of a backfill; ``inputs`` are not looked at.
        how: When to look, when to detect, when to end.
        settings: More settings of the client.
        writers: Schemas of messages that are not written with the contract's own.

    Returns:
        The summary of all rounds.

    Raises:
        MeterbeamError: The cluster does not answer, a setting cannot be used, or a round cannot be published.
    """
    reader = KafkaReader(address, settings)
    try:
        reader.parts()  # a wrong address is told before a lake is made
        mapping = field_mapping(options.mapping)
        source = KafkaSource(reader, writers=writers, mapping=mapping, on_error=options.on_error)
        return _followed(source, options, how)
    finally:
        reader.close()


def _followed(source: Source, options: BackfillOptions, how: FollowOptions) -> dict[str, Any]:
    if options.rules is not None:
        load_rule_pack(options.rules)
    lake = open_lake(options)
    with stopped_by_signals() as stop, workers(options.workers, options.plugins, resident=True) as pool:
        return follow(source, lake, pool, options, how, clock=Clock(), stop=stop)


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """A stop that SIGINT or SIGTERM asks for; the second one interrupts at once."""
    stop = Stop()

    def asked(number: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.ask()
        note(f"{signal.Signals(number).name}: stopping at the end of the round")

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
