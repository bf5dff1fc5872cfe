"""One shard's ledger in the keyed state of a runner: bags that are appended to, and one small field.

What a flush keeps is appended to ``recent``; now and then, and at every day close, ``recent`` moves on into
cells. A cell holds the records that fall behind the horizon within the same few days, so that it is cleared
whole, and nothing that stays is ever written again. What a flush writes is in proportion to what came.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa

from models.assemble import Name
from models.ledger import (
    DATED,
    Flushed,
    LedgerIndex,
    LedgerRules,
    LedgerState,
    ShardLedger,
    leaves_with,
    longest_stay,
)
from models.shard_scope import EVER
from schemas.records import Kind
from transforms.table_pack import pack, pack_records, unpack, unpack_records

__all__ = ["CELLS", "Bag", "LedgerNotes", "LedgerStore", "Slip", "by_cell", "cell_days"]

CELLS = 12
"""Bags for cells; a runner wants them declared one by one."""
RECENT = 32
"""Packs in ``recent`` after which they move on into cells."""
FIRSTS = 64
"""Packs of first readings after which they are written as one."""
_FIRST = pa.schema(
    [("meter_id", pa.string()), ("channel", pa.string()), ("at", pa.int64()), ("s", pa.int64())]
)


class Bag(Protocol):
    """A runner's bag of bytes."""

    def read(self) -> Any:
        """Everything in it, in no stated order."""

    def add(self, element: bytes) -> None:
        """Append."""

    def clear(self) -> None:
        """Empty it."""


class Slip(Protocol):
    """A runner's single value."""

    def read(self) -> bytes | None:
        """The value, None before the first one."""

    def write(self, value: bytes) -> None:
        """Put another in its place."""


@dataclass
class LedgerNotes:
    """The small field.

    Attributes:
        stamp: Another one with every flush: tells whether a ledger in memory is the one in state.
        last_closed, flushed_through, floor: Of ``LedgerIndex``.
        closing: Last epoch day that has closed, flushed or not.
        armed: Last epoch day for whose close a timer waits, or waited; None while none does.
        due: Second at which what came is flushed at the latest; None while nothing waits.
        cells: Number of the cell in each bag; −1 where it is empty.
        recent, firsts: Packs in these bags.
        flushes: Flushes so far.
        planted: Whether the ledger began with what the lake held.
    """

    stamp: str = ""
    last_closed: int = -1
    flushed_through: int = -1
    floor: int = EVER
    closing: int = -1
    armed: int | None = None
    due: float | None = None
    cells: list[int] = field(default_factory=lambda: [-1] * CELLS)
    recent: int = 0
    firsts: int = 0
    flushes: int = 0
    planted: bool = False

    @classmethod
    def read(cls, slip: Slip) -> LedgerNotes:
        """From state; new ones before the first flush."""
        text = slip.read()
        return cls(**json.loads(text)) if text else cls()

    def write(self, slip: Slip) -> None:
        """To state."""
        slip.write(json.dumps(asdict(self)).encode())


