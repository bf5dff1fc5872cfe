"""Field mappings: how a foreign Avro record becomes one of the input contract's.

Example::

    records:
      acme.Reading:                      # full name in the writer's schema
        as: MeterReading
        fields: {meter_id: header.device, start: ts, value: reading}   # a dot: in a nested record
        constants: {interval_s: 900, unit: kWh, scaler: 0}
        times: {start: s}                # plain integers: s, ms, us or ns
        zones: {start: Europe/Zurich}    # times without an offset: the zone of their clock
        in_order: true                   # a meter's readings follow each other: tells a repeated hour apart
        channels: {"1.8.0": import}      # their channel: ours
        units: {KILOWATTHOUR: kWh}
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.records import NAMESPACE, RECORDS, RecordType, avro_schema, record_type
from schemas.timezones import known_timezone
from schemas.yaml_model import read_yaml

__all__ = ["FieldMapping", "RecordMapping", "TimeUnit", "load_mapping"]

TimeUnit = Literal["s", "ms", "us", "ns"]


class RecordMapping(BaseModel):
    """How one foreign record is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    record: str = Field(alias="as", description="record of the input contract")
    fields: dict[str, str] = Field(default_factory=dict, description="our field: their field")
    constants: dict[str, str | int | float] = Field(
        default_factory=dict, description="our field: value of every row"
    )
    times: dict[str, TimeUnit] = Field(
        default_factory=dict, description="our field: unit of a plain integer time"
    )
    zones: dict[str, str] = Field(
        default_factory=dict, description="our field: zone of times without an offset"
    )
    in_order: bool = Field(
        False,
        description="readings of a meter and channel follow each other in a file, or by their sequence: so "
        "the two passes of an hour that the clock repeats are told apart",
    )
    channels: dict[str, str] = Field(default_factory=dict, description="their channel: ours")
    units: dict[str, str] = Field(default_factory=dict, description="their unit: ours")

    @field_validator("record")
    @classmethod
    def _known_record(cls, name: str) -> str:
        if name not in RECORDS:
            raise ValueError(f"unknown record {name!r}, expected one of: {', '.join(sorted(RECORDS))}")
        return name

    @model_validator(mode="after")
    def _known_fields(self) -> RecordMapping:
        known = {field["name"]: field["type"] for field in avro_schema(self.record)["fields"]}
        for part, names in (
            ("fields", self.fields),
            ("constants", self.constants),
            ("times", self.times),
            ("zones", self.zones),
        ):
            unknown = sorted(set(names) - set(known))
            if unknown:
                raise ValueError(f"{part}: {unknown} not in {self.record}, expected of: {', '.join(known)}")
        both = sorted(set(self.fields) & set(self.constants))
        if both:
            raise ValueError(f"{both} given twice, by fields and by constants")
        for part, names in (("times", self.times), ("zones", self.zones)):
            plain = sorted(name for name in names if "timestamp" not in str(known[name]))
            if plain:
                raise ValueError(f"{part}: {plain} are no times of {self.record}")
        if self.in_order and (
            self.record not in ("MeterReading", "IntervalBlock") or "start" not in self.zones
        ):
            raise ValueError(
                "in_order: is for start of MeterReading or IntervalBlock, with its zone in zones"
            )
        for name, zone in self.zones.items():
            try:
                known_timezone(zone)
            except ValueError as error:
                raise ValueError(f"zones: {name}: {zone!r}, expected {error}") from error
        return self

    @property
    def type(self) -> RecordType:
        """The record of the contract this becomes."""
        return RECORDS[self.record]

    def source_of(self, field: str) -> str:
        """Name of the writer's field that holds ours."""
        return self.fields.get(field, field)


class FieldMapping(BaseModel):
    """All foreign records a lake knows, by their full Avro name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    records: dict[str, RecordMapping] = Field(default_factory=dict)

    def for_record(self, full_name: str) -> RecordMapping | None:
        """How to read a record: as mapped, as it is where the contract knows it, else None."""
        mapped = self.records.get(full_name)
        if mapped is not None:
            return mapped
        known = record_type(full_name)
        return RecordMapping(record=known.name) if known else None

    def expected(self) -> str:
        """The names that can be read, for a message."""
        names = [f"{NAMESPACE}.{name}" for name in RECORDS] + list(self.records)
        return ", ".join(names)


def load_mapping(path: str | Path) -> FieldMapping:
    """Read a field-mapping YAML file.

    Raises:
        MeterbeamError: The file cannot be read, is not YAML, or does not fit; names the file and line.
    """
    return read_yaml(Path(path), FieldMapping, "a field mapping")
