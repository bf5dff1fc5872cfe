"""The first pass of a run: what arrived goes into the raw zone, and the lake learns of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.master import MICROS
from pipelines.batch.tally import Tally
from pipelines.batch.workers import Workers
from pipelines.console import progress
from pipelines.store.lake import Lake, Run
from pipelines.store.parts import PartFile
from schemas.errors import MeterbeamError
from schemas.lake import DEAD_LETTERS, INPUTS, RAW_FILES
from schemas.mapping import FieldMapping
from schemas.records import Kind
from transforms.ingest import IngestReceipt, OnError
from transforms.ingest_plan import FileSplit, plan_splits
from transforms.storage import on_disk

__all__ = ["Arrivals", "IngestPass", "Mark", "input_files", "marks_of", "planned"]

SPLIT_BYTES = 24 << 20
FORESIGHT_S = 366 * 86_400
"""A reading that carries no received_at closes no days if it starts this much later than the run."""
Mark = tuple[int, int]
"""Size [B] and time of the last change [ns] of a file when it was looked at."""


@dataclass(frozen=True)
class Arrivals:
    """What a run takes in.

    Attributes:
        splits: Of container files, those of one file one after the other.
        marks: Of the same files.
        receipts: What is in the raw zone already: batches of messages.
        replaced: New content of tables that say how far a source was read; commits with everything else.
    """

    splits: Sequence[FileSplit] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    receipts: Sequence[IngestReceipt] = ()
    replaced: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        """Names of all of it, as kept in ``runs``."""
        files = (split.path for split in self.splits)
        return list(dict.fromkeys([*files, *(receipt.split.path for receipt in self.receipts)]))


def planned(paths: Sequence[Path], mapping: FieldMapping | None) -> Arrivals:
    """Container files, cut into splits.

    Raises:
        MeterbeamError: A file cannot be read.
    """
    marks = marks_of(paths)
    return Arrivals(plan_splits(paths, SPLIT_BYTES, mapping=mapping), marks)


def marks_of(paths: Sequence[Path]) -> dict[str, Mark]:
    """Marks of the files that are there."""
    found: dict[str, Mark] = {}
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found[str(path)] = status.st_size, status.st_mtime_ns
    return found


def input_files(inputs: Sequence[Path]) -> list[Path]:
    """Files to read: those named, and all Avro files below the folders named, sorted.

    Raises:
        MeterbeamError: A path does not exist, or a folder holds no Avro file.
    """
    files: list[Path] = []
    for path in map(on_disk, inputs):
        if path.is_dir():
            found = sorted(p for p in path.rglob("*.avro") if p.is_file())
            if not found:
                raise MeterbeamError(str(path), "no .avro file", "a folder with Avro files")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise MeterbeamError(str(path), "no such file or folder", "Avro files or folders of them")
    return list(dict.fromkeys(files))


class IngestPass:
    """Takes arrivals in, and keeps the account of it.

    Args:
        run: The run at work.
        arrivals: What arrived.
        tally: Grows.
    """

    def __init__(self, run: Run, arrivals: Arrivals, tally: Tally) -> None:
        self._run = run
        self._arrivals = arrivals
        self._tally = tally
        self._known = run.lake.appended(RAW_FILES.name)
        self._stored = _readings_of_source(self._known)
        self._receipts: list[IngestReceipt] = []
        self._repeated: list[FileSplit] = []

    def ingest(self, pool: Workers, *, mapping: FieldMapping | None, on_error: OnError) -> None:
        """Bring everything new into the raw zone; a file's content is taken once, whatever its name."""
        new: list[FileSplit] = []
        seen: set[str] = set()
        for mine in _by_file(self._arrivals.splits).values():
            digest = mine[0].source_hash
            self._tally.files += 1
            repeated = digest in self._stored or digest in seen
            (self._repeated if repeated else new).extend(mine)
            seen.add(digest)
        ingested = _ingested(pool, self._run.lake, new, mapping, on_error) if new else []
        for receipt in (*ingested, *self._arrivals.receipts):
            self._took(receipt)
        self._count_repeats()

    def _took(self, receipt: IngestReceipt) -> None:
        tally = self._tally
        self._receipts.append(receipt)
        tally.rows += receipt.rows
        tally.undecodable_rows += receipt.undecodable_rows
        tally.dead_letters += receipt.dead_letters.num_rows
        if _is_intervals(receipt):
            tally.readings += receipt.readings
            tally.dead += receipt.dead_readings
            digest = receipt.split.source_hash
            good = receipt.readings - receipt.dead_readings
            self._stored[digest] = self._stored.get(digest, 0) + good

    def _count_repeats(self) -> None:
        """Every reading of a file whose content is already in the lake is an exact repeat."""
        for _, digest in sorted({(split.path, split.source_hash) for split in self._repeated}):
            self._tally.repeated_files += 1
            self._tally.readings += self._stored.get(digest, 0)
            self._tally.repeated_readings += self._stored.get(digest, 0)

    def raw_files(self) -> pa.Table:
        """Raw files of the lake and of this run; ``run_no`` tells them apart."""
        return pa.concat_tables([self._known, self._new_raw_files()])

    def _new_raw_files(self) -> pa.Table:
        rows = [
            {
                "kind": file.kind.value,
                "name": file.name,
                "source": receipt.split.path,
                "source_hash": receipt.split.source_hash,
                "rows": file.stats.rows,
                "readings": file.stats.readings,
                "min_start": file.stats.min_start,
                "max_end": file.stats.max_end,
                "latest_end": file.stats.latest_end,
                "run_no": self._run.run_no,
            }
            for receipt in self._receipts
            for file in receipt.files
        ]
        rows.sort(key=lambda row: (row["kind"], row["name"]))
        return pa.Table.from_pylist(rows, schema=RAW_FILES.schema)

    def parts(self) -> list[PartFile]:
        """Raw files, inputs and dead letters of this run as parts."""
        tables = ((RAW_FILES, self._new_raw_files()), (INPUTS, self._inputs()))
        parts = [self._run.write(table, "ingest", rows) for table, rows in tables if rows.num_rows]
        letters = [receipt.dead_letters for receipt in self._receipts if receipt.dead_letters.num_rows]
        if letters:
            rows = pa.concat_tables(letters).sort_by([("source", "ascending"), ("offset", "ascending")])
            rows = rows.append_column("run_id", pa.repeat(pa.scalar(self._run.run_id), rows.num_rows))
            parts.append(self._run.write(DEAD_LETTERS, "ingest", rows))
        return parts

    def _inputs(self) -> pa.Table:
        repeated = {split.path for split in self._repeated}
        rows = []
        for path, mine in _by_file(self._arrivals.splits).items():
            size, modified = self._arrivals.marks.get(path, (mine[0].size, 0))
            refused = "refused" if mine[0].refused is not None else "taken"
            rows.append(
                {
                    "source": path,
                    "source_hash": mine[0].source_hash,
                    "size": size,
                    "modified": modified,
                    "outcome": "repeated" if path in repeated else refused,
                    "run_no": self._run.run_no,
                }
            )
        return pa.Table.from_pylist(rows, schema=INPUTS.schema)


