"""A simulated town sent to a Kafka broker in parts, with disorder and repeats, and the stream command."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from models.calendar import DayGrid, epoch_day
from models.town import TownPlan
from pipelines.store.lake import CONFIG, Lake
from pipelines.town.simulate import SimulateOptions, simulate
from schemas.writers import TOPICS
from tests.pipelines.stream_messages import Sent, message, received
from tests.pipelines.towns import ZONE, assert_equal, records, run, write

REPO = Path(__file__).resolve().parents[2]
FILES = {
    "IntervalBlock": ("readings-000.avro", "readings-001.avro"),
    "RegisterRead": ("registers.avro",),
    "DeviceEvent": ("events.avro",),
    "ServicePoint": ("service-points.avro",),
}
SECONDS = 420.0
PARTITIONS = 2


class TownFeed:
    """A town whose last day is yesterday, and what of it was sent.

    Args:
        folder: For the town, the lake and the backfills it is compared with.
        broker: Address of Kafka.
        days: Of the town.
        lake: Where the stream's lake lies; None: in the folder.
        settings: More settings of Kafka clients.
    """

    def __init__(
        self,
        folder: Path,
        broker: str,
        days: int,
        lake: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.broker = folder, broker
        self.lake = lake or folder / "lake"
        client: dict[str, str | int | float | bool] = {"bootstrap.servers": broker, **(settings or {})}
        today = datetime.now(ZoneInfo(ZONE)).date()
        grid = DayGrid(ZONE, 900, epoch_day(today - timedelta(days=days)), days)
        town = TownPlan(8, 3, theft=0.3, faults=0.3, defects=0.08, homes_a_feeder=4)
        simulate(SimulateOptions(folder / "town", town, grid, files=2))
        chance = random.Random(4)
        found = [
            (kind, row) for kind, names in FILES.items() for name in names for row in self._records(name)
        ]
        found.sort(key=lambda one: received(one) + chance.choice((0, 0, 0, 9e4, 9e5)) * chance.random())
        self.left: list[Sent] = found
        self.sent: list[Sent] = []
        self._compared = 0
        admin = AdminClient(client)
        # One partition more than is written to: the stream has to wake it, or no day would close.
        parts = dict.fromkeys((*TOPICS, "alerts"), PARTITIONS) | {"readings": PARTITIONS + 1}
        topics = [NewTopic(topic, count, 1) for topic, count in parts.items()]
        for made in admin.create_topics(topics).values():
            made.result()
        self._producer = Producer(client)

    def _records(self, name: str) -> list[dict[str, Any]]:
        return records(self.folder / "town" / name)

    def send(self, more: Sequence[Sent]) -> None:
        """Send records; the time of a message is that of its record's receipt."""
        for one in more:
            topic, _, _, value = message(*one, 0)
            key = str(one[1].get("meter_id")).encode()
            at = int(received(one) * 1000)
            self._producer.produce(topic, value, key=key, partition=crc32(key) % PARTITIONS, timestamp=at)
            self._producer.poll(0)
        self._producer.flush()
        self.sent += more

    def part(self, share: float) -> None:
        """Send a share of all that is left, some of it twice."""
        count = int(len(self.left) * share)
        more, self.left = self.left[:count], self.left[count:]
        self.send([*more, *more[::7]])

    def correction(self, number: int) -> Sent:
        """A late block that changes a day some time back."""
        kind, row = [one for one in self.sent if one[0] == "IntervalBlock"][number]
        later = row["received_at"] + timedelta(days=3)
        return kind, {**row, "values": [value + 1 for value in row["values"]], "received_at": later}

    def check(self) -> None:
        """Wait until the stream's lake equals a backfill of all that was sent; fail with the difference."""
        self._compared += 1
        inputs = [
            write(self.folder / f"in-{self._compared}" / f"{kind}.avro", kind, rows)
            for kind in FILES
            if (rows := [row for one, row in self.sent if one == kind])
        ]
        end, expected, through = time.monotonic() + SECONDS, None, None
        while True:
            closed = (
                Lake.open(self.lake).runs()["last_closed"].to_pylist()
                if (self.lake / CONFIG).exists()
                else []
            )
            if closed and closed[-1] is not None:
                if closed[-1] != through:
                    through = closed[-1]
                    expected = self.folder / f"backfill-{self._compared}-{through}"
                    tariffs = self.folder / "town" / "tariffs"
                    run(expected, *inputs, tariffs=tariffs, through=through, detect=False)
                assert expected is not None
                try:
                    assert_equal(expected, self.lake)
                except AssertionError:
                    if time.monotonic() > end:
                        raise
                else:
                    return
            elif time.monotonic() > end:
                pytest.fail(f"no day was closed in {SECONDS:.0f} s")
            time.sleep(3)


class StreamCommand:
    """``meterbeam stream`` as a process of its own.

    Args:
        feed: What it reads, and its lake.
        flink: Address of a cluster, or ``embedded``.
        options: More of the command's.
    """

    def __init__(self, feed: TownFeed, flink: str, *options: str) -> None:
        command = [sys.executable, "-m", "pipelines.cli", "stream", "--kafka", feed.broker, "--flink", flink]
        command += ["--lake", str(feed.lake), "--timezone", ZONE, "--shards", "4", "--grace", "1"]
        command += ["--tariffs", str(feed.folder / "town" / "tariffs"), "--alerts", "alerts", "--json"]
        command += ["--flush-interval", "3", "--commit-interval", "3", "--checkpoint-interval", "3"]
        command += ["--status-interval", "5", *options]
        code = "import sys; from pipelines.cli import main; sys.exit(main())"
        command[1:3] = ["-c", code]
        self.log = (feed.folder / "stream.log").open("ab")
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, cwd=REPO, start_new_session=True, text=True
        )

    def stop(self) -> dict[str, Any]:
        """Ask it to stop; gives its summary."""
        os.kill(self._process.pid, signal.SIGTERM)
        out, _ = self._process.communicate(timeout=SECONDS)
        self.log.close()
        assert self._process.returncode == 0
        summary: dict[str, Any] = json.loads(out)
        return summary

    def end(self) -> None:
        """End it whatever it does."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
        self.log.close()


def until(ready: Callable[[], bool], what: str) -> None:
    """Wait for a state of the world."""
    end = time.monotonic() + SECONDS
    while not ready():
        if time.monotonic() > end:
            pytest.fail(f"after {SECONDS:.0f} s still not: {what}")
        time.sleep(0.5)
