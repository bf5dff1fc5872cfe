"""A ledger day by day for months: state, memory and the time of each close. Print the series.

Run with ``python -m tests.bench.stream_state --meters 200 --days 150 --hot-days 14``.
"""

from __future__ import annotations

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import fastavro

from models.calendar import DayGrid, epoch_day, local_midnight
from models.ledger import LedgerRules
from models.town import TownPlan
from pipelines.streaming.town_play import Sent, town_records
from pipelines.town.simulate import SimulateOptions, simulate
from schemas.records import RECORDS, Kind, avro_schema
from schemas.rulebook import load_rule_book
from transforms.datums import decode_datums
from transforms.ledger_store import CELLS, LedgerNotes, LedgerStore
from transforms.table_pack import pack_records, unpack_records

ZONE = "Europe/Zurich"
FIRST = epoch_day(date(2026, 3, 2))
BATCH = 200
"""Messages of a pack."""


class ListBag(list[bytes]):
    """A bag in memory."""

    def read(self) -> list[bytes]:
        return list(self)

    def add(self, element: bytes) -> None:
        self.append(element)


class MemorySlip:
    """A single value in memory."""

    def __init__(self) -> None:
        self.value: bytes | None = None

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value


def packs(records: list[Sent]) -> Iterator[bytes]:
    """Records as packs, as a bundle of messages gives them."""
    for name in sorted({name for name, _ in records}):
        schema = fastavro.parse_schema(avro_schema(name))
        datums = []
        for kind, row in records:
            if kind == name:
                out = io.BytesIO()
                fastavro.schemaless_writer(out, schema, row)
                datums.append(out.getvalue())
        for first in range(0, len(datums), BATCH):
            part = datums[first : first + BATCH]
            found = decode_datums(RECORDS[name].topic, part, timezone=ZONE, address=lambda place: ("", place))
            yield pack_records(found.tables)


def by_day(records: list[Sent]) -> dict[int, list[Sent]]:
    """Records by the local day they are about; service points on the first."""
    found: dict[int, list[Sent]] = {}
    edges = [local_midnight(ZONE, FIRST + day) for day in range(400)]
    for name, row in records:
        at: Any = row.get("start") or row.get("read_at") or row.get("occurred_at")
        day = 0 if at is None else sum(edge <= at.timestamp() for edge in edges[1:])
        found.setdefault(day, []).append((name, row))
    return found


def main() -> None:
    """Feed a town and print every tenth day."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--meters", type=int, default=200)
    parser.add_argument("--days", type=int, default=150)
    parser.add_argument("--hot-days", type=int, default=14)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    town = TownPlan(options.meters, 3, theft=0.05, faults=0.05, defects=0.02)
    simulate(SimulateOptions(folder, town, DayGrid(ZONE, 900, FIRST, options.days)))
    days = by_day(town_records(folder))
    rules = LedgerRules(ZONE, load_rule_book("default"), hot_days=options.hot_days)
    bags = [ListBag() for _ in range(4 + CELLS)]
    arrivals, recent, lasting, firsts, *cells = bags
    store = LedgerStore(MemorySlip(), arrivals, recent, lasting, firsts, cells)
    ledger = store.load(LedgerNotes(), rules, lambda meter: True)
    messages, spent = 0, 0.0
    print("day  state MB  B a meter  close CPU s  peak memory MB")
    for day in range(options.days):
        arrived = list(packs(days.get(day, [])))
        messages += len(days.get(day, []))
        began = time.process_time()
        for kind, rows in unpack_records(arrived).items():
            if kind is not Kind.DRAINS:
                ledger.take(kind, rows)
        ledger.close(FIRST + day)
        store.save(LedgerNotes.read(store.notes), ledger, ledger.flush())
        took = time.process_time() - began
        spent += took
        if day % 10 == 9:
            size = sum(len(blob) for bag in bags for blob in bag)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            print(f"{day + 1:3} {size / 1e6:9.2f} {size // options.meters:10,} {took:12.2f} {peak:15.0f}")
    print(
        f"{messages:,} messages, {messages / spent:,.0f} a CPU second; a ledger alone, days closed one by one"
    )


if __name__ == "__main__":
    main()
