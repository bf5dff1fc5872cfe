"""Avro datums of Kafka messages to raw tables, a batch at once; what cannot be used is found and kept.

What becomes of a datum depends on its own bytes only, never on its neighbours: the datums of one writer's
schema are laid one after the other, each followed by an end mark, and decoded in one go. Where that fails,
the batch is halved until the bad datum stands alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.arrow import DEAD_LETTERS
from schemas.errors import MeterbeamError
from schemas.mapping import FieldMapping
from schemas.records import Kind, avro_schema
from schemas.writers import TOPICS, WAKE, WriterSchemas
from transforms.avro_columns import SchemaError
from transforms.avro_decode import DATUM_END, Decoded, Decoder
from transforms.avro_reader import DecodeError
from transforms.datum_layout import are_meter_readings
from transforms.ingest_plan import decoder_for

__all__ = ["Address", "DatumCount", "DecodedDatums", "decode_datums"]

Int = NDArray[np.int64]
Address = Callable[[int], tuple[str, int]]
"""From the number of a datum in its batch to its source and offset; asked for dead letters only."""
FRAME = 5
"""Bytes of Confluent framing: zero, and the schema's number in four."""
FEW = 128
"""So many datums that fail together are looked at one by one with the slow reader, to tell the bad ones."""
LONGEST_DRAIN = 5
"""A Drain is one number of 32 bits; every other plain datum is longer."""


@dataclass
class DatumCount:
    """rows and readings decoded, and those among them that went to dead letters."""

    rows: int = 0
    readings: int = 0
    dead_rows: int = 0
    dead_readings: int = 0


@dataclass
class DecodedDatums:
    """What a batch gave.

    Attributes:
        tables: Good rows of each kind in its raw schema; kinds without any are left out.
        letters: ``schemas.arrow.DEAD_LETTERS``, by place in the batch; ``bytes`` is the whole message,
            ``row`` its place.
        counts: Of each kind.
        undecodable: Messages whose bytes are no record.
    """

    tables: dict[Kind, pa.Table]
    letters: pa.Table
    counts: dict[Kind, DatumCount]
    undecodable: int


@dataclass
class _Batch:
    """A batch on its way.

    Attributes:
        payloads: The messages.
        address: Where each comes from.
    """

    payloads: Sequence[bytes | None]
    address: Address
    tables: dict[Kind, list[pa.Table]] = field(default_factory=dict)
    counts: dict[Kind, DatumCount] = field(default_factory=dict)
    letters: dict[int, tuple[str, str, int, int]] = field(default_factory=dict)

    def refuse(self, place: int, kind: str, reason: str, rows: int = 0, readings: int = 0) -> None:
        """Keep a message as a dead letter."""
        self.letters[place] = kind, reason, rows, readings

    def take(self, kind: Kind, decoded: Decoded, places: Int) -> None:
        """Keep what was decoded of the messages at some places."""
        count = self.counts.setdefault(kind, DatumCount())
        count.rows += decoded.rows
        count.readings += decoded.readings
        count.dead_rows += len(decoded.bad_rows)
        count.dead_readings += int(decoded.bad_readings.sum())
        if decoded.table.num_rows:
            self.tables.setdefault(kind, []).append(decoded.table)
        for row, readings in zip(decoded.bad_rows.tolist(), decoded.bad_readings.tolist(), strict=True):
            self.refuse(int(places[row]), kind.value, decoded.faults.reason(row), 1, readings)

    def result(self) -> DecodedDatums:
        """What it gave."""
        rows = []
        for place, (kind, reason, count, readings) in sorted(self.letters.items()):
            values = (*self.address(place), place, kind, reason, self.payloads[place] or b"", count, readings)
            rows.append(dict(zip(DEAD_LETTERS.names, values, strict=True)))
        undecodable = sum(count == 0 for _, _, count, _ in self.letters.values())
        tables = {kind: pa.concat_tables(found) for kind, found in sorted(self.tables.items())}
        return DecodedDatums(
            {kind: table.unify_dictionaries() for kind, table in tables.items()},
            pa.Table.from_pylist(rows, schema=DEAD_LETTERS),
            self.counts,
            undecodable,
        )