def _by_file(splits: Sequence[FileSplit]) -> dict[str, list[FileSplit]]:
    files: dict[str, list[FileSplit]] = {}
    for split in splits:
        files.setdefault(split.path, []).append(split)
    return files


def arrived_by() -> int:
    """Latest start that a reading without received_at may have to close days, if it comes now. [us]."""
    return (int(datetime.now(UTC).timestamp()) + FORESIGHT_S) * MICROS


def _ingested(
    pool: Workers, lake: Lake, splits: list[FileSplit], mapping: FieldMapping | None, on_error: OnError
) -> list[IngestReceipt]:
    """Splits written to the raw zone."""
    make = partial(
        _ingest_transform,
        shards=lake.config.shards,
        raw_dir=str(lake.path / "raw"),
        timezone=lake.config.timezone,
        mapping=mapping,
        on_error=on_error,
        arrived_by=arrived_by(),
    )
    receipts: list[IngestReceipt] = []
    with progress("Ingest", total=sum(split.rows for split in splits), unit="rows") as advance:
        for receipt in pool.run("IngestSplits", make, splits, lambda split: split.end - split.start):
            receipts.append(receipt)
            advance(receipt.rows)
    return receipts


def _readings_of_source(raw: pa.Table) -> dict[str, int]:
    """Stored readings of each file's content."""
    readings: dict[str, int] = {}
    columns = (raw[name].to_pylist() for name in ("source_hash", "readings", "kind"))
    for digest, count, kind in zip(*columns, strict=True):
        readings[digest] = readings.get(digest, 0) + (count if kind == Kind.INTERVALS else 0)
    return readings


def _is_intervals(receipt: IngestReceipt) -> bool:
    return receipt.record in ("IntervalBlock", "MeterReading")


def _ingest_transform(**settings: Any) -> Any:
    from transforms.ingest_transform import IngestSplits

    return IngestSplits(**settings)
