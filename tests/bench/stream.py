"""The stream on a real broker and cluster, beside two bare jobs on the same topics, in one run.

Run with ``make bench-stream``, or ``python -m tests.bench.stream blocks rows alerts days soak`` for some.
Other work on the machine slows all jobs alike: the ratios of CPU time count more than rates.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from models.calendar import epoch_day, local_midnight
from pipelines.cluster.beam_options import Streaming
from pipelines.cluster.fetch import Parts, fetch_parts
from pipelines.cluster.flink import FlinkCluster, embedded_flink
from pipelines.cluster.kafka import KafkaBroker, embedded_kafka
from pipelines.store.lake import Lake
from tests.bench.stream_delays import alert_delays, day_delay
from tests.bench.stream_feed import ZONE, BenchFeed, send
from tests.bench.stream_jobs import BARE_JOBS, start_bare

READ = ("readings", "registers")
TOPICS = {"readings": 2, "registers": 2, "events": 1, "service-points": 1, "alerts": 1}
SAMPLE = Path(__file__).resolve().parents[2] / "pipelines" / "sample"
STREAMING = Streaming(parallelism=2, workers=4, checkpoint_ms=10_000, bundle_ms=1000)
LIMIT_S = 900.0
SOAK = ("--checkpoint-interval", "5", "--flush-interval", "5", "--commit-interval", "5")
"""So that a few days at a time go by."""
CHECKPOINT_S = 15
CATCH_UP_S = 240
"""Time until the watched day closes. [s]"""
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Bench:
    """What is running.

    Attributes:
        root: Folder of this part.
        broker, flink: Of its own.
        feed: What was sent.
        sent: Messages of readings and registers in the topics.
    """

    root: Path
    broker: KafkaBroker
    flink: FlinkCluster
    feed: BenchFeed
    sent: int


@contextmanager
def bench(parts: Parts, feed: BenchFeed) -> Iterator[Bench]:
    """A broker that holds the feed, and a cluster."""
    root = Path(tempfile.mkdtemp(prefix="bench-stream-", dir=os.environ.get("METERBEAM_BENCH_DIR")))
    with (
        embedded_kafka(root / "kafka", parts) as broker,
        embedded_flink(root / "flink", slots=2, task_heap_mb=1024, parts=parts) as flink,
    ):
        broker.create_topics(TOPICS)
        send(broker.address, feed.points())
        yield Bench(root, broker, flink, feed, send(broker.address, feed.readings()))


def cpu_seconds(flink: FlinkCluster) -> float:
    """CPU time so far of the TaskManager and its Python workers; those that ended are not counted."""
    pids = [*flink.task_manager_pids(), *flink.worker_pids()]
    spent = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        spent += int(fields[11]) + int(fields[12])
    return spent / TICK


def bare(what: str, made: Bench) -> tuple[float, float]:
    """Run a bare job over the backlog; messages a second from its first to its last, CPU us a message."""
    job = start_bare(what, list(READ), made.broker.address, made.flink, STREAMING)
    made.flink.rest.wait_until_running(job)
    before, spent, began = 0.0, 0.0, 0.0
    while True:
        count, now = sum(made.flink.rest.metric(job, "messages-in").values()), time.monotonic()
        if count and not began:
            before, began, spent = count, now, cpu_seconds(made.flink)
        if count >= made.sent:
            spent = cpu_seconds(made.flink) - spent
            made.flink.rest.cancel(job)
            return (count - before) / (now - began), spent / (count - before) * 1e6
        time.sleep(0.2)


@contextmanager
def stream(made: Bench, *options: str) -> Iterator[Path]:
    """``meterbeam stream`` beside the block; its lake."""
    lake = made.root / "lake"
    code = "import sys; from pipelines.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "stream", "--kafka", made.broker.address, "--lake", str(lake)]
    command += ["--flink", made.flink.rest.address, "--timezone", ZONE, "--tariffs", str(SAMPLE)]
    command += [
        "--parallelism",
        "2",
        "--grace",
        "1",
        "--alerts",
        "alerts",
        "--status-interval",
        "10",
        *options,
    ]
    with (made.root / "stream.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield lake
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


def progress(lake: Path) -> tuple[int, int]:
    """Records in the lake, and its last closed epoch day."""
    if not (lake / "tables" / "runs").exists():
        return 0, -1
    runs = Lake.open(lake).runs()
    days = [day for day in runs["last_closed"].to_pylist() if day is not None]
    counts = [json.loads(text) for text in runs["counts"].to_pylist()]
    return sum(count["records"] for count in counts), epoch_day(max(days)) if days else -1


def caught_up(made: Bench, lake: Path, *, series: bool = False) -> tuple[float, float]:
    """Wait until the lake holds the backlog and its days; messages a second and CPU us a message."""
    last = made.feed.first + made.feed.days - 1
    began, end = 0.0, time.monotonic() + LIMIT_S
    spent, shown, records = 0.0, 0.0, 0
    while time.monotonic() < end:
        now = time.monotonic()
        job = None if began else _job(made)
        if job is not None and any(made.flink.rest.metric(job, "messages-in").values()):
            began, spent = now, cpu_seconds(made.flink)
        before, (records, closed) = records, progress(lake)
        if series and now - shown > 5:
            shown = now
            _show_state(made, records, closed)
        if closed >= last and _whole(made, records, before):
            return made.sent / (now - began), (cpu_seconds(made.flink) - spent) / made.sent * 1e6
        time.sleep(1)
    raise SystemExit(f"not done after {LIMIT_S:.0f} s; see {made.root / 'stream.log'}")


def _whole(made: Bench, records: int, before: int) -> bool:
    """Whether the lake holds the backlog; single readings are joined, so it is when no more are published."""
    if made.feed.form == "blocks":
        return records >= made.sent
    job = _job(made)
    read = 0 if job is None else sum(made.flink.rest.metric(job, "messages-in").values())
    return read >= made.sent and records == before


def _job(made: Bench) -> str | None:
    """Id of the stream's job, from its log."""
    found = re.search(r"job (\w+) runs", (made.root / "stream.log").read_text())
    return None if found is None else found[1]


