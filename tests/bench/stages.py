"""Where a backfill's CPU time goes: `python -m tests.bench.stages FOLDER LAKE`, everything in this process.

Times the calls of a few functions from outside; a stage within a stage counts for the inner one only.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STAGES = (
    ("ingest: framing and hash", "pipelines.backfill", "planned"),
    ("ingest: decode and checks", "pipelines.batch.ingest_pass", "_ingested"),
    ("ingest: raw zone write", "transforms.ingest", "write_raw_file"),
    ("process: raw zone read", "pipelines.batch.shard_job", "read_raw_shards"),
    ("process: grid, winners, registers", "models.shard_run", "assemble"),
    ("process: validate, estimate, scale", "models.shard_run", "validate_with_edits"),
    ("process: rows of days", "models.shard_run", "day_rows"),
    ("process: features", "models.shard_results", "touched_weeks"),
    ("process: determinants and bills", "models.shard_results", "bill_group"),
    ("process: Parquet", "pipelines.batch.shard_job", "write_part"),
    ("bills of accounts", "pipelines.backfill", "_bills"),
    ("detect", "pipelines.backfill", "_detect"),
)


class Clock:
    """CPU seconds of each stage, without those of the stages within it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inner = [0.0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to the stage."""

        @functools.wraps(function)
        def measured(*arguments: Any, **named: Any) -> Any:
            with self._over(stage):
                result = function(*arguments, **named)
            return self._steps(stage, result) if hasattr(result, "__next__") else result

        return measured

    def _steps(self, stage: str, iterator: Any) -> Any:
        while True:
            with self._over(stage):
                item = next(iterator, self)
            if item is self:
                return
            yield item

    def _over(self, stage: str) -> _Span:
        return _Span(self, stage)


class _Span:
    def __init__(self, clock: Clock, stage: str) -> None:
        self.clock, self.stage = clock, stage

    def __enter__(self) -> None:
        self.clock._inner.append(0.0)
        self.start = time.process_time()

    def __exit__(self, *_: object) -> None:
        took = time.process_time() - self.start
        own = took - self.clock._inner.pop()
        self.clock._inner[-1] += took
        self.clock.spent[self.stage] = self.clock.spent.get(self.stage, 0.0) + own


def main(folder: Path, lake: Path, tariffs: Path) -> None:
    """Run and print the stages as JSON."""
    from pipelines.backfill import BackfillOptions, backfill

    importlib.import_module("sklearn.ensemble")  # importing is no stage
    importlib.import_module("apache_beam")
    clock = Clock()
    for stage, module, name in STAGES:
        home = importlib.import_module(module)
        setattr(home, name, clock.timed(stage, getattr(home, name)))
    options = BackfillOptions(
        inputs=(folder,), lake=lake, timezone="Europe/Zurich", tariffs=tariffs, workers=0
    )
    start = time.process_time()
    summary = backfill(options)
    clock.spent["everything else"] = time.process_time() - start - sum(clock.spent.values())
    sys.stdout.write(json.dumps({"readings": summary["readings_in"], "stages": clock.spent}) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