def cell_days(rules: LedgerRules) -> int:
    """Days of a cell: as few as let all that a ledger keeps, and days to come, lie in ``CELLS`` of them."""
    return -(-(longest_stay(rules) + 1) // (CELLS - 2))


def by_cell(
    kept: Mapping[Kind, pa.Table], last_closed: int, rules: LedgerRules
) -> dict[int, dict[Kind, pa.Table]]:
    """Records by the number of the cell they belong to; −1 for those that stay for ever.

    Args:
        kept: Records of the ledger, none of them behind the horizon.
        last_closed: Last closed epoch day, not −1.
        rules: Of the stream.
    """
    size = cell_days(rules)
    now = last_closed // size
    found: dict[int, dict[Kind, pa.Table]] = {}
    for kind, rows in kept.items():
        if not rows.num_rows:
            continue
        if kind not in DATED:
            found.setdefault(-1, {})[kind] = rows
            continue
        number = leaves_with(kind, rows, rules) // size
        number = np.where(number < now + CELLS, np.maximum(number, now), -1)
        for cell in np.unique(number).tolist():
            found.setdefault(cell, {})[kind] = rows.filter(pa.array(number == cell))
    return found


@dataclass
class LedgerStore:
    """State of one shard.

    Attributes:
        notes: The small field.
        arrived: Packs of records that came since the last flush.
        recent: Packs of records that flushes kept and no cell holds yet.
        lasting: Packs of records that no horizon forgets: master data, tariffs.
        firsts: Packs of first readings.
        cells: A bag a cell.
    """

    notes: Slip
    arrived: Bag
    recent: Bag
    lasting: Bag
    firsts: Bag
    cells: Sequence[Bag]

    def load(self, notes: LedgerNotes, rules: LedgerRules, serves: Callable[[str], bool]) -> ShardLedger:
        """The ledger as the last flush left it."""
        held = [bag for number, bag in zip(notes.cells, self.cells, strict=True) if number >= 0]
        kept = unpack_records(blob for bag in (self.recent, self.lasting, *held) for blob in bag.read())
        index = LedgerIndex(self._first_readings(), notes.last_closed, notes.flushed_through, notes.floor)
        return ShardLedger(rules, LedgerState.rebuilt(kept, index, rules), serves)

    def plant(self, notes: LedgerNotes, kept: Mapping[Kind, pa.Table], index: LedgerIndex) -> None:
        """Begin with what a backfill has computed (``models.ledger_seed``); before the first flush."""
        if kept:
            self.recent.add(pack_records(kept))
            notes.recent += 1
        if index.first_readings:
            self.firsts.add(_packed(index.first_readings))
            notes.firsts += 1
        notes.last_closed, notes.flushed_through = index.last_closed, index.flushed_through
        notes.closing = max(notes.closing, index.last_closed)
        notes.floor, notes.stamp, notes.planted = index.floor, uuid4().hex, True
        notes.write(self.notes)

    def save(self, notes: LedgerNotes, ledger: ShardLedger, flushed: Flushed) -> None:
        """Take over what a flush changed; ``notes`` get a new stamp and are written too."""
        index, rules = ledger.state.index, ledger.rules
        closed = index.flushed_through > notes.flushed_through
        self.arrived.clear()
        keeps = any(rows.num_rows for rows in flushed.kept.values())
        if index.last_closed >= 0 and (notes.recent or keeps) and (closed or notes.recent >= RECENT):
            self._move_on(notes, index.last_closed, rules, flushed.kept)
        elif keeps:
            self.recent.add(pack_records(flushed.kept))
            notes.recent += 1
        if flushed.first_readings:
            self.firsts.add(_packed(flushed.first_readings))
            notes.firsts += 1
        if notes.firsts >= FIRSTS:
            self.firsts.clear()
            self.firsts.add(_packed(index.first_readings))
            notes.firsts = 1
        notes.last_closed, notes.flushed_through = index.last_closed, index.flushed_through
        notes.floor, notes.stamp, notes.flushes = index.floor, uuid4().hex, notes.flushes + 1
        notes.write(self.notes)

    def _move_on(
        self, notes: LedgerNotes, last_closed: int, rules: LedgerRules, kept: Mapping[Kind, pa.Table]
    ) -> None:
        """Clear the cells behind the horizon, and put ``recent`` and what is kept now into the others."""
        size = cell_days(rules)
        for place, number in enumerate(notes.cells):
            if number >= 0 and (number + 1) * size - 1 <= last_closed:
                self.cells[place].clear()
                notes.cells[place] = -1
        held = unpack_records(self.recent.read()) if notes.recent else {}
        both = {kind: [t[kind] for t in (held, kept) if kind in t] for kind in (*held, *kept)}
        joined = {kind: pa.concat_tables(tables).unify_dictionaries() for kind, tables in both.items()}
        for number, records in by_cell(joined, last_closed, rules).items():
            place = number % CELLS
            fits = number >= 0 and notes.cells[place] in (-1, number)
            (self.cells[place] if fits else self.lasting).add(pack_records(records))
            if fits:
                notes.cells[place] = number
        self.recent.clear()
        notes.recent = 0

    def _first_readings(self) -> dict[Name, tuple[int, int]]:
        found: dict[Name, tuple[int, int]] = {}
        for blob in self.firsts.read():
            columns = (unpack(blob)[1]["first"][name].to_pylist() for name in _FIRST.names)
            for meter, channel, at, s in zip(*columns, strict=True):
                found[meter, channel] = min((at, s), found.get((meter, channel), (at, s)))
        return found


def _packed(firsts: Mapping[Name, tuple[int, int]]) -> bytes:
    rows = [(*name, *first) for name, first in sorted(firsts.items())]
    columns = [pa.array(column, f.type) for column, f in zip(zip(*rows, strict=True), _FIRST, strict=True)]
    return pack({}, {"first": pa.table(columns, schema=_FIRST)})
