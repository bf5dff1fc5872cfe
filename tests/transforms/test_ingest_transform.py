"""The Beam twin of ``ingest_split``."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import avro_schema
from tests.transforms.avro_files import block_record, container
from transforms.avro_container import FramingError
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


def test_an_error_passes_beam_unchanged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a step is the one that was raised, without words of Beam, and no traceback is logged."""
    path = tmp_path / "meters.avro"
    path.write_bytes(container(avro_schema("IntervalBlock"), [block_record("m")], "null", 200))
    splits = plan_splits([path], 300)
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF  # the last sync marker
    path.write_bytes(content)
    with pytest.raises(FramingError) as alone:
        ingest_split(splits[0], shards=4, raw_dir=tmp_path / "a", timezone="UTC")
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    _ = pipeline | beam.Create(splits) | IngestSplits(4, str(tmp_path / "b"), "UTC")  # type: ignore[no-untyped-call]
    with pytest.raises(FramingError) as in_beam:
        pipeline.run()
    assert str(in_beam.value) == str(alone.value)
    assert not [record for record in caplog.records if record.name.startswith("apache_beam.runners.common")]
