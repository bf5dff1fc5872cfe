"""How long a stream that has caught up takes: from an event to its alert, from a day's close to its rows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from confluent_kafka import Consumer, Producer

from tests.bench.stream_feed import BenchFeed, datum

__all__ = ["alert_delays", "day_delay"]

SECONDS = 60
RATE = 1000
ALERTING = 20
"""One message in so many is an event that alerts somebody."""


def alert_delays(brokers: str, feed: BenchFeed) -> str:
    """Delays from produce to sink at 1,000 messages a second, one in twenty an alert."""
    client = Consumer({"bootstrap.servers": brokers, "group.id": "bench", "auto.offset.reset": "latest"})
    client.subscribe(["alerts"])
    client.poll(10)
    sender = threading.Thread(target=_send_events, args=(brokers, feed))
    sender.start()
    found: list[float] = []
    wanted = SECONDS * RATE // ALERTING
    end = time.monotonic() + SECONDS + 60
    while len(found) < wanted and time.monotonic() < end:
        message = client.poll(1)
        value = None if message is None else message.value()
        if value is not None:
            seen = json.loads(value)["seen"]
            if seen.startswith("sent "):
                found.append(time.time() - float(seen.removeprefix("sent ")))
    sender.join()
    client.close()
    found.sort()
    share = [found[int(len(found) * at)] for at in (0.5, 0.99)] if found else [0.0, 0.0]
    return f"{len(found):,} of {wanted:,} alerts: p50 {share[0]:.2f} s, p99 {share[1]:.2f} s"


def _send_events(brokers: str, feed: BenchFeed) -> None:
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5})
    today = replace(feed, first=feed.first + feed.days, days=1)
    blocks = list(islice(today.readings(), RATE))
    began = time.monotonic()
    for number in range(SECONDS * RATE):
        ahead = began + number / RATE - time.monotonic()
        if ahead > 0:
            producer.poll(0)
            time.sleep(ahead)
        now = time.time()
        if number % ALERTING:
            topic, key, value, _ = blocks[number % len(blocks)]
        else:
            moment = datetime.fromtimestamp(now, UTC)
            row = {"meter_id": f"meter-{number % feed.meters:06d}", "event_type": "last_gasp"}
            times = {"occurred_at": moment, "received_at": moment, "detail": f"sent {now}"}
            topic, key, value = "events", row["meter_id"], datum("DeviceEvent", {**row, **times})
        producer.produce(topic, value, key=key, timestamp=int(now * 1000))
    producer.flush()


def day_delay(second: int, day: int, closed: Callable[[], int]) -> float:
    """Seconds from the moment at which the clock, and so the watermark, passes a day's close to its rows.

    Args:
        second: End of the day and grace, on the clock.
        day: Epoch day.
        closed: Last closed epoch day of the lake.
    """
    while closed() < day:
        time.sleep(0.2)
    return time.time() - second
