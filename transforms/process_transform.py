"""Process as a Beam transform: one call to ``process_shard`` an element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection


@dataclass
class ProcessShards(beam.PTransform[PCollection[int], PCollection[Any]]):
    """Validate, estimate and bill shards of the raw zone.

    Bounded; the element is a shard number; emits one receipt a shard, in any order. A shard processed
    again writes the same parts under the same names.

    Attributes:
        process: A module-level function (shard, job) → receipt.
        job: What to do; small, picklable.
    """

    process: Callable[[int, Any], Any]
    job: Any

    def expand(self, shards: PCollection[int]) -> PCollection[Any]:
        """Label the one step."""
        return shards | "ProcessShard" >> beam.Map(self.process, self.job)  # type: ignore[no-any-return, no-untyped-call]
