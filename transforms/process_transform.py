"""Process as a Beam transform: one call to ``process_shards`` an element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection


@dataclass
class ProcessShards(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Validate, estimate and bill shards of the raw zone.

    Bounded; the element is a range of shards; emits one receipt each, in any order. A range processed
    again writes the same parts under the same names.

    Attributes:
        process: A module-level function (shards, job) → receipt.
        job: What to do; small, picklable.
    """

    process: Callable[[Any, Any], Any]
    job: Any

    def expand(self, shards: PCollection[Any]) -> PCollection[Any]:
        """Label the one step."""
        return shards | "ProcessShards" >> beam.Map(self.process, self.job)  # type: ignore[no-any-return, no-untyped-call]
