"""Receipts of distributed work by way of files: each work's receipt once, however often it was done."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.storage import place, whole_file

__all__ = ["SUFFIX", "WriteReceipts", "read_receipt"]

SUFFIX = ".receipt"


@dataclass
class WriteReceipts(beam.PTransform[PCollection[Any], PCollection[None]]):
    """Write every receipt into a folder that the submitting process sees too.

    Bounded. A receipt has an attribute ``work``, the element that it answers; the file is named by
    that, so work that a runner did twice leaves one receipt.

    Attributes:
        folder: An absolute path, the same on every worker; it exists.
    """

    folder: str

    def expand(self, receipts: PCollection[Any]) -> PCollection[None]:
        """Label the one step."""
        return receipts | "WriteReceipt" >> beam.Map(_write, folder=self.folder)  # type: ignore[no-any-return, no-untyped-call]


def read_receipt(file: Path) -> Any:
    """A receipt that :class:`WriteReceipts` wrote; files of our own run only."""
    return pickle.loads(file.read_bytes())  # noqa: S301 written by our own workers, a moment ago


def _write(receipt: Any, folder: str) -> None:
    name = sha256(repr(receipt.work).encode()).hexdigest()
    with whole_file(place(folder) / (name + SUFFIX)) as out:
        out.write(pickle.dumps(receipt))