def decode_datums(
    topic: str,
    payloads: Sequence[bytes | None],
    *,
    timezone: str,
    address: Address,
    writers: WriterSchemas | None = None,
    mapping: FieldMapping | None = None,
) -> DecodedDatums:
    """Decode the messages of a topic. A pure function, and of each message for itself.

    A message that begins with a zero byte and is longer than a frame is in Confluent framing (no record of
    the contract begins with an empty text), unless the topic's plain schema is given and the number unknown.

    Args:
        topic: One of ``schemas.writers.TOPICS``.
        payloads: Message values.
        timezone: Zone of the lake.
        address: Where each message comes from.
        writers: Schemas by number, and of plain datums that are not the contract's own.
        mapping: Foreign records.

    Raises:
        MeterbeamError: The topic is none of the contract, or its plain schema cannot be read.
    """
    if topic not in TOPICS:
        raise MeterbeamError.unknown("topic", topic, list(TOPICS))
    known, fields = writers or WriterSchemas(), mapping or FieldMapping()
    batch = _Batch(payloads, address)
    for (number, schema), places in _by_schema(topic, batch, known).items():
        where = f"schema {number}" if number is not None else f"schema of plain messages of topic {topic}"
        try:
            decoder = decoder_for(schema, fields, timezone, ended=not _recursive(schema))
        except SchemaError as error:
            if number is None:
                raise MeterbeamError(where, str(error), "a record of the input contract") from error
            for place in places:
                batch.refuse(place, "message", f"{where}: {error}")
            continue
        at = np.array(places, np.int64)
        if number is None:
            _decode_plain(batch, decoder, at, () if topic in known.plain else TOPICS[topic], fields)
        else:
            _refuse(batch, _decode(batch, decoder, at, FRAME), (decoder.plan.record,))
    return batch.result()


def _decode_plain(
    batch: _Batch, decoder: Decoder, places: Int, records: tuple[str, ...], mapping: FieldMapping
) -> None:
    """Decode plain messages; those laid out as no single reading may still be one in an unusual form.

    Args:
        batch: Takes what was decoded.
        decoder: Of their schema.
        places: Which messages.
        records: What the topic carries in the contract's own schemas; none where another schema is given.
        mapping: Foreign records.
    """
    failed = _decode(batch, decoder, places, 0)
    if failed and decoder.plan.record == "IntervalBlock" and len(records) > 1:
        readings = decoder_for(_shipped("MeterReading"), mapping, decoder.timezone, ended=True)
        failed = _decode(batch, readings, np.array(sorted(failed), np.int64), 0)
    _refuse(batch, failed, records or (decoder.plan.record,))


def _refuse(batch: _Batch, failed: dict[int, str], records: tuple[str, ...]) -> None:
    expected = f"one {' or '.join(records)} and no more"
    for place, reason in failed.items():
        batch.refuse(place, "message", f"found other bytes ({reason}), expected {expected}")


@lru_cache(maxsize=64)
def _shipped(record: str) -> str:
    return json.dumps(avro_schema(record))


@lru_cache(maxsize=64)
def _recursive(schema: str) -> bool:
    """Whether a record may hold records of its own schema: then no end mark can be put behind each."""
    try:
        parsed = json.loads(schema)
    except ValueError:  # the decoder says so, better
        return False
    name = parsed.get("name") if isinstance(parsed, dict) else None
    if not isinstance(name, str):
        return False
    names = {name, f"{parsed.get('namespace')}.{name}", name.rpartition(".")[2]}
    fields = json.dumps(parsed.get("fields"))
    return any(json.dumps(known) in fields for known in names)


