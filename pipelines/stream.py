"""The stream: messages in, the lake's tables out, day by day as they close, and again for late data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from models.calendar import epoch_day
from models.ledger import LedgerRules
from pipelines.store.lake import Lake
from pipelines.store.rules_kept import rules_in_force
from pipelines.streaming.stream_bills import StreamPrices
from pipelines.streaming.stream_commit import CommitRules
from pipelines.streaming.stream_committer import CommitFlushes
from pipelines.tariffs.tariff_store import kept_tariffs, tariffs_in_force
from schemas.mapping import FieldMapping
from schemas.writers import WriterSchemas
from transforms.keep_ledgers import FLUSHES, SILENT, KeepLedgers, Seed, StreamTimes
from transforms.route_messages import ALERTS, LETTERS, PACKS, DecodeRules, RouteMessages

__all__ = ["Stream", "StreamOptions", "build"]


@dataclass(frozen=True)
class StreamOptions:
    """What a stream is asked to do; see ``meterbeam stream --help``.

    Attributes:
        lake: Folder of the lake; made if it is not there.
        timezone: Of the local days; needed for a new lake.
        shards: New lake: shard count.
        history_from: New lake: first local day expected of every meter.
        rules: Rule pack: a shipped name or a file; None: that of the last run.
        tariffs: Folder of tariff files, or None.
        hot_days: Local days that late data change in the stream itself.
        times: When to close, flush and commit.
        writers: Writers' schemas other than the contract's own.
        mapping: Foreign records.
        source: What to call the source in ``runs`` and ``raw_files``.
        cells: Most slots held densely at once.
    """

    lake: Path
    timezone: str | None = None
    shards: int = 64
    history_from: date | None = None
    rules: str | None = None
    tariffs: Path | None = None
    hot_days: int = 35
    times: StreamTimes = field(default_factory=StreamTimes)
    writers: WriterSchemas = field(default_factory=WriterSchemas)
    mapping: FieldMapping | None = None
    source: str = "stream"
    cells: int = 1 << 21


@dataclass
class Stream(beam.PTransform[PBegin, PCollection[Any]]):
    """The whole stream as one transform.

    Unbounded. Ends, whatever the disorder of its messages, with the current rows that a backfill of the
    same records gives; what lies behind the horizon is in ``dirty_days`` for a backfill.

    Attributes:
        source: From the pipeline's begin to messages (``transforms.route_messages.Message``).
        alerts: Takes packs of alerts; None: they are not sent.
        decode, ledger, commit, times: Settings of the steps.
        seed: What the lake held before the stream began, or None.
    """

    source: Any
    alerts: Any
    decode: DecodeRules
    ledger: LedgerRules
    commit: CommitRules
    times: StreamTimes
    seed: Seed | None = None

    def expand(self, begin: PBegin) -> PCollection[Any]:
        """Read, route, keep ledgers, commit; alerts leave before the shuffle."""
        messages = begin | "Read" >> self.source
        routed = messages | "Route" >> RouteMessages(self.decode, self.seed)
        ledgers = KeepLedgers(self.ledger, self.times, self.decode.shards, self.seed)
        kept = routed[PACKS] | "Ledgers" >> ledgers
        if self.alerts is not None:
            _ = routed[ALERTS] | "SendAlerts" >> self.alerts
            _ = kept[SILENT] | "SendSilent" >> self.alerts
        outputs = (kept[FLUSHES], routed[LETTERS]) | "JoinOutputs" >> beam.Flatten()  # type: ignore[no-untyped-call]
        typed = outputs | "TypeOutputs" >> beam.Map(_same).with_output_types(tuple[int, bytes])  # type: ignore[no-untyped-call]
        return typed | "CommitFlushes" >> CommitFlushes(self.commit, self.times.commit_s)  # type: ignore[no-any-return]


def _same(element: Any) -> Any:
    return element


def build(source: Any, alerts: Any, options: StreamOptions, seed: Seed | None = None) -> Stream:
    """The stream of a lake; makes the lake where there is none.

    Args:
        source: A transform from the pipeline's begin to messages.
        alerts: A transform that takes packs of alerts, or None.
        options: What to do.
        seed: What the lake held before the stream began, or None.

    Raises:
        MeterbeamError: The lake, the rules or the tariffs cannot be used.
    """
    lake = Lake.open_or_create(
        options.lake, timezone=options.timezone, shards=options.shards, history_from=options.history_from
    )
    pack, zone = rules_in_force(lake, options.rules), lake.config.timezone
    history = lake.config.history_from
    tariffs = tariffs_in_force(lake, options.tariffs)
    prices = StreamPrices(None if tariffs is None else kept_tariffs(lake.path.resolve(), tariffs))
    prices.check()
    return Stream(
        source,
        alerts,
        DecodeRules(zone, lake.config.shards, options.writers, options.mapping),
        LedgerRules(
            zone,
            pack,
            prices,
            hot_days=options.hot_days,
            history_from=None if history is None else epoch_day(history),
            cells=options.cells,
        ),
        CommitRules(options.lake.resolve(), pack, tariffs, options.source),
        options.times,
        seed,
    )
