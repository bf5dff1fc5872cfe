"""Avro files of readings for tests: schemas as writers vary them, records, and what they mean."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import fastavro
import pyarrow as pa
from hypothesis import strategies as st

from schemas.records import avro_schema

CODECS = ("null", "deflate", "snappy", "zstandard")
DAY = 1_704_067_200
MICROS = 1_000_000
TARIFF = """id: t
version: 1
effective: {from: 2024-01-01}
currency: EUR
timezone: UTC
calendar: {periods: [{id: all}]}
charges: [{id: base, type: fixed, per: day, amount: "0.40"}]
"""

Reading = tuple[Any, ...]


def container(
    schema: dict[str, Any], records: Sequence[dict[str, Any]], codec: str = "null", block: int = 400
) -> bytes:
    """A container file written by fastavro, a block about every ``block`` bytes."""
    out = io.BytesIO()
    fastavro.writer(out, schema, records, codec=codec, sync_interval=block)
    return out.getvalue()


def block_record(meter: str = "m1", **changes: Any) -> dict[str, Any]:
    """An IntervalBlock of three quarter hours."""
    record = {
        "meter_id": meter,
        "channel": "import",
        "start": DAY * MICROS,
        "interval_s": 900,
        "values": [1, 20, 300],
        "unit": "Wh",
        "scaler": 0,
        "quality": [],
        "received_at": (DAY + 90_000) * MICROS,
        "source": "hes",
        "sequence": None,
    }
    return record | changes


def reading_record(meter: str = "m1", slot: int = 0, value: Any = 7, **changes: Any) -> dict[str, Any]:
    """A MeterReading of one quarter hour of 2024-01-01."""
    record = block_record(meter)
    del record["values"]
    return record | {"start": (DAY + 900 * slot) * MICROS, "value": value, "quality": 0} | changes


def readings_of(table: pa.Table) -> Counter[Reading]:
    """Every reading of a raw interval table as a plain tuple, in the way of a slow, obvious reader."""
    found: Counter[Reading] = Counter()
    for row in table.to_pylist():
        assert (row["values_int"] is None) != (row["values_float"] is None)
        values = row["values_float"] if row["values_int"] is None else row["values_int"]
        codes = row["quality"] or [0] * len(values)
        each = row["received_each"] or [row["received_at"]] * len(values)
        assert row["received_each"] is None or row["received_at"] == min(each)
        for place, (value, code, received) in enumerate(zip(values, codes, each, strict=True)):
            start = row["start"] + place * row["interval_s"]
            found[_reading(row | {"received_at": received}, start, value, code)] += 1
    return found


def readings_written(records: Sequence[dict[str, Any]], micros: int = 1) -> Counter[Reading]:
    """What the same records mean, before they were written; times are in units of ``micros`` µs."""
    found: Counter[Reading] = Counter()
    for record in records:
        values = record["values"] if "values" in record else [record["value"]]
        codes = record.get("quality") or 0
        codes = codes if isinstance(codes, list) else [codes] * len(values)
        mixed = any(isinstance(value, float) for value in values)
        row = {"scaler": 0, "source": None, "sequence": None} | record
        if row.get("received_at") is not None:
            row["received_at"] *= micros
        for place, (value, code) in enumerate(zip(values, codes, strict=True)):
            start = record["start"] * micros // MICROS + place * record["interval_s"]
            found[_reading(row, start, float(value) if mixed and value is not None else value, code)] += 1
    return found


def _reading(row: dict[str, Any], start: int, value: Any, code: int) -> Reading:
    names = ("meter_id", "channel", "interval_s", "unit", "scaler", "received_at", "sequence", "source")
    shown = "nan" if isinstance(value, float) and math.isnan(value) else value
    return (
        start,
        shown,
        type(value).__name__ if value is not None else None,
        code,
        *(row.get(n) for n in names),
    )


_NUMBERS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": ("int", st.integers(-(2**31), 2**31 - 1)),
    "long": ("long", st.integers(-(10**10), 10**10)),
    "float": ("float", st.floats(-1e7, 1e7, width=32)),
    "double": ("double", st.floats(-1e7, 1e7) | st.just(math.nan)),
    "null or long": (["null", "long"], st.none() | st.integers(-(10**10), 10**10)),
    "double or null": (["double", "null"], st.none() | st.floats(-1e7, 1e7)),
    "long or double": (["long", "double"], st.integers(-(10**10), 10**10) | st.floats(-1e7, 1e7)),
    "any": (["null", "long", "double"], st.none() | st.integers(-99, 99) | st.floats(-9, 9)),
}
_TIMES = {
    "micros": ({"type": "long", "logicalType": "timestamp-micros"}, 1),
    "plain": ("long", 1),
    "millis": ({"type": "long", "logicalType": "timestamp-millis"}, 1000),
}
_EXTRAS: tuple[tuple[str, Any, Any], ...] = (
    ("note", "string", "x"),
    ("tags", {"type": "map", "values": "string"}, {"a": "b"}),
    ("either", ["null", "string", "long"], 5),
    (
        "place",
        {"type": "record", "name": "Place", "fields": [{"name": "lat", "type": "double"}]},
        {"lat": 1.5},
    ),
)
_OPTIONAL = ("scaler", "quality", "received_at", "source", "sequence")


@st.composite
def written_readings(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """A writer's schema of either reading record, records of it, and the µs its time unit has.

    Fields are shuffled, optional ones dropped, foreign ones added, types varied.
    """
    name = draw(st.sampled_from(["IntervalBlock", "MeterReading"]))
    number, values = _NUMBERS[draw(st.sampled_from(sorted(_NUMBERS)))]
    time, micros = _TIMES[draw(st.sampled_from(sorted(_TIMES)))]
    dropped = draw(st.sets(st.sampled_from(_OPTIONAL)))
    extras = draw(st.lists(st.sampled_from(_EXTRAS), unique_by=lambda extra: extra[0], max_size=2))
    schema = avro_schema(name)
    kept = [field for field in schema["fields"] if field["name"] not in dropped]
    for field in kept:
        if field["name"] == "value":
            field["type"] = number
        elif field["name"] == "values":
            field["type"]["items"] = number
        elif field["name"] == "start":
            field["type"] = time
        elif field["name"] == "received_at":
            field["type"] = ["null", time]
    kept += [{"name": key, "type": kind} for key, kind, _ in extras]
    schema["fields"] = draw(st.permutations(kept))
    present = {field["name"] for field in kept}
    meters = st.sampled_from(["m1", "m2", "meter-of-another-length", "Zähler"])
    records = [
        {key: value for key, value in record.items() if key in present}
        | {key: value for key, _, value in extras}
        for record in draw(st.lists(_records(name, values, micros, meters), max_size=60))
    ]
    return schema, records, micros


@st.composite
def _records(
    draw: st.DrawFn, name: str, values: st.SearchStrategy[Any], micros: int, meters: Any
) -> dict[str, Any]:
    unit = MICROS // micros
    received = draw(st.none() | st.sampled_from([DAY, DAY + 1, DAY + 90_000]) | st.integers(DAY, DAY + 99))
    common = {
        "channel": draw(st.sampled_from(["import", "export"])),
        "start": (DAY + 900 * draw(st.integers(0, 200))) * unit,
        "interval_s": draw(st.sampled_from([900, 900, 900, 3600])),
        "scaler": draw(st.sampled_from([0, 0, -3])),
        "received_at": None if received is None else received * unit,
        "source": draw(st.sampled_from([None, "hes"])),
        "sequence": draw(st.sampled_from([None, 7])),
    }
    meter = draw(meters)
    if name == "MeterReading":
        return (
            reading_record(meter, value=draw(values)) | common | {"quality": draw(st.sampled_from([0, 0, 8]))}
        )
    items = draw(st.lists(values, min_size=1, max_size=8))
    codes = draw(st.sampled_from([[], [0] * len(items), [8] + [0] * (len(items) - 1)]))
    return block_record(meter, values=items) | common | {"quality": codes}
