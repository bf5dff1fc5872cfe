"""A follower for tests: time is a script, so that nothing waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.backfill import BackfillOptions, open_lake
from pipelines.batch.folder_source import FolderSource
from pipelines.batch.follow import Clock, FollowOptions, Stop, follow
from pipelines.batch.workers import workers
from tests.pipelines.towns import ZONE

Act = Callable[[], object]


@dataclass
class Script:
    """A clock whose time passes by waiting only; at each full second of waiting the next act is played.

    After the last act the follower gets time enough for every file to settle, then is asked to stop.
    """

    acts: Sequence[Act]
    patience: float
    stop: Stop = field(default_factory=Stop)
    seconds: float = 0.0
    played: int = 0

    def now(self) -> float:
        """Seconds waited so far."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        while self.played < len(self.acts) and self.seconds >= self.played + 1:
            self.acts[self.played]()
            self.played += 1
        if self.seconds >= len(self.acts) + self.patience + 3:
            self.stop.ask()


def followed(lake: Path, landing: Path, *acts: Act, patience: float = 5.0, **options: Any) -> dict[str, Any]:
    """Follow a folder in this process while acts happen to it, one a second; detection in every round,
    unless ``detect_every`` is given.
    """
    settings: dict[str, Any] = {"timezone": ZONE, "shards": 3, "workers": 0, "on_error": "dead-letter"}
    often = options.pop("detect_every", 0.0)
    how = FollowOptions(every=1.0, detect_every=often, once=options.pop("once", False))
    made = BackfillOptions(inputs=(landing,), lake=lake, **(settings | options))
    script = Script(acts, patience)
    source = FolderSource([landing], settle=1.0, patience=patience, wall=lambda: 0.0)
    with workers(0, ()) as pool:
        clock = Clock(script.now, script.sleep)
        return follow(source, open_lake(made), pool, made, how, clock=clock, stop=script.stop)


def copy(source: Path, target: Path) -> Act:
    """An act: the file lands, whole at once."""

    def act() -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(target.name + ".part")
        draft.write_bytes(source.read_bytes())
        draft.replace(target)

    return act


def begin(source: Path, target: Path, share: float) -> Act:
    """An act: the first part of the file is there under its name."""

    def act() -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        data = source.read_bytes()
        target.write_bytes(data[: int(len(data) * share)])

    return act
