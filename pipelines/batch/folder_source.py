"""Landing folders as a source of follow mode: files that have arrived whole, planned for ingest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.batch.ingest_pass import SPLIT_BYTES, Arrivals, Mark, marks_of
from pipelines.batch.landing import Landing, landed_files
from pipelines.console import note
from pipelines.store.lake import Lake
from schemas.errors import MeterbeamError
from schemas.lake import INPUTS
from schemas.mapping import FieldMapping
from transforms.ingest_plan import FileSplit, plan_splits

__all__ = ["FolderSource"]


class FolderSource:
    """Watches folders.

    A file that is known by name, size and time is not opened again, also after a restart; one that was
    moved or renamed is known by its content. A file that is gone before its turn is left out.

    Args:
        folders: Where files land.
        settle: A file is ready when it has not changed for so long. [s]
        patience: A file that ends too early is a dead letter when it has not changed for so long. [s]
        mapping: Foreign records.
        wall: Seconds since 1970, for the lag.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        settle: float,
        patience: float,
        mapping: FieldMapping | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folders = folders
        self._landing = Landing(settle, patience)
        self._mapping = mapping
        self._wall = wall
        self._refused: set[str] = set()
        self._run_no = -1
        self._unreadable: set[str] = set()

    @property
    def waiting(self) -> bool:
        """Whether a file is there that has not settled, or ends too early."""
        return self._landing.waiting > len(self._unreadable)

    @property
    def patience(self) -> float:
        """How soon to look again."""
        return max(self._landing.settle, 0.05)

    def arrivals(self, lake: Lake, now: float) -> Arrivals | None:
        """Files that are ready and not known.

        Raises:
            MeterbeamError: A folder is gone.
        """
        self._remember(lake)
        marks = marks_of([path for folder in self._folders for path in landed_files(folder)])
        self._unreadable &= marks.keys()
        splits: list[FileSplit] = []
        for path in self._landing.ready(marks, now):
            splits += self._planned(path, marks[str(path)], now)
        if not splits:
            return None
        return Arrivals(splits, {split.path: marks[split.path] for split in splits})

    def _planned(self, path: Path, mark: Mark, now: float) -> list[FileSplit]:
        """Splits of a file; none where it is not to be taken now."""
        try:
            mine = plan_splits([path], SPLIT_BYTES, mapping=self._mapping)
        except MeterbeamError as error:
            if path.exists() and str(path) not in self._unreadable:
                self._unreadable.add(str(path))
                note(f"left out until it can be read: {error}")
            return []
        self._unreadable.discard(str(path))
        if mine[0].truncated and self._landing.hold(str(path), now):
            return []
        if mine[0].source_hash in self._refused:
            self._landing.known({str(path): mark})
            return []
        return mine

    def _remember(self, lake: Lake) -> None:
        """Look up the files that runs since the last look took in or refused."""
        if lake.run_no == self._run_no:
            return
        self._run_no = lake.run_no
        inputs = lake.appended(INPUTS.name)
        columns = (
            inputs[name].to_pylist() for name in ("source", "source_hash", "size", "modified", "outcome")
        )
        known: dict[str, Mark] = {}
        for source, digest, size, modified, outcome in zip(*columns, strict=True):
            known[source] = size, modified
            if outcome == "refused":
                self._refused.add(digest)
        self._landing.known(known)

    def published(self, arrivals: Arrivals) -> None:
        """These files are in a run now."""
        self._landing.known(arrivals.marks)

    def changed(self, arrivals: Arrivals) -> bool:
        """Whether a file was changed or taken away meanwhile."""
        return marks_of([Path(path) for path in arrivals.marks]) != arrivals.marks

    def lag(self, arrivals: Arrivals) -> str:
        """Age of the oldest file."""
        oldest = min(modified for _, modified in arrivals.marks.values()) / 1e9
        return f"{max(self._wall() - oldest, 0.0):,.0f} s after the oldest file"
