"""The record kinds of the input contract: which Avro record is which kind, and its schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["NAMESPACE", "RECORDS", "SHARDED_KINDS", "Kind", "RecordType", "avro_schema", "record_type"]

NAMESPACE = "meterbeam.v1"


class Kind(StrEnum):
    """What a record is about; its value names the raw table and the folder of the raw zone."""

    INTERVALS = "intervals"
    REGISTERS = "registers"
    EVENTS = "events"
    SERVICE_POINTS = "service_points"
    PRICES = "prices"
    EDITS = "edits"
    TARIFFS = "tariffs"
    TARIFF_EVENTS = "tariff_events"
    WEATHER = "weather"
    DRAINS = "drains"


SHARDED_KINDS = frozenset({Kind.INTERVALS, Kind.REGISTERS, Kind.EVENTS})
"""Kinds whose rows lie in the shard of their meter. The others are few and lie in shard 0, for every
shard to read: versions of one service point may name several meters, and a revoked edit names none."""


@dataclass(frozen=True)
class RecordType:
    """One record of the input contract.

    Attributes:
        name: Avro record name, without namespace.
        kind: The raw table its rows go to.
        topic: Kafka topic that carries it.
    """

    name: str
    kind: Kind
    topic: str


RECORDS: dict[str, RecordType] = {
    record.name: record
    for record in (
        RecordType("IntervalBlock", Kind.INTERVALS, "readings"),
        RecordType("MeterReading", Kind.INTERVALS, "readings"),
        RecordType("RegisterRead", Kind.REGISTERS, "registers"),
        RecordType("DeviceEvent", Kind.EVENTS, "events"),
        RecordType("ServicePoint", Kind.SERVICE_POINTS, "service-points"),
        RecordType("PriceSignal", Kind.PRICES, "prices"),
        RecordType("Edit", Kind.EDITS, "edits"),
        RecordType("TariffVersion", Kind.TARIFFS, "tariffs"),
        RecordType("TariffEvent", Kind.TARIFF_EVENTS, "tariff-events"),
        RecordType("Weather", Kind.WEATHER, "weather"),
        RecordType("Drain", Kind.DRAINS, "tariff-events"),
    )
}


def record_type(full_name: str) -> RecordType | None:
    """The record of the contract that an Avro record name stands for.

    Args:
        full_name: ``meterbeam.v1.IntervalBlock``, or a bare ``IntervalBlock``.

    Returns:
        None for a name of another namespace or an unknown record: those need a field mapping.
    """
    namespace, _, name = full_name.rpartition(".")
    return RECORDS.get(name) if namespace in ("", NAMESPACE) else None


@cache
def _schema_text(name: str) -> str:
    return resources.files("schemas").joinpath("avro", f"{name}.avsc").read_text(encoding="utf-8")


def avro_schema(name: str) -> dict[str, Any]:
    """The Avro schema of a record, as a fresh dict: the form Meterbeam itself writes.

    Raises:
        KeyError: ``name`` is not a record of the contract.
    """
    if name not in RECORDS:
        raise KeyError(f"unknown record {name!r}, expected one of: {', '.join(sorted(RECORDS))}")
    schema: dict[str, Any] = json.loads(_schema_text(name))
    return schema