def _by_schema(topic: str, batch: _Batch, known: WriterSchemas) -> dict[tuple[int | None, str], list[int]]:
    """Places of the messages of each writer's schema; those of no known schema become dead letters."""
    own = known.plain.get(topic)
    groups: dict[tuple[int | None, str], list[int]] = {}
    plain: list[int] = []
    for place, payload in enumerate(batch.payloads):
        if not payload:
            found = "no value" if payload is None else "an empty value"
            batch.refuse(place, "message", f"found {found}, expected a record")
        elif payload == WAKE:
            continue
        elif payload[0] or len(payload) <= FRAME:
            plain.append(place)
        else:
            number = int.from_bytes(payload[1:FRAME], "big")
            if number in known.by_id:
                groups.setdefault((number, known.by_id[number]), []).append(place)
            elif own is not None:
                plain.append(place)
            else:
                numbers = ", ".join(map(str, sorted(known.by_id))) or "none (see --schemas)"
                batch.refuse(place, "message", f"found schema {number}, expected one of: {numbers}")
    if own is not None:
        groups[None, own] = plain
    else:
        for record, places in _records_of(topic, batch.payloads, plain).items():
            groups[None, _shipped(record)] = places
    return {key: places for key, places in groups.items() if places}


def _records_of(topic: str, payloads: Sequence[bytes | None], places: list[int]) -> dict[str, list[int]]:
    """Which record of the contract each plain message of a topic is."""
    records = TOPICS[topic]
    if len(records) == 1 or not places:
        return {records[0]: places}
    datums = [payloads[place] or b"" for place in places]
    if topic == "readings":
        second, names = are_meter_readings(datums), ("IntervalBlock", "MeterReading")
    else:
        second = np.fromiter((len(datum) <= LONGEST_DRAIN for datum in datums), np.bool_, len(datums))
        names = ("TariffEvent", "Drain")
    at = np.array(places, np.int64)
    return {names[0]: at[~second].tolist(), names[1]: at[second].tolist()}


def _decode(batch: _Batch, decoder: Decoder, places: Int, skip: int) -> dict[int, str]:
    """Decode the messages at some places; those that cannot be decoded are returned with the reason.

    Datums that decode together are those that decode alone: none holds the end mark, and as many marks as
    there are datums were met, each where a record ends.

    Args:
        batch: Takes what was decoded.
        decoder: Of their schema.
        places: Which messages.
        skip: Bytes of framing before each datum.
    """
    datums = [(batch.payloads[place] or b"")[skip:] for place in places.tolist()]
    failed: dict[int, str] = {}
    left = _alone(decoder, datums)
    while left:
        some = left.pop()
        mark = DATUM_END if decoder.ended else b""
        try:
            decoded = decoder.fresh().decode([datums[i] + mark for i in some], [1] * len(some))
        except (DecodeError, SchemaError) as error:
            if len(some) == 1:
                failed[int(places[some[0]])] = str(error)
            else:
                left += _parted(decoder, datums, some)
        else:
            batch.take(decoder.kind, decoded, places[list(some)])
    return failed


def _alone(decoder: Decoder, datums: Sequence[bytes]) -> list[Sequence[int]]:
    """All datums as one group, and each whose end is not sure to be found as a group of its own."""
    everyone = range(len(datums))
    unsure = [i for i in everyone if not decoder.ended or DATUM_END in datums[i]]
    return _apart(unsure, everyone) if unsure else [everyone]


def _apart(some: Sequence[int], everyone: Sequence[int]) -> list[Sequence[int]]:
    """Some in groups of their own, the others together."""
    rest = sorted(set(everyone) - set(some))
    groups: list[Sequence[int]] = [[i] for i in some]
    return [*groups, rest] if rest else groups


def _parted(decoder: Decoder, datums: Sequence[bytes], some: Sequence[int]) -> list[Sequence[int]]:
    """Groups to try instead of one that failed: halves, or the suspects of a few alone and the rest."""
    if len(some) <= FEW:
        suspects = [i for i in some if not _readable(decoder, datums[i])]
        if suspects:
            return _apart(suspects, some)
    middle = len(some) // 2
    return [some[:middle], some[middle:]]


def _readable(decoder: Decoder, datum: bytes) -> bool:
    """Whether the slow reader finds one record in a datum: a hint, the verdict is the decoder's."""
    try:
        return len(list(decoder.reader.records(datum + DATUM_END, 1))) == 1
    except DecodeError:
        return False
