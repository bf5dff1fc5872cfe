"""Receipts that travel by files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.receipts import SUFFIX, WriteReceipts, read_receipt


@dataclass(frozen=True)
class Done:
    """A receipt."""

    work: tuple[str, int]
    rows: int


def test_one_receipt_a_work(tmp_path: Path) -> None:
    """Work done twice leaves one receipt, works that differ leave one each, and no draft stays behind."""
    receipts = [Done(("a", 1), 5), Done(("a", 2), 6), Done(("a", 1), 5), Done(("b", 1), 7)]
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(receipts) | WriteReceipts(str(tmp_path))  # type: ignore[no-untyped-call]
    files = list(tmp_path.iterdir())
    assert {file.suffix for file in files} == {SUFFIX}
    found = sorted((read_receipt(file) for file in files), key=lambda done: done.work)
    assert found == [Done(("a", 1), 5), Done(("a", 2), 6), Done(("b", 1), 7)]