def _checkpoint_mb(made: Bench) -> float:
    """Size of the stream's last checkpoint."""
    job = _job(made)
    point = None if job is None else made.flink.rest.checkpoint(job)
    return 0.0 if point is None else point.size / 1e6


def _show_state(made: Bench, records: int, closed: int) -> None:
    resident = []
    for pid in made.flink.worker_pids():
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        resident.append(int(fields[1]) * os.sysconf("SC_PAGE_SIZE") >> 20)
    day = closed - made.feed.first + 1 if closed >= 0 else 0
    print(
        f"  day {day:4} records {records:9,} checkpoint {_checkpoint_mb(made):7.1f} MB, "
        f"workers {sorted(resident)} MB",
        flush=True,
    )


def throughput(parts: Parts, feed: BenchFeed) -> None:
    """The stream and the bare jobs over the same backlog."""
    with bench(parts, feed) as made:
        found = {what: bare(what, made) for what in BARE_JOBS}
        with stream(made) as lake:
            whole = caught_up(made, lake)
            time.sleep(CHECKPOINT_S)  # the next checkpoint holds nothing that waits
            state = _checkpoint_mb(made)
    values = 96 if feed.form == "blocks" else 1
    print(f"{feed.form}: {made.sent:,} messages of {feed.meters:,} meters, {feed.days} days, load {_load()}")
    for what, (rate, cost) in (*found.items(), ("whole stream", whole)):
        print(
            f"  {what:38} {rate:9,.0f} messages/s {rate * values:12,.0f} readings/s "
            f"{cost:6.0f} us CPU a message; the stream reaches {whole[0] / rate:.2f} x, "
            f"{cost / whole[1]:.2f} x by CPU"
        )
    print(f"  state {state * 1000 / feed.meters:.1f} kB a meter")


def alerts(parts: Parts, feed: BenchFeed) -> None:
    """Delay of alerts of a stream that has caught up."""
    with bench(parts, feed) as made, stream(made) as lake:
        caught_up(made, lake)
        print(f"alerts, produced to read from the sink, at 1,000 messages/s, load {_load()}:")
        print("  " + alert_delays(made.broker.address, feed))


def days(parts: Parts, feed: BenchFeed) -> None:
    """Delay of a day's results: a day that closes by the clock while the bench looks on."""
    last = feed.first + feed.days - 1
    with bench(parts, feed) as made:
        midnight = local_midnight(ZONE, last + 1)
        second = max(int(time.time()) + CATCH_UP_S, midnight + 1)
        with stream(made, "--grace", str((second - midnight) / 3600)) as lake:
            while progress(lake)[0] < made.sent:
                time.sleep(1)
            if progress(lake)[1] >= last or time.time() > second:
                raise SystemExit(f"{made.sent:,} messages took over {CATCH_UP_S} s; take fewer meters")
            took = day_delay(second, last, lambda: progress(lake)[1])
    print(f"a day of {feed.meters:,} meters, watermark past its close to published, load {_load()}:")
    print(f"  {took:.1f} s")


def soak(parts: Parts, feed: BenchFeed) -> None:
    """Checkpoint size and memory of the workers while a long backlog goes by."""
    with bench(parts, feed) as made, stream(made, "--hot-days", "14", *SOAK) as lake:
        print(f"soak: {feed.meters:,} meters, {feed.days} days, hot days 14, load {_load()}")
        caught_up(made, lake, series=True)
        time.sleep(12)
        _show_state(made, *progress(lake))


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["blocks", "rows", "alerts", "days", "soak"])
    parser.add_argument("--meters", type=int, default=6000)
    parser.add_argument("--days", type=int, default=120)
    options = parser.parse_args()
    # The last day of the feed has closed by its grace, whatever the hour is now.
    last = epoch_day(datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=2))
    feed = BenchFeed(options.meters, last - options.days + 1, options.days)
    fetched = fetch_parts()
    small = replace(feed, meters=max(feed.meters // 12, 1), first=last - 9, days=10)
    for part in options.parts:
        if part == "blocks":
            throughput(fetched, feed)
        elif part == "rows":
            throughput(fetched, replace(small, form="rows"))
        elif part == "soak":
            soak(fetched, replace(feed, meters=max(feed.meters // 2, 1), first=last - 149, days=150))
        elif part == "alerts":
            alerts(fetched, small)
        else:
            days(fetched, replace(feed, first=last - 8, days=10))


if __name__ == "__main__":
    main()
