"""The Beam twin of ``ingest_split``."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import avro_schema
from tests.transforms.avro_files import block_record, container
from transforms.ingest import IngestReceipt, ingest_split, plan_splits
from transforms.ingest_transform import IngestSplits


def _figures(receipt: IngestReceipt) -> tuple[int, int, int, tuple[str, ...]]:
    return receipt.split.index, receipt.rows, receipt.readings, tuple(file.name for file in receipt.files)


def test_a_receipt_for_every_split(tmp_path: Path) -> None:
    """The transform gives exactly what the function gives, one receipt a split."""
    records = [block_record(f"m{n}") for n in range(60)]
    path = tmp_path / "meters.avro"
    path.write_bytes(container(avro_schema("IntervalBlock"), records, "snappy", 200))
    splits = plan_splits([path], 300)
    expected = [
        _figures(ingest_split(split, shards=4, raw_dir=tmp_path / "a", timezone="UTC")) for split in splits
    ]
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        found = (
            pipeline
            | "Splits" >> beam.Create(splits)  # type: ignore[no-untyped-call]
            | "Ingest" >> IngestSplits(4, str(tmp_path / "b"), "UTC")
            | "Figures" >> beam.Map(_figures)  # type: ignore[no-untyped-call]
        )
        assert_that(found, equal_to(expected))  # type: ignore[no-untyped-call]
    assert len(splits) > 2
