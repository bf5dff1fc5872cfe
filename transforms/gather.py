"""Bring the few elements a pipeline ends with back to the process that runs it in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

_GATHERED: dict[str, list[Any]] = defaultdict(list)


def _keep(element: Any, token: str) -> None:
    _GATHERED[token].append(element)


def gathered(token: str) -> list[Any]:
    """The elements gathered under a token, in any order; they are forgotten here."""
    return _GATHERED.pop(token, [])


@dataclass
class Gather(beam.PTransform[PCollection[Any], PCollection[None]]):
    """Keep every element in this process under a token.

    For receipts, not for data. Only for runners that work in the calling process.
    """

    token: str

    def expand(self, elements: PCollection[Any]) -> PCollection[None]:
        """Label the one step."""
        return elements | "Keep" >> beam.Map(_keep, token=self.token)  # type: ignore[no-any-return, no-untyped-call]
