"""What reaches the committer, as bytes: the flush of a shard, or dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import pyarrow as pa

from models.assemble import Name
from models.dirty import Days
from models.ledger import Flushed
from models.shard_scope import Scope
from schemas.arrow import RAW
from schemas.records import Kind
from transforms.raw_stats import RawStats, raw_stats
from transforms.table_pack import pack, pack_records, unpack, unpack_stored

__all__ = ["ShardFlush", "ends_backlog", "pack_flush", "pack_letters", "unpack_output"]

_SCOPE = pa.schema(
    [("meter_id", pa.string()), ("channel", pa.string()), ("first", pa.int64()), ("last", pa.int64())]
)
_ROWS = ("days", "determinants", "features", "series")
_LETTERS = "letters"
_MARK, _SIZE = 1, 8
"""Bytes of the mark whether the output ends a backlog, and of the length of what follows it."""


@dataclass(frozen=True)
class ShardFlush:
    """One flush of a shard.

    Attributes:
        shard: Its number.
        number: Counts the shard's flushes: a later one holds over an earlier one.
        last_closed: Last closed epoch day there.
        whole_since: See ``Flushed``.
        scope, beyond: Days computed; dirty days that are left to a backfill.
        days, determinants, features, series: Rows of these tables.
        records: Everything that came since the flush before, as received; interval blocks in the form of
            the raw zone (``raw_codec.encode_raw_intervals``).
        blocks: Figures of the interval blocks.
        digest: SHA-256 of the records as they were packed, in hexadecimal.
    """

    shard: int
    number: int
    last_closed: int
    whole_since: int
    scope: Scope
    beyond: Scope
    days: pa.Table
    determinants: pa.Table
    features: pa.Table
    series: pa.Table
    records: Mapping[Kind, pa.Table]
    blocks: RawStats
    digest: str


def pack_flush(
    shard: int, number: int, flushed: Flushed, arrived: Mapping[Kind, pa.Table], *, ends: bool = False
) -> bytes:
    """A flush and the records that came since the one before, as bytes.

    Args:
        shard: Its number.
        number: Counts the shard's flushes.
        flushed: What the ledger yielded.
        arrived: The records.
        ends: Whether a backlog ends with it: no later day can close yet.
    """
    results = flushed.results
    rows = (results.days, results.determinants, results.features, flushed.series)
    tables = dict(zip(_ROWS, rows, strict=True))
    tables |= {"scope": _rows(flushed.scope), "beyond": _rows(flushed.beyond)}
    packed = pack_records(arrived)
    blocks = raw_stats(Kind.INTERVALS, arrived.get(Kind.INTERVALS, RAW[Kind.INTERVALS].empty_table()))
    facts = {
        "shard": shard,
        "number": number,
        "last_closed": flushed.last_closed,
        "whole_since": flushed.whole_since,
        "blocks": asdict(blocks),
        "digest": sha256(packed).hexdigest(),
    }
    head = pack(facts, tables)
    return b"".join((_before(head, ends), head, packed))


def _before(head: bytes, ends: bool) -> bytes:
    return bytes([ends]) + len(head).to_bytes(_SIZE, "little")


def ends_backlog(blob: bytes) -> bool:
    """Whether an output is a shard's flush with which a backlog ends."""
    return blob[0] == 1


def pack_letters(letters: pa.Table) -> bytes:
    """Dead letters (``schemas.arrow.DEAD_LETTERS``) as bytes."""
    head = pack({}, {_LETTERS: letters})
    return _before(head, False) + head


def unpack_output(blob: bytes) -> ShardFlush | pa.Table:
    """The flush, or the table of dead letters."""
    begin = _MARK + _SIZE
    end = begin + int.from_bytes(blob[_MARK:begin], "little")
    facts, tables = unpack(blob[begin:end])
    if _LETTERS in tables:
        return tables[_LETTERS]
    scope, beyond = (_scope(tables.pop(name)) for name in ("scope", "beyond"))
    blocks = RawStats(**facts.pop("blocks"))
    records = unpack_stored(blob[end:])
    return ShardFlush(**facts, scope=scope, beyond=beyond, records=records, blocks=blocks, **tables)


def _rows(scope: Mapping[Name, Sequence[Days]]) -> pa.Table:
    rows = [(*name, *days) for name, ranges in scope.items() for days in ranges]
    columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    arrays = [pa.array(column, f.type) for column, f in zip(columns, _SCOPE, strict=True)]
    return pa.table(arrays, schema=_SCOPE)


def _scope(rows: pa.Table) -> Scope:
    found: Scope = {}
    for meter, channel, first, last in zip(*(c.to_pylist() for c in rows.columns), strict=True):
        found.setdefault((meter, channel), []).append((first, last))
    return found
