"""``make stream-demo``: Kafka, Flink and the stream on this machine, fed by a simulated town."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from models.calendar import DayGrid, epoch_day
from models.town import TownPlan
from pipelines import console
from pipelines.batch.detect_run import detect_lake
from pipelines.cluster.kafka import embedded_kafka
from pipelines.stream import StreamOptions
from pipelines.streaming.stream_run import StreamRun, run_stream
from pipelines.streaming.town_play import Play, exchanged, in_disorder, play, town_records
from pipelines.town.simulate import SimulateOptions, simulate
from schemas.errors import MeterbeamError
from schemas.writers import TOPICS
from transforms.keep_ledgers import StreamTimes

ZONE = "Europe/Zurich"
MARK = ".meterbeam-stream-demo"
QUEUES_S = 45.0
"""Time between detect runs."""
AFTER_S = 120.0
"""The stream goes on this long after the last message."""


def main(arguments: list[str]) -> int:
    """Run the demo to its end; 0 done, 1 with a message."""
    parser = argparse.ArgumentParser(description="A simulated town, streamed through Kafka and Flink.")
    parser.add_argument("--out", type=Path, default=Path("stream-demo"))
    parser.add_argument("--meters", type=int, default=60)
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long the play takes")
    options = parser.parse_args(arguments)
    try:
        console.show_summary(_demo(options.out.resolve(), options.meters, options.days, options.seconds))
    except MeterbeamError as error:
        console.show_error(error)
        return error.exit_code
    return 0


def _demo(out: Path, meters: int, days: int, seconds: float) -> dict[str, Any]:
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise MeterbeamError(
            str(out), "a folder with other content", "an empty or new folder, or an earlier demo"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).touch()
    (out / "demo.pid").write_text(str(os.getpid()), encoding="ascii")
    today = datetime.now(ZoneInfo(ZONE)).date()
    grid = DayGrid(ZONE, 900, epoch_day(today - timedelta(days=days)), days)
    simulate(SimulateOptions(out / "town", TownPlan(meters, 7, theft=0.1, faults=0.05, defects=0.02), grid))
    moment = datetime.fromtimestamp(int(grid.day_starts[days // 2]), UTC)
    records = in_disorder(list(exchanged(town_records(out / "town"), "M000001", moment)), seed=1)
    console.note(f"{len(records):,} messages of {meters} meters and {days} days; starting Kafka and Flink")
    with embedded_kafka(out / "kafka") as broker:
        broker.create_topics(dict.fromkeys([*TOPICS, "alerts"], 2))
        options = StreamOptions(
            lake=out / "lake",
            timezone=ZONE,
            shards=8,
            tariffs=out / "town" / "tariffs",
            times=StreamTimes(grace_s=3600, flush_s=10, commit_s=10),
            source=f"kafka://{broker.address}",
        )
        run = StreamRun(
            kafka=broker.address, alerts="alerts", status_s=10, stop_after_s=seconds + AFTER_S + 30
        )
        stop = threading.Event()
        sender = threading.Thread(
            target=play, args=(records, broker.address, Play(seconds), lambda: not stop.is_set())
        )
        watcher = threading.Thread(target=_queues, args=(out / "lake", stop))
        sender.start()
        watcher.start()
        try:
            done = run_stream(options, run)
        finally:
            stop.set()
            sender.join()
            watcher.join()
    (out / "demo.pid").unlink()
    return {
        **done,
        "queues": _detected(out / "lake"),
        "try": f'meterbeam query "FROM bills" --lake {out}/lake',
    }


def _queues(lake: Path, stop: threading.Event) -> None:
    """Say from time to time what a detect run finds."""
    end = time.monotonic()
    while not stop.wait(max(end + QUEUES_S - time.monotonic(), 0)):
        end = time.monotonic()
        found = _detected(lake)
        console.note(f"queues: {found}")


def _detected(lake: Path) -> dict[str, Any] | str:
    """What a detect run finds; what there is instead where it cannot run now."""
    try:
        return detect_lake(lake)
    except MeterbeamError as error:
        return f"not now: {error.found}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
