"""A landing folder: which files have arrived whole, by what the file system tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.batch.ingest_pass import Mark
from schemas.errors import MeterbeamError
from transforms.storage import on_disk

__all__ = ["Landing", "landed_files"]


@dataclass
class _Watched:
    mark: Mark
    since: float


@dataclass
class Landing:
    """Files on their way in. Time is passed in; nothing is read but names, sizes and times.

    Attributes:
        settle: A file is ready when it has not changed for so long. [s]
        patience: A file that ends too early is given up when it has not changed for so long. [s]
    """

    settle: float
    patience: float
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _done: dict[str, Mark] = field(default_factory=dict)
    _held: dict[str, Mark] = field(default_factory=dict)

    def known(self, marks: Mapping[str, Mark]) -> None:
        """Files that need no second look unless they change."""
        self._done |= marks

    def ready(self, marks: Mapping[str, Mark], now: float) -> list[Path]:
        """Files that have settled and were not dealt with, by name.

        Args:
            marks: All files in the folder now.
            now: Seconds of a clock that never goes back.
        """
        for path, mark in marks.items():
            watched = self._watched.get(path)
            if watched is None or watched.mark != mark:
                self._watched[path] = _Watched(mark, now)
        self._watched = {path: self._watched[path] for path in marks}
        self._done = {path: mark for path, mark in self._done.items() if path in marks}
        self._held = {path: mark for path, mark in self._held.items() if path in marks}
        return [Path(path) for path, mark in sorted(marks.items()) if self._is_ready(path, mark, now)]

    def _is_ready(self, path: str, mark: Mark, now: float) -> bool:
        if self._done.get(path) == mark:
            return False
        wait = self.patience if self._held.get(path) == mark else self.settle
        return now - self._watched[path].since >= wait

    def hold(self, path: str, now: float) -> bool:
        """A file that ends too early: whether to wait for the rest of it.

        Returns:
            False once it has not changed for ``patience``.
        """
        watched = self._watched[path]
        self._held[path] = watched.mark
        return now - watched.since < self.patience

    @property
    def waiting(self) -> int:
        """Files that are there and were not dealt with: too young, or too short."""
        return sum(self._done.get(path) != watched.mark for path, watched in self._watched.items())


def landed_files(folder: Path) -> list[Path]:
    """Avro files below a folder; none whose name, or that of a folder on the way, begins with a dot.

    Raises:
        MeterbeamError: It is no folder.
    """
    if not on_disk(folder).is_dir():
        raise MeterbeamError(str(folder), "no folder", "a landing folder")
    return sorted(path for path in folder.rglob("*.avro") if path.is_file() and not _hidden(path, folder))


def _hidden(path: Path, folder: Path) -> bool:
    parts: Iterable[str] = path.relative_to(folder).parts
    return any(part.startswith(".") for part in parts)
