"""Ingest as a Beam transform: one call to ``ingest_split`` an element."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.mapping import FieldMapping
from transforms.ingest import IngestReceipt, OnError, ingest_split
from transforms.ingest_plan import FileSplit
from transforms.raw_stats import NEVER_LATE

__all__ = ["IngestSplits"]


@dataclass
class IngestSplits(beam.PTransform[PCollection[FileSplit], PCollection[IngestReceipt]]):
    """Ingest splits of container files into the raw zone.

    Bounded, unkeyed; emits one receipt a split, in any order. A split processed again writes the same
    files under the same names.
    """

    shards: int
    raw_dir: str
    timezone: str
    mapping: FieldMapping | None = None
    on_error: OnError = "stop"
    arrived_by: int = NEVER_LATE

    def expand(self, splits: PCollection[FileSplit]) -> PCollection[IngestReceipt]:
        """Label the one step."""
        return splits | "IngestSplit" >> beam.Map(  # type: ignore[no-any-return, no-untyped-call]
            ingest_split,
            shards=self.shards,
            raw_dir=self.raw_dir,
            timezone=self.timezone,
            mapping=self.mapping,
            on_error=self.on_error,
            arrived_by=self.arrived_by,
        ).with_output_types(IngestReceipt)
