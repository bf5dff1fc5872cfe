"""Packs of messages of the input topics to packs of records by shard, to alerts, and to dead letters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from models.alerts import event_alerts
from models.route import by_shard, points_by_shard
from models.sharding import shard_of
from schemas.arrow import RAW
from schemas.mapping import FieldMapping
from schemas.records import SHARDED_KINDS, Kind
from schemas.writers import WriterSchemas
from transforms.datums import decode_datums
from transforms.flush_pack import pack_letters
from transforms.keep_ledgers import Seed
from transforms.message_pack import Message, unpack_messages
from transforms.raw_join import encoded_by_shard
from transforms.table_pack import pack, pack_records, pack_stored, unpack_records

__all__ = ["ALERTS", "LETTERS", "OFFSET", "PACKS", "DecodeRules", "RouteMessages", "packs_by_shard"]

PACKS, POINTS, LETTERS, ALERTS = "packs", "points", "letters", "alerts"
OFFSET = "offset-"
"""Followed by topic and partition: the gauge of the last offset that was decoded there."""
EVERY_SHARD = (Kind.EDITS, Kind.TARIFFS, Kind.TARIFF_EVENTS, Kind.DRAINS)
POINT_KEYS = 8
"""Keys by which service points are kept: each may send a pack to every shard, so there are few."""
_HELD = BagStateSpec("held", BytesCoder())


@dataclass(frozen=True)
class DecodeRules:
    """How messages are read.

    Attributes:
        timezone: Zone of the lake.
        shards: Shard count of the lake.
        writers: Writers' schemas other than the contract's own.
        mapping: Foreign records.
    """

    timezone: str
    shards: int
    writers: WriterSchemas = field(default_factory=WriterSchemas)
    mapping: FieldMapping | None = None


def shard_records(tables: Mapping[Kind, pa.Table], shards: int) -> dict[int, dict[Kind, pa.Table]]:
    """Records by shard: those of meters to theirs, edits, tariffs and drains to all, the others to 0.

    Service points are left out: which shards they concern depends on what was known before.
    """
    found: dict[int, dict[Kind, pa.Table]] = defaultdict(dict)
    for kind, rows in tables.items():
        if kind in SHARDED_KINDS:
            for shard, mine in by_shard(rows, shards).items():
                found[shard][kind] = mine
        elif kind in EVERY_SHARD:
            for shard in range(shards):
                found[shard][kind] = rows
        elif kind is not Kind.SERVICE_POINTS:
            found[0][kind] = rows
    return dict(sorted(found.items()))


def packs_by_shard(tables: Mapping[Kind, pa.Table], shards: int) -> dict[int, bytes]:
    """The same as packs; all interval blocks are brought into their stored form at once."""
    found = shard_records({kind: rows for kind, rows in tables.items() if kind is not Kind.INTERVALS}, shards)
    blocks = tables.get(Kind.INTERVALS, RAW[Kind.INTERVALS].empty_table())
    for shard, rows in encoded_by_shard(blocks, shards).items():
        found.setdefault(shard, {})[Kind.INTERVALS] = rows
    return {shard: pack_stored(records) for shard, records in sorted(found.items())}


def decode_messages(messages: Sequence[Message], rules: DecodeRules) -> tuple[dict[Kind, pa.Table], pa.Table]:
    """Good records of messages of one topic by kind, and dead letters."""
    decoded = decode_datums(
        messages[0][0],
        [message[3] for message in messages],
        timezone=rules.timezone,
        address=lambda place: (f"{messages[place][0]}/{messages[place][1]}", messages[place][2]),
        writers=rules.writers,
        mapping=rules.mapping,
    )
    return decoded.tables, decoded.letters


class _DecodeFn(beam.DoFn):
    """Decodes a bundle at once."""

    def __init__(self, rules: DecodeRules, wake: bool) -> None:
        self.rules = rules
        self.wake = wake
        self.messages: Any = Metrics.counter("stream", "messages-in")
        self.rows: Any = Metrics.counter("stream", "rows-in")
        self.dead: Any = Metrics.counter("stream", "dead-letters")

    def start_bundle(self) -> None:
        """Begin with nothing."""
        self._of_topic: dict[str, list[Message]] = defaultdict(list)
        self._latest: int = MIN_TIMESTAMP.micros

    def process(self, element: bytes, at: Any = beam.DoFn.TimestampParam) -> None:
        """Keep a pack of messages until the bundle ends."""
        for topic, messages in unpack_messages(element).items():
            self._of_topic[topic] += messages
        if at.micros > self._latest:
            self._latest = at.micros

    def finish_bundle(self) -> Iterator[Any]:
        """Decode what was kept, topic by topic."""
        tables: dict[Kind, list[pa.Table]] = defaultdict(list)
        for topic, messages in self._of_topic.items():
            self.messages.inc(len(messages))
            for partition, offset in {message[1]: message[2] for message in messages}.items():
                read: Any = Metrics.gauge("stream", f"{OFFSET}{topic}-{partition}")
                read.set(offset)
            good, letters = decode_messages(messages, self.rules)
            for kind, rows in good.items():
                self.rows.inc(rows.num_rows)
                tables[kind].append(rows)
            if letters.num_rows:
                self.dead.inc(letters.num_rows)
                yield self._tagged(LETTERS, (0, pack_letters(letters)))
        joined = {kind: pa.concat_tables(found) for kind, found in tables.items()}
        yield from self._outputs(joined)

    def _outputs(self, tables: Mapping[Kind, pa.Table]) -> Iterator[Any]:
        if Kind.EVENTS in tables:
            alerts = event_alerts(tables[Kind.EVENTS])
            if alerts.num_rows:
                yield self._tagged(ALERTS, pack({}, {"alerts": alerts}))
        if Kind.SERVICE_POINTS in tables:
            for key, rows in _points_by_key(tables[Kind.SERVICE_POINTS]).items():
                yield self._tagged(POINTS, (key, pack_records({Kind.SERVICE_POINTS: rows})))
        found = packs_by_shard(tables, self.rules.shards)
        for shard in range(self.rules.shards) if self.wake else found:
            yield self._at_end((shard, found.get(shard) or pack_records({})))
        self.wake = False

    def _at_end(self, value: Any) -> WindowedValue:
        return WindowedValue(value, Timestamp(micros=self._latest), (GlobalWindow(),))

    def _tagged(self, tag: str, value: Any) -> Any:
        return TaggedOutput(tag, self._at_end(value))


def _points_by_key(rows: pa.Table) -> dict[int, pa.Table]:
    """Service points by a key of their own: all versions of one meet there."""
    key = shard_of(rows["service_point_id"], POINT_KEYS)
    return {number: rows.filter(pa.array(key == number)) for number in np.unique(key).tolist()}


class _PointsFn(beam.DoFn):
    """Knows every version of its service points, and hands each shard those it needs."""

    def __init__(self, shards: int, seed: Seed | None) -> None:
        self.shards = shards
        self.seed = seed

    def process(
        self, element: tuple[int, bytes], held: Any = beam.DoFn.StateParam(_HELD)
    ) -> Iterator[tuple[int, bytes]]:
        """Route new versions, and what was held of their points."""
        kind = Kind.SERVICE_POINTS
        packs = list(held.read())
        if not packs and self.seed is not None:
            packs = [pack_records({kind: self.seed.points(element[0], POINT_KEYS)})]
            held.add(packs[0])
        before = unpack_records(packs).get(kind, RAW[kind].empty_table())
        held.add(element[1])
        for shard, rows in points_by_shard(before, unpack_records([element[1]])[kind], self.shards).items():
            yield shard, pack_records({kind: rows})


@dataclass
class RouteMessages(beam.PTransform[PCollection[Any], dict[str, PCollection[Any]]]):
    """Decode packs of messages in bundles; good records in few fat packs by shard.

    Unbounded; takes packs of messages (``transforms.message_pack``); global window. A message fares as it
    would alone: what cannot be used becomes a dead letter with topic, partition and offset. Gives packs
    (shard, bytes), dead letters (0, bytes) for the committer, and packs of alerts, which wait for nothing.

    Attributes:
        rules: How to read them.
        seed: What the lake held before the stream began, or None. With it every shard gets a pack with the
            first bundle, empty if need be: it may know meters that never send anything again.
    """

    rules: DecodeRules
    seed: Seed | None = None

    def expand(self, messages: PCollection[Any]) -> dict[str, PCollection[Any]]:
        """Decode; give service points, which need what came before, a step of their own."""
        decode: Any = beam.ParDo(_DecodeFn(self.rules, self.seed is not None))  # type: ignore[no-untyped-call]
        route: Any = beam.ParDo(_PointsFn(self.rules.shards, self.seed))  # type: ignore[no-untyped-call]
        keyed = tuple[int, bytes]
        decoded = messages | "Decode" >> decode.with_outputs(POINTS, LETTERS, ALERTS, main=PACKS)
        points = decoded[POINTS] | "TypePoints" >> beam.Map(_same).with_output_types(keyed)  # type: ignore[no-untyped-call]
        routed = points | "RoutePoints" >> route.with_output_types(keyed)
        packs = (decoded[PACKS], routed) | "JoinPacks" >> beam.Flatten()  # type: ignore[no-untyped-call]
        return {
            PACKS: packs | "TypePacks" >> beam.Map(_same).with_output_types(keyed),  # type: ignore[no-untyped-call]
            LETTERS: decoded[LETTERS] | "TypeLetters" >> beam.Map(_same).with_output_types(keyed),  # type: ignore[no-untyped-call]
            ALERTS: decoded[ALERTS],
        }


def _same(element: Any) -> Any:
    return element
