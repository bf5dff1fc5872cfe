"""Where results go: the lake first; a database or a topic may stand beside it behind the same three calls.

Workers write, one committer publishes. Runners repeat bundles, so a write must be idempotent: the same
(table, name) of a run replaces what was written before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from pipelines.store.lake import Lake, Run
from pipelines.store.parts import PartFile, write_part
from schemas.lake import LakeTable

__all__ = ["Delivery", "LakeDelivery", "LakeSink", "LakeWriter", "Sink", "Writer"]

Part = TypeVar("Part")
PartOut = TypeVar("PartOut", covariant=True)


class Writer(Protocol[PartOut]):
    """Writes rows from any worker; must pickle. Nothing it writes is visible before the commit."""

    def __call__(self, table: LakeTable, name: str, rows: pa.Table) -> PartOut:
        """Write one part of a table.

        Args:
            table: Columns and key of the rows.
            name: Distinguishes the parts of a table within the run.
            rows: Changed rows with their revision.

        Returns:
            A receipt for the commit; must pickle.
        """
        ...


class Delivery(Protocol[Part]):
    """One run's way into a sink."""

    @property
    def run_no(self) -> int:
        """Number of the run, greater than that of every one before."""
        ...

    @property
    def writer(self) -> Writer[Part]:
        """Writes parts of this run."""
        ...

    def commit(
        self, parts: Sequence[Part], replaced: Mapping[str, pa.Table], facts: Mapping[str, Any]
    ) -> None:
        """Make all parts visible at once; without it nothing ever is.

        Args:
            parts: Receipts of the parts that count.
            replaced: New content of tables that are replaced whole.
            facts: About the run.
        """
        ...


class Sink(Protocol[Part]):
    """Takes runs, one at a time."""

    def open(self) -> AbstractContextManager[Delivery[Part]]:
        """Begin a run; what an earlier one left unfinished is undone first."""
        ...


@dataclass(frozen=True)
class LakeWriter:
    """Writes Parquet parts of one run below a lake's folder."""

    lake: Path
    run: int

    def __call__(self, table: LakeTable, name: str, rows: pa.Table) -> PartFile:
        """Write one part; see ``write_part``."""
        return write_part(self.lake, table, self.run, name, rows)


@dataclass(frozen=True)
class LakeDelivery:
    """A run of the lake as a delivery."""

    run: Run

    @property
    def run_no(self) -> int:
        """Number of the run."""
        return self.run.run_no

    @property
    def writer(self) -> LakeWriter:
        """Writes parts of this run."""
        return LakeWriter(self.run.lake.path, self.run.run_no)

    def commit(
        self, parts: Sequence[PartFile], replaced: Mapping[str, pa.Table], facts: Mapping[str, Any]
    ) -> None:
        """Publish; see ``Run.commit``."""
        self.run.commit(parts, replaced, facts)


@dataclass(frozen=True)
class LakeSink:
    """The lake as a sink: one transaction a run."""

    lake: Lake

    @contextmanager
    def open(self) -> Iterator[LakeDelivery]:
        """Hold the lake for one run; see ``Lake.begin``."""
        with self.lake.begin() as run:
            yield LakeDelivery(run)
