"""Device events of interest to a detect run, from the raw zone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import local_days
from models.device_events import OF_INTEREST, DeviceEvents
from pipelines.store.lake import Lake
from schemas.event_types import event_name
from schemas.records import Kind
from transforms.raw_codec import read_raw_shards

__all__ = ["device_events"]

MICROS = 1_000_000


def device_events(lake: Lake, names: Sequence[str], as_of: int) -> DeviceEvents:
    """Events of interest up to a local day, each once however often it was sent.

    Args:
        lake: The lake.
        names: Raw files of events.
        as_of: Last epoch day that counts.
    """
    folder = lake.path / "raw" / Kind.EVENTS.value
    rows, _ = read_raw_shards([folder / name for name in names], Kind.EVENTS, range(lake.config.shards))
    types = pc.unique(rows["event_type"]).to_pylist()
    wanted = [text for text in types if text is not None and event_name(text) in OF_INTEREST]
    rows = rows.filter(pc.is_in(rows["event_type"], pa.array(wanted, rows["event_type"].type)))
    second = rows["occurred_at"].cast(pa.int64()).to_numpy().astype(np.int64) // MICROS
    days = local_days(lake.config.timezone, second).tolist()
    found: dict[str, set[tuple[int, str]]] = {}
    for meter, text, day in zip(
        rows["meter_id"].to_pylist(), rows["event_type"].to_pylist(), days, strict=True
    ):
        if day <= as_of:
            found.setdefault(meter, set()).add((day, event_name(text)))
    return {meter: sorted(events) for meter, events in found.items()}
